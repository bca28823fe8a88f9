/* Backups: made while the database is used, brought up to date, opened, and restored. */
#define _XOPEN_SOURCE 700

#include "example.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { KEYS = 20000 };

struct writer {
    kv_db *db;
    atomic_int stop;
    unsigned long written;
};

/* A thread that goes on writing while the backup is made. */
static void *write_on(void *context)
{
    struct writer *writer = context;
    while (!atomic_load(&writer->stop)) {
        char key[32];
        int len = snprintf(key, sizeof key, "live-%lu", writer->written % KEYS);
        must(kv_put(writer->db, key, (size_t)len, "value", 5), "kv_put");
        writer->written++;
    }
    return NULL;
}

/* Told how far it is. */
static int32_t report(const kv_progress_t *progress, void *context)
{
    (void)context;
    printf("    %llu of %llu segments, %.1f of %.1f MB\n",
           (unsigned long long)progress->segments_done,
           (unsigned long long)progress->segments_total, (double)progress->done_bytes / 1e6,
           (double)progress->total_bytes / 1e6);
    return 0;
}

static void fill(kv_db *db, const char *word)
{
    char key[32];
    char value[256];
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < KEYS; i++) {
        int len = snprintf(key, sizeof key, "%s-%u", word, i);
        must(kv_put(db, key, (size_t)len, value, sizeof value), "kv_put");
    }
}

static void look_at(const char *path, const char *word)
{
    kv_db *db;
    must(kv_open(path, NULL, &db), "kv_open");
    kv_stats_t stats = {.size = sizeof stats};
    must(kv_stats(db, &stats), "kv_stats");
    printf("%s holds %llu keys\n", path, (unsigned long long)stats.keys);
    char key[32];
    int len = snprintf(key, sizeof key, "%s-%d", word, KEYS - 1);
    must(kv_exists(db, key, (size_t)len, NULL), "kv_exists");
    must(kv_close(db), "kv_close");
}

int main(void)
{
    const char *top = temporary_directory();
    char path[4200];
    char backup[4200];
    char restored[4200];
    snprintf(path, sizeof path, "%s/db", top);
    snprintf(backup, sizeof backup, "%s/backup", top);
    snprintf(restored, sizeof restored, "%s/restored", top);

    kv_options *options;
    kv_db *db;
    must(kv_options_new(&options), "kv_options_new");
    must(kv_options_set(options, "segment_size", "1MiB"), "segment_size");
    must(kv_open(path, options, &db), "kv_open");
    kv_options_free(options);
    fill(db, "first");

    /* Nobody has to wait: a thread writes on meanwhile. */
    struct writer writer = {.db = db};
    pthread_t thread;
    expect(pthread_create(&thread, NULL, write_on, &writer) == 0, "a thread can be started");
    printf("kv_backup_with\n");
    must(kv_backup_with(db, backup, report, NULL), "kv_backup_with");
    atomic_store(&writer.stop, 1);
    expect(pthread_join(thread, NULL) == 0, "it ends");
    printf("%lu values were written meanwhile\n", writer.written);
    look_at(backup, "first");

    /* The same directory again: it is replaced in one step, and what both have costs nothing. */
    fill(db, "second");
    must(kv_backup(db, backup), "kv_backup");
    look_at(backup, "second");

    /* Everything is verified when it is restored. */
    must(kv_restore(backup, restored), "kv_restore");
    look_at(restored, "second");
    must(kv_destroy(restored), "kv_destroy");
    printf("kv_restore_with\n");
    must(kv_restore_with(backup, restored, report, NULL), "kv_restore_with");
    look_at(restored, "second");
    expect(kv_restore(backup, restored) == KV_ALREADY_EXISTS, "nothing is overwritten");
    printf("a second time: %s\n", kv_error_message());

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    must(kv_destroy(backup), "kv_destroy");
    must(kv_destroy(restored), "kv_destroy");
    expect(rmdir(top) == 0, "nothing is left");
    return EXIT_SUCCESS;
}
