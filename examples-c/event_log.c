/* A log in the order of time: events are numbered without a gap, read by number or from a time on,
 * and forgotten after a while. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "example.h"

enum { KEY_LEN = 1 + 8, WEEK_MS = 7 * 24 * 3600 * 1000, PAGE = 64, TIME_LEN = 8 };

/* One process has a database open, so that a lock in its memory gives numbers their order. */
struct events {
    kv_db *db;
    pthread_mutex_t lock;
    int64_t last;
    int64_t last_ms;
    kv_batch *batch;
};

/* libkv keeps keys in no order; numbers give one. */
static void event_key(unsigned char key[KEY_LEN], int64_t number)
{
    key[0] = 'e';
    memcpy(key + 1, &number, sizeof number);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The event and the number that it brings the log to are written together: whoever sees a number
 * finds all events up to it, and a crash leaves no gap. */
static int64_t append(struct events *events, const char *text)
{
    unsigned char key[KEY_LEN];
    char value[256];
    pthread_mutex_lock(&events->lock);
    int64_t number = events->last + 1;
    int64_t time = now_ms();
    if (time < events->last_ms) {
        time = events->last_ms; /* the clock was set back; the order stays */
    }
    event_key(key, number);
    memcpy(value, &time, TIME_LEN);
    int len = snprintf(value + TIME_LEN, sizeof value - TIME_LEN, "%s", text);
    must(kv_batch_clear(events->batch), "kv_batch_clear");
    must(kv_batch_put_ttl(events->batch, key, KEY_LEN, value, TIME_LEN + (size_t)len, WEEK_MS),
         "kv_batch_put_ttl");
    must(kv_batch_put(events->batch, "last", 4, &number, sizeof number), "kv_batch_put");
    must(kv_write(events->db, events->batch, NULL), "kv_write");
    events->last = number;
    events->last_ms = time;
    pthread_mutex_unlock(&events->lock);
    return number;
}

/* The newest number in the database; 0 if there is none yet. */
static int64_t last_number(kv_db *db)
{
    int64_t last = 0;
    size_t len = 0;
    kv_status status = kv_get_into(db, "last", 4, &last, sizeof last, &len);
    expect(status == KV_OK || status == KV_NOT_FOUND, "the last number");
    return last;
}

/* When an event happened; -1: it has expired. */
static int64_t time_of(kv_db *db, int64_t number)
{
    unsigned char key[KEY_LEN];
    kv_view *view = NULL;
    const void *value = NULL;
    size_t len = 0;
    int64_t time = -1;
    event_key(key, number);
    kv_status status = kv_view_get(db, key, KEY_LEN, &view, &value, &len);
    if (status == KV_OK) {
        memcpy(&time, value, TIME_LEN);
        kv_view_release(view);
    } else {
        expect(status == KV_NOT_FOUND, "an event is there or has expired");
    }
    return time;
}

/* The number of the first event at this time or after it: times grow with the numbers, and the
 * oldest events are gone, so that halving finds it. */
static int64_t first_since(kv_db *db, int64_t ms)
{
    int64_t low = 1, high = last_number(db) + 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (time_of(db, middle) < ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Shows the events from one number on, up to the next page, with one call. */
static int show(kv_db *db, int64_t from)
{
    unsigned char keys[PAGE][KEY_LEN];
    kv_slice_t slices[PAGE];
    kv_result_t results[PAGE];
    void *values = NULL;
    int shown = 0;
    for (int i = 0; i < PAGE; i++) {
        event_key(keys[i], from + i);
        slices[i] = (kv_slice_t){keys[i], KEY_LEN};
    }
    must(kv_get_many(db, PAGE, slices, results, &values), "kv_get_many");
    for (int i = 0; i < PAGE; i++) {
        if (results[i].status == KV_OK) {
            printf("%" PRId64 ": %.*s\n", from + i, (int)results[i].value_len - TIME_LEN,
                   (const char *)results[i].value + TIME_LEN);
            shown++;
        } else {
            expect(results[i].status == KV_NOT_FOUND, "it is there, or expired, or yet to come");
        }
    }
    kv_free(values);
    return shown;
}

static void open_log(struct events *events, const char *path)
{
    must(kv_open(path, NULL, &events->db), "kv_open");
    must(kv_batch_new(&events->batch), "kv_batch_new");
    expect(pthread_mutex_init(&events->lock, NULL) == 0, "a lock");
    events->last = last_number(events->db);
    events->last_ms = events->last == 0 ? 0 : time_of(events->db, events->last);
}

static void close_log(struct events *events)
{
    kv_batch_free(events->batch);
    pthread_mutex_destroy(&events->lock);
    must(kv_close(events->db), "kv_close");
}

static void *strike(void *context)
{
    char text[32];
    for (int n = 0; n < 50; n++) {
        snprintf(text, sizeof text, "the clock struck %d", n % 12 + 1);
        append(context, text);
    }
    return NULL;
}

int main(void)
{
    const char *path = temporary_directory();
    struct events events;
    pthread_t threads[2];

    open_log(&events, path);
    for (int n = 0; n < 2; n++) {
        expect(pthread_create(&threads[n], NULL, strike, &events) == 0, "a thread begins");
    }
    for (int n = 0; n < 2; n++) {
        pthread_join(threads[n], NULL);
    }
    expect(last_number(events.db) == 100, "no number is left out, and none is there twice");
    close_log(&events);

    open_log(&events, path);
    expect(show(events.db, 91) == 10, "the last ten events are there");
    expect(show(events.db, 1) == PAGE, "so is a whole page of older ones");
    int64_t middle = time_of(events.db, 50);
    int64_t found = first_since(events.db, middle);
    expect(found <= 50 && time_of(events.db, found) == middle, "an event is found by its time");
    expect(first_since(events.db, now_ms() + 1000) == 101, "nothing is of later");
    expect(append(&events, "one more") == 101, "numbers go on after closing");

    close_log(&events);
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
