/* Handles of every type: freed, freed twice, of another type, made up, used from inside a call. */
#include "test.h"

enum { MANY = 1000 };

/* Variables, since compilers warn of plain NULL where they know better. */
static kv_batch *no_batch;
static kv_options *no_options;
static void *no_bytes;
static size_t *no_count;

/* Something that is no handle, and must not be looked at. */
static void *const made_up[] = {(void *)1, (void *)0x1003, (void *)-1, (void *)-2};

static void every_call_with_a_batch(kv_db *db, kv_batch *batch, kv_status wanted, const char *part)
{
    size_t number = 7;
    CHECK_FAILS(wanted, part, kv_batch_clear(batch));
    CHECK_FAILS(wanted, part, kv_batch_put(batch, "k", 1, "v", 1));
    CHECK_FAILS(wanted, part, kv_batch_put_ttl(batch, "k", 1, "v", 1, 1000));
    CHECK_FAILS(wanted, part, kv_batch_delete(batch, "k", 1));
    CHECK_FAILS(wanted, part, kv_batch_count(batch, &number));
    CHECK_FAILS(wanted, part, kv_write(db, batch, NULL));
    CHECK(number == 7);
}

static void every_call_with_options(kv_options *options, kv_status wanted, const char *part)
{
    kv_db *db = NULL;
    CHECK_FAILS(wanted, part, kv_options_set(options, "sync", "none"));
    CHECK_FAILS(wanted, part, kv_options_set_segment_size(options, 1 << 20));
    CHECK_FAILS(wanted, part, kv_options_set_sync(options, KV_SYNC_NONE));
    CHECK_FAILS(wanted, part, kv_options_set_sync_interval_ms(options, 1));
    CHECK_FAILS(wanted, part, kv_options_set_create_if_missing(options, 1));
    CHECK_FAILS(wanted, part, kv_options_set_error_if_exists(options, 1));
    CHECK_FAILS(wanted, part, kv_options_set_verify_checksums(options, 1));
    CHECK_FAILS(wanted, part, kv_options_set_read_mode(options, KV_READ_MMAP));
    CHECK_FAILS(wanted, part, kv_options_set_on_damage(options, KV_ON_DAMAGE_FAIL));
    CHECK_FAILS(wanted, part, kv_options_set_compaction(options, KV_COMPACTION_AUTO));
    CHECK_FAILS(wanted, part, kv_options_set_compaction_garbage_percent(options, 50));
    CHECK_FAILS(wanted, part, kv_options_set_compaction_bytes_per_second(options, 0));
    CHECK_FAILS(wanted, part, kv_options_set_max_disk_bytes(options, 0));
    CHECK_FAILS(wanted, part, kv_options_set_max_index_bytes(options, 0));
    if (options != NULL) {
        CHECK_FAILS(wanted, part, kv_open(test_path("never"), options, &db));
        CHECK(db == NULL && access(test_path("never"), F_OK) != 0);
    }
}

static void every_call_with_a_database(kv_db *db, kv_status wanted)
{
    size_t len = 7;
    CHECK_FAILS(wanted, "db", kv_put(db, "k", 1, "v", 1));
    CHECK_FAILS(wanted, "db", kv_exists(db, "k", 1, &len));
    CHECK_FAILS(wanted, "db", kv_sync(db));
    CHECK_FAILS(wanted, "db", kv_close(db));
    CHECK(len == 7);
}

/* What was freed is told, how often it is freed, and however many are made after it. */
static void test_freed(kv_db *db)
{
    kv_batch *batch = NULL, *next = NULL;
    kv_options *options = NULL, *others = NULL;
    CHECK_OK(kv_batch_new(&batch));
    CHECK_OK(kv_options_new(&options));
    kv_batch_free(batch);
    kv_options_free(options);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(kv_batch_new(&next));
        CHECK_OK(kv_options_new(&others));
        CHECK(next != batch && others != options);
        kv_batch_free(batch);
        CHECK(strstr(kv_error_message(), "freed") != NULL);
        kv_options_free(options);
        CHECK(strstr(kv_error_message(), "freed") != NULL);
        if (i % 100 == 0) {
            every_call_with_a_batch(db, batch, KV_CLOSED, "freed");
            every_call_with_options(options, KV_CLOSED, "freed");
        }
        CHECK_OK(kv_batch_put(next, "k", 1, "v", 1));
        CHECK_OK(kv_options_set(others, "sync", "none"));
        kv_batch_free(next);
        kv_options_free(others);
    }
}

