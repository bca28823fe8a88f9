/* The library as a whole: version, statuses, options, and freeing nothing. */
#include "test.h"

static void test_version(void)
{
    char expected[64];
    snprintf(expected, sizeof expected, "%d.%d.%d", KV_VERSION_MAJOR, KV_VERSION_MINOR,
             KV_VERSION_PATCH);
    CHECK(strcmp(KV_VERSION_STRING, expected) == 0);
    CHECK(strcmp(kv_version(), KV_VERSION_STRING) == 0);
    CHECK(KV_VERSION_NUMBER ==
          KV_VERSION_MAJOR * 1000000 + KV_VERSION_MINOR * 1000 + KV_VERSION_PATCH);
}

static void test_statuses(void)
{
    static const struct {
        kv_status status;
        kv_status number;
        int32_t class;
    } all[] = {
        {KV_OK, 0, KV_CLASS_OK},
        {KV_NOT_FOUND, 1, KV_CLASS_ANSWER},
        {KV_BUFFER_TOO_SMALL, 2, KV_CLASS_ANSWER},
        {KV_NULL_ARGUMENT, -1, KV_CLASS_CALLER},
        {KV_INVALID_ARGUMENT, -2, KV_CLASS_CALLER},
        {KV_EMPTY_KEY, -3, KV_CLASS_CALLER},
        {KV_KEY_TOO_LONG, -4, KV_CLASS_CALLER},
        {KV_VALUE_TOO_LONG, -5, KV_CLASS_CALLER},
        {KV_UNKNOWN_OPTION, -6, KV_CLASS_CALLER},
        {KV_INVALID_OPTION, -7, KV_CLASS_CALLER},
        {KV_UNSUPPORTED, -8, KV_CLASS_CALLER},
        {KV_DOES_NOT_EXIST, -9, KV_CLASS_CALLER},
        {KV_ALREADY_EXISTS, -10, KV_CLASS_CALLER},
        {KV_NOT_A_DIRECTORY, -11, KV_CLASS_CALLER},
        {KV_NOT_A_DATABASE, -12, KV_CLASS_CALLER},
        {KV_NEWER_FORMAT, -13, KV_CLASS_CALLER},
        {KV_ALREADY_OPEN, -14, KV_CLASS_CALLER},
        {KV_CLOSED, -15, KV_CLASS_CALLER},
        {KV_FORKED, -16, KV_CLASS_CALLER},
        {KV_READ_ONLY, -17, KV_CLASS_ENVIRONMENT},
        {KV_LOCKED, -30, KV_CLASS_RETRY},
        {KV_PERMISSION_DENIED, -40, KV_CLASS_ENVIRONMENT},
        {KV_NO_SPACE, -41, KV_CLASS_ENVIRONMENT},
        {KV_OUT_OF_MEMORY, -42, KV_CLASS_ENVIRONMENT},
        {KV_TOO_MANY_OPEN, -43, KV_CLASS_ENVIRONMENT},
        {KV_IO, -44, KV_CLASS_ENVIRONMENT},
        {KV_UNKNOWN_OUTCOME, -45, KV_CLASS_ENVIRONMENT},
        {KV_CORRUPT, -60, KV_CLASS_CORRUPT},
        {KV_INTERNAL, -61, KV_CLASS_INTERNAL},
    };
    const size_t count = sizeof all / sizeof all[0];
    for (size_t i = 0; i < count; i++) {
        CHECK(all[i].status == all[i].number);
        CHECK(kv_status_class(all[i].status) == all[i].class);
        CHECK(strlen(kv_strerror(all[i].status)) > 0);
        CHECK(strcmp(kv_strerror(all[i].status), kv_strerror(-12345)) != 0);
        for (size_t j = 0; j < i; j++) {
            CHECK(strcmp(kv_strerror(all[i].status), kv_strerror(all[j].status)) != 0);
        }
    }
    CHECK(strlen(kv_strerror(12345)) > 0);
}

static void test_quiet_frees(void)
{
    kv_free(NULL);
    kv_options_free(NULL);
    kv_view_release(NULL);
    CHECK_OK(kv_close(NULL));
    CHECK(kv_error_message() != NULL);
}

static void test_options_by_text(void)
{
    static const char *const settings[][2] = {
        {"segment_size", "1MiB"},      {"sync", "none"},
        {"sync_interval_ms", "500"},   {"create_if_missing", "on"},
        {"error_if_exists", "true"},   {"verify_checksums", "no"},
        {"read_mode", "pread"},        {"on_damage", "read_only"},
    };
    kv_options *options = NULL;
    CHECK_OK(kv_options_new(&options));
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        CHECK_OK(kv_options_set(options, settings[i][0], settings[i][1]));
    }
    kv_db *db = test_open("text", options);
    CHECK_OK(kv_close(db));
    kv_options_free(options);
}

int main(void)
{
    test_version();
    test_statuses();
    test_quiet_frees();
    test_options_by_text();
    return test_end("library_test");
}
