/* Options: set by text, as a configuration file has them, or by typed functions. */
#define _XOPEN_SOURCE 700

#include "example.h"

/* Lines that a program might have read from its configuration file. */
static const char *const configuration[][2] = {
    {"segment_size", "16MiB"},
    {"sync", "interval"},
    {"sync_interval_ms", "250"},
    {"verify_checksums", "true"},
    {"read_mode", "mmap"},
};

static kv_options *options_from_text(void)
{
    kv_options *options;
    must(kv_options_new(&options), "kv_options_new");
    for (size_t i = 0; i < sizeof configuration / sizeof configuration[0]; i++) {
        must(kv_options_set(options, configuration[i][0], configuration[i][1]),
             configuration[i][0]);
    }
    return options;
}

/* The same kind of settings for a program that knows them when it is written. */
static kv_options *options_from_code(void)
{
    kv_options *options;
    must(kv_options_new(&options), "kv_options_new");
    must(kv_options_set_segment_size(options, 16 * 1024 * 1024), "segment_size");
    must(kv_options_set_sync(options, KV_SYNC_ALWAYS), "sync");
    must(kv_options_set_read_mode(options, KV_READ_PREAD), "read_mode");
    must(kv_options_set_create_if_missing(options, 0), "create_if_missing");
    /* Files that are made can be read by the group too; else their owner alone reads them. */
    must(kv_options_set_file_mode(options, 0640), "file_mode");
    return options;
}

/* A mistake in a configuration file is told in words that its author can use. */
static void show_mistake(kv_options *options, const char *name, const char *value,
                         kv_status expected)
{
    kv_status status = kv_options_set(options, name, value);
    expect(status == expected, name);
    printf("%s = %s\n    %s: %s\n", name, value, kv_strerror(status), kv_error_message());
}

/* What a program can show its users of every option, without knowing any. */
static void show_all(const kv_options *options)
{
    kv_option_info_t info = {.size = sizeof info};
    char value[32];
    size_t length;
    for (size_t i = 0; kv_option_describe(i, &info) == KV_OK; i++, info.size = sizeof info) {
        must(kv_options_get(options, info.name, value, sizeof value, &length), info.name);
        printf("%s = %s (%s; %s): %s\n", info.name, value, info.type_name, info.range,
               info.description);
    }
}

/* Stores and reads a value with a database opened with `options`. */
static void use(const char *path, const kv_options *options, const char *key)
{
    kv_db *db;
    char value[16];
    size_t length;
    must(kv_open(path, options, &db), "kv_open");
    must(kv_put(db, key, strlen(key), "a value", 7), "kv_put");
    must(kv_get_into(db, key, strlen(key), value, sizeof value, &length), "kv_get_into");
    expect(length == 7 && memcmp(value, "a value", 7) == 0, "the value comes back");
    must(kv_close(db), "kv_close");
}

int main(void)
{
    const char *path = temporary_directory();
    kv_options *text = options_from_text();
    kv_options *code = options_from_code();
    kv_db *db;

    expect(kv_open(path, code, &db) == KV_DOES_NOT_EXIST,
           "without create_if_missing, a database must be there");
    use(path, text, "first");
    use(path, code, "second");

    show_all(text);
    show_mistake(text, "segment_siez", "64MiB", KV_UNKNOWN_OPTION);
    show_mistake(text, "segment_size", "64 parsecs", KV_INVALID_OPTION);
    show_mistake(text, "segment_size", "10GiB", KV_INVALID_OPTION);
    show_mistake(text, "sync", "sometimes", KV_INVALID_OPTION);
    use(path, text, "third");

    kv_options_free(text);
    kv_options_free(code);
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
