/* Verifying: what is reported and told, progress and cancelling, databases in use, and misuse. */
#include "test.h"
#include "watcher.h"

enum { KEYS = 6000 };

struct told {
    struct watcher watcher;
    unsigned problems;
    unsigned last_problem;
    kv_problem_t last;
    char key[16];
    size_t key_len;
    char file[64];
};

static int32_t progress(const kv_progress_t *how_far, void *context)
{
    return watch(how_far, &((struct told *)context)->watcher);
}

static int32_t problem(const kv_problem_t *what, void *context)
{
    struct told *told = context;
    CHECK(what->size == sizeof *what && strlen(what->what) > 10);
    CHECK((what->key == NULL) == (what->key_len == 0));
    told->last = *what;
    told->key_len = what->key_len < sizeof told->key ? what->key_len : sizeof told->key;
    if (what->key != NULL) {
        memcpy(told->key, what->key, told->key_len);
    }
    snprintf(told->file, sizeof told->file, "%s", what->file);
    return ++told->problems == told->last_problem;
}

static void make(const char *name)
{
    CHECK_OK(kv_close(test_filled(name, KEYS)));
}

/* Writes `byte` over one byte of a file. */
static void overwrite(const char *path, long at, char byte)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL && fseek(file, at, SEEK_SET) == 0);
    CHECK(file != NULL && fputc(byte, file) >= 0 && fclose(file) == 0);
}

static int contains(const char *text, const char *part)
{
    return text != NULL && strstr(text, part) != NULL;
}

static void test_reports(void)
{
    char *report = NULL;
    make("db");
    CHECK_OK(kv_verify(test_path("db"), KV_REPORT_TEXT, NULL));
    CHECK_OK(kv_verify(test_path("db"), KV_REPORT_TEXT, &report));
    CHECK(contains(report, ": sound (") && contains(report, "\nrecords: 6000\n"));
    kv_free(report);
    CHECK_OK(kv_verify(test_path("db"), KV_REPORT_JSON, &report));
    CHECK(contains(report, "\"verdict\":\"sound\"") && contains(report, "\"problems\":["));
    kv_free(report);

    /* In the value of a record: the key is readable. */
    overwrite(test_path("db/00000002.seg"), 4096 + 100, 'X');
    CHECK_STATUS(KV_DAMAGED, kv_verify(test_path("db"), KV_REPORT_TEXT, &report));
    CHECK(contains(report, "damage: 00000002.seg at byte 4096, ") && contains(report, "key \"key"));
    kv_free(report);
    CHECK_STATUS(KV_DAMAGED, kv_verify(test_path("db"), KV_REPORT_JSON, &report));
    CHECK(contains(report, "\"file\":\"00000002.seg\",\"offset\":4096,\"length\":"));
    CHECK(contains(report, "\"key_hex\":\"6b657920"));
    kv_free(report);
    CHECK(kv_status_class(KV_DAMAGED) == KV_CLASS_ANSWER);

    struct told told = {.problems = 0};
    CHECK_STATUS(KV_DAMAGED, kv_verify_with(test_path("db"), KV_REPORT_TEXT, problem, progress,
                                            &told, NULL));
    CHECK(told.problems == 1 && told.last.severity == KV_SEVERITY_DAMAGE);
    CHECK(told.last.about == KV_ABOUT_RECORD && told.last.offset == 4096);
    CHECK(strcmp(told.file, "00000002.seg") == 0 && told.key_len > 4);
    CHECK(memcmp(told.key, "key ", 4) == 0);
    CHECK(told.watcher.calls >= 3);
    CHECK(told.watcher.last.done_bytes == told.watcher.last.total_bytes);

    CHECK(remove(test_path("db/00000002.seg")) == 0);
    told = (struct told){.problems = 0};
    CHECK_STATUS(KV_DAMAGED,
                 kv_verify_with(test_path("db"), KV_REPORT_TEXT, problem, NULL, &told, NULL));
    CHECK(told.problems == 1 && told.last.about == KV_ABOUT_MISSING && told.key_len == 0);
}

