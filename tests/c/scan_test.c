/* Snapshots, iterators and reading many keys: what they show, and what misuse is answered with. */
#include "test.h"

enum { KEYS = 5000 };

static kv_snapshot *new_snapshot(kv_db *db)
{
    kv_snapshot *snapshot = NULL;
    if (!CHECK_OK(kv_snapshot_new(db, &snapshot))) {
        exit(EXIT_FAILURE);
    }
    return snapshot;
}

static kv_iter *new_iter(kv_db *db, kv_snapshot *snapshot, const char *prefix)
{
    kv_iter *iter = NULL;
    if (!CHECK_OK(kv_iter_new(db, snapshot, prefix, strlen(prefix), &iter))) {
        exit(EXIT_FAILURE);
    }
    return iter;
}

static void put_all(kv_db *db, char byte)
{
    char value[300];
    memset(value, byte, sizeof value);
    for (unsigned number = 0; number < KEYS; number++) {
        char key[32];
        int len = snprintf(key, sizeof key, "key %u", number);
        CHECK_OK(kv_put(db, key, (size_t)len, value, sizeof value));
    }
}

/* Walks to the end; counts the keys. Each comes once, and all values are of `byte`. */
static unsigned walk(kv_iter *iter, char byte)
{
    static unsigned char seen[KEYS];
    memset(seen, 0, sizeof seen);
    unsigned count = 0;
    kv_slice_t key, value;
    kv_status status;
    while ((status = kv_iter_next(iter, &key, &value)) == KV_OK) {
        char text[32] = {0};
        const void *again = NULL;
        size_t len = 0;
        if (!CHECK(key.len > 4 && key.len < sizeof text && value.len == 300)) {
            break;
        }
        memcpy(text, key.data, key.len);
        unsigned number = (unsigned)strtoul(text + 4, NULL, 10);
        CHECK(number < KEYS && !seen[number]);
        seen[number % KEYS] = 1;
        CHECK(((const char *)value.data)[0] == byte && ((const char *)value.data)[299] == byte);
        CHECK_OK(kv_iter_key(iter, &again, &len));
        CHECK(again == key.data && len == key.len);
        CHECK_OK(kv_iter_value(iter, &again, &len));
        CHECK(again == value.data && len == value.len);
        count++;
    }
    CHECK_STATUS(KV_NOT_FOUND, status);
    CHECK_STATUS(KV_NOT_FOUND, kv_iter_next(iter, NULL, NULL));
    return count;
}

