/* Mistakes that C can check: each gets its own status and a message, and does no harm. */
#include "test.h"
#include "write_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>

/* Where a function wants a pointer and gets none: variables, since compilers warn of plain NULL
 * where they know better. */
static kv_db *no_db;
static kv_options *no_options;
static const char *no_text;
static void *no_bytes;
static size_t *no_len;

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!CHECK(file != NULL)) {
        exit(EXIT_FAILURE);
    }
    fputs(text, file);
    fclose(file);
}

static void test_null_arguments(kv_db *db)
{
    char buffer[8];
    const void *seen;
    kv_view *view;
    void *value;
    size_t len;

    CHECK_FAILS(KV_NULL_ARGUMENT, "path", kv_open(no_text, NULL, &db));
    CHECK_FAILS(KV_NULL_ARGUMENT, "db", kv_open(test_path("null"), NULL, NULL));
    CHECK(access(test_path("null"), F_OK) != 0);
    CHECK_FAILS(KV_NULL_ARGUMENT, "path", kv_destroy(no_text));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_put(db, no_bytes, 1, "v", 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value", kv_put(db, "k", 1, no_bytes, 1));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_put(db, no_bytes, 0, "v", 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_get(db, no_bytes, 1, &value, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value", kv_get(db, "k", 1, NULL, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value_len", kv_get(db, "k", 1, &value, no_len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_get_into(db, no_bytes, 1, buffer, 8, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "buf", kv_get_into(db, "k", 1, no_bytes, 8, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value_len", kv_get_into(db, "k", 1, buffer, 8, no_len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_view_get(db, no_bytes, 1, &view, &seen, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "view", kv_view_get(db, "k", 1, NULL, &seen, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value", kv_view_get(db, "k", 1, &view, NULL, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value_len", kv_view_get(db, "k", 1, &view, &seen, no_len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_exists(db, no_bytes, 1, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_delete(db, no_bytes, 1));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_delete(db, "", 0));
}

static void test_null_options(void)
{
    kv_options *options = NULL;
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_new(NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set(no_options, "sync", "none"));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_segment_size(no_options, 1 << 20));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_sync(no_options, KV_SYNC_NONE));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_sync_interval_ms(no_options, 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_create_if_missing(no_options, 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_error_if_exists(no_options, 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_verify_checksums(no_options, 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_read_mode(no_options, KV_READ_MMAP));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options",
                kv_options_set_on_damage(no_options, KV_ON_DAMAGE_FAIL));
    CHECK_OK(kv_options_new(&options));
    CHECK_FAILS(KV_NULL_ARGUMENT, "name", kv_options_set(options, no_text, "none"));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value", kv_options_set(options, "sync", no_text));
    kv_options_free(options);
}

static void test_bad_options(void)
{
    static const char *const bad[][2] = {
        {"segment_size", "1"},       {"segment_size", "4GiB"},    {"segment_size", "lots"},
        {"segment_size", ""},        {"segment_size", "-1MiB"},   {"sync", "sometimes"},
        {"sync", ""},                {"sync_interval_ms", "0"},   {"sync_interval_ms", "x"},
        {"create_if_missing", "2"},  {"error_if_exists", ""},     {"verify_checksums", "maybe"},
        {"read_mode", "direct"},     {"on_damage", "repair"},
        {"sync_interval_ms", "86400001"},
    };
    kv_options *options = NULL;
    CHECK_OK(kv_options_new(&options));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(KV_INVALID_OPTION, bad[i][0], kv_options_set(options, bad[i][0], bad[i][1]));
    }
    CHECK_FAILS(KV_UNKNOWN_OPTION, "colour", kv_options_set(options, "colour", "red"));
    CHECK_FAILS(KV_UNKNOWN_OPTION, "", kv_options_set(options, "", ""));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "value", kv_options_set(options, "sync", "\xff\xfe"));
    CHECK_FAILS(KV_INVALID_OPTION, "segment_size", kv_options_set_segment_size(options, 0));
    CHECK_FAILS(KV_INVALID_OPTION, "segment_size",
                kv_options_set_segment_size(options, UINT64_MAX));
    CHECK_FAILS(KV_INVALID_OPTION, "interval", kv_options_set_sync_interval_ms(options, 0));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "3", kv_options_set_sync(options, 3));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "-1", kv_options_set_sync(options, -1));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "2", kv_options_set_create_if_missing(options, 2));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "-1", kv_options_set_error_if_exists(options, -1));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "7", kv_options_set_verify_checksums(options, 7));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "2", kv_options_set_read_mode(options, 2));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "2", kv_options_set_on_damage(options, 2));
    kv_options_free(options);
}

