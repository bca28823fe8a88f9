// What objects of kv.hpp are after they were moved from, closed, and destroyed in any order.
#include "test.hpp"

#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

template <class T>
void move_to_itself(T &object)
{
    T &same = object;
    object = std::move(same);
}

void test_moved_database()
{
    kv::db first(test_path("moved"));
    first.put("key", "value");
    kv::db second(std::move(first));
    CHECK(second.get("key") == "value");
    CHECK_IS(null_argument, first.try_get("key"));
    CHECK_IS(null_argument, first.try_put("key", "value"));
    CHECK_IS(null_argument, kv::db().try_sync());

    // What it is assigned to is closed first.
    kv::db third(test_path("moved-other"));
    third = std::move(second);
    CHECK(third.get("key") == "value");
    CHECK_IS(null_argument, second.try_exists("key"));
    kv::destroy(test_path("moved-other"));

    move_to_itself(third);
    CHECK(third.get("key") == "value");

    // What was moved from can be given another.
    first = kv::db(test_path("moved-other"));
    first.put("key", "other");
    CHECK(first.get("key") == "other");
    std::swap(first, third);
    CHECK(first.get("key") == "value" && third.get("key") == "other");
}

void test_closed_database()
{
    kv::db db(test_path("closed"));
    db.put("key", "value");
    db.close();
    CHECK_IS(closed, db.try_get("key"));
    CHECK_IS(closed, db.try_put("key", "value"));
    CHECK_IS(closed, db.try_erase("key"));
    CHECK_IS(closed, db.try_exists("key"));
    CHECK_IS(closed, db.try_stats());
    CHECK_IS(closed, db.try_compact([](const kv::progress &) {}));
    CHECK_IS(closed, db.try_close());
    CHECK_THROWS(closed, db.get("key"));
    CHECK_THROWS(closed, db.close());

    // It stays closed when another is opened, and can be that other one.
    const kv::db other(test_path("closed-other"));
    CHECK_IS(closed, db.try_get("key"));
    db = kv::db(test_path("closed"));
    CHECK(db.get("key") == "value");
}

// The end of a scope closes, also when an exception is what ends it.
void test_scope()
{
    try {
        kv::db db(test_path("scope"));
        db.put("key", "value");
        db.put("", "value");
    } catch (const kv::error &error) {
        CHECK(error.status() == kv::status::empty_key);
    }
    CHECK(kv::db(test_path("scope")).get("key") == "value");
    CHECK_THROWS(unsupported, kv::db("scheme://host"));
}

void test_views_outlive_their_database()
{
    std::optional<kv::view> view;
    std::optional<kv::value> value;
    {
        kv::db db(test_path("views"));
        db.put("long", std::string(100000, 'l'));
        view = db.view_get("long");
        value = db.get_value("long");
        db.put("long", "short");
        db.compact();
    }
    CHECK(view && view->text() == std::string(100000, 'l'));
    CHECK(value && value->text() == std::string(100000, 'l'));

    kv::view moved = std::move(*view);
    CHECK(moved.text() == std::string(100000, 'l'));
    CHECK(view->text().empty() && view->size() == 0);
    move_to_itself(moved);
    CHECK(moved.size() == 100000);
    kv::value moved_value = std::move(*value);
    CHECK(moved_value.text() == std::string(100000, 'l'));
    CHECK(value->text().empty() && value->data() == nullptr);
    kv_free(moved_value.release());
    CHECK(moved_value.size() == 0);
}

// Results and what they hold can be moved about, and kept in containers.
void test_results()
{
    std::vector<kv::db> databases;
    for (int i = 0; i < 3; i++) {
        databases.push_back(kv::db::try_open(test_path(i == 0 ? "a" : i == 1 ? "b" : "c")).value());
    }
    for (kv::db &db : databases) {
        db.put("key", "value");
    }
    databases.erase(databases.begin());
    CHECK(databases[1].get("key") == "value");

    auto opened = kv::db::try_open(test_path("a"));
    CHECK(opened->try_get("key").value_or("none") == "value");
    CHECK(opened->try_get("none").value_or("none") == "none");
    const kv::db db = *std::move(opened);
    CHECK(db.get("key") == "value");
    CHECK_IS(null_argument, opened->try_get("key"));
}

// What came from a database says closed after it, and may be destroyed before it or after it.
void test_what_outlives_its_database()
{
    kv::batch batch;
    batch.put("key", "value");
    std::optional<kv::snapshot> snapshot;
    std::optional<kv::iterator> rows;
    std::optional<kv::reservation> room;
    {
        kv::db db(test_path("outlived"));
        db.write(batch);
        snapshot = db.snapshot();
        rows = db.scan();
        room = db.reserve("reserved", 5);
        std::memset(room->data(), 'r', room->size());
    }
    CHECK_IS(closed, snapshot->try_get("key"));
    CHECK_IS(closed, rows->try_next());
    CHECK_IS(closed, room->try_commit());
    CHECK(batch.count() == 1);

    kv::db db(test_path("outlived"));
    db.write(batch);
    CHECK_IS(closed, snapshot->try_exists("key"));
    CHECK(!db.exists("reserved"));
    rows = db.scan();
    snapshot = db.snapshot();
    room = db.reserve("reserved", 5);
    CHECK(rows->next() && snapshot->get("key") == "value");
}

void test_moved_batches_and_snapshots()
{
    kv::db db(test_path("moved-others"));
    kv::batch batch;
    kv::batch taken = std::move(batch);
    CHECK_IS(null_argument, batch.try_put("key", "value"));
    CHECK_IS(null_argument, batch.try_count());
    CHECK_IS(null_argument, db.try_write(batch));
    taken.put("key", "value");
    move_to_itself(taken);
    db.write(taken);

    kv::snapshot first = db.snapshot();
    db.erase("key");
    kv::snapshot second = db.snapshot();
    std::swap(first, second);
    CHECK(second.get("key") == "value" && !first.get("key"));
    second = std::move(first);
    CHECK(!second.get("key"));
    CHECK_IS(null_argument, first.try_get("key"));
    CHECK_IS(null_argument, db.try_scan(first));
}

void test_moved_options()
{
    kv::options first;
    first.set("sync", "none");
    kv::options second = std::move(first);
    CHECK_IS(null_argument, first.try_set("sync", "none"));
    CHECK_IS(null_argument, first.try_set(kv::option::segment_size, 1 << 20));
    CHECK_IS(null_argument, kv::db::try_open(test_path("defaults"), first));
    CHECK_IS(ok, second.try_set(kv::option::segment_size, 1 << 20));
    first = kv::options();
    CHECK_IS(ok, first.try_set("sync", "none"));
}

} // namespace

int main()
{
    test_moved_database();
    test_closed_database();
    test_scope();
    test_views_outlive_their_database();
    test_results();
    test_what_outlives_its_database();
    test_moved_batches_and_snapshots();
    test_moved_options();
    return test_end("lifetime_test");
}
