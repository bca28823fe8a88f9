/* A database on a small machine: what it may take of disk and memory, and who compacts when. */
#define _XOPEN_SOURCE 700

#include <pthread.h>

#include "example.h"

enum { MIB = 1024 * 1024 };

static kv_options *small_machine(void)
{
    kv_options *options;
    must(kv_options_new(&options), "kv_options_new");
    /* Small files, so that compaction needs little room for itself. */
    must(kv_options_set_segment_size(options, MIB), "segment_size");
    must(kv_options_set_max_disk_bytes(options, 16 * MIB), "max_disk_bytes");
    must(kv_options_set_max_index_bytes(options, 4 * MIB), "max_index_bytes");
    /* Compaction when this program asks for it; the next two are for one that does by itself. */
    must(kv_options_set_compaction(options, KV_COMPACTION_MANUAL), "compaction");
    must(kv_options_set_compaction_garbage_percent(options, 30), "garbage_percent");
    must(kv_options_set_compaction_bytes_per_second(options, 8 * MIB), "bytes_per_second");
    /* A flash card that is written to seldom, and checked on every read. */
    must(kv_options_set_sync_interval_ms(options, 5000), "sync_interval_ms");
    must(kv_options_set_verify_checksums(options, 1), "verify_checksums");
    /* If the card is damaged, what is left can be read. */
    must(kv_options_set_on_damage(options, KV_ON_DAMAGE_READ_ONLY), "on_damage");
    return options;
}

/* Writes until the budget is used up. */
static int fill(kv_db *db)
{
    static char value[4096];
    int written = 0;
    for (;; written++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", written % 1000);
        kv_status status = kv_put(db, key, strlen(key), value, sizeof value);
        if (status == KV_NO_SPACE) {
            printf("%d values, then: %s\n", written, kv_error_message());
            return written;
        }
        must(status, "kv_put");
    }
}

static void *cancel(void *db)
{
    must(kv_compact_cancel(db), "kv_compact_cancel");
    return NULL;
}

int main(void)
{
    const char *path = temporary_directory();
    kv_options *options = small_machine();
    kv_db *db;
    must(kv_open(path, options, &db), "kv_open");
    kv_options_free(options);

    expect(fill(db) > 1000, "overwriting fills the disk with garbage");
    must(kv_delete(db, "key 1", 5), "a full database lets go of keys");

    /* Another thread may end a compaction that takes too long; what was done stays done. */
    pthread_t other;
    expect(pthread_create(&other, NULL, cancel, db) == 0, "a thread");
    kv_status status = kv_compact(db);
    expect(status == KV_OK || status == KV_CANCELLED, "it is done, or cancelled");
    expect(pthread_join(other, NULL) == 0, "a thread ends");
    must(kv_compact(db), "kv_compact");
    must(kv_put(db, "key 1", 5, "short", 5), "there is room again");

    kv_stats_t stats = {.size = sizeof stats};
    must(kv_stats(db, &stats), "kv_stats");
    printf("after compaction: %llu keys in %llu KiB\n", (unsigned long long)stats.keys,
           (unsigned long long)stats.disk_bytes / 1024);
    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
