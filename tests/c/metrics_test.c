/* Figures from C: latencies are within the range of what happened, structs of other sizes are
 * respected, and the text is whole. */
#include "test.h"

static kv_db *open_timed(const char *name, int32_t yes)
{
    kv_options *options = test_small_segments();
    CHECK_OK(kv_options_set_latency_histograms(options, yes));
    kv_db *db = test_open(name, options);
    kv_options_free(options);
    return db;
}

static void work(kv_db *db, unsigned count)
{
    char value[100];
    size_t len = 0;
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < count; i++) {
        CHECK_OK(kv_put(db, &i, sizeof i, value, sizeof value));
        CHECK_OK(kv_get_into(db, &i, sizeof i, value, sizeof value, &len));
    }
    CHECK_OK(kv_sync(db));
}

static kv_latency_t told(kv_db *db, int32_t operation)
{
    kv_latency_t latency = {.size = sizeof latency};
    CHECK_OK(kv_latency(db, operation, &latency));
    CHECK(latency.size == sizeof latency && latency.name != NULL);
    return latency;
}

static void test_latency(void)
{
    kv_db *db = open_timed("latency", 1);
    work(db, 10000);
    kv_latency_t get = told(db, KV_LATENCY_GET);
    kv_latency_t sync = told(db, KV_LATENCY_SYNC);
    CHECK(strcmp(get.name, "get") == 0 && strcmp(sync.name, "sync") == 0);
    CHECK(get.one_in > 1 && get.count * get.one_in > 5000 && get.count * get.one_in < 20000);
    CHECK(sync.one_in == 1 && sync.count == 1);
    CHECK(get.min_ns <= get.p50_ns && get.p50_ns <= get.p90_ns && get.p90_ns <= get.p99_ns);
    CHECK(get.p99_ns <= get.p999_ns && get.p999_ns <= get.max_ns && get.sum_ns >= get.max_ns);
    CHECK(sync.min_ns == sync.max_ns && sync.sum_ns == sync.p50_ns);
    kv_latency_t batch = told(db, KV_LATENCY_WRITE);
    CHECK(batch.count == 0 && batch.one_in == 0 && batch.max_ns == 0 && batch.min_ns == 0);
    for (int32_t operation = 0; operation <= KV_LATENCY_CHECKPOINT; operation++) {
        CHECK(told(db, operation).name[0] != '\0');
    }
    kv_latency_t none = {.size = sizeof none};
    CHECK_STATUS(KV_NOT_FOUND, kv_latency(db, INT32_MAX, &none));
    CHECK_STATUS(KV_NOT_FOUND, kv_latency(db, -1, &none));
    none.size = offsetof(kv_latency_t, one_in);
    none.one_in = 77;
    CHECK_OK(kv_latency(db, KV_LATENCY_PUT, &none));
    CHECK(none.size == offsetof(kv_latency_t, one_in) && none.count > 0 && none.one_in == 77);
    CHECK_FAILS(KV_NULL_ARGUMENT, "latency", kv_latency(db, KV_LATENCY_PUT, NULL));
    CHECK_OK(kv_close(db));
    CHECK_STATUS(KV_CLOSED, kv_latency(db, KV_LATENCY_PUT, &none));
}

static void test_off(void)
{
    kv_db *db = open_timed("off", 0);
    work(db, 1000);
    CHECK(told(db, KV_LATENCY_PUT).count == 0 && told(db, KV_LATENCY_SYNC).count == 0);
    CHECK_OK(kv_close(db));
    kv_options *options = test_small_segments();
    CHECK_FAILS(KV_INVALID_ARGUMENT, "yes", kv_options_set_latency_histograms(options, 2));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_latency_histograms(NULL, 1));
    kv_options_free(options);
}

static void test_metrics(void)
{
    kv_db *db = open_timed("metrics", 1);
    char *text = NULL;
    work(db, 1000);
    if (CHECK_OK(kv_metrics(db, &text)) && CHECK(text != NULL)) {
        size_t len = strlen(text);
        CHECK(len > 1000 && strcmp(text + len - 6, "# EOF\n") == 0);
        CHECK(strstr(text, "\nlibkv_keys 1000\n") != NULL);
        CHECK(strstr(text, "\nlibkv_writes_total 1000\n") != NULL);
        CHECK(strstr(text, "operation=\"put\",le=\"+Inf\"") != NULL);
        kv_free(text);
    }
    CHECK_FAILS(KV_NULL_ARGUMENT, "text", kv_metrics(db, NULL));
    CHECK_OK(kv_close(db));
    text = NULL;
    CHECK_STATUS(KV_CLOSED, kv_metrics(db, &text));
    CHECK(text == NULL);
}

static void test_stats(void)
{
    kv_db *db = open_timed("stats", 0);
    kv_stats_t stats = {.size = sizeof stats};
    work(db, 1000);
    CHECK_OK(kv_delete(db, &(unsigned){1}, sizeof(unsigned)));
    CHECK_OK(kv_stats(db, &stats));
    CHECK(stats.size == sizeof stats && stats.writes == 1001 && stats.deletes == 1);
    CHECK(stats.unsynced_writes <= 1 && stats.read_only == 0 && stats.snapshots == 0);
    CHECK(stats.opened_unix_ms > UINT64_C(1600000000000) && stats.sealed_segments == 0);
    CHECK_OK(kv_close(db));
}

int main(void)
{
    test_latency();
    test_off();
    test_metrics();
    test_stats();
    return test_end("metrics");
}