/* Calls every function of a database with a handle that cannot be used. */
static void every_function(kv_db *db, kv_status wanted, const char *part)
{
    char buffer[8];
    const void *seen;
    kv_view *view;
    void *value;
    size_t len;
    CHECK_FAILS(wanted, part, kv_put(db, "k", 1, "v", 1));
    CHECK_FAILS(wanted, part, kv_get(db, "k", 1, &value, &len));
    CHECK_FAILS(wanted, part, kv_get_into(db, "k", 1, buffer, sizeof buffer, &len));
    CHECK_FAILS(wanted, part, kv_view_get(db, "k", 1, &view, &seen, &len));
    CHECK_FAILS(wanted, part, kv_exists(db, "k", 1, &len));
    CHECK_FAILS(wanted, part, kv_delete(db, "k", 1));
    test_write_calls(db, wanted, part);
    CHECK_FAILS(wanted, part, kv_sync(db));
    CHECK_FAILS(wanted, part, kv_compact(db));
    CHECK_FAILS(wanted, part, kv_compact_with(db, NULL, NULL));
    CHECK_FAILS(wanted, part, kv_compact_cancel(db));
    CHECK_FAILS(wanted, part, kv_compaction_pause(db));
    CHECK_FAILS(wanted, part, kv_compaction_resume(db));
    CHECK_FAILS(wanted, part, kv_backup(db, test_path("backup")));
    CHECK_FAILS(wanted, part, kv_backup_with(db, test_path("backup"), NULL, NULL));
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_FAILS(wanted, part, kv_stats(db, &stats));
}

static void test_handles(void)
{
    int something[4] = {0};
    kv_db *made_up[] = {(kv_db *)something, (kv_db *)(uintptr_t)1, (kv_db *)(uintptr_t)0x1234,
                        (kv_db *)UINTPTR_MAX};
    kv_db *db = test_open("handles", NULL), *again;

    every_function(no_db, KV_NULL_ARGUMENT, "db");
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++) {
        every_function(made_up[i], KV_INVALID_ARGUMENT, "db");
        CHECK_FAILS(KV_INVALID_ARGUMENT, "db", kv_close(made_up[i]));
    }
    CHECK_OK(kv_close(db));
    every_function(db, KV_CLOSED, "closed");
    CHECK_FAILS(KV_CLOSED, "closed", kv_close(db));

    /* The closed handle does not turn into the next one. */
    again = test_open("handles", NULL);
    CHECK(again != db);
    every_function(db, KV_CLOSED, "closed");
    CHECK_FAILS(KV_CLOSED, "closed", kv_close(db));
    CHECK_OK(kv_put(again, "k", 1, "v", 1));
    CHECK_OK(kv_close(again));
}

