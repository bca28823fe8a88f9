/* What a database tells of itself: lines for a log, and events with figures for a program. */
#define _XOPEN_SOURCE 700

#include "example.h"

/* What the program wants to know; libkv passes it back to the functions below. */
struct observer {
    FILE *log;
    uint64_t sealed;
    uint64_t won_bytes;
    int is_full;
};

/* Called on a thread of libkv's, one line at a time. */
static void on_log(int32_t level, const char *message, void *context)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    const struct observer *observer = context;
    fprintf(observer->log, "%-7s %s\n", names[level], message);
}

/* Called on the same thread. A later libkv may tell of events that this does not know. */
static void on_event(const kv_event_t *event, void *context)
{
    struct observer *observer = context;
    switch (event->kind) {
    case KV_EVENT_SEALED:
        observer->sealed++;
        break;
    case KV_EVENT_COMPACTED:
        observer->won_bytes += event->bytes;
        break;
    case KV_EVENT_DISK_FULL:
        observer->is_full = 1;
        break;
    case KV_EVENT_DISK_HAS_ROOM:
        observer->is_full = 0;
        break;
    default:
        break;
    }
}

int main(void)
{
    const char *path = temporary_directory();
    struct observer observer = {.log = stdout};
    kv_options *options;
    kv_db *db;
    char value[1000] = "a value";

    must(kv_options_new(&options), "kv_options_new");
    must(kv_options_set_segment_size(options, 1024 * 1024), "segment_size");
    must(kv_options_set_log(options, on_log, &observer, KV_LOG_INFO), "kv_options_set_log");
    must(kv_options_set_events(options, on_event, &observer), "kv_options_set_events");

    must(kv_open(path, options, &db), "kv_open");
    for (uint32_t i = 0; i < 8000; i++) {
        uint32_t key = i % 2000;
        must(kv_put(db, &key, sizeof key, value, sizeof value), "kv_put");
    }
    must(kv_compact(db), "kv_compact");
    /* When it has returned, everything was told. */
    must(kv_close(db), "kv_close");

    printf("%llu segments were sealed, compaction won %llu bytes\n",
           (unsigned long long)observer.sealed, (unsigned long long)observer.won_bytes);
    expect(observer.sealed >= 6 && observer.won_bytes > 0 && !observer.is_full,
           "the events tell what happened");
    kv_options_free(options);
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
