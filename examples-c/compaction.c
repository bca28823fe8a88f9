/* Compaction: what garbage is, how it goes by itself, and how to watch, pause and cancel that. */
#define _XOPEN_SOURCE 700

#include "example.h"

enum { KEYS = 5000, SEGMENT = 1024 * 1024 };

static kv_stats_t stats_of(kv_db *db)
{
    kv_stats_t stats;
    stats.size = sizeof stats;
    must(kv_stats(db, &stats), "kv_stats");
    return stats;
}

static void show(kv_db *db, const char *when)
{
    kv_stats_t stats = stats_of(db);
    printf("%-28s %6.2f MB live, %6.2f MB garbage, %6.2f MB on disk in %llu segments\n", when,
           (double)stats.live_bytes / 1e6, (double)stats.dead_bytes / 1e6,
           (double)stats.disk_bytes / 1e6, (unsigned long long)stats.segments);
}

/* Writes every key `turns` times: all but the last values are garbage then. */
static void write_keys(kv_db *db, unsigned turns)
{
    char key[32];
    char value[256];
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < KEYS * turns; i++) {
        int len = snprintf(key, sizeof key, "key-%u", i % KEYS);
        must(kv_put(db, key, (size_t)len, value, sizeof value), "kv_put");
    }
}

/* Told how far a compaction is; ends it half way if `context` points to a number that is not 0. */
static int32_t report(const kv_progress_t *progress, void *context)
{
    const int *ends_half_way = context;
    double part = progress->total_bytes == 0
                      ? 1.0
                      : (double)progress->done_bytes / (double)progress->total_bytes;
    printf("    %3.0f %%\n", 100 * part);
    return *ends_half_way && part >= 0.5;
}

int main(void)
{
    const char *path = temporary_directory();
    kv_options *options;
    kv_db *db;
    must(kv_options_new(&options), "kv_options_new");
    must(kv_options_set_segment_size(options, SEGMENT), "segment_size");
    must(kv_open(path, options, &db), "kv_open");
    kv_options_free(options);

    /* Garbage piles up while compaction is paused ... */
    must(kv_compaction_pause(db), "kv_compaction_pause");
    write_keys(db, 4);
    show(db, "paused, written four times");
    expect(stats_of(db).segments_removed == 0, "nothing is compacted while it is paused");

    /* ... and can be removed at once, as long as the program wants to wait. */
    int ends_half_way = 1;
    printf("kv_compact_with, to be cancelled half way\n");
    expect(kv_compact_with(db, report, &ends_half_way) == KV_CANCELLED, "it is cancelled");
    show(db, "cancelled half way");
    ends_half_way = 0;
    printf("kv_compact_with\n");
    must(kv_compact_with(db, report, &ends_half_way), "kv_compact_with");
    show(db, "compacted");
    expect(stats_of(db).dead_bytes == 0, "no garbage is left");

    /* Otherwise the database keeps it within bounds by itself. */
    must(kv_compaction_resume(db), "kv_compaction_resume");
    uint64_t removed = stats_of(db).segments_removed;
    while (stats_of(db).segments_removed == removed) {
        write_keys(db, 1);
    }
    show(db, "written on");
    kv_stats_t stats = stats_of(db);
    printf("%.2f MB were put, compaction wrote %.2f MB more\n", (double)stats.bytes_put / 1e6,
           (double)stats.bytes_compacted / 1e6);

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
