/* The phases of the demo that work on the files: store, check, delete, rewrite, compact. */
#define _XOPEN_SOURCE 700

#include "phases.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The line that rewrite_files() puts before the old contents. Returns its length. */
static size_t header_line(const struct file *file, struct buffer *line)
{
    static const char format[] = "kept by the libkv demo: %s, %" PRIu64 " bytes\n";
    buffer_reserve(line, strlen(file->path) + sizeof format + 20);
    line->length = (size_t)snprintf((char *)line->bytes, line->room, format, file->path,
                                    file->length);
    return line->length;
}

/* How many files are in the database, or are not any more, and their bytes. */
static size_t stored_files(const struct file_list *list, int deleted, uint64_t *bytes)
{
    size_t count = 0;
    *bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct file *file = &list->files[i];
        if (file->is_stored && file->is_deleted == deleted) {
            count++;
            *bytes += file->length;
        }
    }
    return count;
}

void store_files(kv_db *db, struct file_list *list)
{
    struct progress progress;
    struct buffer buffer = {NULL, 0, 0};
    double seconds = 0;
    size_t count = 0;
    uint64_t bytes = 0;

    progress_start(&progress, "storing", list->count, list->total_size);
    for (size_t i = 0; i < list->count; i++) {
        struct file *file = &list->files[i];
        progress_add(&progress, file->size);
        if (file_read(file->path, &buffer) != 0) {
            list->unreadable++;
            continue;
        }
        double start = seconds_now();
        kv_status status = kv_put(db, file->path, strlen(file->path), buffer.bytes, buffer.length);
        seconds += seconds_now() - start;
        must_be(KV_OK, status, "kv_put", file->path);
        file->length = buffer.length;
        file->hash = hash_bytes(buffer.bytes, buffer.length);
        file->is_stored = 1;
        bytes += buffer.length;
        count++;
    }
    progress_end(&progress);
    buffer_free(&buffer);
    say("stored", "%s files, %s; %s in kv_put: %s, %s", count_text(count).s,
        bytes_text(bytes).s, seconds_text(seconds).s, rate_text(count, seconds).s,
        speed_text(bytes, seconds).s);
    if (list->unreadable > 0) {
        say("", "%s files or directories could not be read and were left out",
            count_text(list->unreadable).s);
    }
}

/* Whether `contents` are what was stored of `file`. If the file has changed on disk since,
 * *changed is counted up, and the hash of what was stored decides. */
static int is_right(const struct file *file, const unsigned char *contents, size_t length,
                    struct buffer *buffer, size_t *changed)
{
    if (length != file->length) {
        return 0;
    }
    if (file_read(file->path, buffer) == 0 && buffer->length == length &&
        memcmp(buffer->bytes, contents, length) == 0) {
        return 1;
    }
    ++*changed;
    return hash_bytes(contents, length) == file->hash;
}

/* Checks one file that must be in the database. Returns the bytes read. */
static size_t check_present(kv_db *db, const struct file *file, int rewritten, double *seconds,
                            size_t *changed)
{
    static struct buffer line, buffer;
    size_t skip = rewritten ? header_line(file, &line) : 0;
    kv_view *view;
    const void *value;
    size_t length;

    double start = seconds_now();
    kv_status status = kv_view_get(db, file->path, strlen(file->path), &view, &value, &length);
    *seconds += seconds_now() - start;
    must_be(KV_OK, status, "kv_view_get", file->path);
    if (length < skip || (skip > 0 && memcmp(value, line.bytes, skip) != 0)) {
        fail("%s: the header line of the rewritten value is wrong", file->path);
    }
    const unsigned char *contents = (const unsigned char *)value + skip;
    if (!is_right(file, contents, length - skip, &buffer, changed)) {
        fail("%s: the value of %zu bytes is not what was stored (%" PRIu64 " bytes)", file->path,
             length - skip, file->length);
    }
    kv_view_release(view);
    return length;
}

