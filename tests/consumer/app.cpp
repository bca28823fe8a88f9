// A program outside the tree, in C++: keeps a value in the database named on the command line.
#include <iostream>
#include <kv.h>
#include <string>

int main(int argc, char **argv) {
    kv_db *db = nullptr;
    void *value = nullptr;
    std::size_t length = 0;
    kv_status status = argc == 2 ? kv_open(argv[1], nullptr, &db) : -1;
    if (status == KV_OK) status = kv_put(db, "greeting", 8, "hello", 5);
    if (status == KV_OK) status = kv_get(db, "greeting", 8, &value, &length);
    const std::string greeting(static_cast<char *>(value), length);
    kv_free(value);
    if (status == KV_OK) status = kv_close(db);
    std::cout << "libkv " << kv_version() << ": " << greeting << '\n';
    if (status != KV_OK) std::cerr << kv_strerror(status) << '\n';
    return status == KV_OK && greeting == "hello" ? 0 : 1;
}
