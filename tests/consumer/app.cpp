// A program outside the tree, in C++: keeps a value in the database named on the command line.
#include <iostream>
#include <kv.hpp>

int main(int argc, char **argv)
try {
    kv::db db(argc == 2 ? argv[1] : "");
    db.put("greeting", "hello");
    const auto greeting = db.get("greeting");
    std::cout << "libkv " << kv::version() << ": " << greeting.value_or("none") << '\n';
    db.close();
    return greeting == "hello" ? 0 : 1;
} catch (const kv::error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
