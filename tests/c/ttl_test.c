/* Values that expire: they are gone when their time is over, in every call, and after opening. */
#include "test.h"

#include <time.h>

enum { SHORT_MS = 60, HOUR_MS = 3600 * 1000 };

static const kv_write_options_t none = {.size = sizeof none};

static void put_for(kv_db *db, const char *key, const char *value, uint64_t ttl_ms)
{
    kv_write_options_t options = none;
    options.ttl_ms = ttl_ms;
    CHECK_OK(kv_put_with(db, key, strlen(key), value, strlen(value), &options, NULL));
}

static uint64_t remaining(kv_db *db, const char *key)
{
    uint64_t ms = 0;
    CHECK_OK(kv_ttl(db, key, strlen(key), &ms));
    return ms;
}

static void sleep_ms(long ms)
{
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
    while (nanosleep(&rest, &rest) != 0) {
    }
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / (1000 * 1000);
}

/* Waits until the key has expired. It must not take long. */
static void wait_until_gone(kv_db *db, const char *key)
{
    for (int i = 0; i < 1000; i++) {
        if (kv_exists(db, key, strlen(key), NULL) == KV_NOT_FOUND) {
            return;
        }
        sleep_ms(5);
    }
    CHECK(!"the key does not expire");
}

static void test_what_is_told(kv_db *db)
{
    uint64_t ms = 7;
    CHECK_STATUS(KV_NOT_FOUND, kv_ttl(db, "t", 1, &ms));
    CHECK(ms == 7);
    CHECK_OK(kv_put(db, "t", 1, "v", 1));
    CHECK(remaining(db, "t") == KV_NO_TTL);
    put_for(db, "t", "v", HOUR_MS);
    ms = remaining(db, "t");
    CHECK(ms > 0 && ms <= HOUR_MS && ms > HOUR_MS - 60 * 1000);
    put_for(db, "t", "v", KV_MAX_TTL_MS);
    CHECK(remaining(db, "t") > KV_MAX_TTL_MS / 2 && remaining(db, "t") <= KV_MAX_TTL_MS);
    CHECK_OK(kv_put(db, "t", 1, "v", 1));
    CHECK(remaining(db, "t") == KV_NO_TTL);
}

/* No call finds what has expired. */
static void test_expired(kv_db *db)
{
    kv_write_options_t absent = none, equal = none;
    uint64_t number = 0, version = 0;
    const void *seen;
    kv_view *view;
    void *value;
    size_t len;
    absent.if_absent = 1;
    equal.skip_if_equal = 1;
    kv_write_options_t brief = none;
    brief.ttl_ms = SHORT_MS;
    CHECK_OK(kv_put_with(db, "x", 1, "value", 5, &brief, &version));
    wait_until_gone(db, "x");
    CHECK_STATUS(KV_NOT_FOUND, kv_get(db, "x", 1, &value, &len));
    CHECK_STATUS(KV_NOT_FOUND, kv_view_get(db, "x", 1, &view, &seen, &len));
    CHECK_STATUS(KV_NOT_FOUND, kv_get_version(db, "x", 1, &number));
    CHECK_STATUS(KV_NOT_FOUND, kv_ttl(db, "x", 1, &number));
    CHECK_STATUS(KV_NOT_FOUND, kv_touch(db, "x", 1, HOUR_MS));
    CHECK_STATUS(KV_NOT_FOUND, kv_delete(db, "x", 1));
    kv_write_options_t expected = none;
    expected.if_version = version;
    CHECK_STATUS(KV_VERSION_MISMATCH, kv_put_with(db, "x", 1, "v", 1, &expected, NULL));
    CHECK_OK(kv_put_with(db, "x", 1, "value", 5, &equal, NULL));
    CHECK(remaining(db, "x") == KV_NO_TTL);
    CHECK_OK(kv_delete(db, "x", 1));
    CHECK_OK(kv_put_with(db, "x", 1, "value", 5, &absent, NULL));
}

