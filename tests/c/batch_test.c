/* Batches: all of their writes happen or none, for readers, other threads, and after kill -9. */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { KEYS = 40, ROUNDS = 6, THREADS = 3, WRITES = 200 };

static kv_batch *new_batch(void)
{
    kv_batch *batch = NULL;
    if (!CHECK_OK(kv_batch_new(&batch))) {
        exit(EXIT_FAILURE);
    }
    return batch;
}

static size_t count(kv_batch *batch)
{
    size_t writes = 99;
    CHECK_OK(kv_batch_count(batch, &writes));
    return writes;
}

/* Fills a batch with one value under all keys. */
static void fill(kv_batch *batch, uint64_t value)
{
    CHECK_OK(kv_batch_clear(batch));
    for (unsigned key = 0; key < KEYS; key++) {
        CHECK_OK(kv_batch_put(batch, &key, sizeof key, &value, sizeof value));
    }
}

/* The value under a key, or 0 if there is none. */
static uint64_t value_of(kv_db *db, unsigned key)
{
    uint64_t value = 0;
    size_t len = sizeof value;
    kv_status status = kv_get_into(db, &key, sizeof key, &value, sizeof value, &len);
    CHECK(status == KV_NOT_FOUND || (status == KV_OK && len == sizeof value));
    return value;
}

static void test_writes_of_a_batch(void)
{
    kv_db *db = test_open("batch", NULL), *other = test_open("other", NULL);
    kv_batch *batch = new_batch();
    CHECK(count(batch) == 0);
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK_OK(kv_put(db, "gone", 4, "x", 1));
    CHECK_OK(kv_batch_put(batch, "one", 3, "1", 1));
    CHECK_OK(kv_batch_put(batch, "two", 3, "2", 1));
    CHECK_OK(kv_batch_put(batch, "empty", 5, NULL, 0));
    CHECK_OK(kv_batch_delete(batch, "gone", 4));
    CHECK_OK(kv_batch_delete(batch, "never there", 11));
    CHECK_OK(kv_batch_delete(batch, "one", 3));
    CHECK_OK(kv_batch_put(batch, "one", 3, "last", 4));
    CHECK(count(batch) == 7);
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "one", 3, NULL));

    CHECK_OK(kv_write(db, batch, NULL));
    CHECK(test_has(db, "one", "last", 4) && test_has(db, "two", "2", 1));
    CHECK(test_has(db, "empty", "", 0));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "gone", 4, NULL));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "never there", 11, NULL));

    /* It keeps its writes: for another time, and another database. */
    CHECK(count(batch) == 7);
    CHECK_OK(kv_delete(db, "two", 3));
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK_OK(kv_write(other, batch, NULL));
    CHECK(test_has(db, "two", "2", 1) && test_has(other, "two", "2", 1));
    CHECK_OK(kv_batch_clear(batch));
    CHECK(count(batch) == 0);
    CHECK_OK(kv_delete(db, "two", 3));
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "two", 3, NULL));
    CHECK_OK(kv_close(other));

    /* It outlives databases, too. */
    CHECK_OK(kv_batch_put(batch, "two", 3, "II", 2));
    CHECK_OK(kv_close(db));
    CHECK_FAILS(KV_CLOSED, "closed", kv_write(db, batch, NULL));
    db = test_open("batch", NULL);
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK(test_has(db, "two", "II", 2) && test_has(db, "one", "last", 4));
    CHECK_OK(kv_close(db));
    kv_batch_free(batch);
    kv_batch_free(NULL);
}

static void test_options_of_a_write(void)
{
    kv_db *db = test_open("options", NULL);
    kv_batch *batch = new_batch();
    kv_write_options_t options = {.size = sizeof options};
    CHECK_OK(kv_batch_put(batch, "k", 1, "v", 1));
    for (int32_t sync = KV_WRITE_SYNC_DEFAULT; sync <= KV_WRITE_SYNC_NO; sync++) {
        options.sync = sync;
        CHECK_OK(kv_write(db, batch, &options));
    }
    options.sync = 3;
    CHECK_FAILS(KV_INVALID_ARGUMENT, "sync", kv_write(db, batch, &options));
    options = (kv_write_options_t){.size = sizeof options, .if_absent = 1};
    CHECK_FAILS(KV_INVALID_ARGUMENT, "sync only", kv_write(db, batch, &options));
    options = (kv_write_options_t){.size = sizeof options, .ttl_ms = 1};
    CHECK_FAILS(KV_INVALID_ARGUMENT, "sync only", kv_write(db, batch, &options));
    options = (kv_write_options_t){.size = 0};
    CHECK_FAILS(KV_INVALID_ARGUMENT, "size", kv_write(db, batch, &options));
    kv_batch_free(batch);
    CHECK_OK(kv_close(db));
}

/* Values longer than a file of the log, and more writes than fit into one. */
static void test_large_batches(void)
{
    enum { LONG = 3 * 1024 * 1024, MANY = 30000 };
    static char bytes[LONG];
    kv_options *options = test_small_segments();
    kv_db *db = test_open("large", options);
    kv_batch *batch = new_batch();
    memset(bytes, 'b', sizeof bytes);
    CHECK_OK(kv_batch_put(batch, "long", 4, bytes, sizeof bytes));
    CHECK_OK(kv_batch_put(batch, "longer", 6, bytes, sizeof bytes));
    for (unsigned key = 0; key < MANY; key++) {
        CHECK_OK(kv_batch_put(batch, &key, sizeof key, bytes, 100));
    }
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK_OK(kv_batch_clear(batch));
    CHECK(test_has(db, "long", bytes, LONG) && test_has(db, "longer", bytes, LONG));
    for (unsigned key = 0; key < MANY; key++) {
        CHECK_OK(kv_batch_delete(batch, &key, sizeof key));
    }
    CHECK_OK(kv_write(db, batch, NULL));
    CHECK_OK(kv_close(db));
    db = test_open("large", options);
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_OK(kv_stats(db, &stats));
    CHECK(stats.keys == 2);
    CHECK(test_has(db, "longer", bytes, LONG));
    CHECK_OK(kv_close(db));
    kv_batch_free(batch);
    kv_options_free(options);
}

