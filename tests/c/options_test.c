/* Options read back and described: what is read can be set again, and nothing is written past a
 * buffer or a struct. */
#include "test.h"

static kv_options *fresh(void)
{
    kv_options *options = NULL;
    if (!CHECK_OK(kv_options_new(&options))) {
        exit(EXIT_FAILURE);
    }
    return options;
}

/* Whether the option reads as this text. */
static int reads(const kv_options *options, const char *name, const char *expected)
{
    char text[64];
    size_t len = 0;
    memset(text, 'x', sizeof text);
    CHECK_OK(kv_options_get(options, name, text, sizeof text, &len));
    return len == strlen(expected) && memcmp(text, expected, len + 1) == 0;
}

/* Every option is described, has its default, and takes it from text again. */
static void test_all(void)
{
    kv_options *options = fresh();
    size_t count = 0;
    kv_option_info_t info;
    for (;; count++) {
        info.size = sizeof info;
        kv_status status = kv_option_describe(count, &info);
        if (status == KV_NOT_FOUND) {
            break;
        }
        CHECK_STATUS(KV_OK, status);
        CHECK(info.size == sizeof info);
        CHECK(reads(options, info.name, info.default_value));
        CHECK_OK(kv_options_set(options, info.name, info.default_value));
        CHECK(reads(options, info.name, info.default_value));
        CHECK(info.range[0] != '\0' && info.description[0] != '\0' && info.type_name[0] != '\0');
        CHECK((strcmp(info.type_name, "bytes") == 0) == (strcmp(info.unit, "bytes") == 0));
        CHECK_FAILS(KV_INVALID_OPTION, info.range, kv_options_set(options, info.name, "parsec"));
    }
    CHECK(count >= 13);
    info.size = sizeof info;
    CHECK_STATUS(KV_NOT_FOUND, kv_option_describe(SIZE_MAX, &info));
    kv_options_free(options);
}

/* What typed functions set is read back as text. */
static void test_typed(void)
{
    kv_options *options = fresh();
    CHECK_OK(kv_options_set_segment_size(options, 3u << 20));
    CHECK(reads(options, "segment_size", "3MiB"));
    CHECK_OK(kv_options_set_segment_size(options, (1u << 20) + 1));
    CHECK(reads(options, "segment_size", "1048577"));
    CHECK_OK(kv_options_set_sync(options, KV_SYNC_ALWAYS));
    CHECK(reads(options, "sync", "always"));
    CHECK_OK(kv_options_set_read_mode(options, KV_READ_PREAD));
    CHECK(reads(options, "read_mode", "pread"));
    CHECK_OK(kv_options_set_on_damage(options, KV_ON_DAMAGE_READ_ONLY));
    CHECK(reads(options, "on_damage", "read_only"));
    CHECK_OK(kv_options_set_compaction(options, KV_COMPACTION_MANUAL));
    CHECK(reads(options, "compaction", "manual"));
    CHECK_OK(kv_options_set_create_if_missing(options, 0));
    CHECK(reads(options, "create_if_missing", "false"));
    CHECK_OK(kv_options_set(options, "max_index_bytes", "2048 kb"));
    CHECK(reads(options, "max_index_bytes", "2MiB"));
    CHECK(reads(options, "publish_stats_ms", "0"));
    CHECK_OK(kv_options_set_publish_stats_ms(options, 100));
    CHECK(reads(options, "publish_stats_ms", "100"));
    CHECK_FAILS(KV_INVALID_OPTION, "0 (off), or 100 to 3600000",
                kv_options_set_publish_stats_ms(options, 99));
    CHECK_FAILS(KV_INVALID_OPTION, "3600000", kv_options_set_publish_stats_ms(options, 3600001));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_publish_stats_ms(NULL, 100));
    CHECK(reads(options, "publish_stats_ms", "100"));
    CHECK_OK(kv_options_set_publish_stats_ms(options, 0));
    CHECK(reads(options, "publish_stats_ms", "0"));
    CHECK_OK(kv_options_set_file_mode(options, 0640));
    CHECK(reads(options, "file_mode", "0640"));
    CHECK_FAILS(KV_INVALID_OPTION, "0600, 0640", kv_options_set_file_mode(options, 0755));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_file_mode(NULL, 0600));
    CHECK(reads(options, "file_mode", "0640"));
    kv_options_free(options);
}

/* A buffer that is too small is left alone, and the length told. */
static void test_small_buffers(void)
{
    kv_options *options = fresh();
    char text[8] = "xxxxxxx";
    size_t len = 0;
    CHECK_STATUS(KV_BUFFER_TOO_SMALL, kv_options_get(options, "sync", NULL, 0, &len));
    CHECK(len == 8);
    CHECK_STATUS(KV_BUFFER_TOO_SMALL, kv_options_get(options, "sync", text, sizeof text, &len));
    CHECK(len == 8 && strcmp(text, "xxxxxxx") == 0);
    CHECK_OK(kv_options_get(options, "read_mode", text, 5, &len));
    CHECK(len == 4 && strcmp(text, "mmap") == 0 && text[5] == 'x');
    kv_options_free(options);
}

/* A struct of an older program is filled as far as it goes. */
static void test_small_structs(void)
{
    kv_option_info_t info;
    memset(&info, 0, sizeof info);
    info.size = offsetof(kv_option_info_t, unit);
    CHECK_OK(kv_option_describe(0, &info));
    CHECK(info.size == offsetof(kv_option_info_t, unit));
    CHECK(strcmp(info.name, "segment_size") == 0 && strcmp(info.type_name, "bytes") == 0);
    CHECK(info.unit == NULL && info.range == NULL);
    struct {
        kv_option_info_t info;
        char after[16];
    } larger;
    memset(&larger, 'x', sizeof larger);
    larger.info.size = sizeof larger;
    CHECK_OK(kv_option_describe(0, &larger.info));
    CHECK(larger.info.size == sizeof larger.info && larger.after[0] == 'x');
    info.size = sizeof(size_t) - 1;
    CHECK_FAILS(KV_INVALID_ARGUMENT, "size", kv_option_describe(0, &info));
}

static void test_mistakes(void)
{
    kv_options *options = fresh();
    char text[32];
    size_t len = 7;
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_get(NULL, "sync", text, 32, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "name", kv_options_get(options, NULL, text, 32, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "buf", kv_options_get(options, "sync", NULL, 32, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "len", kv_options_get(options, "sync", text, 32, NULL));
    CHECK_FAILS(KV_UNKNOWN_OPTION, "sync_interval_ms",
                kv_options_get(options, "snyc", text, 32, &len));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "UTF-8", kv_options_get(options, "\xff", text, 32, &len));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "cap", kv_options_get(options, "sync", text, SIZE_MAX, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "info", kv_option_describe(0, NULL));
    CHECK(len == 7);
    kv_options_free(options);
}

int main(void)
{
    test_all();
    test_typed();
    test_small_buffers();
    test_small_structs();
    test_mistakes();
    return test_end("options");
}
