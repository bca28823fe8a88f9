// What the examples share: giving up with a message, and a temporary directory.
#ifndef EXAMPLE_HPP
#define EXAMPLE_HPP

#include <cstdio>
#include <cstdlib>
#include <string>

// Ends the example unless what it says is true.
inline void expect(bool is_true, const char *what)
{
    if (!is_true) {
        std::fprintf(stderr, "not as expected: %s\n", what);
        std::exit(EXIT_FAILURE);
    }
}

// Makes a directory under $TMPDIR or /tmp.
inline std::string temporary_directory()
{
    const char *parent = std::getenv("TMPDIR");
    std::string path = parent != nullptr && *parent != '\0' ? parent : "/tmp";
    path += "/kv-example-XXXXXX";
    expect(mkdtemp(path.data()) != nullptr, "a directory can be made");
    return path;
}

#endif
