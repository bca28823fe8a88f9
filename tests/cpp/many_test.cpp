// Reading many keys at once: into lists, into the caller's room, and without a copy.
#include "test.hpp"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace {

void test_lists()
{
    kv::db db(test_path("many"));
    std::map<std::string, std::string> wanted;
    for (unsigned i = 0; i < 300; i++) {
        wanted.emplace(std::to_string(i), std::string(i % 50, 'v'));
    }
    for (const auto &[key, value] : wanted) {
        db.put(key, value);
    }
    std::set<std::string> keys = {"none"};
    for (const auto &[key, value] : wanted) {
        keys.insert(key);
    }
    const auto found = db.get_many(keys);
    const auto seen = db.view_get_many(keys);
    CHECK(found.size() == keys.size() && seen.size() == keys.size());
    std::size_t at = 0;
    for (const std::string &key : keys) {
        const bool is_wanted = key != "none";
        CHECK(bool(found[at]) == is_wanted && bool(seen[at]) == is_wanted);
        CHECK(!is_wanted || (*found[at] == wanted.at(key) && *seen[at] == wanted.at(key)));
        at++;
    }
    for (const kv::answer &answer : db.get_many({"1", "none", "", "2"})) {
        CHECK(answer.failed() == (answer.status() == kv::status::empty_key));
    }
    CHECK(db.get_many({"7", "none"})[0].value() == "vvvvvvv");
    CHECK(!db.get_many({"7", "none"})[1].value());
    CHECK(*db.view_get_many({"7", "none"})[0] == "vvvvvvv");
    CHECK(*(*db.try_get_many({"7"}))[0] == "vvvvvvv");
    CHECK(*(*db.try_view_get_many({"7"}))[0] == "vvvvvvv");
    CHECK_THROWS(empty_key, db.get_many({""})[0].value());
    CHECK(db.get_many(std::vector<kv::bytes>()).size() == 0);
}

void test_room_of_the_callers()
{
    kv::db db(test_path("room"));
    db.put("3", "vvv");
    db.put("5", "vvvvv");
    const std::vector<kv::bytes> some = {"3", "none", "5"};
    std::array<kv::answer, 3> room;
    const kv::value arena = db.get_many(some, room);
    CHECK(*room[0] == "vvv" && room[1].status() == kv::status::not_found && *room[2] == "vvvvv");
    const kv::view view = db.view_get_many(some, room);
    CHECK(*room[0] == "vvv" && !room[1] && *room[2] == "vvvvv");
    std::array<kv::answer, 2> too_little;
    CHECK_IS(null_argument, db.try_get_many(some, too_little));
    CHECK_IS(null_argument, db.try_view_get_many(some, too_little));

    // The values outlive the database.
    std::optional<kv::answers<kv::view>> last = db.view_get_many(some);
    db.close();
    CHECK(*(*last)[0] == "vvv");
}

} // namespace

int main()
{
    test_lists();
    test_room_of_the_callers();
    return test_end("many_test");
}