static void test_cancelling(void)
{
    char *report = (char *)"untouched";
    make("cancelled");
    for (unsigned last_call = 1; last_call <= 3; last_call++) {
        struct told told = {.watcher = {.last_call = last_call}};
        CHECK_FAILS(KV_CANCELLED, "cancel",
                    kv_verify_with(test_path("cancelled"), KV_REPORT_TEXT, NULL, progress, &told,
                                   &report));
        CHECK(told.watcher.calls == last_call && strcmp(report, "untouched") == 0);
    }
    overwrite(test_path("cancelled/00000001.seg"), 5000, 'X');
    overwrite(test_path("cancelled/00000001.seg"), 9000, 'X');
    struct told told = {.last_problem = 1};
    CHECK_FAILS(KV_CANCELLED, "cancel",
                kv_verify_with(test_path("cancelled"), KV_REPORT_TEXT, problem, NULL, &told, NULL));
    CHECK(told.problems == 1);
}

/* Nobody waits for it, nor it for anybody. */
static int32_t use(const kv_progress_t *how_far, void *context)
{
    kv_db *db = context;
    (void)how_far;
    CHECK_OK(kv_put(db, "k", 1, "v", 1));
    CHECK_OK(kv_sync(db));
    CHECK_OK(kv_compact(db));
    return 0;
}

static int32_t open_it(const kv_progress_t *how_far, void *context)
{
    kv_db *db;
    (void)how_far;
    CHECK_FAILS(KV_LOCKED, "open", kv_open(context, NULL, &db));
    CHECK_OK(kv_verify(context, KV_REPORT_TEXT, NULL));
    return 0;
}

static void test_databases_in_use(void)
{
    char *report = NULL;
    make("used");
    char path[4400];
    snprintf(path, sizeof path, "%s", test_path("used"));
    CHECK_OK(kv_verify_with(path, KV_REPORT_TEXT, NULL, open_it, path, NULL));
    kv_db *db = test_open("used", NULL);
    CHECK_OK(kv_put(db, "k", 1, "v", 1));
    CHECK_OK(kv_verify(path, KV_REPORT_JSON, &report));
    CHECK(contains(report, "\"in_use\":true"));
    kv_free(report);
    CHECK_OK(kv_verify_with(path, KV_REPORT_JSON, NULL, use, db, NULL));
    CHECK_OK(kv_close(db));
}

static void test_misuse(void)
{
    char *report = NULL;
    make("misused");
    CHECK_FAILS(KV_NULL_ARGUMENT, "path", kv_verify(NULL, KV_REPORT_TEXT, &report));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "path", kv_verify("", KV_REPORT_TEXT, &report));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "form", kv_verify(test_path("misused"), 2, &report));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "form", kv_verify(test_path("misused"), -1, &report));
    CHECK_FAILS(KV_UNSUPPORTED, "URL", kv_verify("s3://bucket/db", KV_REPORT_TEXT, &report));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "gone", kv_verify(test_path("gone"), KV_REPORT_TEXT, &report));
    CHECK_FAILS(KV_NOT_A_DIRECTORY, "MANIFEST",
                kv_verify(test_path("misused/MANIFEST"), KV_REPORT_TEXT, &report));
    CHECK(mkdir(test_path("empty"), 0700) == 0);
    CHECK_FAILS(KV_DOES_NOT_EXIST, "no database",
                kv_verify(test_path("empty"), KV_REPORT_TEXT, &report));
    FILE *file = fopen(test_path("empty/letter"), "w");
    CHECK(file != NULL && fclose(file) == 0);
    CHECK_FAILS(KV_NOT_A_DATABASE, "letter",
                kv_verify(test_path("empty"), KV_REPORT_TEXT, &report));
    CHECK(report == NULL);
}

int main(void)
{
    test_reports();
    test_cancelling();
    test_databases_in_use();
    test_misuse();
    return test_end("verify_test");
}