static void test_what_they_show(const char *read_mode)
{
    kv_options *options = test_small_segments();
    CHECK_OK(kv_options_set(options, "read_mode", read_mode));
    kv_db *db = test_open(read_mode, options);
    kv_options_free(options);
    uint64_t count = 77, bytes = 0;
    CHECK_OK(kv_count(db, &count));
    CHECK(count == 0);
    put_all(db, 'a');
    CHECK_OK(kv_count(db, &count));
    CHECK_OK(kv_approximate_bytes(db, &bytes));
    CHECK(count == KEYS && bytes > KEYS * 300u && bytes < KEYS * 400u);

    kv_snapshot *snapshot = new_snapshot(db);
    kv_iter *begun = new_iter(db, NULL, "");
    CHECK_OK(kv_iter_next(begun, NULL, NULL));
    put_all(db, 'b');
    CHECK_OK(kv_delete(db, "key 7", 5));
    CHECK_OK(kv_put(db, "key new", 7, "x", 1));
    CHECK_OK(kv_compact(db));

    CHECK(walk(begun, 'a') == KEYS - 1);
    kv_iter_free(begun);
    kv_iter *then = new_iter(db, snapshot, "");
    kv_iter *some = new_iter(db, snapshot, "key 49");
    char buffer[300];
    void *value = NULL;
    size_t len = 0;
    CHECK_OK(kv_snapshot_get_into(snapshot, "key 7", 5, buffer, sizeof buffer, &len));
    CHECK(len == 300 && buffer[0] == 'a');
    CHECK_STATUS(KV_BUFFER_TOO_SMALL,
                 kv_snapshot_get_into(snapshot, "key 7", 5, buffer, 10, &len));
    CHECK_OK(kv_snapshot_get(snapshot, "key 8", 5, &value, &len));
    CHECK(len == 300 && ((char *)value)[0] == 'a');
    kv_free(value);
    CHECK_OK(kv_snapshot_exists(snapshot, "key 9", 5, &len));
    CHECK_STATUS(KV_NOT_FOUND, kv_snapshot_exists(snapshot, "key new", 7, NULL));
    kv_view *view = NULL;
    const void *shown = NULL;
    CHECK_OK(kv_snapshot_view_get(snapshot, "key 10", 6, &view, &shown, &len));
    kv_snapshot_free(snapshot);
    CHECK(walk(then, 'a') == KEYS);
    CHECK(walk(some, 'a') == 1 + 10 + 100);
    kv_iter_free(then);
    kv_iter_free(some);
    CHECK_OK(kv_delete(db, "key new", 7));
    kv_iter *now = new_iter(db, NULL, "key ");
    CHECK(walk(now, 'b') == KEYS - 1);
    kv_iter_free(now);
    CHECK_OK(kv_close(db));
    CHECK(len == 300 && ((const char *)shown)[299] == 'a');
    kv_view_release(view);
}

static void test_after_closing(void)
{
    kv_db *db = test_open("closing", NULL);
    CHECK_OK(kv_put(db, "key", 3, "value", 5));
    kv_snapshot *snapshot = new_snapshot(db);
    kv_iter *iter = new_iter(db, NULL, ""), *fresh = new_iter(db, snapshot, "");
    kv_slice_t key, value;
    CHECK_OK(kv_iter_next(iter, &key, &value));
    CHECK_OK(kv_close(db));
    CHECK(value.len == 5 && memcmp(value.data, "value", 5) == 0);

    kv_db *other = test_open("closing", NULL);
    size_t len = 0;
    const void *bytes = NULL;
    kv_iter *none = NULL;
    CHECK_FAILS(KV_CLOSED, "closed", kv_iter_next(iter, &key, &value));
    CHECK_FAILS(KV_CLOSED, "closed", kv_iter_next(fresh, NULL, NULL));
    CHECK_FAILS(KV_CLOSED, "closed", kv_iter_key(iter, &bytes, &len));
    CHECK_FAILS(KV_CLOSED, "closed", kv_iter_value(iter, &bytes, &len));
    CHECK_FAILS(KV_CLOSED, "closed", kv_snapshot_exists(snapshot, "key", 3, NULL));
    CHECK_FAILS(KV_CLOSED, "closed", kv_iter_new(db, snapshot, NULL, 0, &none));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "another database",
                kv_iter_new(other, snapshot, NULL, 0, &none));
    CHECK(none == NULL);
    kv_iter_free(iter);
    kv_iter_free(fresh);
    kv_snapshot_free(snapshot);
    CHECK_OK(kv_close(other));
}

