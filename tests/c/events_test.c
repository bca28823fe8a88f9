/* Messages and events: they come on a thread of libkv's, may call back in, and are slow at nobody's
 * expense. */
#include "test.h"

#include <stdatomic.h>
#include <time.h>

#define MANY 200

/* What the functions below were told. Read when the database is closed: then they are done. */
struct heard {
    kv_db *db; /* to be used by the function, or NULL */
    pthread_t opener;
    unsigned messages;
    unsigned events[16];
    int worst_level;
    uint64_t dropped;
    kv_status put, get, close;
    char last[512];
    atomic_int hold; /* the function waits until it is 0 */
};

static void wait_a_little(void)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
}

static void on_log(int32_t level, const char *message, void *context)
{
    struct heard *heard = context;
    heard->messages++;
    CHECK(level >= KV_LOG_ERROR && level <= KV_LOG_DEBUG);
    CHECK(message != NULL && message[0] != '\0' && strlen(message) < 512);
    CHECK(!pthread_equal(pthread_self(), heard->opener));
    heard->worst_level = level > heard->worst_level ? level : heard->worst_level;
    while (atomic_load(&heard->hold)) {
        wait_a_little();
    }
}

static void on_event(const kv_event_t *event, void *context)
{
    struct heard *heard = context;
    CHECK(event->size == sizeof *event);
    CHECK(event->unix_ms > UINT64_C(1600000000000));
    if (CHECK(event->kind >= 1 && event->kind < 16)) {
        heard->events[event->kind]++;
    }
    snprintf(heard->last, sizeof heard->last, "%s", event->message);
    if (event->kind == KV_EVENT_DROPPED) {
        heard->dropped += event->count;
    }
    while (atomic_load(&heard->hold)) {
        wait_a_little();
    }
    if (heard->db != NULL && event->kind == KV_EVENT_SEALED) {
        char value[8];
        size_t len = 0;
        heard->put = kv_put(heard->db, "event", 5, "sealed", 6);
        heard->get = kv_get_into(heard->db, "event", 5, value, sizeof value, &len);
        heard->close = kv_close(heard->db);
    }
}

static kv_options *telling(struct heard *heard, int32_t level)
{
    kv_options *options = test_small_segments();
    heard->opener = pthread_self();
    CHECK_OK(kv_options_set_log(options, on_log, heard, level));
    CHECK_OK(kv_options_set_events(options, on_event, heard));
    return options;
}

/* Puts `count` values of a KiB. */
static void fill(kv_db *db, unsigned count)
{
    char value[1024];
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < count; i++) {
        CHECK_OK(kv_put(db, &i, sizeof i, value, sizeof value));
    }
}

static void test_life(void)
{
    struct heard heard = {0};
    kv_options *options = telling(&heard, KV_LOG_DEBUG);
    kv_db *db = test_open("life", options);
    fill(db, 4000);
    fill(db, 4000);
    CHECK_OK(kv_compact(db));
    CHECK_OK(kv_close(db));
    CHECK(heard.events[KV_EVENT_OPENED] == 1 && heard.events[KV_EVENT_CLOSED] == 1);
    CHECK(heard.events[KV_EVENT_SEALED] >= 7 && heard.events[KV_EVENT_COMPACTED] >= 1);
    CHECK(heard.events[KV_EVENT_DAMAGED] == 0 && heard.events[KV_EVENT_READ_ONLY] == 0);
    CHECK(heard.messages > 10 && heard.worst_level == KV_LOG_DEBUG);
    CHECK(strstr(heard.last, "closed in") != NULL);
    kv_options_free(options);
}

/* Only what matters enough is told; without functions, nothing is. */
static void test_levels(void)
{
    struct heard heard = {0};
    kv_options *options = telling(&heard, KV_LOG_ERROR);
    CHECK_OK(kv_options_set_events(options, NULL, NULL));
    kv_db *db = test_open("levels", options);
    fill(db, 100);
    CHECK_OK(kv_close(db));
    CHECK(heard.messages == 0);
    CHECK_OK(kv_options_set_log(options, NULL, NULL, KV_LOG_DEBUG));
    db = test_open("levels", options);
    CHECK_OK(kv_close(db));
    CHECK(heard.messages == 0);
    kv_options_free(options);
}

/* Inside a function that is told, the database can be used and not closed; one that tells nothing
 * can be closed. */
static void test_calls_back(void)
{
    struct heard heard = {.put = KV_INTERNAL, .get = KV_INTERNAL, .close = KV_INTERNAL};
    kv_options *options = telling(&heard, KV_LOG_ERROR);
    atomic_store(&heard.hold, 1);
    kv_db *db = test_open("back", options);
    heard.db = db;
    atomic_store(&heard.hold, 0);
    fill(db, 4000);
    CHECK_OK(kv_sync(db));
    while (!test_has(db, "event", "sealed", 6)) {
        wait_a_little();
    }
    CHECK_OK(kv_close(db));
    CHECK_STATUS(KV_OK, heard.put == KV_CLOSED ? KV_OK : heard.put);
    CHECK_STATUS(KV_OK, heard.get == KV_CLOSED ? KV_OK : heard.get);
    /* The last call may have come when the database was being closed already. */
    CHECK(heard.close == KV_BUSY || heard.close == KV_CLOSED);
    kv_options_free(options);
}

