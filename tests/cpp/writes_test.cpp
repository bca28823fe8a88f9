// Writes that depend on what is there, expire, count, come together, or are filled in place.
#include "test.hpp"

#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

void test_expiry()
{
    static_assert(kv::expiry(5s).c_ttl_ms() == 5000);
    static_assert(kv::expiry(1500us).c_ttl_ms() == 2, "rounded up");
    static_assert(kv::expiry(std::chrono::duration<double>(0.0015)).c_ttl_ms() == 2);
    static_assert(kv::expiry(0ms).c_ttl_ms() == 1, "past, and not for ever");
    static_assert(kv::expiry(-1h).c_ttl_ms() == 1);
    static_assert(kv::expiry(std::chrono::hours::max()).c_ttl_ms() > KV_MAX_TTL_MS, "too long");
    static_assert(kv::expiry().is_never() && kv::expiry::never().c_ttl_ms() == 0);
    static_assert(kv::expiry(5s) == kv::expiry(5000ms) && kv::expiry(5s) != kv::expiry::never());
    static_assert(kv::expiry(5s).remaining() == 5s);
    static_assert(kv::expiry::never().remaining() == std::chrono::milliseconds::max());
    static_assert(kv::expiry::from_c_remaining_ms(KV_NO_TTL).is_never());
}

void test_conditions()
{
    kv::db db(test_path("conditions"));
    kv::write_options options;
    options.if_absent = true;
    const auto first = db.put_with("key", "one", options);
    CHECK(first && *first != 0);
    CHECK(!db.put_with("key", "two", options));
    CHECK_IS(exists, db.try_put_with("key", "two", options));
    CHECK(!db.insert("key", "two"));
    CHECK(db.get_version("key") == first);
    CHECK(!db.get_version("none"));

    const auto second = db.compare_exchange("key", *first, "two");
    CHECK(second && *second != *first && db.get("key") == "two");
    CHECK(!db.compare_exchange("key", *first, "three"));
    CHECK(!db.compare_exchange("none", *first, "three"));
    CHECK(!db.compare_exchange("key", 0, "three"));
    CHECK_IS(version_mismatch, db.try_compare_exchange("none", 0, "three"));
    CHECK(db.get("key") == "two" && !db.exists("none"));

    options = {};
    options.skip_if_equal = true;
    CHECK(db.put_with("key", "two", options) == second);
    options.sync = kv::write_sync::yes;
    CHECK(db.put_with("key", "three", options) != second);

    options = {};
    options.if_version = *second;
    CHECK_IS(version_mismatch, db.try_erase_with("key", options));
    CHECK(!db.erase_with("key", options));
    options.if_version = *db.get_version("key");
    CHECK(db.erase_with("key", options));
    CHECK(!db.erase_with("key", {}));
    CHECK_THROWS(invalid_argument, db.put_with("key", "v", [] {
        kv::write_options wrong;
        wrong.sync = static_cast<kv::write_sync>(9);
        return wrong;
    }()));
}

