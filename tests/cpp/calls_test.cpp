// The calls of kv.hpp on a database, with exceptions: what they do, answer and throw.
#include "test.hpp"

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

kv::options small_segments()
{
    kv::options options;
    options.set(kv::option::segment_size, 1 << 20).set(kv::option::sync, kv::sync_level::none);
    return options;
}

void test_put_get_erase()
{
    kv::db db(test_path("basics"), small_segments());
    CHECK(!db.get("planet"));
    CHECK(!db.exists("planet"));
    CHECK(!db.value_size("planet"));
    db.put("planet", "Saturn");
    CHECK(db.get("planet") == "Saturn");
    CHECK(db.exists("planet"));
    CHECK(db.value_size("planet") == 6U);
    db.put("planet", "");
    CHECK(db.get("planet") == "");
    CHECK(db.exists("planet"));
    db.put("\0key"s, "va\0lue"s);
    CHECK(db.get("\0key"s) == "va\0lue"s);
    CHECK(db.erase("planet"));
    CHECK(!db.erase("planet"));
    CHECK(!db.get("planet"));
    db.sync();
    CHECK(db.stats().keys == 1);
    CHECK(db.stats().size == sizeof(kv_stats_t));
}

// Lengths around those at which get() goes another way.
void test_every_way_to_read()
{
    kv::db db(test_path("reads"), small_segments());
    std::string used_again;
    for (const unsigned size : {0U, 1U, 15U, 16U, 511U, 512U, 513U, 100000U, 3U, 600U, 0U}) {
        const std::string value(size, static_cast<char>('a' + size % 26));
        db.put("key", value);
        CHECK(db.get("key") == value);
        CHECK(db.get("key", used_again) && used_again == value);
        CHECK(!db.get("none", used_again));
        const auto owned = db.get_value("key");
        CHECK(owned && owned->text() == value && owned->size() == size);
        const auto view = db.view_get("key");
        CHECK(view && view->text() == value && view->size() == size);
        std::string buffer(size, ' ');
        CHECK(db.get_into("key", buffer) == value);
        CHECK(db.try_get("key").value() == value);
    }
    CHECK(!db.get_value("none"));
    CHECK(!db.view_get("none"));
}

void test_buffer_too_small()
{
    kv::db db(test_path("buffer"));
    std::array<char, 4> buffer = {'k', 'e', 'p', 't'};
    std::size_t needed = 0;
    db.put("key", "five!");
    CHECK_IS(buffer_too_small, db.try_get_into("key", buffer, &needed));
    CHECK(needed == 5);
    CHECK(std::string(buffer.data(), 4) == "kept");
    CHECK_THROWS(buffer_too_small, db.get_into("key", buffer));
    CHECK(!db.get_into("none", buffer));
    db.put("key", "four");
    CHECK_IS(ok, db.try_get_into("key", buffer, &needed));
    CHECK(needed == 4);
}

void test_errors()
{
    kv::db db(test_path("errors"));
    CHECK_THROWS(empty_key, db.put("", "value"));
    CHECK_THROWS(empty_key, db.put(nullptr, "value"));
    CHECK_THROWS(key_too_long, db.get(std::string(KV_MAX_KEY_LEN + 1, 'k')));
    CHECK_THROWS(already_open, kv::db(test_path("errors")));
    CHECK_THROWS(unsupported, kv::db("redis://localhost/0"));
    CHECK_THROWS(does_not_exist, kv::destroy(test_path("nowhere")));
    bool has_thrown = false;
    try {
        db.put("", "value");
    } catch (const std::runtime_error &error) {
        has_thrown = true;
        // The message is a copy, and stays what it was.
        CHECK_IS(unknown_option, kv::options().try_set("colour", "red"));
        CHECK(error.what() == std::string(kv::name(kv::status::empty_key)) + ": " +
                                  static_cast<const kv::error &>(error).message());
    }
    CHECK(has_thrown);
    const auto failed = db.try_put("", "value");
    CHECK(!failed && failed.failed() && failed.message() == std::string(kv_error_message()));
    const auto answered = db.try_get("none");
    CHECK(!answered && !answered.failed());
    CHECK(answered.message() == std::string(kv::name(kv::status::not_found)));
    CHECK_THROWS(not_found, answered.value());
    CHECK(kv::class_of(kv::status::locked) == kv::status_class::retry);
    CHECK(kv::version() == std::string(KV_VERSION_STRING));
}

void test_options()
{
    kv::options options;
    options.set(kv::option::segment_size, 16 << 20)
        .set(kv::option::sync, kv::sync_level::always)
        .set(kv::option::sync_interval, 2s)
        .set(kv::option::create_if_missing, false)
        .set(kv::option::error_if_exists, false)
        .set(kv::option::verify_checksums, true)
        .set(kv::option::read_mode, kv::read_mode::pread)
        .set(kv::option::on_damage, kv::on_damage::fail)
        .set(kv::option::compaction, kv::compaction::manual)
        .set(kv::option::compaction_garbage_percent, 40)
        .set(kv::option::compaction_bytes_per_second, 0)
        .set(kv::option::max_disk_bytes, 1 << 30)
        .set(kv::option::max_index_bytes, 1 << 20)
        .set(kv::option::publish_stats, 100ms)
        .set("sync", "none")
        .set("sync_interval_ms"s, "5"s);
    CHECK_THROWS(does_not_exist, kv::db(test_path("options"), options));
    CHECK_THROWS(invalid_option, options.set(kv::option::sync_interval, -1ms));
    CHECK_THROWS(invalid_option, options.set(kv::option::sync_interval, 0ms));
    CHECK_THROWS(invalid_option, options.set(kv::option::publish_stats, -1ms));
    CHECK_THROWS(invalid_option, options.set(kv::option::segment_size, 1));
    CHECK_THROWS(invalid_argument, options.set(kv::option::sync, static_cast<kv::sync_level>(9)));
    CHECK_THROWS(unknown_option, options.set("colour", "red"));
    options.set(kv::option::create_if_missing, true);
    kv::db(test_path("options"), options).put("key", "value");
    CHECK(kv::db(test_path("options")).get("key") == "value");
}

void test_compaction()
{
    kv::db db(test_path("compaction"), small_segments());
    const std::string value(10000, 'v');
    const auto fill = [&] {
        for (int i = 0; i < 1000; i++) {
            db.put(kv::bytes_of(i % 10), value);
        }
    };
    db.compaction_pause();
    fill();
    int calls = 0;
    std::uint64_t total = 0;
    CHECK(db.compact([&](const kv::progress &progress) {
        calls++;
        total = progress.total_bytes;
    }));
    CHECK(calls > 0 && total > 0);
    CHECK(db.stats().dead_bytes == 0);

    fill();
    CHECK(!db.compact([](const kv::progress &) { return false; }));
    CHECK_IS(cancelled, db.try_compact([](const kv::progress &) { return 0; }));
    bool has_thrown = false;
    try {
        db.compact([](const kv::progress &) { throw std::out_of_range("thrown on"); });
    } catch (const std::out_of_range &thrown) {
        has_thrown = thrown.what() == "thrown on"s;
    }
    CHECK(has_thrown);
    CHECK(db.compact([&](const kv::progress &) { CHECK_IS(busy, db.try_compact()); }));

    db.compact_cancel();
    db.compact();
    CHECK(db.stats().dead_bytes == 0);
    db.compaction_resume();
    CHECK(db.stats().compaction_paused == 0);
}

} // namespace

int main()
{
    test_put_get_erase();
    test_every_way_to_read();
    test_buffer_too_small();
    test_errors();
    test_options();
    test_compaction();
    return test_end("calls_test");
}