static void test_lengths(kv_db *db)
{
    char bytes[8] = "k";
    void *value;
    size_t len;
    /* Refused for their length, before a byte is looked at. */
    CHECK_FAILS(KV_KEY_TOO_LONG, "key", kv_put(db, bytes, SIZE_MAX, "v", 1));
    CHECK_FAILS(KV_KEY_TOO_LONG, "key", kv_get(db, bytes, SIZE_MAX / 2, &value, &len));
    CHECK_FAILS(KV_VALUE_TOO_LONG, "value", kv_put(db, "k", 1, bytes, SIZE_MAX));
    CHECK_FAILS(KV_VALUE_TOO_LONG, "value",
                kv_put(db, "k", 1, bytes, (size_t)KV_MAX_VALUE_LEN + 1));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "cap", kv_get_into(db, "k", 1, bytes, SIZE_MAX, &len));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "overlap",
                kv_get_into(db, bytes, 1, bytes, sizeof bytes, &len));
}

static void test_wrong_paths(void)
{
    static const char *const urls[] = {"redis://x/y", "file:///tmp/x", "kv+tcp://h:1/db"};
    kv_options *options = NULL;
    kv_db *db;

    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        CHECK_FAILS(KV_UNSUPPORTED, urls[i], kv_open(urls[i], NULL, &db));
        CHECK_FAILS(KV_UNSUPPORTED, urls[i], kv_destroy(urls[i]));
    }
    CHECK_FAILS(KV_INVALID_ARGUMENT, "path", kv_open("", NULL, &db));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "path", kv_destroy(""));

    write_file(test_path("file"), "a letter");
    CHECK_FAILS(KV_NOT_A_DIRECTORY, "/file", kv_open(test_path("file"), NULL, &db));
    CHECK_FAILS(KV_NOT_A_DIRECTORY, "/file", kv_open(test_path("file/below"), NULL, &db));
    CHECK_FAILS(KV_NOT_A_DIRECTORY, "/file", kv_destroy(test_path("file")));

    CHECK(mkdir(test_path("letters"), 0700) == 0);
    write_file(test_path("letters/one"), "a letter");
    CHECK_FAILS(KV_NOT_A_DATABASE, "/letters", kv_open(test_path("letters"), NULL, &db));
    CHECK_FAILS(KV_NOT_A_DATABASE, "/letters", kv_destroy(test_path("letters")));
    CHECK(access(test_path("letters/one"), F_OK) == 0);
    CHECK(access(test_path("letters/LOCK"), F_OK) != 0);

    CHECK_FAILS(KV_DOES_NOT_EXIST, "/no/where", kv_open(test_path("no/where"), NULL, &db));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "/nowhere", kv_destroy(test_path("nowhere")));
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set_create_if_missing(options, 0));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "/nowhere", kv_open(test_path("nowhere"), options, &db));
    CHECK(access(test_path("nowhere"), F_OK) != 0);
    CHECK(mkdir(test_path("nothing"), 0700) == 0);
    CHECK_FAILS(KV_DOES_NOT_EXIST, "/nothing", kv_open(test_path("nothing"), options, &db));
    kv_options_free(options);
}

static void test_existing_databases(kv_db *db, const char *name)
{
    char other_name[256];
    kv_options *options = NULL;
    kv_db *other;

    CHECK_FAILS(KV_ALREADY_OPEN, name, kv_open(test_path(name), NULL, &other));
    snprintf(other_name, sizeof other_name, "./%s/../%s", name, name);
    CHECK_FAILS(KV_ALREADY_OPEN, name, kv_open(test_path(other_name), NULL, &other));
    CHECK(symlink(test_path(name), test_path("link")) == 0);
    CHECK_FAILS(KV_ALREADY_OPEN, "link", kv_open(test_path("link"), NULL, &other));
    CHECK_OK(kv_put(db, "still", 5, "open", 4));

    CHECK_OK(kv_close(test_open("exists", NULL)));
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set_error_if_exists(options, 1));
    CHECK_FAILS(KV_ALREADY_EXISTS, "/exists", kv_open(test_path("exists"), options, &other));
    kv_options_free(options);
}