static void test_misuse(void)
{
    kv_db *db = test_open("misuse", NULL);
    CHECK_OK(kv_put(db, "key", 3, "value", 5));
    kv_snapshot *snapshot = new_snapshot(db), *unset = NULL;
    kv_iter *iter = new_iter(db, snapshot, ""), *none = NULL;
    size_t len = 0;
    const void *bytes = NULL;
    CHECK_STATUS(KV_NOT_FOUND, kv_iter_key(iter, &bytes, &len));
    CHECK_STATUS(KV_NOT_FOUND, kv_iter_value(iter, &bytes, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "snapshot", kv_snapshot_new(db, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "db", kv_snapshot_new(NULL, &unset));
    CHECK_FAILS(KV_NULL_ARGUMENT, "iter", kv_iter_new(db, NULL, NULL, 0, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_iter_new(db, NULL, NULL, 3, &none));
    CHECK_FAILS(KV_KEY_TOO_LONG, "key", kv_iter_new(db, NULL, "x", SIZE_MAX, &none));
    CHECK_FAILS(KV_NULL_ARGUMENT, "iter", kv_iter_next(NULL, NULL, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_iter_key(iter, NULL, &len));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value_len", kv_iter_value(iter, &bytes, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "count", kv_count(db, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "live", kv_approximate_bytes(db, NULL));
    CHECK_FAILS(KV_EMPTY_KEY, "empty", kv_snapshot_exists(snapshot, NULL, 0, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value_len",
                kv_snapshot_get_into(snapshot, "k", 1, NULL, 0, NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "snapshot",
                kv_snapshot_exists((kv_snapshot *)(void *)iter, "key", 3, NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "iter", kv_iter_next((kv_iter *)(void *)db, NULL, NULL));
    CHECK_OK(kv_iter_next(iter, NULL, NULL));
    kv_iter_free(iter);
    kv_iter_free(iter);
    CHECK(strstr(kv_error_message(), "freed") != NULL);
    CHECK_FAILS(KV_CLOSED, "freed", kv_iter_next(iter, NULL, NULL));
    kv_snapshot_free(snapshot);
    kv_snapshot_free(snapshot);
    CHECK(strstr(kv_error_message(), "freed") != NULL);
    CHECK_FAILS(KV_CLOSED, "freed", kv_snapshot_exists(snapshot, "key", 3, NULL));
    CHECK_FAILS(KV_CLOSED, "freed", kv_iter_new(db, snapshot, NULL, 0, &none));
    kv_snapshot_free(NULL);
    kv_iter_free(NULL);
    CHECK(unset == NULL && none == NULL);
    CHECK_OK(kv_close(db));
}

static void test_many_keys(void)
{
    kv_db *db = test_open("many", NULL);
    put_all(db, 'm');
    static char names[KEYS][16];
    static kv_slice_t keys[KEYS];
    static kv_result_t results[KEYS];
    for (unsigned number = 0; number < KEYS; number++) {
        unsigned wanted = number * 7 % (KEYS + 100);
        int len = snprintf(names[number], sizeof names[0], "key %u", wanted);
        keys[number] = (kv_slice_t){names[number], (size_t)len};
    }
    keys[3].len = 0;
    for (int copied = 0; copied < 2; copied++) {
        void *arena = NULL;
        kv_view *view = NULL;
        CHECK_OK(copied ? kv_get_many(db, KEYS, keys, results, &arena)
                        : kv_view_get_many(db, KEYS, keys, results, &view));
        for (unsigned number = 0; number < KEYS; number++) {
            int is_there = number * 7 % (KEYS + 100) < KEYS;
            const kv_result_t *result = &results[number];
            if (number == 3) {
                CHECK(result->status == KV_EMPTY_KEY && result->value == NULL);
            } else if (is_there) {
                CHECK(result->status == KV_OK && result->value_len == 300);
                CHECK(result->value != NULL && ((const char *)result->value)[299] == 'm');
            } else {
                CHECK(result->status == KV_NOT_FOUND && result->value == NULL);
            }
        }
        kv_free(arena);
        kv_view_release(view);
    }
    void *arena = NULL;
    CHECK_FAILS(KV_INVALID_ARGUMENT, "n is", kv_get_many(db, SIZE_MAX, keys, results, &arena));
    CHECK_OK(kv_get_many(db, 0, NULL, NULL, &arena));
    CHECK(arena == NULL);
    CHECK_OK(kv_close(db));
}

int main(void)
{
    test_what_they_show("mmap");
    test_what_they_show("pread");
    test_after_closing();
    test_misuse();
    test_many_keys();
    return test_end("scan_test");
}
