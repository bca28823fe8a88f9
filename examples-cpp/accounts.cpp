// Accounts: writes that come all or none, counters, and values that change as one step.
#include <iostream>
#include <kv.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "example.hpp"

static std::int64_t balance(const kv::db &db, const std::string &account)
{
    const auto value = db.get(account);
    return value ? kv::decode_counter(*value).value_or(0) : 0;
}

// A batch is all or nothing, also when the process is killed in the middle of it.
static void transfer(kv::db &db, const std::string &from, const std::string &to, std::int64_t sum)
{
    kv::batch batch;
    batch.put(from, kv::encode_counter(balance(db, from) - sum))
        .put(to, kv::encode_counter(balance(db, to) + sum))
        .put("last transfer", from + " to " + to);
    kv::write_options options;
    options.sync = kv::write_sync::yes;
    db.write(batch, options);
}

int main()
{
    const std::string path = temporary_directory();
    kv::db db(path);

    db.add("ada", 100);
    transfer(db, "ada", "grace", 40);
    expect(balance(db, "ada") == 60 && balance(db, "grace") == 40, "both have changed");

    // Counters: nothing that threads add at the same time is lost.
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([&db] {
            for (int n = 0; n < 1000; n++) {
                db.add("visits", 1);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    expect(balance(db, "visits") == 4000, "none is lost");

    // A lock: whoever is first has it.
    const auto mine = db.insert("lock", "ada");
    expect(mine.has_value(), "nobody had it");
    expect(!db.insert("lock", "grace"), "one has it");

    // Compare and exchange: only who has seen the present value replaces it.
    expect(db.compare_exchange("lock", *mine, "grace").has_value(), "it was as it was seen");
    expect(!db.compare_exchange("lock", *mine, "ada"), "it is another one now");

    // The same in a loop, until no other write came in between.
    db.update("log", [](std::optional<std::string_view> old) {
        return std::string(old.value_or("")) + "closed\n";
    });
    std::cout << "log: " << db.get("log").value_or("");

    db.close();
    kv::destroy(path);
}
