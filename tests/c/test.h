/* A small test harness: checks that say where they failed, and a directory that is removed.
 * Include it before any other header. */
#ifndef TEST_H
#define TEST_H

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include <ftw.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <kv.h>

/* Checks that `condition` is true. Its value, so that a test can stop. */
#define CHECK(condition) test_check((condition) ? 1 : 0, __FILE__, __LINE__, #condition)

/* Checks that a call returns the status `wanted`. */
#define CHECK_STATUS(wanted, call) test_check_status((wanted), (call), __FILE__, __LINE__, #call)

/* Checks that a call goes well. */
#define CHECK_OK(call) CHECK_STATUS(KV_OK, call)

/* Checks that a call fails with `wanted`, and explains it in words that contain `part`. */
#define CHECK_FAILS(wanted, part, call) \
    test_check_fails((wanted), (part), (call), __FILE__, __LINE__, #call)

static pthread_mutex_t test_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned test_checks;
static unsigned test_failures;
static char test_root[4096];

static inline int test_count(int passed)
{
    pthread_mutex_lock(&test_mutex);
    test_checks++;
    test_failures += passed ? 0 : 1;
    pthread_mutex_unlock(&test_mutex);
    return passed;
}

static inline int test_check(int passed, const char *file, int line, const char *text)
{
    if (!passed) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
    }
    return test_count(passed);
}

static inline int test_check_status(kv_status wanted, kv_status status, const char *file, int line,
                                    const char *text)
{
    if (status != wanted) {
        fprintf(stderr, "%s:%d: %s\n    returned %d (%s), not %d (%s)\n    message: %s\n", file,
                line, text, (int)status, kv_strerror(status), (int)wanted, kv_strerror(wanted),
                kv_error_message());
    }
    return test_count(status == wanted);
}

static inline int test_check_fails(kv_status wanted, const char *part, kv_status status,
                                   const char *file, int line, const char *text)
{
    char message[512];
    snprintf(message, sizeof message, "%s", kv_error_message());
    int passed = test_check_status(wanted, status, file, line, text);
    if (passed && (message[0] == '\0' || strstr(message, part) == NULL)) {
        fprintf(stderr, "%s:%d: %s\n    the message does not name \"%s\": %s\n", file, line, text,
                part, message);
        return test_count(0);
    }
    return passed;
}

static inline int test_remove(const char *path, const struct stat *about, int kind,
                              struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

/* The test's directory, made at the first call, removed by test_end(). */
static inline const char *test_directory(void)
{
    if (test_root[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(test_root, sizeof test_root, "%s/kv-test-XXXXXX",
                 parent != NULL && parent[0] != '\0' ? parent : "/tmp");
        if (mkdtemp(test_root) == NULL) {
            perror(test_root);
            exit(EXIT_FAILURE);
        }
    }
    return test_root;
}

/* The path of `name` in the test's directory. Up to eight such paths can be in use. */
static inline const char *test_path(const char *name)
{
    static char paths[8][sizeof test_root + 128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

/* Opens the database `name` in the test's directory. Without it there is nothing to test. */
static inline kv_db *test_open(const char *name, const kv_options *options)
{
    kv_db *db = NULL;
    if (!CHECK_OK(kv_open(test_path(name), options, &db))) {
        exit(EXIT_FAILURE);
    }
    return db;
}

/* Options with the smallest segments, so that a test has many. */
static inline kv_options *test_small_segments(void)
{
    kv_options *options = NULL;
    if (!CHECK_OK(kv_options_new(&options))) {
        exit(EXIT_FAILURE);
    }
    CHECK_OK(kv_options_set_segment_size(options, 1024 * 1024));
    return options;
}

/* A new database with so many keys of 300 bytes, in several segments. */
static inline kv_db *test_filled(const char *name, unsigned keys)
{
    kv_options *options = test_small_segments();
    kv_db *db = test_open(name, options);
    char value[300];
    kv_options_free(options);
    memset(value, 'a', sizeof value);
    for (unsigned i = 0; i < keys; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "key %u", i);
        CHECK_OK(kv_put(db, key, (size_t)len, value, sizeof value));
    }
    return db;
}

/* Whether `key` has exactly this value. */
static inline int test_has(kv_db *db, const char *key, const void *expected, size_t expected_len)
{
    void *value = NULL;
    size_t len = 0;
    if (kv_get(db, key, strlen(key), &value, &len) != KV_OK) {
        return 0;
    }
    int same = len == expected_len && (len == 0 || memcmp(value, expected, len) == 0);
    kv_free(value);
    return same;
}

/* Removes the directory and reports. What main() is to return. */
static inline int test_end(const char *name)
{
    if (test_root[0] != '\0') {
        nftw(test_root, test_remove, 16, FTW_DEPTH | FTW_PHYS);
    }
    printf("%s: %u checks, %u failed\n", name, test_checks, test_failures);
    return test_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
