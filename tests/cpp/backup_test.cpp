// Backups and what is restored from them, with functions that are told how far it is.
#include "test.hpp"

#include <stdexcept>
#include <string>

namespace {

void put_some(kv::db &db, int count)
{
    for (int i = 0; i < count; i++) {
        db.put(kv::bytes_of(i), std::string(10000, 'v'));
    }
}

void test_backup_and_restore()
{
    const std::string backup = test_path("backup");
    const std::string restored = test_path("restored");
    kv::options options;
    options.set(kv::option::segment_size, 1 << 20);
    kv::db db(test_path("db"), options);
    put_some(db, 300);
    db.backup(backup);
    db.put("later", "value");
    std::uint64_t total = 0;
    CHECK(db.backup(backup, [&](const kv::progress &progress) { total = progress.total_bytes; }));
    CHECK(total > 0);

    CHECK(kv::restore(backup, restored, [](const kv::progress &) { return true; }));
    kv::db copy(restored);
    CHECK(copy.get("later") == "value" && copy.stats().keys == 301);
    CHECK_THROWS(already_exists, kv::restore(backup, restored));
    CHECK_THROWS(does_not_exist, kv::restore(test_path("nowhere"), test_path("else")));
    CHECK_THROWS(null_argument, db.backup(std::string("a\0b", 3)));

    // What a function throws is thrown on; what it ends leaves nothing behind.
    CHECK(!db.backup(test_path("ended"), [](const kv::progress &) { return false; }));
    CHECK_IS(does_not_exist, kv::try_destroy(test_path("ended")));
    bool has_thrown = false;
    try {
        kv::restore(backup, test_path("thrown"),
                    [](const kv::progress &) { throw std::runtime_error("thrown on"); });
    } catch (const std::runtime_error &) {
        has_thrown = true;
    }
    CHECK(has_thrown);
    CHECK_IS(does_not_exist, kv::try_destroy(test_path("thrown")));

    db.close();
    CHECK_IS(closed, db.try_backup(backup));
    kv::restore(backup, test_path("thrown"));
    CHECK(kv::db(test_path("thrown")).get("later") == "value");
}

} // namespace

int main()
{
    test_backup_and_restore();
    return test_end("backup_test");
}
