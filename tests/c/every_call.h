/* Every function of the library, called as a program would: for tests of what they are called in.
 * tests/exports.rs sees to it that none is missing. */
#ifndef EVERY_CALL_H
#define EVERY_CALL_H

#include "test.h"

enum { EVERY_VALUE = 3000, EVERY_KEYS = 600 };

static inline int32_t every_progress(const kv_progress_t *progress, void *context)
{
    *(uint64_t *)context += progress->done_bytes > progress->total_bytes;
    return 0;
}

static inline void every_log(int32_t level, const char *message, void *context)
{
    (void)level;
    (void)message;
    (void)context;
}

static inline void every_event(const kv_event_t *event, void *context)
{
    (void)event;
    (void)context;
}

static inline void every_option(kv_options **out)
{
    kv_option_info_t info = {.size = sizeof info};
    kv_options *options = NULL;
    char text[64];
    size_t len = 0;
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set(options, "sync", "interval"));
    CHECK_OK(kv_options_set_segment_size(options, 1024 * 1024));
    CHECK_OK(kv_options_set_sync(options, KV_SYNC_INTERVAL));
    CHECK_OK(kv_options_set_sync_interval_ms(options, 5));
    CHECK_OK(kv_options_set_create_if_missing(options, 1));
    CHECK_OK(kv_options_set_error_if_exists(options, 0));
    CHECK_OK(kv_options_set_file_mode(options, 0600));
    CHECK_OK(kv_options_set_verify_checksums(options, 1));
    CHECK_OK(kv_options_set_read_mode(options, KV_READ_MMAP));
    CHECK_OK(kv_options_set_on_damage(options, KV_ON_DAMAGE_FAIL));
    CHECK_OK(kv_options_set_compaction(options, KV_COMPACTION_AUTO));
    CHECK_OK(kv_options_set_compaction_garbage_percent(options, 20));
    CHECK_OK(kv_options_set_compaction_bytes_per_second(options, 0));
    CHECK_OK(kv_options_set_max_disk_bytes(options, 0));
    CHECK_OK(kv_options_set_max_index_bytes(options, 0));
    CHECK_OK(kv_options_set_file_mode(options, 0600));
    CHECK_OK(kv_options_set_latency_histograms(options, 1));
    CHECK_OK(kv_options_set_publish_stats_ms(options, 100));
    CHECK_OK(kv_options_set_log(options, every_log, NULL, KV_LOG_DEBUG));
    CHECK_OK(kv_options_set_events(options, every_event, NULL));
    CHECK_OK(kv_options_get(options, "segment_size", text, sizeof text, &len));
    CHECK(len > 0);
    CHECK_OK(kv_option_describe(0, &info));
    *out = options;
}

static inline void every_write(kv_db *db, const unsigned char *value)
{
    kv_write_options_t options = {.size = sizeof options, .ttl_ms = 3600000};
    kv_reservation *reservation = NULL;
    kv_batch *batch = NULL;
    void *room = NULL;
    uint64_t version = 0;
    int64_t sum = 0;
    size_t count = 0;
    for (unsigned key = 0; key < EVERY_KEYS; key++) {
        CHECK_OK(kv_put(db, &key, sizeof key, value, EVERY_VALUE));
    }
    for (unsigned key = 0; key < EVERY_KEYS; key += 2) {
        CHECK_OK(kv_put_with(db, &key, sizeof key, value, EVERY_VALUE, &options, &version));
    }
    CHECK_OK(kv_delete(db, &(unsigned){1}, sizeof(unsigned)));
    CHECK_OK(kv_delete_with(db, &(unsigned){3}, sizeof(unsigned), NULL));
    CHECK_OK(kv_add(db, "sum", 3, 5, &sum));
    CHECK(sum == 5);
    CHECK_OK(kv_touch(db, "sum", 3, 3600000));
    CHECK_OK(kv_batch_new(&batch));
    CHECK_OK(kv_batch_put(batch, "batch", 5, value, EVERY_VALUE));
    CHECK_OK(kv_batch_clear(batch));
    CHECK_OK(kv_batch_put(batch, "batch", 5, "one", 3));
    CHECK_OK(kv_batch_put_ttl(batch, "ttl", 3, "two", 3, 3600000));
    CHECK_OK(kv_batch_delete(batch, &(unsigned){5}, sizeof(unsigned)));
    CHECK_OK(kv_batch_count(batch, &count));
    CHECK(count == 3);
    CHECK_OK(kv_write(db, batch, NULL));
    kv_batch_free(batch);
    CHECK_OK(kv_put_reserve(db, "kept", 4, EVERY_VALUE, NULL, &reservation, &room));
    memcpy(room, value, EVERY_VALUE);
    CHECK_OK(kv_put_commit(reservation, &version));
    CHECK_OK(kv_put_reserve(db, "left", 4, EVERY_VALUE, NULL, &reservation, &room));
    kv_put_abort(reservation);
    CHECK_OK(kv_sync(db));
}

