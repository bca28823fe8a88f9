// Scan: all keys, those with a prefix, a snapshot, and many keys at once.
#include <iostream>
#include <kv.hpp>
#include <string>
#include <vector>

#include "example.hpp"

int main()
{
    const std::string path = temporary_directory();
    kv::db db(path);
    db.put("moon/Titan", "Saturn");
    db.put("moon/Europa", "Jupiter");
    db.put("planet/Saturn", "rings");
    expect(db.count() == 3, "three keys");

    // In no order. A loop sees the database as it was when it began, whatever is written meanwhile.
    for (auto [key, value] : db.scan("moon/")) {
        std::cout << key << " belongs to " << value << '\n';
        db.put(std::string(key) + "/seen", "yes");
    }
    expect(db.count() == 5, "two more");

    // A snapshot is that for any number of reads.
    const kv::snapshot before = db.snapshot();
    db.erase("moon/Titan");
    expect(!db.get("moon/Titan"), "it is gone");
    expect(before.get("moon/Titan") == "Saturn", "but not from the snapshot");
    int moons = 0;
    for (auto [key, value] : db.scan(before, "moon/")) {
        moons += value != "yes";
    }
    expect(moons == 2, "both are there");

    // Many keys at once are faster than one by one.
    for (const kv::answer &answer : db.get_many({"moon/Europa", "moon/Io", "planet/Saturn"})) {
        std::cout << (answer ? *answer : "not there") << '\n';
    }

    // Without exceptions, a loop ends when something fails; the status says which it was.
    auto rows = db.try_scan();
    expect(rows.ok(), "it can be gone through");
    std::size_t bytes = 0;
    for (const kv::entry &row : *rows) {
        bytes += row.key.size() + row.value.size();
    }
    expect(rows->status() == kv::status::not_found, "it came to the end");
    std::cout << bytes << " bytes in all\n";

    db.close();
    kv::destroy(path);
}