void check_files(kv_db *db, const struct file_list *list, int rewritten)
{
    struct progress progress;
    double seconds = 0;
    size_t changed = 0;
    uint64_t bytes = 0, present_bytes, deleted_bytes;
    size_t present = stored_files(list, 0, &present_bytes);
    size_t deleted = stored_files(list, 1, &deleted_bytes);

    progress_start(&progress, "checking", present + deleted, present_bytes);
    for (size_t i = 0; i < list->count; i++) {
        const struct file *file = &list->files[i];
        if (!file->is_stored) {
            continue;
        }
        if (file->is_deleted) {
            must_be(KV_NOT_FOUND, kv_exists(db, file->path, strlen(file->path), NULL),
                    "kv_exists", file->path);
            progress_add(&progress, 0);
            continue;
        }
        bytes += check_present(db, file, rewritten, &seconds, &changed);
        progress_add(&progress, file->length);
    }
    progress_end(&progress);
    say("checked", "%s values, %s, right byte for byte; %s in kv_view_get: %s",
        count_text(present).s, bytes_text(bytes).s, seconds_text(seconds).s,
        rate_text(present, seconds).s);
    if (deleted > 0) {
        say("", "%s deleted ones are gone", count_text(deleted).s);
    }
    if (changed > 0) {
        say("", "%s files changed on disk meanwhile; their values are as they were stored",
            count_text(changed).s);
    }
}

void delete_files(kv_db *db, struct file_list *list)
{
    struct progress progress;
    size_t deleted = 0;
    uint64_t bytes = 0;
    double start = seconds_now();

    progress_start(&progress, "deleting", list->count / 3, 0);
    for (size_t i = 0; i < list->count; i += 3) {
        struct file *file = &list->files[i];
        if (!file->is_stored) {
            continue;
        }
        must_be(KV_OK, kv_delete(db, file->path, strlen(file->path)), "kv_delete", file->path);
        file->is_deleted = 1;
        bytes += file->length;
        deleted++;
        progress_add(&progress, file->length);
    }
    progress_end(&progress);
    double seconds = seconds_now() - start;
    say("deleted", "%s values, %s; %s", count_text(deleted).s, bytes_text(bytes).s,
        rate_text(deleted, seconds).s);
}

/* Puts a header line before a file's value. Returns the bytes put. */
static size_t rewrite_file(kv_db *db, const struct file *file, double *seconds)
{
    static struct buffer fresh;
    size_t key_length = strlen(file->path);
    size_t skip = header_line(file, &fresh);
    void *old;
    size_t length;

    must_be(KV_OK, kv_get(db, file->path, key_length, &old, &length), "kv_get", file->path);
    buffer_reserve(&fresh, skip + length);
    memcpy(fresh.bytes + skip, old, length);
    kv_free(old);
    double start = seconds_now();
    kv_status status = kv_put(db, file->path, key_length, fresh.bytes, skip + length);
    *seconds += seconds_now() - start;
    must_be(KV_OK, status, "kv_put", file->path);
    return skip + length;
}

void rewrite_files(kv_db *db, const struct file_list *list)
{
    struct progress progress;
    double seconds = 0;
    uint64_t bytes, put_bytes = 0;
    size_t count = stored_files(list, 0, &bytes);

    progress_start(&progress, "rewriting", count, bytes);
    for (size_t i = 0; i < list->count; i++) {
        const struct file *file = &list->files[i];
        if (file->is_stored && !file->is_deleted) {
            put_bytes += rewrite_file(db, file, &seconds);
            progress_add(&progress, file->length);
        }
    }
    progress_end(&progress);
    say("rewrote", "%s values, %s; %s in kv_put: %s, %s", count_text(count).s,
        bytes_text(put_bytes).s, seconds_text(seconds).s, rate_text(count, seconds).s,
        speed_text(put_bytes, seconds).s);
}

/* Bytes of the keys and values of the files that are in the database, rewritten. */
static uint64_t live_file_bytes(const struct file_list *list)
{
    struct buffer line = {NULL, 0, 0};
    uint64_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct file *file = &list->files[i];
        if (file->is_stored && !file->is_deleted) {
            bytes += strlen(file->path) + header_line(file, &line) + file->length;
        }
    }
    buffer_free(&line);
    return bytes;
}

void compact_database(kv_db *db, const struct file_list *list, const char *directory,
                      uint64_t live_bytes)
{
    uint64_t live = live_file_bytes(list) + live_bytes;
    uint64_t before = directory_bytes(directory);
    double start = seconds_now();
    must_be(KV_OK, kv_compact(db), "kv_compact", directory);
    double seconds = seconds_now() - start;
    say("compacted", "%s on disk before, %s after; %s of keys and values; %s",
        bytes_text(before).s, bytes_text(directory_bytes(directory)).s, bytes_text(live).s,
        seconds_text(seconds).s);
}
