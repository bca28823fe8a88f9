/* Databases, used as they should be: what every function does, at its edges too. */
#include "test.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

/* Bytes that differ from place to place and from seed to seed. */
static unsigned char *pattern(size_t len, unsigned seed)
{
    unsigned char *bytes = malloc(len > 0 ? len : 1);
    unsigned state = seed * 2654435761u + 1;
    if (bytes == NULL) {
        perror("malloc");
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < len; i++) {
        state = state * 1103515245u + 12345u;
        bytes[i] = (unsigned char)(state >> 16);
    }
    return bytes;
}

static void test_put_get_overwrite_delete(void)
{
    kv_db *db = test_open("basics", NULL);
    void *value = NULL;
    size_t len = 99;

    CHECK_STATUS(KV_NOT_FOUND, kv_get(db, "a", 1, &value, &len));
    CHECK(value == NULL && len == 99);
    CHECK_OK(kv_put(db, "a", 1, "one", 3));
    CHECK_OK(kv_put(db, "b", 1, "two", 3));
    CHECK(test_has(db, "a", "one", 3) && test_has(db, "b", "two", 3));
    CHECK_OK(kv_put(db, "a", 1, "another one", 11));
    CHECK(test_has(db, "a", "another one", 11) && test_has(db, "b", "two", 3));

    CHECK_OK(kv_get(db, "a", 1, &value, &len));
    CHECK(len == 11 && (uintptr_t)value % 16 == 0);
    CHECK_OK(kv_delete(db, "a", 1));
    CHECK(memcmp(value, "another one", 11) == 0); /* the copy is the caller's */
    kv_free(value);
    CHECK_STATUS(KV_NOT_FOUND, kv_delete(db, "a", 1));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "a", 1, NULL));
    CHECK_OK(kv_put(db, "a", 1, "back", 4));
    CHECK(test_has(db, "a", "back", 4) && test_has(db, "b", "two", 3));
    CHECK_OK(kv_close(db));
}

static void test_empty_values(void)
{
    kv_db *db = test_open("empty", NULL);
    const void *seen = NULL;
    kv_view *view = NULL;
    void *value = NULL;
    size_t len = 99;

    CHECK_OK(kv_put(db, "null", 4, NULL, 0));
    CHECK_OK(kv_put(db, "none", 4, "ignored", 0));
    CHECK_OK(kv_get(db, "null", 4, &value, &len));
    CHECK(value != NULL && len == 0);
    kv_free(value);
    len = 99;
    CHECK_OK(kv_get_into(db, "none", 4, NULL, 0, &len));
    CHECK(len == 0);
    len = 99;
    CHECK_OK(kv_view_get(db, "none", 4, &view, &seen, &len));
    CHECK(view != NULL && seen != NULL && len == 0);
    kv_view_release(view);
    len = 99;
    CHECK_OK(kv_exists(db, "none", 4, &len));
    CHECK(len == 0);
    CHECK_OK(kv_close(db));
    db = test_open("empty", NULL);
    CHECK(test_has(db, "null", "", 0) && test_has(db, "none", "", 0));
    CHECK_OK(kv_close(db));
}

static void test_keys(void)
{
    kv_db *db = test_open("keys", NULL);
    unsigned char *key = pattern(KV_MAX_KEY_LEN + 1, 1);
    static const char binary[4][3] = {{0, 0, 0}, {0, 0, 1}, {1, 0, 0}, {'\xff', '\xfe', 0}};
    char value[8];
    size_t len;

    CHECK_OK(kv_put(db, key, KV_MAX_KEY_LEN, "long", 4));
    CHECK_OK(kv_get_into(db, key, KV_MAX_KEY_LEN, value, sizeof value, &len));
    CHECK(len == 4 && memcmp(value, "long", 4) == 0);
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, key, KV_MAX_KEY_LEN - 1, NULL));
    CHECK_FAILS(KV_KEY_TOO_LONG, "65536", kv_put(db, key, KV_MAX_KEY_LEN + 1, "x", 1));
    CHECK_FAILS(KV_KEY_TOO_LONG, "65536", kv_delete(db, key, KV_MAX_KEY_LEN + 1));
    free(key);

    for (unsigned i = 0; i < 4; i++) {
        CHECK_OK(kv_put(db, binary[i], 3, &i, sizeof i));
    }
    CHECK_OK(kv_put(db, binary[0], 1, "one NUL", 7));
    CHECK_OK(kv_put(db, binary[0], 2, "two NULs", 8));
    for (unsigned i = 0; i < 4; i++) {
        unsigned back = 99;
        CHECK_OK(kv_get_into(db, binary[i], 3, &back, sizeof back, &len));
        CHECK(len == sizeof back && back == i);
    }
    CHECK_OK(kv_get_into(db, "\0", 1, value, sizeof value, &len));
    CHECK(len == 7 && memcmp(value, "one NUL", 7) == 0);
    CHECK_OK(kv_close(db));
}