static void test_released_views(kv_db *db)
{
    kv_view *view = NULL, *next = NULL;
    const void *value = NULL, *other = NULL;
    size_t len = 0;
    CHECK_OK(kv_put(db, "seen", 4, "value", 5));
    CHECK_OK(kv_view_get(db, "seen", 4, &view, &value, &len));
    CHECK(len == 5 && memcmp(value, "value", 5) == 0);
    kv_view_release(view);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(kv_view_get(db, "seen", 4, &next, &other, &len));
        CHECK(next != view);
        kv_view_release(view);
        CHECK(strstr(kv_error_message(), "freed") != NULL);
        CHECK(len == 5 && memcmp(other, "value", 5) == 0);
        kv_view_release(next);
    }
}

/* Views that are held all at once are all different, and all good. */
static void test_many_views(kv_db *db)
{
    static kv_view *views[MANY];
    static const void *values[MANY];
    size_t len = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            CHECK_OK(kv_put(db, "many", 4, &i, sizeof i));
            CHECK_OK(kv_view_get(db, "many", 4, &views[i], &values[i], &len));
        }
        for (int i = 0; i < MANY; i++) {
            CHECK(memcmp(values[i], &i, sizeof i) == 0);
            kv_view_release(views[i]);
        }
    }
}

enum { RELEASERS = 3, RELEASED = 9000 };

/* Views on their way from the thread that got them to those that release them. All release each. */
static kv_view *passed[RELEASED];
static unsigned passed_count;
static pthread_mutex_t passing = PTHREAD_MUTEX_INITIALIZER;

static void *release_what_is_passed(void *unused)
{
    (void)unused;
    for (unsigned next = 0; next < RELEASED;) {
        pthread_mutex_lock(&passing);
        kv_view *view = next < passed_count ? passed[next] : NULL;
        pthread_mutex_unlock(&passing);
        kv_view_release(view);
        next += view != NULL;
    }
    return NULL;
}

/* Each view is released by several threads at once: by one of them, and the others are told. */
static void test_views_between_threads(kv_db *db)
{
    pthread_t threads[RELEASERS];
    const void *value = NULL;
    size_t len = 0;
    for (int i = 0; i < RELEASERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, release_what_is_passed, NULL) == 0);
    }
    for (unsigned i = 0; i < RELEASED; i++) {
        kv_view *view = NULL;
        CHECK_OK(kv_view_get(db, "seen", 4, &view, &value, &len));
        pthread_mutex_lock(&passing);
        passed[passed_count++] = view;
        pthread_mutex_unlock(&passing);
    }
    for (int i = 0; i < RELEASERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void test_other_types(kv_db *db)
{
    kv_batch *batch = NULL;
    kv_options *options = NULL;
    kv_view *view = NULL;
    const void *value = NULL;
    size_t len = 0;
    CHECK_OK(kv_batch_new(&batch));
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_view_get(db, "seen", 4, &view, &value, &len));
    void *const handles[] = {db, batch, options, view};
    enum { DATABASE, BATCH, OPTIONS, VIEW, TYPES };
    for (int type = 0; type < TYPES; type++) {
        if (type != DATABASE) {
            every_call_with_a_database((kv_db *)handles[type], KV_INVALID_ARGUMENT);
        }
        if (type != BATCH) {
            every_call_with_a_batch(db, (kv_batch *)handles[type], KV_INVALID_ARGUMENT, "batch");
            kv_batch_free((kv_batch *)handles[type]);
            CHECK(strstr(kv_error_message(), "batch") != NULL);
        }
        if (type != OPTIONS) {
            every_call_with_options((kv_options *)handles[type], KV_INVALID_ARGUMENT, "options");
            kv_options_free((kv_options *)handles[type]);
            CHECK(strstr(kv_error_message(), "options") != NULL);
        }
        if (type != VIEW) {
            kv_view_release((kv_view *)handles[type]);
            CHECK(strstr(kv_error_message(), "view") != NULL);
        }
        kv_free(handles[type]);
        CHECK(strstr(kv_error_message(), "kv_free") != NULL);
    }
    /* They are as good as before. */
    CHECK_OK(kv_batch_put(batch, "k", 1, "v", 1));
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK_OK(kv_options_set(options, "sync", "none"));
    CHECK(len == 5 && memcmp(value, "value", 5) == 0);
    kv_batch_free(batch);
    kv_options_free(options);
    kv_view_release(view);
}

static void test_made_up(kv_db *db)
{
    int something[16] = {0};
    every_call_with_a_batch(db, no_batch, KV_NULL_ARGUMENT, "batch");
    every_call_with_options(no_options, KV_NULL_ARGUMENT, "options");
    every_call_with_a_batch(db, (kv_batch *)something, KV_INVALID_ARGUMENT, "batch");
    every_call_with_options((kv_options *)something, KV_INVALID_ARGUMENT, "options");
    kv_view_release((kv_view *)something);
    kv_batch_free((kv_batch *)something);
    kv_options_free((kv_options *)something);
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++) {
        every_call_with_a_batch(db, (kv_batch *)made_up[i], KV_INVALID_ARGUMENT, "batch");
        every_call_with_options((kv_options *)made_up[i], KV_INVALID_ARGUMENT, "options");
        kv_view_release((kv_view *)made_up[i]);
        kv_batch_free((kv_batch *)made_up[i]);
        kv_options_free((kv_options *)made_up[i]);
    }
}

