/* Calls of kv.h as Go likes them: they answer by value, since Go allocates what it passes by
 * pointer; handles are numbers, as they are in libkv; and the message of a failure, which belongs
 * to the thread, is copied before Go can go on with another thread. */
#ifndef KV_GO_CALLS_H
#define KV_GO_CALLS_H

#include <kv.h>
#include <stdlib.h>
#include <string.h>

/* What a call answers; each sets what it has. */
typedef struct {
    kv_status status;
    char *message; /* of a failure; malloc() has made it */
    uint64_t number;
    const void *bytes;
    size_t len;
    uintptr_t handle;
} go_answer;

static inline go_answer go_done(go_answer answer) {
    if (answer.status < 0) answer.message = strdup(kv_error_message());
    return answer;
}

static inline go_answer go_status(kv_status status) {
    go_answer answer = {0};
    answer.status = status;
    return go_done(answer);
}

/* Opening. */

static inline go_answer go_options_new(void) {
    go_answer made = {0};
    kv_options *options = NULL;
    made.status = kv_options_new(&options);
    made.handle = (uintptr_t)options;
    return go_done(made);
}

static inline go_answer go_options_set(uintptr_t options, const char *name, const char *value) {
    return go_status(kv_options_set((kv_options *)options, name, value));
}

static inline void go_options_free(uintptr_t options) { kv_options_free((kv_options *)options); }

static inline go_answer go_open(const char *path, uintptr_t options) {
    go_answer made = {0};
    kv_db *db = NULL;
    made.status = kv_open(path, (kv_options *)options, &db);
    made.handle = (uintptr_t)db;
    return go_done(made);
}

static inline go_answer go_close(uintptr_t db) { return go_status(kv_close((kv_db *)db)); }

static inline go_answer go_destroy(const char *path) { return go_status(kv_destroy(path)); }

/* Reading. */

static inline go_answer go_get(uintptr_t db, const void *key, size_t key_len) {
    go_answer got = {0};
    void *value = NULL;
    got.status = kv_get((kv_db *)db, key, key_len, &value, &got.len);
    got.bytes = value;
    return go_done(got);
}

static inline go_answer go_get_into(uintptr_t db, const void *key, size_t key_len, void *buf,
                                    size_t cap) {
    go_answer got = {0};
    got.status = kv_get_into((kv_db *)db, key, key_len, buf, cap, &got.len);
    return go_done(got);
}

static inline go_answer go_view_get(uintptr_t db, const void *key, size_t key_len) {
    go_answer got = {0};
    kv_view *view = NULL;
    got.status = kv_view_get((kv_db *)db, key, key_len, &view, &got.bytes, &got.len);
    got.handle = (uintptr_t)view;
    return go_done(got);
}

static inline void go_view_release(uintptr_t view) { kv_view_release((kv_view *)view); }

static inline go_answer go_exists(uintptr_t db, const void *key, size_t key_len) {
    go_answer got = {0};
    got.status = kv_exists((kv_db *)db, key, key_len, &got.len);
    return go_done(got);
}

/* A key that could not be read fails the whole call. */
static inline go_answer go_each(kv_status status, size_t n, const kv_result_t *results) {
    for (size_t i = 0; status == KV_OK && i < n; i++) {
        if (results[i].status < 0) status = results[i].status;
    }
    return go_status(status);
}

static inline go_answer go_get_many(uintptr_t db, size_t n, const kv_slice_t *keys,
                                    kv_result_t *results) {
    void *arena = NULL;
    kv_status status = kv_get_many((kv_db *)db, n, keys, results, &arena);
    go_answer got = go_each(status, n, results);
    got.bytes = arena;
    return got;
}

static inline go_answer go_view_get_many(uintptr_t db, size_t n, const kv_slice_t *keys,
                                         kv_result_t *results) {
    kv_view *view = NULL;
    kv_status status = kv_view_get_many((kv_db *)db, n, keys, results, &view);
    go_answer got = go_each(status, n, results);
    got.handle = (uintptr_t)view;
    return got;
}