static void test_value_sizes(void)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 4095, 4096, 64 * KIB, MIB - 1, MIB, 3 * MIB};
    const size_t count = sizeof sizes / sizeof sizes[0];
    kv_options *options = test_small_segments();
    kv_db *db = test_open("sizes", options);
    char key[32];

    for (int reopened = 0; reopened < 2; reopened++) {
        for (size_t i = 0; i < count; i++) {
            unsigned char *value = pattern(sizes[i], (unsigned)i);
            size_t len = 99;
            snprintf(key, sizeof key, "%zu bytes", sizes[i]);
            if (!reopened) {
                CHECK_OK(kv_put(db, key, strlen(key), value, sizes[i]));
            }
            CHECK(test_has(db, key, value, sizes[i]));
            CHECK_OK(kv_exists(db, key, strlen(key), &len));
            CHECK(len == sizes[i]);
            free(value);
        }
        CHECK_OK(kv_close(db));
        db = test_open("sizes", options);
    }
    CHECK_OK(kv_close(db));
    kv_options_free(options);
}

static void test_get_into(void)
{
    kv_db *db = test_open("get_into", NULL);
    char buffer[8];
    size_t len;

    CHECK_OK(kv_put(db, "k", 1, "value", 5));
    for (size_t cap = 0; cap <= sizeof buffer; cap++) {
        memset(buffer, '.', sizeof buffer);
        len = 99;
        kv_status status = kv_get_into(db, "k", 1, cap > 0 ? buffer : NULL, cap, &len);
        CHECK_STATUS(cap < 5 ? KV_BUFFER_TOO_SMALL : KV_OK, status);
        CHECK(len == 5);
        CHECK(memcmp(buffer, cap < 5 ? "........" : "value...", sizeof buffer) == 0);
    }
    len = 99;
    CHECK_STATUS(KV_NOT_FOUND, kv_get_into(db, "no", 2, buffer, sizeof buffer, &len));
    CHECK(len == 99);
    CHECK_OK(kv_exists(db, "k", 1, NULL));
    CHECK_OK(kv_exists(db, "k", 1, &len));
    CHECK(len == 5);
    len = 99;
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "no", 2, &len));
    CHECK(len == 99);
    CHECK_OK(kv_close(db));
}

static void test_outputs_untouched_on_failure(void)
{
    kv_db *db = test_open("untouched", NULL);
    kv_view *const no_view = NULL;
    kv_view *view = no_view;
    int mark;
    void *value = &mark;
    const void *seen = &mark;
    size_t len = 99;
    kv_db *other = (kv_db *)&mark;
    kv_options *options = NULL;

    CHECK_STATUS(KV_NOT_FOUND, kv_view_get(db, "no", 2, &view, &seen, &len));
    CHECK_STATUS(KV_EMPTY_KEY, kv_view_get(db, "", 0, &view, &seen, &len));
    CHECK(view == no_view && seen == &mark && len == 99);
    CHECK_STATUS(KV_NOT_FOUND, kv_get(db, "no", 2, &value, &len));
    CHECK_STATUS(KV_EMPTY_KEY, kv_get(db, NULL, 0, &value, &len));
    CHECK_STATUS(KV_NULL_ARGUMENT, kv_get(db, NULL, 3, &value, &len));
    CHECK_STATUS(KV_EMPTY_KEY, kv_exists(db, "", 0, &len));
    CHECK(value == &mark && len == 99);
    CHECK_STATUS(KV_ALREADY_OPEN, kv_open(test_path("untouched"), NULL, &other));
    CHECK(other == (kv_db *)&mark);

    /* A failed setter leaves the option as it was. */
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set(options, "error_if_exists", "true"));
    CHECK_STATUS(KV_INVALID_OPTION, kv_options_set(options, "error_if_exists", "perhaps"));
    CHECK_STATUS(KV_ALREADY_EXISTS, kv_open(test_path("empty"), options, &other));
    kv_options_free(options);
    CHECK_OK(kv_close(db));
}

static void test_views(void)
{
    kv_options *options = test_small_segments();
    kv_db *db = test_open("views", options);
    unsigned char *old = pattern(600 * KIB, 1), *new = pattern(600 * KIB, 2);
    const void *seen[2] = {NULL, NULL};
    kv_view *views[2] = {NULL, NULL};
    size_t lens[2] = {0, 0};

    CHECK_OK(kv_put(db, "v", 1, old, 600 * KIB));
    CHECK_OK(kv_view_get(db, "v", 1, &views[0], &seen[0], &lens[0]));
    CHECK_OK(kv_put(db, "v", 1, new, 600 * KIB));
    CHECK_OK(kv_view_get(db, "v", 1, &views[1], &seen[1], &lens[1]));
    CHECK_OK(kv_delete(db, "v", 1));
    CHECK_OK(kv_compact(db));
    CHECK(lens[0] == 600 * KIB && memcmp(seen[0], old, lens[0]) == 0);
    CHECK(lens[1] == 600 * KIB && memcmp(seen[1], new, lens[1]) == 0);
    CHECK_OK(kv_close(db));
    CHECK_OK(kv_destroy(test_path("views")));
    CHECK(memcmp(seen[0], old, lens[0]) == 0);
    CHECK(memcmp(seen[1], new, lens[1]) == 0);
    kv_view_release(views[0]);
    CHECK(memcmp(seen[1], new, lens[1]) == 0);
    kv_view_release(views[1]);
    kv_options_free(options);
    free(old);
    free(new);
}