/* Arguments that no call can use, one at a time. */
static void test_arguments(kv_db *db)
{
    kv_batch *batch = NULL;
    uint64_t *no_number = NULL;
    char byte = 'k';
    CHECK_FAILS(KV_NULL_ARGUMENT, "batch", kv_batch_new(NULL));
    CHECK_OK(kv_batch_new(&batch));
    CHECK_FAILS(KV_NULL_ARGUMENT, "count", kv_batch_count(batch, no_count));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_batch_put(batch, no_bytes, 1, "v", 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value", kv_batch_put(batch, "k", 1, no_bytes, 1));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_batch_put(batch, no_bytes, 0, "v", 1));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_batch_delete(batch, "", 0));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_batch_delete(batch, no_bytes, 1));
    CHECK_FAILS(KV_KEY_TOO_LONG, "key", kv_batch_put(batch, &byte, SIZE_MAX, "v", 1));
    CHECK_FAILS(KV_KEY_TOO_LONG, "key", kv_batch_delete(batch, &byte, KV_MAX_KEY_LEN + 1));
    CHECK_FAILS(KV_VALUE_TOO_LONG, "value", kv_batch_put(batch, "k", 1, &byte, SIZE_MAX));
    CHECK_FAILS(KV_VALUE_TOO_LONG, "value",
                kv_batch_put_ttl(batch, "k", 1, &byte, (size_t)KV_MAX_VALUE_LEN + 1, 1));
    size_t writes = 7;
    CHECK_OK(kv_batch_count(batch, &writes));
    CHECK(writes == 0);
    kv_batch_free(batch);

    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_put_with(db, no_bytes, 1, "v", 1, NULL, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "value", kv_put_with(db, "k", 1, no_bytes, 1, NULL, NULL));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_put_with(db, no_bytes, 0, "v", 1, NULL, NULL));
    CHECK_FAILS(KV_KEY_TOO_LONG, "key", kv_put_with(db, &byte, SIZE_MAX, "v", 1, NULL, NULL));
    CHECK_FAILS(KV_VALUE_TOO_LONG, "value", kv_put_with(db, "k", 1, &byte, SIZE_MAX, NULL, NULL));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_delete_with(db, no_bytes, 0, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_delete_with(db, no_bytes, 1, NULL));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_add(db, "", 0, 1, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "key", kv_add(db, no_bytes, 1, 1, NULL));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_touch(db, "", 0, 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "version", kv_get_version(db, "k", 1, no_number));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_get_version(db, "", 0, &(uint64_t){0}));
    CHECK_FAILS(KV_NULL_ARGUMENT, "remaining_ms", kv_ttl(db, "k", 1, no_number));
    CHECK_FAILS(KV_EMPTY_KEY, "key", kv_ttl(db, "", 0, &(uint64_t){0}));
}

struct inside {
    kv_db *db;
    kv_batch *batch;
    int calls;
};

/* A callback may use the database and other handles, and may not close what its call is in. */
static int32_t call_back(const kv_progress_t *progress, void *context)
{
    struct inside *inside = (struct inside *)context;
    (void)progress;
    inside->calls++;
    CHECK_FAILS(KV_BUSY, "progress", kv_close(inside->db));
    CHECK_OK(kv_batch_clear(inside->batch));
    CHECK_OK(kv_batch_put(inside->batch, "inside", 6, "v", 1));
    CHECK_OK(kv_write(inside->db, inside->batch, NULL));
    CHECK_OK(kv_add(inside->db, "calls", 5, 1, NULL));
    return 0;
}

static void test_callbacks(kv_db *db)
{
    static char bytes[200 * 1000];
    struct inside inside = {.db = db};
    int64_t calls = 0;
    CHECK_OK(kv_batch_new(&inside.batch));
    for (int i = 0; i < 10; i++) {
        CHECK_OK(kv_put(db, "garbage", 7, bytes, sizeof bytes));
    }
    CHECK_OK(kv_compact_with(db, call_back, &inside));
    CHECK_OK(kv_add(db, "calls", 5, 0, &calls));
    CHECK(inside.calls > 0 && calls == inside.calls);
    kv_batch_free(inside.batch);
}

int main(void)
{
    kv_db *db = test_open("handles", NULL);
    test_freed(db);
    test_released_views(db);
    test_many_views(db);
    test_views_between_threads(db);
    test_other_types(db);
    test_made_up(db);
    test_arguments(db);
    test_callbacks(db);
    CHECK_OK(kv_close(db));
    return test_end("handles_test");
}
