// Sessions: values that expire, told as durations, and kept alive as long as they are used.
#include <chrono>
#include <iostream>
#include <kv.hpp>
#include <optional>
#include <thread>

#include "example.hpp"

using namespace std::chrono_literals;

class sessions {
public:
    sessions(const std::string &path, kv::expiry ttl) : db_(path), ttl_(ttl) {}

    void begin(kv::bytes id, kv::bytes user) { db_.put(id, user, ttl_); }

    // Whose session it is; each use lets it live as long again.
    std::optional<std::string> use(kv::bytes id)
    {
        auto user = db_.get(id);
        if (user && !db_.touch(id, ttl_)) {
            return std::nullopt; // it expired just now
        }
        return user;
    }

    std::optional<kv::expiry> ttl(kv::bytes id) const { return db_.ttl(id); }

    void keep_for_ever(kv::bytes id) { db_.touch(id, kv::expiry::never()); }

private:
    kv::db db_;
    kv::expiry ttl_;
};

int main()
{
    const std::string path = temporary_directory();
    {
        sessions long_ones(path, 30min);
        long_ones.begin("5f1d", "ada");
        expect(long_ones.use("5f1d") == "ada", "it is there");
        const auto left = long_ones.ttl("5f1d");
        expect(left && left->remaining() > 29min, "it lives as long again");
        std::cout << "it expires in " << left->remaining().count() << " ms\n";

        long_ones.keep_for_ever("5f1d");
        expect(long_ones.ttl("5f1d") == kv::expiry::never(), "it does not expire any more");
    }
    {
        sessions short_ones(path, 5ms);
        short_ones.begin("77aa", "grace");
        std::this_thread::sleep_for(20ms);
        expect(!short_ones.use("77aa"), "it has expired, to the millisecond");
        expect(short_ones.use("5f1d") == "ada", "the other one is there still");
    }
    kv::destroy(path);
}
