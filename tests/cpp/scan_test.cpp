// Snapshots, and going through keys in loops and step by step.
#include "test.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

namespace {

using map = std::map<std::string, std::string>;

map all_of(kv::iterator rows)
{
    map found;
    for (auto [key, value] : rows) {
        CHECK(found.emplace(key, value).second);
    }
    CHECK(rows.status() == kv::status::not_found);
    return found;
}

map numbered(int count, const std::string &prefix)
{
    map wanted;
    for (int i = 0; i < count; i++) {
        wanted.emplace(prefix + std::to_string(i), std::string(static_cast<unsigned>(i % 50), 'v'));
    }
    return wanted;
}

void put_all(kv::db &db, const map &wanted)
{
    for (const auto &[key, value] : wanted) {
        db.put(key, value);
    }
}

void test_loops()
{
    kv::db db(test_path("loops"));
    CHECK(all_of(db.scan()).empty());
    const map users = numbered(1000, "user/");
    const map others = numbered(10, "other/");
    put_all(db, users);
    put_all(db, others);
    map both = users;
    both.insert(others.begin(), others.end());
    CHECK(all_of(db.scan()) == both);
    CHECK(all_of(db.scan("user/")) == users);
    CHECK(all_of(db.scan("nobody/")).empty());
    CHECK(db.count() == 1010);
    CHECK(db.approximate_bytes() > 1010);

    // Of a temporary, and without exceptions.
    std::size_t seen = 0;
    for (const auto &row : *db.try_scan("other/")) {
        seen += row.key.substr(0, 6) == "other/";
    }
    CHECK(seen == 10);

    // As a range of the standard library's.
    kv::iterator rows = db.scan();
    CHECK(std::count_if(rows.begin(), rows.end(), [](const kv::entry &row) {
              return row.value.empty();
          }) == 21);
    CHECK(rows.begin() == rows.end());
    static_assert(std::is_same_v<std::iterator_traits<kv::iterator::cursor>::iterator_category,
                                 std::input_iterator_tag>);
}

void test_steps()
{
    kv::db db(test_path("steps"));
    db.put("key", "value");
    kv::iterator rows = db.scan();
    const auto first = rows.next();
    CHECK(first && first->key == "key" && first->value == "value");
    kv::iterator moved = std::move(rows);
    CHECK(first->key == "key");
    CHECK(!moved.next());
    CHECK_IS(not_found, moved.try_next());
    CHECK_IS(null_argument, rows.try_next());
}

// What is written while a loop runs is not seen by it.
void test_loop_is_a_snapshot()
{
    kv::db db(test_path("loop-snapshot"));
    const map before = numbered(500, "key/");
    put_all(db, before);
    map found;
    for (auto [key, value] : db.scan()) {
        found.emplace(key, value);
        db.put(key, "changed");
        db.put(std::string(key) + "/new", "new");
        db.erase("key/499");
    }
    CHECK(found == before);
    CHECK(db.count() == 999);
}

void test_snapshots()
{
    kv::db db(test_path("snapshots"));
    const map before = numbered(100, "key/");
    put_all(db, before);
    const kv::snapshot then = db.snapshot();
    db.put("key/1", "changed");
    db.erase("key/2");
    db.put("new", "value");
    db.compact();
    CHECK(then.get("key/1") == "v");
    CHECK(then.get("key/2") == "vv");
    CHECK(!then.get("new") && !then.exists("new"));
    CHECK(then.value_size("key/2") == 2U);
    CHECK(then.view_get("key/2")->text() == "vv");
    CHECK(then.get_value("key/2")->text() == "vv");
    char buffer[8];
    CHECK(then.get_into("key/2", buffer) == "vv");
    CHECK(all_of(db.scan(then)) == before);
    CHECK(all_of(db.scan(then, "key/9")).size() == 11);
    CHECK(db.get("key/1") == "changed" && !db.exists("key/2") && db.get("new") == "value");
}

// A loop that fails throws; one over try_scan() ends, and its status says why.
void test_failing_loops()
{
    kv::db db(test_path("failing"));
    put_all(db, numbered(10, ""));
    bool has_thrown = false;
    try {
        for (const kv::entry &row : db.scan()) {
            CHECK(row.key.size() == 1);
            CHECK_IS(ok, db.try_close());
        }
    } catch (const kv::error &error) {
        has_thrown = error.status() == kv::status::closed;
    }
    CHECK(has_thrown);

    db = kv::db(test_path("failing"));
    auto rows = db.try_scan();
    int steps = 0;
    for (const auto &row : *rows) {
        steps += !row.key.empty();
        CHECK_IS(ok, db.try_close());
    }
    CHECK(steps == 1 && rows->status() == kv::status::closed);
    CHECK_IS(closed, db.try_scan());
    CHECK_IS(closed, db.try_snapshot());
}

} // namespace

int main()
{
    test_loops();
    test_steps();
    test_loop_is_a_snapshot();
    test_snapshots();
    test_failing_loops();
    return test_end("scan_test");
}