static kv_status closed_inside;

static void close_another(const kv_event_t *event, void *context)
{
    kv_db *other = NULL;
    if (event->kind == KV_EVENT_OPENED) {
        CHECK_OK(kv_open(context, NULL, &other));
        closed_inside = kv_close(other);
    }
}

static void test_closes_another(void)
{
    char path[4096];
    kv_options *options = test_small_segments();
    snprintf(path, sizeof path, "%s", test_path("other"));
    closed_inside = KV_INTERNAL;
    CHECK_OK(kv_options_set_events(options, close_another, path));
    kv_db *db = test_open("one", options);
    CHECK_OK(kv_close(db));
    CHECK_STATUS(KV_OK, closed_inside);
    kv_options_free(options);
}

/* While the function takes its time, the database does not; what is too much is counted. */
static void test_slow(void)
{
    struct heard heard = {0};
    kv_options *options = telling(&heard, KV_LOG_DEBUG);
    atomic_store(&heard.hold, 1);
    kv_db *db = test_open("slow", options);
    kv_stats_t stats = {.size = sizeof stats};
    for (unsigned i = 0; i < MANY && stats.events_dropped == 0; i++) {
        CHECK_OK(kv_put(db, "key", 3, "v", 1));
        CHECK_OK(kv_put(db, "key", 3, "w", 1));
        CHECK_OK(kv_compact(db));
        CHECK_OK(kv_stats(db, &stats));
    }
    CHECK(stats.keys == 1 && stats.events_dropped > 0);
    atomic_store(&heard.hold, 0);
    /* What closing tells must find room, or is dropped as well. */
    for (unsigned i = 0; i < 100; i++) {
        wait_a_little();
    }
    CHECK_OK(kv_close(db));
    CHECK(heard.events[KV_EVENT_DROPPED] > 0 && heard.dropped >= stats.events_dropped);
    CHECK(heard.events[KV_EVENT_CLOSED] == 1);
    kv_options_free(options);
}

static void *put_until_closed(void *context)
{
    kv_db *db = *(kv_db **)context;
    char value[1024] = "v";
    for (unsigned i = 0;; i++) {
        kv_status status = kv_put(db, &i, sizeof i, value, sizeof value);
        if (status != KV_OK) {
            CHECK_STATUS(KV_CLOSED, status);
            return NULL;
        }
    }
}

/* Closed while threads write and functions are told and call back in, it closes. */
static void test_closed_in_the_middle(void)
{
    for (unsigned round = 0; round < 5; round++) {
        struct heard heard = {.close = KV_BUSY};
        pthread_t writers[2];
        kv_options *options = telling(&heard, KV_LOG_DEBUG);
        atomic_store(&heard.hold, 1);
        kv_db *db = test_open("middle", options);
        heard.db = db;
        atomic_store(&heard.hold, 0);
        for (unsigned i = 0; i < 2; i++) {
            CHECK(pthread_create(&writers[i], NULL, put_until_closed, &db) == 0);
        }
        for (unsigned i = 0; i < 20 + round * 10; i++) {
            wait_a_little();
        }
        CHECK_OK(kv_close(db));
        for (unsigned i = 0; i < 2; i++) {
            CHECK(pthread_join(writers[i], NULL) == 0);
        }
        CHECK(heard.close == KV_BUSY || heard.close == KV_CLOSED);
        CHECK(heard.events[KV_EVENT_CLOSED] == 1);
        kv_options_free(options);
    }
}

/* An open that fails has told what it found. */
static void test_failed_open(void)
{
    struct heard heard = {0};
    kv_options *options = telling(&heard, KV_LOG_DEBUG);
    kv_db *db = NULL;
    CHECK_OK(kv_options_set_create_if_missing(options, 0));
    CHECK_STATUS(KV_DOES_NOT_EXIST, kv_open(test_path("missing"), options, &db));
    CHECK(db == NULL && heard.events[KV_EVENT_OPENED] == 0);
    kv_options_free(options);
}

static void test_mistakes(void)
{
    kv_options *options = test_small_segments();
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_log(NULL, on_log, NULL, 1));
    CHECK_FAILS(KV_NULL_ARGUMENT, "options", kv_options_set_events(NULL, on_event, NULL));
    for (int32_t level = -1; level <= 5; level++) {
        kv_status expected = level >= 1 && level <= 4 ? KV_OK : KV_INVALID_ARGUMENT;
        CHECK_STATUS(expected, kv_options_set_log(options, on_log, NULL, level));
    }
    CHECK_FAILS(KV_INVALID_ARGUMENT, "1 to 4",
                kv_options_set_log(options, on_log, NULL, INT32_MIN));
    kv_options_free(options);
}

int main(void)
{
    test_life();
    test_levels();
    test_calls_back();
    test_closes_another();
    test_slow();
    test_closed_in_the_middle();
    test_failed_open();
    test_mistakes();
    return test_end("events");
}
