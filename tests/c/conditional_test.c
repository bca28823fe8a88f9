/* Conditional writes: versions, compare-and-swap, if_absent, skip_if_equal, counters. */
#include "test.h"

enum { THREADS = 4, ADDITIONS = 500 };

static const kv_write_options_t none = {.size = sizeof none};

static kv_write_options_t at_version(uint64_t version)
{
    kv_write_options_t options = none;
    options.if_version = version;
    return options;
}

static void test_versions(kv_db *db)
{
    uint64_t first = 0, second = 0, third = 0, seen = 7;
    CHECK_STATUS(KV_NOT_FOUND, kv_get_version(db, "v", 1, &seen));
    CHECK(seen == 7);
    CHECK_OK(kv_put_with(db, "v", 1, "1", 1, NULL, &first));
    CHECK_OK(kv_get_version(db, "v", 1, &seen));
    CHECK(first != 0 && seen == first);
    CHECK_OK(kv_put(db, "v", 1, "2", 1));
    CHECK_OK(kv_get_version(db, "v", 1, &second));
    CHECK_OK(kv_put(db, "other", 5, "2", 1));
    CHECK_OK(kv_compact(db));
    CHECK_OK(kv_get_version(db, "v", 1, &seen));
    CHECK(second != first && seen == second);
    CHECK_OK(kv_delete(db, "v", 1));
    CHECK_OK(kv_put_with(db, "v", 1, "1", 1, &none, &third));
    CHECK(third != first && third != second);
}

static void test_compare_and_swap(kv_db *db)
{
    uint64_t version = 0, after = 0;
    CHECK_OK(kv_put_with(db, "cas", 3, "old", 3, NULL, &version));
    kv_write_options_t expected = at_version(version), wrong = at_version(version + 1000);
    CHECK_STATUS(KV_VERSION_MISMATCH, kv_put_with(db, "cas", 3, "new", 3, &wrong, &after));
    CHECK(after == 0 && test_has(db, "cas", "old", 3));
    CHECK_OK(kv_put_with(db, "cas", 3, "new", 3, &expected, &after));
    CHECK(after != version && test_has(db, "cas", "new", 3));
    CHECK_STATUS(KV_VERSION_MISMATCH, kv_put_with(db, "cas", 3, "newer", 5, &expected, NULL));
    CHECK_STATUS(KV_VERSION_MISMATCH, kv_put_with(db, "none", 4, "new", 3, &expected, NULL));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "none", 4, NULL));

    CHECK_STATUS(KV_VERSION_MISMATCH, kv_delete_with(db, "cas", 3, &expected));
    CHECK(test_has(db, "cas", "new", 3));
    expected = at_version(after);
    CHECK_OK(kv_delete_with(db, "cas", 3, &expected));
    CHECK_STATUS(KV_NOT_FOUND, kv_delete_with(db, "cas", 3, &expected));
    CHECK_STATUS(KV_NOT_FOUND, kv_delete_with(db, "cas", 3, NULL));
}

static void test_if_absent(kv_db *db)
{
    kv_write_options_t absent = none;
    uint64_t version = 0;
    absent.if_absent = 1;
    CHECK_OK(kv_put_with(db, "lock", 4, "me", 2, &absent, &version));
    CHECK_STATUS(KV_EXISTS, kv_put_with(db, "lock", 4, "you", 3, &absent, NULL));
    CHECK(test_has(db, "lock", "me", 2));
    kv_write_options_t mine = at_version(version);
    CHECK_OK(kv_delete_with(db, "lock", 4, &mine));
    CHECK_OK(kv_put_with(db, "lock", 4, "you", 3, &absent, NULL));
    CHECK(test_has(db, "lock", "you", 3));
}

static uint64_t bytes_put(kv_db *db)
{
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_OK(kv_stats(db, &stats));
    return stats.bytes_put;
}

static void test_skip_if_equal(kv_db *db)
{
    kv_write_options_t options = none;
    uint64_t first = 0, again = 0, changed = 0;
    options.skip_if_equal = 1;
    CHECK_OK(kv_put_with(db, "same", 4, "value", 5, &options, &first));
    uint64_t before = bytes_put(db);
    CHECK_OK(kv_put_with(db, "same", 4, "value", 5, &options, &again));
    CHECK(again == first && bytes_put(db) == before);
    CHECK_OK(kv_put_with(db, "same", 4, "Value", 5, &options, &changed));
    CHECK(changed != first && bytes_put(db) > before && test_has(db, "same", "Value", 5));
}

static void test_syncs(kv_db *db)
{
    kv_write_options_t options = none;
    for (int32_t sync = KV_WRITE_SYNC_DEFAULT; sync <= KV_WRITE_SYNC_NO; sync++) {
        options.sync = sync;
        CHECK_OK(kv_put_with(db, "sync", 4, &sync, sizeof sync, &options, NULL));
        CHECK_OK(kv_delete_with(db, "sync", 4, &options));
    }
}