static void test_compact_and_reopen(void)
{
    enum { COUNT = 3000, ROUNDS = 4 };
    kv_options *options = test_small_segments();
    kv_db *db = test_open("compact", options);
    char key[16], value[1024];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            snprintf(key, sizeof key, "%d", i);
            memset(value, 'a' + (i + round) % 26, sizeof value);
            CHECK_OK(kv_put(db, key, strlen(key), value, sizeof value));
        }
    }
    for (int i = 0; i < COUNT; i += 2) {
        snprintf(key, sizeof key, "%d", i);
        CHECK_OK(kv_delete(db, key, strlen(key)));
    }
    CHECK_OK(kv_compact(db));
    CHECK_OK(kv_sync(db));
    for (int reopened = 0; reopened < 2; reopened++) {
        for (int i = 0; i < COUNT; i++) {
            snprintf(key, sizeof key, "%d", i);
            memset(value, 'a' + (i + ROUNDS - 1) % 26, sizeof value);
            if (i % 2 == 0) {
                CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, key, strlen(key), NULL));
            } else {
                CHECK(test_has(db, key, value, sizeof value));
            }
        }
        CHECK_OK(kv_close(db));
        db = test_open("compact", options);
    }
    CHECK_OK(kv_close(db));
    kv_options_free(options);
}

static void test_sync_levels_and_read_modes(void)
{
    static const int32_t levels[] = {KV_SYNC_NONE, KV_SYNC_INTERVAL, KV_SYNC_ALWAYS};
    static const int32_t modes[] = {KV_READ_MMAP, KV_READ_PREAD};
    char key[16];
    for (int i = 0; i < 6; i++) {
        kv_options *options = test_small_segments();
        CHECK_OK(kv_options_set_sync(options, levels[i % 3]));
        CHECK_OK(kv_options_set_sync_interval_ms(options, 10));
        CHECK_OK(kv_options_set_read_mode(options, modes[i / 3]));
        CHECK_OK(kv_options_set_verify_checksums(options, i % 2));
        CHECK_OK(kv_options_set_on_damage(options, KV_ON_DAMAGE_FAIL));
        CHECK_OK(kv_options_set_create_if_missing(options, i == 0));
        kv_db *db = test_open("levels", options);
        snprintf(key, sizeof key, "%d", i);
        CHECK_OK(kv_put(db, key, strlen(key), key, strlen(key)));
        CHECK_OK(kv_sync(db));
        for (int earlier = 0; earlier <= i; earlier++) {
            snprintf(key, sizeof key, "%d", earlier);
            CHECK(test_has(db, key, key, strlen(key)));
        }
        CHECK_OK(kv_close(db));
        kv_options_free(options);
    }
}

static void test_destroy(void)
{
    kv_db *db = test_open("destroy", NULL);
    CHECK_OK(kv_put(db, "k", 1, "v", 1));
    CHECK_FAILS(KV_ALREADY_OPEN, "destroy", kv_destroy(test_path("destroy")));
    CHECK(test_has(db, "k", "v", 1));
    CHECK_OK(kv_close(db));
    CHECK_OK(kv_destroy(test_path("destroy")));
    CHECK(access(test_path("destroy"), F_OK) != 0);
    CHECK_STATUS(KV_DOES_NOT_EXIST, kv_destroy(test_path("destroy")));
    db = test_open("destroy", NULL);
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "k", 1, NULL));
    CHECK_OK(kv_close(db));
}

static void test_many_databases(void)
{
    enum { COUNT = 20 };
    kv_db *dbs[COUNT];
    char name[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "many%d", i);
        dbs[i] = test_open(name, NULL);
        CHECK_OK(kv_put(dbs[i], "name", 4, name, strlen(name)));
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "many%d", i);
        CHECK(test_has(dbs[i], "name", name, strlen(name)));
        CHECK_OK(kv_close(dbs[i]));
    }
}

int main(void)
{
    test_put_get_overwrite_delete();
    test_empty_values();
    test_keys();
    test_value_sizes();
    test_get_into();
    test_outputs_untouched_on_failure();
    test_views();
    test_compact_and_reopen();
    test_sync_levels_and_read_modes();
    test_destroy();
    test_many_databases();
    return test_end("api_test");
}
