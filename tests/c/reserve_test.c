/* Values that are put together in the log: committed, aborted, forgotten, and misused. */
#include "test.h"

#include <pthread.h>

static kv_reservation *reserve(kv_db *db, const char *key, size_t length, void **value)
{
    kv_reservation *made = NULL;
    *value = NULL;
    CHECK_OK(kv_put_reserve(db, key, strlen(key), length, NULL, &made, value));
    CHECK(made != NULL && *value != NULL);
    return made;
}

static void check_value(kv_db *db, const char *key, int byte, size_t length)
{
    void *value = NULL;
    size_t found = 0;
    CHECK_OK(kv_get(db, key, strlen(key), &value, &found));
    CHECK(found == length);
    for (size_t i = 0; i < found && i < length; i++) {
        CHECK(((unsigned char *)value)[i] == byte);
    }
    kv_free(value);
}

static void check_missing(kv_db *db, const char *key)
{
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, key, strlen(key), NULL));
}

static void test_commit_and_abort(kv_db *db)
{
    void *value;
    uint64_t version = 0, told = 0;
    kv_reservation *made = reserve(db, "key", 1000, &value);
    memset(value, 7, 1000);
    check_missing(db, "key");
    CHECK_OK(kv_put_commit(made, &version));
    check_value(db, "key", 7, 1000);
    CHECK_OK(kv_get_version(db, "key", 3, &told));
    CHECK(told == version);

    made = reserve(db, "aborted", 100, &value);
    memset(value, 1, 100);
    kv_put_abort(made);
    check_missing(db, "aborted");
    made = reserve(db, "empty", 0, &value);
    CHECK_OK(kv_put_commit(made, NULL));
    check_value(db, "empty", 0, 0);
}

static void test_others_write_meanwhile(kv_db *db)
{
    void *first, *second;
    kv_reservation *one = reserve(db, "one", 5000, &first);
    CHECK_OK(kv_put(db, "between", 7, "x", 1));
    kv_reservation *two = reserve(db, "two", 300, &second);
    memset(first, 1, 5000);
    CHECK_OK(kv_put_commit(one, NULL));
    memset(second, 2, 300);
    CHECK_OK(kv_compact(db));
    CHECK_OK(kv_put_commit(two, NULL));
    check_value(db, "one", 1, 5000);
    check_value(db, "two", 2, 300);
    check_value(db, "between", 'x', 1);
}

static void test_conditions(kv_db *db)
{
    void *value;
    kv_reservation *made;
    kv_write_options_t options = {.size = sizeof options, .if_absent = 1};
    CHECK_OK(kv_put(db, "there", 5, "x", 1));
    CHECK_OK(kv_put_reserve(db, "there", 5, 10, &options, &made, &value));
    uint64_t version = 99;
    CHECK_STATUS(KV_EXISTS, kv_put_commit(made, &version));
    CHECK(version == 99);
    CHECK_STATUS(KV_CLOSED, kv_put_commit(made, NULL));
    check_value(db, "there", 'x', 1);

    options.if_absent = 0;
    options.ttl_ms = 3600 * 1000;
    CHECK_OK(kv_put_reserve(db, "there", 5, 10, &options, &made, &value));
    memset(value, 3, 10);
    CHECK_OK(kv_put_commit(made, NULL));
    uint64_t ttl = 0;
    CHECK_OK(kv_ttl(db, "there", 5, &ttl));
    CHECK(ttl > 0 && ttl <= 3600 * 1000);

    options.skip_if_equal = 1;
    made = NULL;
    CHECK_STATUS(KV_INVALID_ARGUMENT, kv_put_reserve(db, "k", 1, 1, &options, &made, &value));
    CHECK(made == NULL);
}

static void test_misuse(kv_db *db)
{
    void *value = NULL;
    kv_reservation *made = NULL;
    CHECK_STATUS(KV_NULL_ARGUMENT, kv_put_reserve(db, "k", 1, 1, NULL, NULL, &value));
    CHECK_STATUS(KV_NULL_ARGUMENT, kv_put_reserve(db, "k", 1, 1, NULL, &made, NULL));
    CHECK_STATUS(KV_EMPTY_KEY, kv_put_reserve(db, NULL, 0, 1, NULL, &made, &value));
    CHECK_STATUS(KV_VALUE_TOO_LONG, kv_put_reserve(db, "k", 1, SIZE_MAX, NULL, &made, &value));
    CHECK_STATUS(KV_VALUE_TOO_LONG,
                 kv_put_reserve(db, "k", 1, (size_t)KV_MAX_VALUE_LEN + 1, NULL, &made, &value));
    CHECK_STATUS(KV_INVALID_ARGUMENT, kv_put_commit((kv_reservation *)db, NULL));
    CHECK_STATUS(KV_NULL_ARGUMENT, kv_put_commit(NULL, NULL));
    kv_put_abort(NULL);
    kv_put_abort((kv_reservation *)db);
    made = reserve(db, "twice", 1, &value);
    kv_put_abort(made);
    kv_put_abort(made);
    CHECK_STATUS(KV_CLOSED, kv_put_commit(made, NULL));
    check_missing(db, "twice");
}

/* The room of a reservation can be written until it is given back, also after kv_close(). */
static void test_close(const char *path)
{
    kv_db *db = NULL;
    void *one, *two;
    CHECK_OK(kv_open(path, NULL, &db));
    kv_reservation *first = reserve(db, "late", 1 << 20, &one);
    kv_reservation *second = reserve(db, "later", 1 << 20, &two);
    CHECK_OK(kv_close(db));
    memset(one, 1, 1 << 20);
    memset(two, 1, 1 << 20);
    CHECK_STATUS(KV_CLOSED, kv_put_commit(first, NULL));
    kv_put_abort(second);
    CHECK_OK(kv_open(path, NULL, &db));
    check_missing(db, "late");
    check_missing(db, "later");
    check_value(db, "key", 7, 1000);
    check_value(db, "one", 1, 5000);
    CHECK_OK(kv_close(db));
}

static void *write_many(void *argument)
{
    kv_db *db = argument;
    for (int i = 0; i < 200; i++) {
        char key[32];
        void *value;
        snprintf(key, sizeof key, "%p-%d", (void *)&key, i);
        kv_reservation *made = reserve(db, key, (size_t)i * 10, &value);
        memset(value, i, (size_t)i * 10);
        CHECK_OK(kv_put_commit(made, NULL));
        check_value(db, key, i, (size_t)i * 10);
    }
    return NULL;
}

static void test_threads(kv_db *db)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, write_many, db) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

int main(void)
{
    kv_db *db = test_open("reserve", NULL);
    test_commit_and_abort(db);
    test_others_write_meanwhile(db);
    test_conditions(db);
    test_misuse(db);
    test_threads(db);
    CHECK_OK(kv_close(db));
    test_close(test_path("reserve"));
    return test_end("reserve_test");
}