static void test_counters(kv_db *db)
{
    int64_t sum = 99;
    static const unsigned char minus_two[8] = {0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    CHECK_OK(kv_add(db, "n", 1, 0, &sum));
    CHECK(sum == 0);
    CHECK_OK(kv_add(db, "n", 1, 40, NULL));
    CHECK_OK(kv_add(db, "n", 1, -42, &sum));
    CHECK(sum == -2 && test_has(db, "n", minus_two, sizeof minus_two));
    CHECK_OK(kv_put(db, "n", 1, "\1\0\0\0\0\0\0\0", 8));
    CHECK_OK(kv_add(db, "n", 1, INT64_MAX - 1, &sum));
    CHECK(sum == INT64_MAX);
    sum = 5;
    CHECK_FAILS(KV_OVERFLOW, "plus 1", kv_add(db, "n", 1, 1, &sum));
    CHECK(sum == 5);
    CHECK_OK(kv_add(db, "n", 1, -1, &sum));
    CHECK_OK(kv_put(db, "n", 1, "seven..", 7));
    CHECK_FAILS(KV_NOT_A_COUNTER, "7", kv_add(db, "n", 1, 1, &sum));
    CHECK(test_has(db, "n", "seven..", 7));
    CHECK_OK(kv_put(db, "n", 1, NULL, 0));
    CHECK_FAILS(KV_NOT_A_COUNTER, "0", kv_add(db, "n", 1, 1, &sum));
}

/* Adds by kv_add(), and by reading, adding and writing if the version is still the same. */
static void *add_up(void *argument)
{
    kv_db *db = (kv_db *)argument;
    for (int i = 0; i < ADDITIONS; i++) {
        CHECK_OK(kv_add(db, "added", 5, 2, NULL));
        for (;;) {
            uint64_t version = 0;
            int64_t number = 0;
            size_t len = 0;
            CHECK_OK(kv_get_version(db, "swapped", 7, &version));
            CHECK_OK(kv_get_into(db, "swapped", 7, &number, sizeof number, &len));
            kv_write_options_t expected = at_version(version);
            number++;
            kv_status status =
                kv_put_with(db, "swapped", 7, &number, sizeof number, &expected, NULL);
            CHECK(status == KV_OK || status == KV_VERSION_MISMATCH);
            if (status != KV_VERSION_MISMATCH) {
                break;
            }
        }
    }
    return NULL;
}

static void test_threads(kv_db *db)
{
    pthread_t threads[THREADS];
    int64_t sum = 0;
    CHECK_OK(kv_put(db, "swapped", 7, &sum, sizeof sum));
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, add_up, db) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_OK(kv_add(db, "added", 5, 0, &sum));
    CHECK(sum == 2 * THREADS * ADDITIONS);
    sum = THREADS * ADDITIONS;
    CHECK(test_has(db, "swapped", &sum, sizeof sum));
}

/* The struct of a program that was compiled with another kv.h, or that is wrong. */
static void test_sizes_of_the_options(kv_db *db)
{
    struct {
        kv_write_options_t known;
        uint64_t newer[2];
    } later = {.known = {.size = sizeof later, .if_absent = 1}};
    CHECK_STATUS(KV_OK, kv_put_with(db, "later", 5, "v", 1, &later.known, NULL));
    CHECK_STATUS(KV_EXISTS, kv_put_with(db, "later", 5, "v", 1, &later.known, NULL));
    later.newer[1] = 1;
    CHECK_FAILS(KV_UNSUPPORTED, "40", kv_put_with(db, "later", 5, "v", 1, &later.known, NULL));
    CHECK_FAILS(KV_UNSUPPORTED, "40", kv_delete_with(db, "later", 5, &later.known));

    /* An older struct had if_version and no if_absent yet. */
    kv_write_options_t older = {.size = 24, .if_absent = 1, .sync = 77};
    CHECK_OK(kv_put_with(db, "later", 5, "v", 1, &older, NULL));

    static const size_t bad[] = {0, 7, 12, 20, 39, 41, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        kv_write_options_t options = {.size = bad[i]};
        CHECK_FAILS(KV_INVALID_ARGUMENT, "size", kv_put_with(db, "k", 1, "v", 1, &options, NULL));
        CHECK_FAILS(KV_INVALID_ARGUMENT, "size", kv_delete_with(db, "k", 1, &options));
    }
}

static void test_wrong_options(kv_db *db)
{
    static const struct {
        kv_write_options_t options;
        const char *part;
    } bad[] = {
        {{.size = sizeof none, .sync = 3}, "sync"},
        {{.size = sizeof none, .sync = -1}, "sync"},
        {{.size = sizeof none, .if_absent = 2}, "if_absent"},
        {{.size = sizeof none, .skip_if_equal = -1}, "skip_if_equal"},
        {{.size = sizeof none, .keep_ttl = 9}, "keep_ttl"},
        {{.size = sizeof none, .if_absent = 1, .if_version = 1}, "if_version"},
        {{.size = sizeof none, .ttl_ms = UINT64_MAX}, "time to live"},
        {{.size = sizeof none, .ttl_ms = KV_MAX_TTL_MS + 1}, "time to live"},
    };
    static const kv_write_options_t not_for_delete[] = {
        {.size = sizeof none, .ttl_ms = 1},
        {.size = sizeof none, .if_absent = 1},
        {.size = sizeof none, .skip_if_equal = 1},
        {.size = sizeof none, .keep_ttl = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(KV_INVALID_ARGUMENT, bad[i].part,
                    kv_put_with(db, "bad", 3, "v", 1, &bad[i].options, NULL));
    }
    for (size_t i = 0; i < sizeof not_for_delete / sizeof not_for_delete[0]; i++) {
        CHECK_FAILS(KV_INVALID_ARGUMENT, "if_version and sync",
                    kv_delete_with(db, "bad", 3, &not_for_delete[i]));
    }
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "bad", 3, NULL));
}

int main(void)
{
    kv_db *db = test_open("conditional", NULL);
    test_versions(db);
    test_compare_and_swap(db);
    test_if_absent(db);
    test_skip_if_equal(db);
    test_syncs(db);
    test_counters(db);
    test_threads(db);
    test_sizes_of_the_options(db);
    test_wrong_options(db);
    CHECK_OK(kv_close(db));
    return test_end("conditional_test");
}