struct work {
    kv_db *db;
    kv_batch *shared;
    unsigned number;
    unsigned busy;
};

/* Writes one number under all keys, then the next. */
static void *write_rounds(void *argument)
{
    struct work *work = (struct work *)argument;
    kv_batch *batch = new_batch();
    for (uint64_t round = 1; round <= WRITES; round++) {
        fill(batch, round);
        CHECK_OK(kv_write(work->db, batch, NULL));
    }
    kv_batch_free(batch);
    return NULL;
}

/* Whoever has seen a round under one key finds no older one under any other. */
static void *read_rounds(void *argument)
{
    struct work *work = (struct work *)argument;
    uint64_t newest = 0;
    for (unsigned key = work->number; newest < WRITES; key = (key + 7) % KEYS) {
        uint64_t seen = value_of(work->db, key);
        if (!CHECK(seen >= newest)) {
            return NULL;
        }
        newest = seen;
    }
    return NULL;
}

static void test_readers_see_all_or_nothing(void)
{
    kv_db *db = test_open("readers", NULL);
    pthread_t threads[THREADS];
    struct work work[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        void *(*body)(void *) = i == 0 ? write_rounds : read_rounds;
        work[i] = (struct work){.db = db, .number = i};
        CHECK(pthread_create(&threads[i], NULL, body, &work[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_OK(kv_close(db));
}

/* Uses one batch as fast as it can: each call is done or told that another is under way. */
static void *use_shared_batch(void *argument)
{
    struct work *work = (struct work *)argument;
    for (unsigned i = 0; i < 20 * WRITES; i++) {
        unsigned key = i % KEYS;
        size_t number;
        kv_status status;
        switch (i % 16) {
        case 0:
            status = kv_batch_clear(work->shared);
            break;
        case 5:
            status = kv_batch_count(work->shared, &number);
            break;
        case 10:
            status = kv_write(work->db, work->shared, NULL);
            break;
        default:
            status = kv_batch_put(work->shared, &key, sizeof key, &i, sizeof i);
        }
        CHECK(status == KV_OK || status == KV_BUSY);
        work->busy += status == KV_BUSY;
    }
    return NULL;
}

static void test_two_threads_with_one_batch_are_told(void)
{
    kv_db *db = test_open("shared", NULL);
    kv_batch *batch = new_batch();
    pthread_t threads[THREADS];
    struct work work[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        work[i] = (struct work){.db = db, .shared = batch};
        CHECK(pthread_create(&threads[i], NULL, use_shared_batch, &work[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_OK(kv_batch_clear(batch));
    kv_batch_free(batch);
    CHECK_OK(kv_close(db));
}

/* In a child: writes rounds for ever, and tells of each that was acknowledged. */
static void write_until_killed(int channel)
{
    kv_db *db = test_open("killed", NULL);
    kv_batch *batch = new_batch();
    uint64_t found = value_of(db, 0);
    for (unsigned key = 0; key < KEYS; key++) {
        if (!CHECK(value_of(db, key) == found)) {
            _exit(EXIT_FAILURE);
        }
    }
    for (uint64_t round = found + 1;; round++) {
        fill(batch, round);
        if (kv_write(db, batch, NULL) != KV_OK ||
            write(channel, &round, sizeof round) != sizeof round) {
            _exit(EXIT_FAILURE);
        }
    }
}

/* To be called before this process opens a database: the children open one. */
static uint64_t kill_writers(void)
{
    uint64_t acknowledged = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int channel[2];
        CHECK(pipe(channel) == 0);
        pid_t child = fork();
        if (child == 0) {
            close(channel[0]);
            write_until_killed(channel[1]);
        }
        close(channel[1]);
        uint64_t round = 0, first = 0;
        for (int seen = 0; seen < 3 + i && read(channel[0], &round, sizeof round) > 0; seen++) {
            first = first == 0 ? round : first;
        }
        CHECK(first > acknowledged);
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000 * (i + 1)}, NULL);
        CHECK(child > 0 && kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        while (read(channel[0], &round, sizeof round) == sizeof round) {
        }
        close(channel[0]);
        acknowledged = round;
    }
    return acknowledged;
}

static void test_killed_writers(uint64_t acknowledged)
{
    kv_db *db = test_open("killed", NULL);
    uint64_t found = value_of(db, 0);
    CHECK(found >= acknowledged && found <= acknowledged + 1);
    for (unsigned key = 0; key < KEYS; key++) {
        CHECK(value_of(db, key) == found);
    }
    CHECK_OK(kv_close(db));
}

int main(void)
{
    test_directory();
    uint64_t acknowledged = kill_writers();
    test_killed_writers(acknowledged);
    test_writes_of_a_batch();
    test_options_of_a_write();
    test_large_batches();
    test_readers_see_all_or_nothing();
    test_two_threads_with_one_batch_are_told();
    return test_end("batch_test");
}
