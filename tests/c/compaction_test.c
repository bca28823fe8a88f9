/* Compaction and statistics: progress, cancelling, pausing, kv_stats(), and limits on space. */
#include "test.h"
#include "watcher.h"

#include <stddef.h>
#include <time.h>

enum { KEYS = 8000, TURNS = 3 };

static char value[200];

static void put_key(kv_db *db, unsigned number)
{
    char key[16];
    int len = snprintf(key, sizeof key, "key %u", number);
    CHECK_OK(kv_put(db, key, (size_t)len, value, sizeof value));
}

/* A database with garbage, which nobody compacts but this test. */
static kv_db *open_with_garbage(const char *name)
{
    kv_options *options = test_small_segments();
    CHECK_OK(kv_options_set_compaction(options, KV_COMPACTION_MANUAL));
    kv_db *db = test_open(name, options);
    kv_options_free(options);
    for (unsigned i = 0; i < KEYS * TURNS; i++) {
        put_key(db, i % KEYS);
    }
    return db;
}

static kv_stats_t stats_of(kv_db *db)
{
    kv_stats_t stats;
    memset(&stats, 0xee, sizeof stats);
    stats.size = sizeof stats;
    CHECK_OK(kv_stats(db, &stats));
    CHECK(stats.size == sizeof stats);
    return stats;
}

static void test_stats(void)
{
    kv_db *db = open_with_garbage("stats");
    kv_stats_t stats = stats_of(db);
    CHECK(stats.keys == KEYS && stats.segments >= 4);
    CHECK(stats.live_bytes >= KEYS * sizeof value && stats.live_bytes <= KEYS * 240);
    CHECK(stats.bytes_put == stats.live_bytes + stats.dead_bytes);
    CHECK(stats.disk_bytes > stats.bytes_put && stats.index_bytes >= 8 * KEYS);
    CHECK(stats.bytes_compacted == 0 && stats.compactions == 0 && stats.segments_removed == 0);
    CHECK(stats.compaction_running == 0 && stats.compaction_paused == 0);

    CHECK_OK(kv_compact(db));
    kv_stats_t after = stats_of(db);
    CHECK(after.keys == KEYS && after.live_bytes == stats.live_bytes && after.dead_bytes == 0);
    CHECK(after.disk_bytes < stats.disk_bytes && after.segments_removed >= 3);
    CHECK(after.compactions == 1 && after.bytes_compacted > 0);
    CHECK(after.bytes_compaction_read >= after.bytes_compacted);
    CHECK(after.compaction_running == 0 && after.compaction_total_bytes == 0);
    CHECK_OK(kv_close(db));
}

static void test_the_size_of_stats(void)
{
    kv_db *db = test_open("sizes", NULL);
    kv_stats_t stats;
    CHECK_OK(kv_put(db, "k", 1, "v", 1));
    /* An older program's struct ends after the keys. */
    memset(&stats, 0xee, sizeof stats);
    stats.size = offsetof(kv_stats_t, live_bytes);
    CHECK_OK(kv_stats(db, &stats));
    CHECK(stats.size == offsetof(kv_stats_t, live_bytes) && stats.keys == 1);
    CHECK(stats.live_bytes == 0xeeeeeeeeeeeeeeeeu);
    /* A newer program's struct goes on behind what this library knows. */
    struct {
        kv_stats_t stats;
        uint64_t more;
    } newer;
    memset(&newer, 0xee, sizeof newer);
    newer.stats.size = sizeof newer;
    CHECK_OK(kv_stats(db, &newer.stats));
    CHECK(newer.stats.size == sizeof(kv_stats_t) && newer.stats.keys == 1);
    CHECK(newer.more == 0xeeeeeeeeeeeeeeeeu);
    stats.size = 0;
    CHECK_FAILS(KV_INVALID_ARGUMENT, "size", kv_stats(db, &stats));
    CHECK_FAILS(KV_NULL_ARGUMENT, "stats", kv_stats(db, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "db", kv_stats(NULL, &stats));
    CHECK_OK(kv_close(db));
}

/* All that a progress function may do, and what it may not. */
static int32_t use(const kv_progress_t *progress, void *context)
{
    struct watcher *watcher = context;
    CHECK(progress->total_bytes > 0);
    CHECK_FAILS(KV_BUSY, "progress", kv_compact(watcher->db));
    CHECK_FAILS(KV_BUSY, "progress", kv_compact_with(watcher->db, watch, watcher));
    CHECK_FAILS(KV_BUSY, "progress", kv_close(watcher->db));
    CHECK(stats_of(watcher->db).compaction_running == 1);
    CHECK_OK(kv_put(watcher->db, "from inside", 11, "v", 1));
    CHECK(test_has(watcher->db, "from inside", "v", 1));
    CHECK_OK(kv_delete(watcher->db, "from inside", 11));
    CHECK_OK(kv_sync(watcher->db));
    CHECK_OK(kv_compaction_pause(watcher->db));
    CHECK_OK(kv_compaction_resume(watcher->db));
    watcher->calls++;
    return 0;
}

static int32_t cancel(const kv_progress_t *progress, void *context)
{
    struct watcher *watcher = context;
    (void)progress;
    watcher->calls++;
    CHECK_OK(kv_compact_cancel(watcher->db));
    return 0;
}

static void test_progress(void)
{
    kv_db *db = open_with_garbage("progress");
    struct watcher watcher = {.db = db, .last_call = 2};
    CHECK_FAILS(KV_CANCELLED, "cancel", kv_compact_with(db, watch, &watcher));
    CHECK(watcher.calls == 2 && watcher.last.total_bytes > 0);
    watcher = (struct watcher){.db = db};
    CHECK_FAILS(KV_CANCELLED, "cancel", kv_compact_with(db, cancel, &watcher));
    CHECK(watcher.calls == 1);
    CHECK(kv_status_class(KV_CANCELLED) == KV_CLASS_RETRY);
    CHECK_OK(kv_compact_cancel(db)); /* there is none: nothing happens, to later ones neither */
    watcher = (struct watcher){.db = db};
    CHECK_OK(kv_compact_with(db, use, &watcher));
    CHECK(watcher.calls > 2);
    CHECK(stats_of(db).keys == KEYS);
    CHECK_OK(kv_compact_with(db, NULL, NULL));
    CHECK(stats_of(db).dead_bytes == 0);
    CHECK_OK(kv_close(db));
}

static void *compact_until_closed(void *context)
{
    kv_db *db = context;
    kv_status status;
    do {
        status = KV_OK;
        for (unsigned i = 0; i < KEYS && status == KV_OK; i++) {
            status = kv_put(db, "again", 5, value, sizeof value);
        }
        status = status == KV_OK ? kv_compact(db) : status;
    } while (status == KV_OK);
    CHECK(status == KV_CANCELLED || status == KV_CLOSED);
    return NULL;
}

static void test_closing_ends_a_compaction(void)
{
    kv_db *db = open_with_garbage("closing");
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, compact_until_closed, db) == 0);
    while (stats_of(db).bytes_compaction_read == 0) {
    }
    CHECK_OK(kv_close(db));
    CHECK(pthread_join(thread, NULL) == 0);
    db = test_open("closing", NULL);
    CHECK(stats_of(db).keys == KEYS + 1);
    CHECK_OK(kv_close(db));
}

