/* Threads: one database used by many at once, compacted and closed while others call. */
#include "test.h"

#include <time.h>

enum {
    WRITERS = 4,
    READERS = 2,
    KEYS = 200,          /* of each writer */
    ROUNDS = 60,         /* a writer writes or deletes each of its keys so often */
    LONGEST = 3000,      /* bytes of a value */
    CALLERS = 6
};

/* A value says what it is: it can be checked by who reads it, whoever wrote it. */
struct head {
    uint32_t writer;
    uint32_t key;
    uint32_t round;
    uint32_t len; /* of all */
};

static struct {
    kv_db *db;
    pthread_mutex_t mutex;
    int writers_left;
} shared = {NULL, PTHREAD_MUTEX_INITIALIZER, WRITERS};

static int writers_left(int done)
{
    pthread_mutex_lock(&shared.mutex);
    int left = shared.writers_left -= done;
    pthread_mutex_unlock(&shared.mutex);
    return left;
}

static uint32_t mixed(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t x = a * 2654435761u ^ b * 2246822519u ^ c * 3266489917u;
    x ^= x >> 15;
    return x * 2246822519u ^ x >> 13;
}

static size_t key_of(uint32_t writer, uint32_t key, char out[32])
{
    return (size_t)snprintf(out, 32, "writer %u key %u", writer, key);
}

static size_t make_value(uint32_t writer, uint32_t key, uint32_t round, unsigned char *out)
{
    uint32_t seed = mixed(writer, key, round);
    struct head head = {writer, key, round, (uint32_t)sizeof head + seed % LONGEST};
    memcpy(out, &head, sizeof head);
    for (size_t i = sizeof head; i < head.len; i++) {
        out[i] = (unsigned char)(seed + i * 31);
    }
    return head.len;
}

/* Whether a value is whole, and one of this key. Stores its round. */
static int is_whole(const unsigned char *value, size_t len, uint32_t writer, uint32_t key,
                    uint32_t *round)
{
    unsigned char expected[sizeof(struct head) + LONGEST];
    struct head head;
    if (len < sizeof head) {
        return 0;
    }
    memcpy(&head, value, sizeof head);
    *round = head.round;
    return head.writer == writer && head.key == key && head.len == len &&
           make_value(writer, key, head.round, expected) == len &&
           memcmp(value, expected, len) == 0;
}

/* Some rounds delete. The last one does not. */
static int deletes(uint32_t writer, uint32_t key, uint32_t round)
{
    return round + 1 < ROUNDS && round > 0 && mixed(round, writer, key) % 5 == 0;
}

static void *write_rounds(void *argument)
{
    uint32_t writer = *(uint32_t *)argument;
    unsigned char value[sizeof(struct head) + LONGEST];
    char key[32];
    int is_there[KEYS] = {0};

    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t number = 0; number < KEYS; number++) {
            size_t key_len = key_of(writer, number, key);
            size_t len = make_value(writer, number, round, value);
            if (deletes(writer, number, round)) {
                CHECK_STATUS(is_there[number] ? KV_OK : KV_NOT_FOUND,
                             kv_delete(shared.db, key, key_len));
                CHECK_STATUS(KV_NOT_FOUND, kv_exists(shared.db, key, key_len, NULL));
                is_there[number] = 0;
                continue;
            }
            CHECK_OK(kv_put(shared.db, key, key_len, value, len));
            is_there[number] = 1;
            /* Nobody else writes this key: what was put is what is found. */
            CHECK(test_has(shared.db, key, value, len));
        }
    }
    writers_left(1);
    return NULL;
}

/* Reads keys of all writers by view and by copy until they are done. */
static void *read_all(void *argument)
{
    static const char not_whole[] = "a value is whole, its key's, and not older than one seen";
    uint32_t seen[WRITERS][KEYS] = {{0}};
    uint32_t state = *(uint32_t *)argument;
    unsigned char buffer[sizeof(struct head) + LONGEST];
    unsigned long found = 0;
    char key[32];

    while (writers_left(0) > 0 || found == 0) {
        state = mixed(state, 1, 2);
        uint32_t writer = state % WRITERS, number = state / WRITERS % KEYS, round = 0;
        size_t key_len = key_of(writer, number, key), len = 0;
        const void *value = buffer;
        kv_view *view = NULL;
        kv_status status =
            state & 0x10000
                ? kv_get_into(shared.db, key, key_len, buffer, sizeof buffer, &len)
                : kv_view_get(shared.db, key, key_len, &view, &value, &len);
        if (status == KV_NOT_FOUND) {
            continue;
        }
        if (!CHECK_OK(status)) {
            break;
        }
        int good = is_whole((const unsigned char *)value, len, writer, number, &round) &&
                   round >= seen[writer][number];
        test_check(good, __FILE__, __LINE__, not_whole);
        seen[writer][number] = round;
        found++;
        kv_view_release(view);
    }
    return NULL;
}

