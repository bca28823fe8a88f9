// kv.hpp without exceptions and type information: every call in its form that returns a result.
#include "test.hpp"

#include <string>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this test is to be compiled with -fno-exceptions -fno-rtti"
#endif

namespace {

void test_calls()
{
    auto options = kv::options::try_make();
    CHECK_IS(ok, options);
    CHECK_IS(ok, options->try_set(kv::option::segment_size, 1 << 20));
    CHECK_IS(ok, options->try_set("sync", "none"));
    CHECK_IS(invalid_option, options->try_set(kv::option::segment_size, 1));
    CHECK_IS(unknown_option, options->try_set("colour", "red"));

    auto db = kv::db::try_open(test_path("quiet"), *options);
    CHECK_IS(ok, db);
    CHECK_IS(already_open, kv::db::try_open(test_path("quiet")));
    CHECK_IS(not_found, db->try_get("key"));
    CHECK_IS(ok, db->try_put("key", "value"));
    CHECK(*db->try_get("key") == "value");
    CHECK(db->try_get_value("key")->text() == "value");
    CHECK(db->try_view_get("key")->text() == "value");
    CHECK(*db->try_exists("key") == 5);
    std::string value;
    CHECK_IS(ok, db->try_get("key", value));
    CHECK(value == "value");
    char buffer[16];
    CHECK(*db->try_get_into("key", buffer) == "value");
    CHECK_IS(buffer_too_small, db->try_get_into("key", kv::buffer(buffer, 4)));
    CHECK(db->try_stats()->keys == 1);

    int calls = 0;
    CHECK_IS(ok, db->try_compaction_pause());
    for (int i = 0; i < 300; i++) {
        CHECK_IS(ok, db->try_put("key", std::string(10000, 'v')));
    }
    CHECK_IS(ok, db->try_compact([&](const kv::progress &) { calls++; }));
    CHECK(calls > 0);
    CHECK_IS(ok, db->try_compact());
    CHECK_IS(ok, db->try_compact_cancel());
    CHECK_IS(ok, db->try_compaction_resume());
    CHECK_IS(ok, db->try_sync());
    CHECK_IS(ok, db->try_erase("key"));
    CHECK_IS(not_found, db->try_erase("key"));
    CHECK_IS(empty_key, db->try_put("", "value"));
    CHECK_IS(ok, db->try_close());
    CHECK_IS(closed, db->try_get("key"));
    CHECK_IS(ok, kv::try_destroy(test_path("quiet")));
}

} // namespace

int main()
{
    test_calls();
    return test_end("quiet_test");
}
