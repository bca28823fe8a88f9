// Without exceptions: every call returns its status, and its value if there is one. This example is
// compiled with -fno-exceptions -fno-rtti; the same calls are there in every program.
#include <cstdio>
#include <kv.hpp>

#include "example.hpp"

// A result is true on KV_OK. Of what is not, the status says whether it failed: not_found is an
// answer.
static kv::result<void> rename_key(kv::db &db, kv::bytes from, kv::bytes to)
{
    const auto value = db.try_get_value(from);
    if (!value) {
        return value.status();
    }
    if (const auto put = db.try_put(to, *value); !put) {
        return put;
    }
    return db.try_erase(from);
}

static int use(const std::string &path)
{
    auto db = kv::db::try_open(path);
    if (!db) {
        std::fprintf(stderr, "%s: %s\n", kv::name(db.status()), db.message());
        return EXIT_FAILURE;
    }

    expect(db->try_put("moon", "Titan").ok(), "it is stored");
    expect(rename_key(*db, "moon", "satellite").ok(), "it has another name");
    expect(db->try_get("satellite").value_or("none") == "Titan", "under which it is found");

    const auto again = rename_key(*db, "moon", "satellite");
    expect(!again && !again.failed(), "no failure, but an answer");
    std::printf("renaming it again: %s\n", again.message());

    const auto nameless = db->try_put("", "Titan");
    expect(nameless.failed(), "a failure");
    expect(kv::class_of(nameless.status()) == kv::status_class::caller, "of the caller's");
    std::printf("storing it without a key: %s\n", nameless.message());
    return db->try_close() ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main()
{
    const std::string path = temporary_directory();
    const int ended = use(path);
    return kv::try_destroy(path) ? ended : EXIT_FAILURE;
}