static void test_touch_and_keep(kv_db *db)
{
    kv_write_options_t keep = none;
    int64_t sum = 0;
    keep.keep_ttl = 1;
    CHECK_STATUS(KV_NOT_FOUND, kv_touch(db, "k", 1, 1));
    put_for(db, "k", "v", HOUR_MS);
    CHECK_OK(kv_touch(db, "k", 1, 2 * HOUR_MS));
    CHECK(remaining(db, "k") > HOUR_MS && test_has(db, "k", "v", 1));
    CHECK_OK(kv_put_with(db, "k", 1, "w", 1, &keep, NULL));
    CHECK(remaining(db, "k") > HOUR_MS && remaining(db, "k") <= 2 * HOUR_MS);
    CHECK(test_has(db, "k", "w", 1));
    CHECK_OK(kv_touch(db, "k", 1, 0));
    CHECK(remaining(db, "k") == KV_NO_TTL);
    keep.ttl_ms = HOUR_MS;
    CHECK_OK(kv_put_with(db, "k", 1, "x", 1, &keep, NULL));
    CHECK(remaining(db, "k") == KV_NO_TTL);
    CHECK_OK(kv_put_with(db, "new", 3, "x", 1, &keep, NULL));
    CHECK(remaining(db, "new") <= HOUR_MS);
    CHECK_FAILS(KV_INVALID_ARGUMENT, "time to live", kv_touch(db, "k", 1, UINT64_MAX));

    CHECK_OK(kv_put(db, "n", 1, "\1\0\0\0\0\0\0\0", 8));
    CHECK_OK(kv_touch(db, "n", 1, HOUR_MS));
    CHECK_OK(kv_add(db, "n", 1, 1, &sum));
    CHECK(sum == 2 && remaining(db, "n") <= HOUR_MS);
}

static void test_batches(kv_db *db)
{
    kv_batch *batch = NULL;
    CHECK_OK(kv_batch_new(&batch));
    CHECK_OK(kv_batch_put_ttl(batch, "soon", 4, "v", 1, SHORT_MS));
    CHECK_OK(kv_batch_put_ttl(batch, "later", 5, "v", 1, HOUR_MS));
    CHECK_OK(kv_batch_put_ttl(batch, "never", 5, "v", 1, 0));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "time to live",
                kv_batch_put_ttl(batch, "k", 1, "v", 1, UINT64_MAX));
    /* The time begins when the batch is written. */
    sleep_ms(2 * SHORT_MS);
    uint64_t before = now_ms();
    CHECK_OK(kv_write(db, batch, NULL));
    uint64_t ms = remaining(db, "later");
    CHECK(ms <= HOUR_MS && ms + (now_ms() - before) + 2 >= HOUR_MS);
    CHECK(remaining(db, "never") == KV_NO_TTL);
    kv_batch_free(batch);
    wait_until_gone(db, "soon");
    CHECK_OK(kv_exists(db, "later", 5, NULL));
}

static void test_opening_again(void)
{
    kv_db *db = test_open("reopened", NULL);
    put_for(db, "soon", "v", SHORT_MS);
    put_for(db, "later", "v", HOUR_MS);
    CHECK_OK(kv_close(db));
    sleep_ms(SHORT_MS + 20);
    db = test_open("reopened", NULL);
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "soon", 4, NULL));
    uint64_t ms = remaining(db, "later");
    CHECK(ms <= HOUR_MS - SHORT_MS && ms > HOUR_MS - 60 * 1000);
    CHECK_OK(kv_compact(db));
    CHECK(test_has(db, "later", "v", 1) && remaining(db, "later") <= ms);
    CHECK_OK(kv_close(db));
}

int main(void)
{
    kv_db *db = test_open("ttl", NULL);
    test_what_is_told(db);
    test_expired(db);
    test_touch_and_keep(db);
    test_batches(db);
    CHECK_OK(kv_close(db));
    test_opening_again();
    return test_end("ttl_test");
}
