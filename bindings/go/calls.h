/* Calls of kv.h as Go likes them. They answer by value: what Go passes by pointer, it has to
 * allocate. And handles are numbers here, as they are in libkv: Go allocates for each pointer to a
 * type that it does not know, too. */
#ifndef KV_GO_CALLS_H
#define KV_GO_CALLS_H

#include <kv.h>

typedef struct {
    kv_status status;
    size_t len;
    void *value;
} go_value;

typedef struct {
    kv_status status;
    uint64_t number;
} go_number;

typedef struct {
    kv_status status;
    size_t len;
    const void *value;
    uintptr_t view;
} go_view;

typedef struct {
    kv_status status;
    kv_slice_t key;
    kv_slice_t value;
} go_record;

static inline go_value go_get(uintptr_t db, const void *key, size_t key_len) {
    go_value got = {0};
    got.status = kv_get((kv_db *)db, key, key_len, &got.value, &got.len);
    return got;
}

static inline go_value go_get_into(uintptr_t db, const void *key, size_t key_len, void *buf,
                                   size_t cap) {
    go_value got = {0};
    got.status = kv_get_into((kv_db *)db, key, key_len, buf, cap, &got.len);
    return got;
}

static inline go_value go_snapshot_get(uintptr_t snapshot, const void *key, size_t key_len) {
    go_value got = {0};
    got.status = kv_snapshot_get((kv_snapshot *)snapshot, key, key_len, &got.value, &got.len);
    return got;
}

static inline go_view go_view_get(uintptr_t db, const void *key, size_t key_len) {
    go_view got = {0};
    kv_view *view = NULL;
    got.status = kv_view_get((kv_db *)db, key, key_len, &view, &got.value, &got.len);
    got.view = (uintptr_t)view;
    return got;
}

static inline go_number go_put_with(uintptr_t db, const void *key, size_t key_len, const void *value,
                                    size_t value_len, kv_write_options_t options) {
    go_number put = {0};
    options.size = sizeof options;
    put.status = kv_put_with((kv_db *)db, key, key_len, value, value_len, &options, &put.number);
    return put;
}

static inline kv_status go_delete_with(uintptr_t db, const void *key, size_t key_len,
                                       kv_write_options_t options) {
    options.size = sizeof options;
    return kv_delete_with((kv_db *)db, key, key_len, &options);
}

static inline kv_status go_write(uintptr_t db, uintptr_t batch, kv_write_options_t options) {
    options.size = sizeof options;
    return kv_write((kv_db *)db, (kv_batch *)batch, &options);
}

static inline go_number go_get_version(uintptr_t db, const void *key, size_t key_len) {
    go_number got = {0};
    got.status = kv_get_version((kv_db *)db, key, key_len, &got.number);
    return got;
}

static inline go_number go_ttl(uintptr_t db, const void *key, size_t key_len) {
    go_number got = {0};
    got.status = kv_ttl((kv_db *)db, key, key_len, &got.number);
    return got;
}

static inline go_number go_add(uintptr_t db, const void *key, size_t key_len, int64_t delta) {
    go_number added = {0};
    int64_t sum = 0;
    added.status = kv_add((kv_db *)db, key, key_len, delta, &sum);
    added.number = (uint64_t)sum;
    return added;
}

static inline go_number go_count(uintptr_t db) {
    go_number counted = {0};
    counted.status = kv_count((kv_db *)db, &counted.number);
    return counted;
}

static inline go_record go_iter_next(uintptr_t iter) {
    go_record record = {0};
    record.status = kv_iter_next((kv_iter *)iter, &record.key, &record.value);
    return record;
}

/* What is made: a handle. */
static inline go_number go_options_new(void) {
    kv_options *options = NULL;
    go_number made = {0};
    made.status = kv_options_new(&options);
    made.number = (uint64_t)(uintptr_t)options;
    return made;
}

static inline go_number go_open(const char *path, uintptr_t options) {
    kv_db *db = NULL;
    go_number made = {0};
    made.status = kv_open(path, (kv_options *)options, &db);
    made.number = (uint64_t)(uintptr_t)db;
    return made;
}

static inline go_number go_batch_new(void) {
    kv_batch *batch = NULL;
    go_number made = {0};
    made.status = kv_batch_new(&batch);
    made.number = (uint64_t)(uintptr_t)batch;
    return made;
}

static inline go_number go_snapshot_new(uintptr_t db) {
    kv_snapshot *snapshot = NULL;
    go_number made = {0};
    made.status = kv_snapshot_new((kv_db *)db, &snapshot);
    made.number = (uint64_t)(uintptr_t)snapshot;
    return made;
}

