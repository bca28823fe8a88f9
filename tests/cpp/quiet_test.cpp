// kv.hpp without exceptions and type information: every call in its form that returns a result.
#include "test.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this test is to be compiled with -fno-exceptions -fno-rtti"
#endif

namespace {

void test_calls()
{
    auto options = kv::options::try_make();
    CHECK_IS(ok, options);
    CHECK_IS(ok, options->try_set(kv::option::segment_size, 1 << 20));
    CHECK_IS(ok, options->try_set("sync", "none"));
    CHECK_IS(invalid_option, options->try_set(kv::option::segment_size, 1));
    CHECK_IS(unknown_option, options->try_set("colour", "red"));

    auto db = kv::db::try_open(test_path("quiet"), *options);
    CHECK_IS(ok, db);
    CHECK_IS(already_open, kv::db::try_open(test_path("quiet")));
    CHECK_IS(not_found, db->try_get("key"));
    CHECK_IS(ok, db->try_put("key", "value"));
    CHECK(*db->try_get("key") == "value");
    CHECK(db->try_get_value("key")->text() == "value");
    CHECK(db->try_view_get("key")->text() == "value");
    CHECK(*db->try_exists("key") == 5);
    std::string value;
    CHECK_IS(ok, db->try_get("key", value));
    CHECK(value == "value");
    char buffer[16];
    CHECK(*db->try_get_into("key", buffer) == "value");
    CHECK_IS(buffer_too_small, db->try_get_into("key", kv::buffer(buffer, 4)));
    CHECK(db->try_stats()->keys == 1);

    int calls = 0;
    CHECK_IS(ok, db->try_compaction_pause());
    for (int i = 0; i < 300; i++) {
        CHECK_IS(ok, db->try_put("key", std::string(10000, 'v')));
    }
    CHECK_IS(ok, db->try_compact([&](const kv::progress &) { calls++; }));
    CHECK(calls > 0);
    CHECK_IS(ok, db->try_compact());
    CHECK_IS(ok, db->try_compact_cancel());
    CHECK_IS(ok, db->try_compaction_resume());
    CHECK_IS(ok, db->try_sync());
    CHECK_IS(ok, db->try_erase("key"));
    CHECK_IS(not_found, db->try_erase("key"));
    CHECK_IS(empty_key, db->try_put("", "value"));
    CHECK_IS(ok, db->try_close());
    CHECK_IS(closed, db->try_get("key"));
    CHECK_IS(ok, kv::try_destroy(test_path("quiet")));
}

void test_writes()
{
    using namespace std::chrono_literals;
    auto db = kv::db::try_open(test_path("writes"));
    CHECK_IS(ok, db->try_put("key", "value", 1h));
    CHECK(db->try_ttl("key")->remaining() <= 1h);
    CHECK_IS(ok, db->try_touch("key", kv::expiry::never()));
    CHECK_IS(not_found, db->try_touch("none", 1h));
    const auto version = db->try_insert("lock", "mine");
    CHECK_IS(ok, version);
    CHECK_IS(exists, db->try_insert("lock", "yours"));
    CHECK(*db->try_get_version("lock") == *version);
    CHECK_IS(ok, db->try_compare_exchange("lock", *version, "yours"));
    CHECK_IS(version_mismatch, db->try_compare_exchange("lock", *version, "mine"));
    CHECK_IS(ok, db->try_update("lock", [](std::optional<std::string_view> old) {
        return old ? "theirs" : "nobody's";
    }));
    CHECK(*db->try_get("lock") == "theirs");
    CHECK_IS(ok, db->try_put_with("lock", "mine", {}));
    CHECK_IS(ok, db->try_erase_with("lock", {}));
    CHECK(*db->try_add("counter", 7) == 7);
    CHECK_IS(not_a_counter, db->try_add("key", 1));

    auto batch = kv::batch::try_make();
    CHECK_IS(ok, batch->try_put("a", "1"));
    CHECK_IS(ok, batch->try_put("b", "2", 1h));
    CHECK_IS(ok, batch->try_erase("key"));
    CHECK(*batch->try_count() == 3);
    CHECK_IS(ok, db->try_write(*batch));
    CHECK_IS(ok, batch->try_clear());
    CHECK(*db->try_get("a") == "1");

    auto room = db->try_reserve("reserved", 1);
    *room->data() = 'r';
    CHECK_IS(ok, room->try_commit());
    CHECK(*db->try_get("reserved") == "r");
}

void test_scans()
{
    auto db = kv::db::try_open(test_path("writes"));
    const auto snapshot = db->try_snapshot();
    CHECK_IS(ok, db->try_erase("a"));
    CHECK(*snapshot->try_get("a") == "1");
    unsigned count = 0;
    auto rows = db->try_scan(*snapshot);
    for (const auto &row : *rows) {
        count += !row.key.empty();
    }
    CHECK(count == 4 && rows->status() == kv::status::not_found);
    CHECK(*db->try_count() == 3);
    CHECK_IS(ok, db->try_approximate_bytes());
    const kv::bytes keys[] = {"a", "b"};
    const auto found = db->try_get_many(keys);
    CHECK(!(*found)[0] && *(*found)[1] == "2");
    CHECK(*(*db->try_view_get_many(keys))[1] == "2");

    // The database is closed in the middle of a loop: that ends, and says so.
    rows = db->try_scan();
    count = 0;
    for (const auto &row : *rows) {
        count += !row.key.empty();
        CHECK_IS(ok, db->try_close());
    }
    CHECK(count == 1 && rows->status() == kv::status::closed);
}

void test_backups()
{
    auto db = kv::db::try_open(test_path("writes"));
    int calls = 0;
    CHECK_IS(ok, db->try_backup(test_path("backup")));
    CHECK_IS(ok, db->try_backup(test_path("backup"), [&](const kv::progress &) { calls++; }));
    CHECK_IS(ok, kv::try_restore(test_path("backup"), test_path("restored")));
    CHECK_IS(already_exists, kv::try_restore(test_path("backup"), test_path("restored")));
    CHECK_IS(ok, kv::try_restore(test_path("backup"), test_path("restored too"),
                                 [&](const kv::progress &) { calls++; }));
    CHECK(calls > 0);
    CHECK(*kv::db::try_open(test_path("restored too"))->try_get("b") == "2");
    CHECK(kv::try_verify(test_path("restored"))->is_sound);
    CHECK(kv::try_salvage(test_path("restored"), test_path("salvaged"))->is_sound);
}

void test_what_is_told()
{
    std::atomic<int> calls{0};
    const auto log = [&](kv::log_level, const char *) { calls++; };
    const auto on_event = [&](const kv::event &) { calls++; };
    auto options = kv::options::try_make();
    CHECK_IS(ok, options->try_set_log(log, kv::log_level::debug));
    CHECK_IS(ok, options->try_set_events(on_event));
    CHECK(*options->try_get("sync") == "interval");
    CHECK_IS(ok, kv::try_describe_option(0));
    auto db = kv::db::try_open(test_path("told"), *options);
    CHECK(!db->try_metrics()->empty());
    CHECK_IS(ok, db->try_latency(kv::operation::get));
    CHECK_IS(ok, db->try_close());
    CHECK(calls >= 4);
}

} // namespace

int main()
{
    test_calls();
    test_writes();
    test_scans();
    test_backups();
    test_what_is_told();
    return test_end("quiet_test");
}
