// Four ways to read a value: a string, a string used again, a buffer, and where it lies.
#include <array>
#include <iostream>
#include <kv.hpp>
#include <optional>

#include "example.hpp"

int main()
{
    const std::string path = temporary_directory();
    kv::db db(path);
    db.put("short", "a few bytes");
    db.put("long", std::string(1 << 20, 'a'));

    // A new string each time.
    expect(db.get("short") == "a few bytes", "a string");

    // A string whose memory is used again: a loop of these allocates once.
    std::string value;
    expect(db.get("long", value) && value.size() == 1 << 20, "a long value");
    expect(db.get("short", value) && value == "a few bytes", "a short value");

    // A buffer: nothing is allocated. The value is that part of it which is returned.
    std::array<char, 32> buffer;
    expect(db.get_into("short", buffer) == "a few bytes", "a value in a buffer");
    std::size_t needed = 0;
    expect(db.try_get_into("long", buffer, &needed).status() == kv::status::buffer_too_small,
           "it does not fit");
    expect(needed == 1 << 20, "the length needed is told");

    // A view: nothing is copied. It outlives overwriting, deleting and closing.
    std::optional<kv::view> view = db.view_get("long");
    db.erase("long");
    db.compact();
    db.close();
    expect(view && view->text() == std::string(1 << 20, 'a'), "the view shows what it showed");
    std::cout << "a view of " << view->size() << " bytes outlived its database\n";
    view.reset();

    kv::destroy(path);
}