static inline go_number go_iter_new(uintptr_t db, uintptr_t snapshot, const void *prefix,
                                    size_t prefix_len) {
    kv_iter *iter = NULL;
    go_number made = {0};
    made.status = kv_iter_new((kv_db *)db, (kv_snapshot *)snapshot, prefix, prefix_len, &iter);
    made.number = (uint64_t)(uintptr_t)iter;
    return made;
}

static inline kv_status go_options_set(uintptr_t options, const char *name, const char *value) {
    return kv_options_set((kv_options *)options, name, value);
}

static inline void go_options_free(uintptr_t options) { kv_options_free((kv_options *)options); }

static inline kv_status go_close(uintptr_t db) { return kv_close((kv_db *)db); }

static inline kv_status go_put(uintptr_t db, const void *key, size_t key_len, const void *value,
                               size_t value_len) {
    return kv_put((kv_db *)db, key, key_len, value, value_len);
}

static inline kv_status go_delete(uintptr_t db, const void *key, size_t key_len) {
    return kv_delete((kv_db *)db, key, key_len);
}

static inline kv_status go_exists(uintptr_t db, const void *key, size_t key_len) {
    return kv_exists((kv_db *)db, key, key_len, NULL);
}

static inline kv_status go_sync(uintptr_t db) { return kv_sync((kv_db *)db); }

static inline kv_status go_get_many(uintptr_t db, size_t n, const kv_slice_t *keys,
                                    kv_result_t *results, void **arena) {
    return kv_get_many((kv_db *)db, n, keys, results, arena);
}

static inline kv_status go_touch(uintptr_t db, const void *key, size_t key_len, uint64_t ttl_ms) {
    return kv_touch((kv_db *)db, key, key_len, ttl_ms);
}

static inline void go_view_release(uintptr_t view) { kv_view_release((kv_view *)view); }

static inline kv_status go_batch_put(uintptr_t batch, const void *key, size_t key_len,
                                     const void *value, size_t value_len, uint64_t ttl_ms) {
    return kv_batch_put_ttl((kv_batch *)batch, key, key_len, value, value_len, ttl_ms);
}

static inline kv_status go_batch_delete(uintptr_t batch, const void *key, size_t key_len) {
    return kv_batch_delete((kv_batch *)batch, key, key_len);
}

static inline kv_status go_batch_clear(uintptr_t batch) {
    return kv_batch_clear((kv_batch *)batch);
}

static inline go_number go_batch_count(uintptr_t batch) {
    size_t count = 0;
    go_number counted = {0};
    counted.status = kv_batch_count((kv_batch *)batch, &count);
    counted.number = count;
    return counted;
}

static inline void go_batch_free(uintptr_t batch) { kv_batch_free((kv_batch *)batch); }

static inline void go_snapshot_free(uintptr_t snapshot) {
    kv_snapshot_free((kv_snapshot *)snapshot);
}

static inline kv_status go_snapshot_exists(uintptr_t snapshot, const void *key, size_t key_len) {
    return kv_snapshot_exists((kv_snapshot *)snapshot, key, key_len, NULL);
}

static inline void go_iter_free(uintptr_t iter) { kv_iter_free((kv_iter *)iter); }

static inline kv_status go_stats(uintptr_t db, kv_stats_t *stats) {
    return kv_stats((kv_db *)db, stats);
}

static inline kv_status go_metrics(uintptr_t db, char **text) {
    return kv_metrics((kv_db *)db, text);
}

/* The progress function: ends the call when the context of Go's handle is done. */
int32_t kvGoProgress(struct kv_progress_t *progress, void *context);

static inline int32_t go_progress(const kv_progress_t *progress, void *context) {
    return kvGoProgress((struct kv_progress_t *)progress, context);
}

static inline kv_status go_compact(uintptr_t db, uintptr_t handle) {
    return kv_compact_with((kv_db *)db, go_progress, (void *)handle);
}

static inline kv_status go_backup(uintptr_t db, const char *dir, uintptr_t handle) {
    return kv_backup_with((kv_db *)db, dir, go_progress, (void *)handle);
}

static inline kv_status go_restore(const char *from, const char *to, uintptr_t handle) {
    return kv_restore_with(from, to, go_progress, (void *)handle);
}

static inline kv_status go_verify(const char *path, uintptr_t handle, char **report) {
    return kv_verify_with(path, KV_REPORT_JSON, NULL, go_progress, (void *)handle, report);
}

static inline kv_status go_salvage(const char *from, const char *to, uintptr_t handle,
                                   char **report) {
    return kv_salvage_with(from, to, KV_REPORT_JSON, NULL, go_progress, (void *)handle, report);
}

#endif
