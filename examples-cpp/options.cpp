// Options: typed, and checked by the compiler; or text, as a configuration file has it.
#include <iostream>
#include <kv.hpp>
#include <map>

#include "example.hpp"

int main()
{
    using namespace std::chrono_literals;
    const std::string path = temporary_directory();

    kv::options options;
    options.set(kv::option::segment_size, 16 << 20)
        .set(kv::option::sync, kv::sync_level::interval)
        .set(kv::option::sync_interval, 250ms)
        .set(kv::option::create_if_missing, true);

    // Lines that a program might have read from its configuration file. The last one is a mistake,
    // and its author is told what is allowed.
    const std::map<std::string, std::string> lines = {
        {"read_mode", "pread"},
        {"segment_size", "32MiB"},
        {"verify_checksums", "perhaps"},
    };
    for (const auto &[name, value] : lines) {
        try {
            options.set(name, value);
            std::cout << name << " = " << value << '\n';
        } catch (const kv::error &error) {
            expect(error.status() == kv::status::invalid_option, "what is wrong with it");
            std::cout << name << " = " << value << ": " << error.message() << '\n';
        }
    }

    kv::db db(path, options);
    db.put("key", "value");
    std::cout << db.stats().keys << " key\n";
    db.close();
    kv::destroy(path);
}
