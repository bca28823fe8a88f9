/* Figures for Prometheus and for people: kv_metrics() as a server would give it, and kv_latency().
 * What is printed is the text of kv_metrics() alone; the rest goes to stderr. */
#define _XOPEN_SOURCE 700

#include "example.h"

static void work(kv_db *db)
{
    char value[256] = "a value";
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t key = i % 5000;
        size_t length;
        must(kv_put(db, &key, sizeof key, value, sizeof value), "kv_put");
        must(kv_get_into(db, &key, sizeof key, value, sizeof value, &length), "kv_get_into");
    }
    must(kv_sync(db), "kv_sync");
}

/* Every operation that this libkv knows, whatever the header knew. */
static unsigned show_latencies(kv_db *db)
{
    unsigned seen = 0;
    for (int32_t operation = 0;; operation++) {
        kv_latency_t latency = {.size = sizeof latency};
        kv_status status = kv_latency(db, operation, &latency);
        if (status == KV_NOT_FOUND) {
            return seen;
        }
        must(status, "kv_latency");
        if (latency.count == 0) {
            continue;
        }
        seen++;
        fprintf(stderr, "%-10s %6llu timed, one in %llu: median %llu, p99 %llu, longest %llu ns\n",
                latency.name, (unsigned long long)latency.count,
                (unsigned long long)latency.one_in, (unsigned long long)latency.p50_ns,
                (unsigned long long)latency.p99_ns, (unsigned long long)latency.max_ns);
    }
}

int main(void)
{
    const char *path = temporary_directory();
    kv_options *options;
    kv_db *db;
    char *text;

    must(kv_options_new(&options), "kv_options_new");
    must(kv_options_set_latency_histograms(options, 1), "latency_histograms");
    /* `kv top` shows the same from outside, while this program runs. */
    must(kv_options_set_publish_stats_ms(options, 1000), "publish_stats_ms");
    must(kv_open(path, options, &db), "kv_open");
    work(db);

    /* The body of an answer to GET /metrics. */
    must(kv_metrics(db, &text), "kv_metrics");
    fputs(text, stdout);
    kv_free(text);

    expect(show_latencies(db) >= 3, "puts, gets and the sync were timed");
    must(kv_close(db), "kv_close");
    kv_options_free(options);
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
