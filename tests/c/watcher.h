/* A progress function that checks what it is told, and can end the work at a call of its choice. */
#ifndef WATCHER_H
#define WATCHER_H

#include "test.h"

struct watcher {
    kv_db *db;
    unsigned calls;
    unsigned last_call;
    kv_progress_t last;
};

static int32_t watch(const kv_progress_t *progress, void *context)
{
    struct watcher *watcher = context;
    CHECK(progress->size == sizeof *progress);
    CHECK(progress->done_bytes >= watcher->last.done_bytes);
    CHECK(progress->done_bytes <= progress->total_bytes);
    CHECK(progress->segments_done <= progress->segments_total);
    watcher->last = *progress;
    watcher->calls++;
    return watcher->calls == watcher->last_call;
}

#endif
