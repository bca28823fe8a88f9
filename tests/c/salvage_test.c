/* Salvaging: what comes back, what is told of losses, progress and cancelling, and misuse. */
#include "test.h"
#include "watcher.h"

enum { KEYS = 6000 };

struct told {
    struct watcher watcher;
    unsigned problems;
    unsigned last_problem;
};

static int32_t progress(const kv_progress_t *how_far, void *context)
{
    return watch(how_far, &((struct told *)context)->watcher);
}

static int32_t problem(const kv_problem_t *what, void *context)
{
    struct told *told = context;
    CHECK(what->size == sizeof *what && strlen(what->file) > 4);
    return ++told->problems == told->last_problem;
}

static void make(const char *name)
{
    kv_db *db = test_filled(name, KEYS);
    CHECK_OK(kv_delete(db, "key 5", 5));
    CHECK_OK(kv_close(db));
}

static void overwrite(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL && fseek(file, at, SEEK_SET) == 0);
    CHECK(file != NULL && fputs("overwritten", file) >= 0 && fclose(file) == 0);
}

static uint64_t keys_of(const char *name)
{
    kv_db *db = test_open(name, NULL);
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_OK(kv_stats(db, &stats));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "key 5", 5, NULL));
    CHECK_OK(kv_put(db, "new", 3, "v", 1));
    CHECK_OK(kv_close(db));
    return stats.keys;
}

static int contains(const char *text, const char *part)
{
    return text != NULL && strstr(text, part) != NULL;
}

static int is_there(const char *name)
{
    struct stat about;
    return lstat(test_path(name), &about) == 0;
}

static void test_what_comes_back(void)
{
    char *report = NULL;
    make("db");
    CHECK_OK(kv_salvage(test_path("db"), test_path("all"), KV_REPORT_TEXT, &report));
    CHECK(contains(report, ": sound (") && contains(report, "\nkeys brought: 5999\n"));
    kv_free(report);
    CHECK(keys_of("all") == KEYS - 1);

    overwrite(test_path("db/00000001.seg"), 100000);
    overwrite(test_path("db/00000002.seg"), 0);
    CHECK(remove(test_path("db/MANIFEST")) == 0);
    kv_db *db;
    CHECK_FAILS(KV_CORRUPT, "MANIFEST", kv_open(test_path("db"), NULL, &db));
    struct told told = {.problems = 0};
    CHECK_STATUS(KV_DAMAGED,
                 kv_salvage_with(test_path("db"), test_path("rest"), KV_REPORT_JSON, problem,
                                 progress, &told, &report));
    CHECK(contains(report, "\"verdict\":\"damaged\"") && contains(report, "worked out"));
    CHECK(contains(report, "\"file\":\"00000001.seg\""));
    CHECK(contains(report, "\"keys_brought\":599"));
    kv_free(report);
    CHECK(told.problems == 3 && told.watcher.calls > 3);
    CHECK(told.watcher.last.done_bytes == told.watcher.last.total_bytes);
    CHECK(keys_of("rest") >= KEYS - 3);
    CHECK_OK(kv_verify(test_path("rest"), KV_REPORT_TEXT, NULL));
}

static void test_cancelling(void)
{
    make("from");
    for (unsigned last_call = 1; last_call <= 4; last_call++) {
        struct told told = {.watcher = {.last_call = last_call}};
        CHECK_FAILS(KV_CANCELLED, "cancel",
                    kv_salvage_with(test_path("from"), test_path("to"), KV_REPORT_TEXT, NULL,
                                    progress, &told, NULL));
        CHECK(told.watcher.calls == last_call && !is_there("to") && !is_there("to.partial"));
    }
    overwrite(test_path("from/00000001.seg"), 100000);
    struct told told = {.last_problem = 1};
    CHECK_FAILS(KV_CANCELLED, "cancel",
                kv_salvage_with(test_path("from"), test_path("to"), KV_REPORT_TEXT, problem, NULL,
                                &told, NULL));
    CHECK(told.problems == 1 && !is_there("to") && !is_there("to.partial"));
}

static void test_misuse(void)
{
    make("kept");
    CHECK_FAILS(KV_NULL_ARGUMENT, "from", kv_salvage(NULL, test_path("x"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "to", kv_salvage(test_path("kept"), NULL, KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "to",
                kv_salvage(test_path("kept"), "", KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "form",
                kv_salvage(test_path("kept"), test_path("x"), 7, NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own",
                kv_salvage(test_path("kept"), test_path("kept"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own",
                kv_salvage(test_path("kept"), test_path("kept/in"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_UNSUPPORTED, "URL",
                kv_salvage("s3://bucket/db", test_path("x"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "gone",
                kv_salvage(test_path("gone"), test_path("x"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "nowhere",
                kv_salvage(test_path("kept"), test_path("nowhere/x"), KV_REPORT_TEXT, NULL));
    CHECK(mkdir(test_path("full"), 0700) == 0 && mkdir(test_path("full/letter"), 0700) == 0);
    CHECK_FAILS(KV_ALREADY_EXISTS, "letter",
                kv_salvage(test_path("kept"), test_path("full"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_NOT_A_DATABASE, "letter",
                kv_salvage(test_path("full"), test_path("x"), KV_REPORT_TEXT, NULL));
    kv_db *db = test_open("kept", NULL);
    CHECK_FAILS(KV_ALREADY_OPEN, "kept",
                kv_salvage(test_path("kept"), test_path("x"), KV_REPORT_TEXT, NULL));
    CHECK_OK(kv_close(db));
    CHECK(!is_there("x") && !is_there("x.partial"));
    CHECK(mkdir(test_path("empty"), 0700) == 0);
    CHECK_OK(kv_salvage(test_path("kept"), test_path("empty"), KV_REPORT_TEXT, NULL));
    CHECK(keys_of("empty") == KEYS - 1);
}

int main(void)
{
    test_what_comes_back();
    test_cancelling();
    test_misuse();
    return test_end("salvage_test");
}
