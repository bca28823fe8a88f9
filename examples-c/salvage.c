/* Salvaging: a database with a damaged file and without a manifest gives a new one, and a list of
 * what is lost. */
#define _XOPEN_SOURCE 700

#include "example.h"

#include <unistd.h>

enum { KEYS = 20000 };

static void fill(const char *path)
{
    kv_db *db;
    char key[32], value[100];
    must(kv_open(path, NULL, &db), "kv_open");
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < KEYS; i++) {
        int len = snprintf(key, sizeof key, "key-%u", i);
        must(kv_put(db, key, (size_t)len, value, sizeof value), "kv_put");
    }
    must(kv_delete(db, "key-7", 5), "kv_delete");
    must(kv_close(db), "kv_close");
}

/* Overwrites 512 bytes, as a bad disk might, and removes the manifest. */
static void damage(const char *path)
{
    char name[4300];
    char zeros[512] = {0};
    snprintf(name, sizeof name, "%s/00000001.seg", path);
    FILE *file = fopen(name, "r+b");
    expect(file != NULL && fseek(file, 512 * 100, SEEK_SET) == 0, "the file can be opened");
    expect(fwrite(zeros, sizeof zeros, 1, file) == 1 && fclose(file) == 0, "it can be written");
    snprintf(name, sizeof name, "%s/MANIFEST", path);
    expect(remove(name) == 0, "the manifest can be removed");
}

/* Told of each loss. */
static int32_t on_loss(const kv_problem_t *loss, void *context)
{
    (void)context;
    printf("    lost: %llu bytes of %s from byte %llu on", (unsigned long long)loss->length,
           loss->file, (unsigned long long)loss->offset);
    if (loss->key != NULL) {
        printf(", with the key %.*s", (int)loss->key_len, (const char *)loss->key);
    }
    printf(": %s\n", loss->what);
    return 0;
}

int main(void)
{
    const char *top = temporary_directory();
    char path[4200], saved[4200], again[4200];
    char *report;
    kv_db *db;
    snprintf(path, sizeof path, "%s/db", top);
    snprintf(saved, sizeof saved, "%s/saved", top);
    snprintf(again, sizeof again, "%s/again", top);

    fill(path);
    damage(path);
    expect(kv_open(path, NULL, &db) == KV_CORRUPT, "it cannot be opened");
    printf("kv_open: %s\n", kv_error_message());

    expect(kv_salvage(path, saved, KV_REPORT_TEXT, &report) == KV_DAMAGED, "something is lost");
    printf("%s\n", report);
    kv_free(report);

    must(kv_open(saved, NULL, &db), "kv_open of what was saved");
    kv_stats_t stats = {.size = sizeof stats};
    must(kv_stats(db, &stats), "kv_stats");
    printf("%llu of %d keys are there\n", (unsigned long long)stats.keys, KEYS - 1);
    expect(stats.keys > KEYS - 20 && stats.keys < KEYS - 1, "a few are lost");
    expect(kv_exists(db, "key-7", 5, NULL) == KV_NOT_FOUND, "what was deleted is not back");
    must(kv_close(db), "kv_close");
    must(kv_verify(saved, KV_REPORT_TEXT, NULL), "kv_verify");

    printf("kv_salvage_with\n");
    expect(kv_salvage_with(path, again, KV_REPORT_JSON, on_loss, NULL, NULL, NULL) == KV_DAMAGED,
           "it can be done again");
    must(kv_destroy(path), "kv_destroy");
    must(kv_destroy(saved), "kv_destroy");
    must(kv_destroy(again), "kv_destroy");
    expect(rmdir(top) == 0, "nothing is left");
    return EXIT_SUCCESS;
}