static inline void every_read(kv_db *db, const unsigned char *value)
{
    unsigned char buffer[EVERY_VALUE];
    const void *seen = NULL;
    void *copy = NULL;
    kv_view *view = NULL;
    uint64_t number = 0;
    size_t len = 0;
    for (unsigned key = 6; key < EVERY_KEYS; key++) {
        CHECK_OK(kv_get_into(db, &key, sizeof key, buffer, sizeof buffer, &len));
        CHECK(len == EVERY_VALUE && memcmp(buffer, value, len) == 0);
    }
    CHECK_OK(kv_get(db, "kept", 4, &copy, &len));
    CHECK(len == EVERY_VALUE && memcmp(copy, value, len) == 0);
    kv_free(copy);
    CHECK_OK(kv_exists(db, "kept", 4, &len));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "left", 4, &len));
    CHECK_OK(kv_view_get(db, "kept", 4, &view, &seen, &len));
    CHECK(len == EVERY_VALUE && memcmp(seen, value, len) == 0);
    kv_view_release(view);
    CHECK_OK(kv_get_version(db, "kept", 4, &number));
    CHECK_OK(kv_ttl(db, "sum", 3, &number));
    kv_slice_t keys[3] = {{"batch", 5}, {"none", 4}, {"kept", 4}};
    kv_result_t results[3];
    CHECK_OK(kv_get_many(db, 3, keys, results, &copy));
    CHECK(results[0].value_len == 3 && results[1].status == KV_NOT_FOUND);
    kv_free(copy);
    CHECK_OK(kv_view_get_many(db, 3, keys, results, &view));
    CHECK(results[2].value_len == EVERY_VALUE);
    kv_view_release(view);
    CHECK_OK(kv_count(db, &number));
    CHECK(number == EVERY_KEYS - 3 + 4);
    CHECK_OK(kv_approximate_bytes(db, &number));
}

static inline void every_snapshot(kv_db *db)
{
    unsigned char buffer[EVERY_VALUE];
    kv_snapshot *snapshot = NULL;
    kv_iter *iter = NULL;
    kv_view *view = NULL;
    const void *seen = NULL;
    void *copy = NULL;
    size_t len = 0, count = 0;
    kv_slice_t key, value;
    CHECK_OK(kv_snapshot_new(db, &snapshot));
    CHECK_OK(kv_put(db, "batch", 5, "changed", 7));
    CHECK_OK(kv_snapshot_get(snapshot, "batch", 5, &copy, &len));
    CHECK(len == 3 && memcmp(copy, "one", 3) == 0);
    kv_free(copy);
    CHECK_OK(kv_snapshot_get_into(snapshot, "batch", 5, buffer, sizeof buffer, &len));
    CHECK_OK(kv_snapshot_exists(snapshot, "batch", 5, &len));
    CHECK_OK(kv_snapshot_view_get(snapshot, "batch", 5, &view, &seen, &len));
    kv_view_release(view);
    CHECK_OK(kv_iter_new(db, snapshot, NULL, 0, &iter));
    kv_status status;
    while ((status = kv_iter_next(iter, &key, &value)) == KV_OK) {
        CHECK_OK(kv_iter_key(iter, &seen, &len));
        CHECK_OK(kv_iter_value(iter, &seen, &len));
        CHECK(len == value.len);
        count++;
    }
    CHECK_STATUS(KV_NOT_FOUND, status);
    CHECK(count == EVERY_KEYS - 3 + 4);
    kv_iter_free(iter);
    kv_snapshot_free(snapshot);
}

