/* Verifying: is every byte as it was written? And what a report of damage looks like. */
#define _XOPEN_SOURCE 700

#include "example.h"

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
    must(kv_close(db), "kv_close");
}

/* Changes one byte of the first segment, as a bad disk might. */
static void damage(const char *path, long at)
{
    char name[4200];
    snprintf(name, sizeof name, "%s/00000001.seg", path);
    FILE *file = fopen(name, "r+b");
    expect(file != NULL && fseek(file, at, SEEK_SET) == 0, "the file can be opened");
    int byte = fgetc(file);
    expect(fseek(file, at, SEEK_SET) == 0 && fputc(byte ^ 4, file) >= 0, "it can be written");
    expect(fclose(file) == 0, "it can be closed");
}

/* Told of each problem as soon as it is found. */
static int32_t on_problem(const kv_problem_t *problem, void *context)
{
    unsigned *count = context;
    (*count)++;
    printf("    %s at byte %llu: %s\n", problem->file, (unsigned long long)problem->offset,
           problem->what);
    return 0;
}

int main(void)
{
    const char *path = temporary_directory();
    char *report;
    unsigned count = 0;

    fill(path);
    must(kv_verify(path, KV_REPORT_TEXT, &report), "kv_verify");
    printf("%s\n", report);
    kv_free(report);

    damage(path, 100000);
    damage(path, 200000);
    expect(kv_verify(path, KV_REPORT_JSON, &report) == KV_DAMAGED, "damage is found");
    printf("%s\n", report);
    kv_free(report);

    expect(kv_verify_with(path, KV_REPORT_TEXT, on_problem, NULL, &count, NULL) == KV_DAMAGED,
           "damage is found again");
    expect(count == 2, "both places are found");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