static inline go_answer go_count(uintptr_t db) {
    go_answer counted = {0};
    counted.status = kv_count((kv_db *)db, &counted.number);
    return go_done(counted);
}

static inline go_answer go_approximate_bytes(uintptr_t db) {
    go_answer counted = {0};
    counted.status = kv_approximate_bytes((kv_db *)db, &counted.number);
    return go_done(counted);
}

static inline go_answer go_get_version(uintptr_t db, const void *key, size_t key_len) {
    go_answer got = {0};
    got.status = kv_get_version((kv_db *)db, key, key_len, &got.number);
    return go_done(got);
}

static inline go_answer go_ttl(uintptr_t db, const void *key, size_t key_len) {
    go_answer got = {0};
    got.status = kv_ttl((kv_db *)db, key, key_len, &got.number);
    return go_done(got);
}

/* Writing. */

static inline go_answer go_put(uintptr_t db, const void *key, size_t key_len, const void *value,
                               size_t value_len) {
    return go_status(kv_put((kv_db *)db, key, key_len, value, value_len));
}

static inline go_answer go_put_with(uintptr_t db, const void *key, size_t key_len,
                                    const void *value, size_t value_len,
                                    kv_write_options_t options) {
    go_answer put = {0};
    options.size = sizeof options;
    put.status = kv_put_with((kv_db *)db, key, key_len, value, value_len, &options, &put.number);
    return go_done(put);
}

static inline go_answer go_put_reserve(uintptr_t db, const void *key, size_t key_len,
                                       size_t value_len, kv_write_options_t options) {
    go_answer made = {0};
    kv_reservation *reservation = NULL;
    void *value = NULL;
    options.size = sizeof options;
    made.status =
        kv_put_reserve((kv_db *)db, key, key_len, value_len, &options, &reservation, &value);
    made.handle = (uintptr_t)reservation;
    made.bytes = value;
    return go_done(made);
}

static inline go_answer go_put_commit(uintptr_t reservation) {
    go_answer put = {0};
    put.status = kv_put_commit((kv_reservation *)reservation, &put.number);
    return go_done(put);
}

static inline void go_put_abort(uintptr_t reservation) {
    kv_put_abort((kv_reservation *)reservation);
}

static inline go_answer go_delete(uintptr_t db, const void *key, size_t key_len) {
    return go_status(kv_delete((kv_db *)db, key, key_len));
}

static inline go_answer go_delete_with(uintptr_t db, const void *key, size_t key_len,
                                       kv_write_options_t options) {
    options.size = sizeof options;
    return go_status(kv_delete_with((kv_db *)db, key, key_len, &options));
}

static inline go_answer go_add(uintptr_t db, const void *key, size_t key_len, int64_t delta) {
    go_answer added = {0};
    int64_t sum = 0;
    added.status = kv_add((kv_db *)db, key, key_len, delta, &sum);
    added.number = (uint64_t)sum;
    return go_done(added);
}

static inline go_answer go_touch(uintptr_t db, const void *key, size_t key_len, uint64_t ttl_ms) {
    return go_status(kv_touch((kv_db *)db, key, key_len, ttl_ms));
}

static inline go_answer go_sync(uintptr_t db) { return go_status(kv_sync((kv_db *)db)); }

/* Batches. */

static inline go_answer go_batch_new(void) {
    go_answer made = {0};
    kv_batch *batch = NULL;
    made.status = kv_batch_new(&batch);
    made.handle = (uintptr_t)batch;
    return go_done(made);
}

static inline go_answer go_batch_put(uintptr_t batch, const void *key, size_t key_len,
                                     const void *value, size_t value_len, uint64_t ttl_ms) {
    return go_status(
        kv_batch_put_ttl((kv_batch *)batch, key, key_len, value, value_len, ttl_ms));
}

static inline go_answer go_batch_delete(uintptr_t batch, const void *key, size_t key_len) {
    return go_status(kv_batch_delete((kv_batch *)batch, key, key_len));
}

static inline go_answer go_batch_clear(uintptr_t batch) {
    return go_status(kv_batch_clear((kv_batch *)batch));
}