void test_update()
{
    kv::db db(test_path("update"));
    const auto append = [](std::optional<std::string_view> old) {
        return std::string(old.value_or("")) + "+";
    };
    CHECK(db.update("key", append) != 0);
    db.update("key", append);
    CHECK(db.get("key") == "++");

    // The value lives as long as it would have.
    db.put("short-lived", "a", 1h);
    db.update("short-lived", append);
    const auto left = db.ttl("short-lived");
    CHECK(left && !left->is_never() && left->remaining() <= 1h && left->remaining() > 50min);

    // Another write that comes in between is seen, as is a delete.
    int calls = 0;
    db.update("key", [&](std::optional<std::string_view> old) {
        calls++;
        if (calls == 1) {
            db.put("key", "between");
        } else if (calls == 2) {
            db.erase("key");
        }
        return old ? std::string(*old) + "!" : "none"s;
    });
    CHECK(calls == 3 && db.get("key") == "none");

    // None of many threads' updates is lost.
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&] {
            for (int n = 0; n < 100; n++) {
                db.update("shared", append);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(db.get("shared") == std::string(400, '+'));
    CHECK_THROWS(empty_key, db.update("", append));
}

void test_counters()
{
    kv::db db(test_path("counters"));
    CHECK(db.add("hits", 5) == 5);
    CHECK(db.add("hits", -7) == -2);
    CHECK(kv::decode_counter(db.get("hits").value_or("")) == -2);
    db.put("hits", kv::encode_counter(std::numeric_limits<std::int64_t>::max()));
    CHECK_THROWS(overflow, db.add("hits", 1));
    db.put("text", "not eight");
    CHECK_THROWS(not_a_counter, db.add("text", 1));
}

void test_times_to_live()
{
    kv::db db(test_path("ttl"));
    db.put("for ever", "value");
    db.put("long", "value", 1h);
    db.put("short", "value", 1ms);
    std::this_thread::sleep_for(20ms);
    CHECK(!db.get("short") && !db.exists("short") && !db.ttl("short"));
    CHECK(db.ttl("for ever") == kv::expiry::never());
    CHECK(db.ttl("long") && db.ttl("long")->remaining() > 59min);
    CHECK(db.touch("long", kv::expiry::never()) && db.ttl("long")->is_never());
    CHECK(db.touch("long", 5s) && db.ttl("long")->remaining() <= 5s);
    CHECK(!db.touch("none", 5s));
    db.put("long", "value");
    CHECK(db.ttl("long")->is_never());
    CHECK_THROWS(invalid_argument, db.put("long", "value", std::chrono::hours::max()));
    CHECK_THROWS(invalid_argument, db.touch("long", std::chrono::hours::max()));

    db.put("kept", "value", 1h);
    kv::write_options options;
    options.keep_ttl = true;
    db.put_with("kept", "other", options);
    CHECK(!db.ttl("kept")->is_never());
}

void test_batches()
{
    kv::db db(test_path("batches"));
    kv::db other(test_path("batches-other"));
    db.put("gone", "value");
    kv::batch batch;
    CHECK(batch.count() == 0);
    db.write(batch);
    batch.put("a", "1").put("b", "2", 1h).erase("gone").erase("none").put("a", "3");
    CHECK(batch.count() == 5);
    CHECK(!db.exists("a"));
    db.write(batch);
    CHECK(db.get("a") == "3" && db.get("b") == "2" && !db.exists("gone"));
    CHECK(!db.ttl("b")->is_never());

    // It keeps what it has, and is of no database.
    kv::write_options options;
    options.sync = kv::write_sync::yes;
    other.write(batch, options);
    CHECK(other.get("a") == "3");
    batch.clear();
    CHECK(batch.count() == 0);
    batch.erase("a");
    db.write(batch);
    CHECK(!db.exists("a") && other.exists("a"));
    CHECK_THROWS(empty_key, batch.put("", "value"));
    options.if_absent = true;
    CHECK_THROWS(invalid_argument, db.write(batch, options));
}

void test_reservations()
{
    kv::db db(test_path("reservations"));
    kv::reservation room = db.reserve("key", 100000);
    CHECK(room.size() == 100000);
    std::memset(room.data(), 'r', room.size());
    CHECK(!db.exists("key"));
    const auto version = room.commit();
    CHECK(version && db.get_version("key") == version);
    CHECK(db.get("key") == std::string(100000, 'r'));
    CHECK(room.size() == 0 && room.data() == nullptr);

    // What is destroyed or given up was never there.
    {
        const kv::reservation dropped = db.reserve("dropped", 10);
        std::memset(dropped.data(), 'd', dropped.size());
    }
    kv::reservation given_up = db.reserve("given up", 10);
    given_up.abort();
    CHECK(!db.exists("dropped") && !db.exists("given up"));

    kv::write_options options;
    options.if_absent = true;
    kv::reservation late = db.reserve("late", 1, options);
    *late.data() = 'r';
    db.put("late", "first");
    CHECK(!late.commit());
    CHECK(db.get("late") == "first");

    kv::reservation moved_from = db.reserve("moved", 1);
    kv::reservation moved = std::move(moved_from);
    *moved.data() = 'm';
    CHECK_IS(null_argument, moved_from.try_commit());
    CHECK(moved.commit() && db.get("moved") == "m");
}

} // namespace

int main()
{
    test_expiry();
    test_conditions();
    test_update();
    test_counters();
    test_times_to_live();
    test_batches();
    test_reservations();
    return test_end("writes_test");
}