static inline void every_upkeep(kv_db *db, const char *backup, const char *restored)
{
    kv_stats_t stats = {.size = sizeof stats};
    kv_latency_t latency = {.size = sizeof latency};
    uint64_t wrong = 0;
    char *text = NULL;
    CHECK_OK(kv_compaction_pause(db));
    CHECK_OK(kv_compact(db));
    CHECK_OK(kv_compact_with(db, every_progress, &wrong));
    CHECK_OK(kv_compact_cancel(db));
    CHECK_OK(kv_compaction_resume(db));
    CHECK_OK(kv_backup(db, backup));
    CHECK_OK(kv_backup_with(db, backup, every_progress, &wrong));
    CHECK_OK(kv_restore(backup, restored));
    CHECK_OK(kv_destroy(restored));
    CHECK_OK(kv_restore_with(backup, restored, every_progress, &wrong));
    CHECK_OK(kv_destroy(restored));
    CHECK_OK(kv_stats(db, &stats));
    CHECK(stats.read_only == 0 && wrong == 0);
    CHECK_OK(kv_latency(db, KV_LATENCY_PUT, &latency));
    CHECK_OK(kv_metrics(db, &text));
    kv_free(text);
}

static inline int32_t every_problem(const kv_problem_t *problem, void *context)
{
    *(uint64_t *)context += problem->severity == KV_SEVERITY_DAMAGE;
    return 0;
}

/* On a database that may be open for kv_verify(), and must not be for kv_salvage(). */
static inline void every_rescue(const char *path, const char *salvaged)
{
    uint64_t wrong = 0;
    char *text = NULL;
    CHECK_OK(kv_verify(path, KV_REPORT_TEXT, &text));
    kv_free(text);
    CHECK_OK(kv_verify_with(path, KV_REPORT_JSON, every_problem, every_progress, &wrong, NULL));
    CHECK_OK(kv_salvage(path, salvaged, KV_REPORT_JSON, &text));
    kv_free(text);
    CHECK_OK(kv_destroy(salvaged));
    CHECK_OK(kv_salvage_with(path, salvaged, KV_REPORT_TEXT, every_problem, every_progress, &wrong,
                             NULL));
    CHECK_OK(kv_destroy(salvaged));
    CHECK(wrong == 0);
}

/* Calls every function, on a database of its own below `path`, which is gone afterwards. */
static inline void every_call(const char *path)
{
    char backup[256], restored[256];
    unsigned char value[EVERY_VALUE];
    kv_options *options = NULL;
    kv_db *db = NULL;
    snprintf(backup, sizeof backup, "%s.backup", path);
    snprintf(restored, sizeof restored, "%s.restored", path);
    memset(value, 'v', sizeof value);
    CHECK(kv_version()[0] != '\0' && kv_strerror(KV_IO)[0] != '\0');
    CHECK(kv_status_class(KV_IO) == KV_CLASS_ENVIRONMENT);
    CHECK_STATUS(KV_UNSUPPORTED, kv_open("other://db", NULL, &db));
    CHECK(strstr(kv_error_message(), "other://") != NULL);
    every_option(&options);
    if (!CHECK_OK(kv_open(path, options, &db))) {
        return;
    }
    every_write(db, value);
    every_read(db, value);
    every_snapshot(db);
    every_upkeep(db, backup, restored);
    CHECK_OK(kv_close(db));
    if (CHECK_OK(kv_open(path, options, &db))) {
        CHECK(test_has(db, "batch", "changed", 7));
        CHECK_OK(kv_close(db));
    }
    every_rescue(path, restored);
    kv_options_free(options);
    CHECK_OK(kv_destroy(path));
    CHECK_OK(kv_destroy(backup));
}

#endif