static void test_pausing(void)
{
    kv_options *options = test_small_segments();
    kv_db *db = test_open("pausing", options);
    kv_options_free(options);
    CHECK_OK(kv_compaction_pause(db));
    CHECK_OK(kv_compaction_pause(db));
    for (unsigned i = 0; i < KEYS * TURNS; i++) {
        put_key(db, i % KEYS);
    }
    CHECK_OK(kv_sync(db));
    CHECK(stats_of(db).compaction_paused == 1 && stats_of(db).segments_removed == 0);
    CHECK_OK(kv_compaction_resume(db));
    CHECK(stats_of(db).compaction_paused == 0);
    while (stats_of(db).segments_removed == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    CHECK(stats_of(db).keys == KEYS);
    CHECK_OK(kv_close(db));
    CHECK_FAILS(KV_CLOSED, "closed", kv_compaction_pause(db));
    CHECK_FAILS(KV_CLOSED, "closed", kv_compaction_resume(db));
    CHECK_FAILS(KV_CLOSED, "closed", kv_compact_cancel(db));
    CHECK_FAILS(KV_CLOSED, "closed", kv_compact_with(db, NULL, NULL));
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_FAILS(KV_CLOSED, "closed", kv_stats(db, &stats));
}

static void test_options(void)
{
    kv_options *options = NULL;
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set_compaction(options, KV_COMPACTION_AUTO));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "mode", kv_options_set_compaction(options, 2));
    CHECK_OK(kv_options_set_compaction_garbage_percent(options, 5));
    CHECK_FAILS(KV_INVALID_OPTION, "5 to 90",
                kv_options_set_compaction_garbage_percent(options, 4));
    CHECK_OK(kv_options_set_compaction_bytes_per_second(options, 1));
    CHECK_OK(kv_options_set_max_index_bytes(options, 0));
    CHECK_FAILS(KV_INVALID_OPTION, "1MiB", kv_options_set_max_index_bytes(options, 1));
    CHECK_FAILS(KV_INVALID_OPTION, "4MiB", kv_options_set_max_disk_bytes(options, 1));
    CHECK_OK(kv_options_set_max_disk_bytes(options, 8 * 1024 * 1024));
    kv_db *db = NULL;
    CHECK_FAILS(KV_INVALID_OPTION, "segments", kv_open(test_path("small"), options, &db));
    CHECK_OK(kv_options_set(options, "max_disk_bytes", "0"));
    CHECK_OK(kv_options_set(options, "compaction", "manual"));
    CHECK_OK(kv_options_set(options, "compaction_garbage_percent", "50"));
    CHECK_OK(kv_options_set(options, "compaction_bytes_per_second", "16MiB"));
    CHECK_OK(kv_options_set(options, "max_index_bytes", "16MiB"));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_max_disk_bytes(NULL, 0));
    kv_options_free(options);
}

int main(void)
{
    memset(value, 'v', sizeof value);
    test_stats();
    test_the_size_of_stats();
    test_progress();
    test_closing_ends_a_compaction();
    test_pausing();
    test_options();
    return test_end("compaction_test");
}