static inline go_answer go_batch_count(uintptr_t batch) {
    go_answer counted = {0};
    counted.status = kv_batch_count((kv_batch *)batch, &counted.len);
    return go_done(counted);
}

static inline void go_batch_free(uintptr_t batch) { kv_batch_free((kv_batch *)batch); }

static inline go_answer go_write(uintptr_t db, uintptr_t batch, kv_write_options_t options) {
    options.size = sizeof options;
    return go_status(kv_write((kv_db *)db, (kv_batch *)batch, &options));
}

/* Snapshots. */

static inline go_answer go_snapshot_new(uintptr_t db) {
    go_answer made = {0};
    kv_snapshot *snapshot = NULL;
    made.status = kv_snapshot_new((kv_db *)db, &snapshot);
    made.handle = (uintptr_t)snapshot;
    return go_done(made);
}

static inline void go_snapshot_free(uintptr_t snapshot) {
    kv_snapshot_free((kv_snapshot *)snapshot);
}

static inline go_answer go_snapshot_get(uintptr_t snapshot, const void *key, size_t key_len) {
    go_answer got = {0};
    void *value = NULL;
    got.status = kv_snapshot_get((kv_snapshot *)snapshot, key, key_len, &value, &got.len);
    got.bytes = value;
    return go_done(got);
}

static inline go_answer go_snapshot_get_into(uintptr_t snapshot, const void *key, size_t key_len,
                                             void *buf, size_t cap) {
    go_answer got = {0};
    got.status = kv_snapshot_get_into((kv_snapshot *)snapshot, key, key_len, buf, cap, &got.len);
    return go_done(got);
}

static inline go_answer go_snapshot_view_get(uintptr_t snapshot, const void *key, size_t key_len) {
    go_answer got = {0};
    kv_view *view = NULL;
    got.status =
        kv_snapshot_view_get((kv_snapshot *)snapshot, key, key_len, &view, &got.bytes, &got.len);
    got.handle = (uintptr_t)view;
    return go_done(got);
}

static inline go_answer go_snapshot_exists(uintptr_t snapshot, const void *key, size_t key_len) {
    go_answer got = {0};
    got.status = kv_snapshot_exists((kv_snapshot *)snapshot, key, key_len, &got.len);
    return go_done(got);
}

/* Iterators. */

static inline go_answer go_iter_new(uintptr_t db, uintptr_t snapshot, const void *prefix,
                                    size_t prefix_len) {
    go_answer made = {0};
    kv_iter *iter = NULL;
    made.status = kv_iter_new((kv_db *)db, (kv_snapshot *)snapshot, prefix, prefix_len, &iter);
    made.handle = (uintptr_t)iter;
    return go_done(made);
}

static inline void go_iter_free(uintptr_t iter) { kv_iter_free((kv_iter *)iter); }

/* Copies records, each as its two lengths, key and value, as many as buf has room for: one call of
 * C for many. len is what they take, and status why there are no more: KV_BUFFER_TOO_SMALL, with
 * the number of bytes that the next one takes. To begin with that one once more, set again. */
static inline go_answer go_iter_fill(uintptr_t handle, char *buf, size_t cap, int again) {
    go_answer got = {0};
    kv_iter *iter = (kv_iter *)handle;
    for (;; again = 0) {
        kv_slice_t key = {0}, value = {0};
        if (!again) {
            got.status = kv_iter_next(iter, &key, &value);
        } else {
            got.status = kv_iter_key(iter, &key.data, &key.len);
            if (got.status == KV_OK) {
                got.status = kv_iter_value(iter, &value.data, &value.len);
            }
        }
        if (got.status != KV_OK) return go_done(got);
        uint64_t lengths[2] = {key.len, value.len};
        got.number = sizeof lengths + key.len + value.len;
        if (got.number > cap - got.len) {
            got.status = KV_BUFFER_TOO_SMALL;
            return got;
        }
        char *to = buf + got.len;
        memcpy(to, lengths, sizeof lengths);
        memcpy(to + sizeof lengths, key.data, key.len);
        if (value.len > 0) memcpy(to + sizeof lengths + key.len, value.data, value.len);
        got.len += got.number;
    }
}

#endif