static void *keep_compacting(void *argument)
{
    (void)argument;
    while (writers_left(0) > 0) {
        CHECK_OK(kv_compact(shared.db));
        CHECK_OK(kv_sync(shared.db));
    }
    return NULL;
}

static void check_last_round(void)
{
    unsigned char value[sizeof(struct head) + LONGEST];
    char key[32];
    for (uint32_t writer = 0; writer < WRITERS; writer++) {
        for (uint32_t number = 0; number < KEYS; number++) {
            key_of(writer, number, key);
            size_t len = make_value(writer, number, ROUNDS - 1, value);
            CHECK(test_has(shared.db, key, value, len));
        }
    }
}

static void test_everything_at_once(void)
{
    pthread_t threads[WRITERS + READERS + 1];
    uint32_t numbers[WRITERS + READERS];
    kv_options *options = test_small_segments();
    shared.db = test_open("threads", options);
    for (uint32_t i = 0; i < WRITERS + READERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, i < WRITERS ? write_rounds : read_all,
                             &numbers[i]) == 0);
    }
    CHECK(pthread_create(&threads[WRITERS + READERS], NULL, keep_compacting, NULL) == 0);
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    check_last_round();
    CHECK_OK(kv_close(shared.db));
    shared.db = test_open("threads", options);
    check_last_round();
    CHECK_OK(kv_close(shared.db));
    kv_options_free(options);
}

/* Calls with one handle until it is closed: any other answer is a failure. */
static void *call_until_closed(void *argument)
{
    uint32_t number = *(uint32_t *)argument;
    char buffer[16];
    size_t len;
    for (uint32_t i = number;; i++) {
        kv_status status;
        switch (i % 5) {
        case 0:
            status = kv_get_into(shared.db, "k", 1, buffer, sizeof buffer, &len);
            break;
        case 1:
            status = kv_exists(shared.db, "k", 1, NULL);
            break;
        case 2:
            status = i % 400 == 2 ? kv_compact(shared.db) : KV_OK;
            break;
        case 3:
            status = i % 100 == 3 ? kv_sync(shared.db) : KV_OK;
            break;
        default:
            status = kv_put(shared.db, "k", 1, "value", 5);
        }
        if (status == KV_CLOSED || status == KV_CANCELLED) {
            /* A compaction is cancelled by closing. */
            CHECK(strstr(kv_error_message(), "closed") != NULL);
            CHECK(status == KV_CLOSED || i % 5 == 2);
            return NULL;
        }
        if (!CHECK_OK(status)) {
            return NULL;
        }
    }
}

static void *close_it(void *argument)
{
    kv_status status = kv_close(shared.db);
    *(kv_status *)argument = status;
    return NULL;
}

static void test_closing_under_calls(void)
{
    for (int round = 0; round < 20; round++) {
        pthread_t callers[CALLERS], closers[2];
        uint32_t numbers[CALLERS];
        kv_status closed[2] = {KV_INTERNAL, KV_INTERNAL};
        struct timespec pause = {0, round * 1000 * 1000};

        shared.db = test_open("closing", NULL);
        CHECK_OK(kv_put(shared.db, "k", 1, "value", 5));
        for (uint32_t i = 0; i < CALLERS; i++) {
            numbers[i] = i;
            CHECK(pthread_create(&callers[i], NULL, call_until_closed, &numbers[i]) == 0);
        }
        nanosleep(&pause, NULL);
        for (int i = 0; i < 2; i++) {
            CHECK(pthread_create(&closers[i], NULL, close_it, &closed[i]) == 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            CHECK(pthread_join(callers[i], NULL) == 0);
        }
        for (int i = 0; i < 2; i++) {
            CHECK(pthread_join(closers[i], NULL) == 0);
        }
        /* Two close it: one does, the other is told. */
        CHECK((closed[0] == KV_OK && closed[1] == KV_CLOSED) ||
              (closed[0] == KV_CLOSED && closed[1] == KV_OK));
    }
}

static void *fail_otherwise(void *argument)
{
    CHECK(kv_error_message()[0] == '\0');
    CHECK_FAILS(KV_UNSUPPORTED, "other://", kv_open("other://thread", NULL, (kv_db **)argument));
    return NULL;
}

/* A message belongs to the thread that failed. */
static void test_messages(void)
{
    pthread_t thread;
    kv_db *db = NULL;
    CHECK_FAILS(KV_UNSUPPORTED, "this://", kv_open("this://thread", NULL, &db));
    CHECK(pthread_create(&thread, NULL, fail_otherwise, &db) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(strstr(kv_error_message(), "this://") != NULL);
}

int main(void)
{
    test_everything_at_once();
    test_closing_under_calls();
    test_messages();
    return test_end("threads_test");
}
