// Quick start: opens a database, stores a value, reads it back, deletes it, closes.
#include <iostream>
#include <kv.hpp>

#include "example.hpp"

int main()
try {
    const std::string path = temporary_directory();
    kv::db db(path);

    db.put("planet", "Saturn");
    if (auto planet = db.get("planet")) {
        std::cout << "planet: " << *planet << '\n';
    }

    // What is not there is no exception, but an answer.
    expect(db.erase("planet"), "it was there");
    expect(!db.get("planet"), "it is gone");

    // The end of the scope closes the database too; only close() tells when that fails.
    db.close();
    kv::destroy(path);
} catch (const kv::error &error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
}