/* The version of the format is a little-endian number of 32 bits at byte 8 of MANIFEST. */
static void test_newer_format(void)
{
    unsigned char number[4] = {0};
    kv_db *db = test_open("newer", NULL);
    CHECK_OK(kv_put(db, "k", 1, "v", 1));
    CHECK_OK(kv_close(db));
    int manifest = open(test_path("newer/MANIFEST"), O_RDWR);
    CHECK(manifest >= 0);
    CHECK(pread(manifest, number, sizeof number, 8) == sizeof number);
    number[1]++;
    CHECK(pwrite(manifest, number, sizeof number, 8) == sizeof number);
    CHECK_FAILS(KV_NEWER_FORMAT, "/newer", kv_open(test_path("newer"), NULL, &db));
    number[1]--;
    CHECK(pwrite(manifest, number, sizeof number, 8) == sizeof number);
    close(manifest);
    db = test_open("newer", NULL);
    CHECK(test_has(db, "k", "v", 1));
    CHECK_OK(kv_close(db));
}

/* Waits for a child that reports by its exit code. */
static void expect_success_of(pid_t child)
{
    int how = -1;
    CHECK(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS);
}

/* To be called before this process opens a database: the child opens one. */
static void test_permission(void)
{
    const struct passwd *nobody = getpwnam("nobody");
    const char *closed = test_path("closed"), *inside = test_path("closed/db");
    kv_db *db;

    if (geteuid() == 0 && nobody == NULL) {
        puts("misuse_test: skipped permissions: there is no user nobody");
        return;
    }
    CHECK(mkdir(closed, geteuid() == 0 ? 0700 : 0000) == 0);
    CHECK(chmod(test_directory(), 0755) == 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(nobody->pw_uid) != 0) {
            perror("setuid");
            _exit(EXIT_FAILURE);
        }
        CHECK_FAILS(KV_PERMISSION_DENIED, closed, kv_open(closed, NULL, &db));
        CHECK_FAILS(KV_PERMISSION_DENIED, inside, kv_open(inside, NULL, &db));
        CHECK_FAILS(KV_PERMISSION_DENIED, closed, kv_destroy(closed));
        _exit(test_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    expect_success_of(child);
    CHECK(chmod(closed, 0700) == 0);
}

/* Starts a process that holds the database `name` open until it is killed. To be called before
 * this process opens a database. */
static pid_t start_holder(const char *name)
{
    int channel[2];
    char byte = 0;
    CHECK(pipe(channel) == 0);
    pid_t child = fork();
    if (child == 0) {
        test_open(name, NULL);
        if (write(channel[1], &byte, 1) != 1) {
            _exit(EXIT_FAILURE);
        }
        for (;;) {
            pause();
        }
    }
    close(channel[1]);
    CHECK(child > 0 && read(channel[0], &byte, 1) == 1);
    close(channel[0]);
    return child;
}

static void test_other_process(pid_t holder, const char *name)
{
    char pid[24];
    kv_db *db;
    snprintf(pid, sizeof pid, "%ld", (long)holder);
    CHECK_FAILS(KV_LOCKED, pid, kv_open(test_path(name), NULL, &db));
    CHECK_FAILS(KV_LOCKED, name, kv_open(test_path(name), NULL, &db));
    CHECK_FAILS(KV_LOCKED, pid, kv_destroy(test_path(name)));
    kill(holder, SIGKILL);
    CHECK(waitpid(holder, NULL, 0) == holder);
    CHECK_OK(kv_close(test_open(name, NULL)));
}

int main(void)
{
    test_directory();
    test_permission();
    pid_t holder = start_holder("held");

    kv_db *db = test_open("misuse", NULL);
    test_other_process(holder, "held");
    test_null_arguments(db);
    test_null_options();
    test_bad_options();
    test_handles();
    test_lengths(db);
    test_wrong_paths();
    test_existing_databases(db, "misuse");
    test_newer_format();
    CHECK(test_has(db, "still", "open", 4));
    CHECK_OK(kv_close(db));
    return test_end("misuse_test");
}
