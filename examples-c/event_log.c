/* A log in the order of time: events are numbered, read by number, and forgotten after a while. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>

#include "example.h"

enum { KEY_LEN = 1 + 8, WEEK_MS = 7 * 24 * 3600 * 1000, PAGE = 64 };

/* libkv keeps keys in no order; numbers give one. */
static void event_key(unsigned char key[KEY_LEN], int64_t number)
{
    key[0] = 'e';
    for (int i = 0; i < 8; i++) {
        key[1 + i] = (unsigned char)((uint64_t)number >> (8 * i));
    }
}

static int64_t append(kv_db *db, const char *text)
{
    const kv_write_options_t week = {.size = sizeof week, .ttl_ms = WEEK_MS};
    unsigned char key[KEY_LEN];
    int64_t number = 0;
    must(kv_add(db, "events", 6, 1, &number), "kv_add");
    event_key(key, number);
    must(kv_put_with(db, key, KEY_LEN, text, strlen(text), &week, NULL), "kv_put_with");
    return number;
}

/* Shows the events from one number on, up to the next page, with one call. Numbers without one have
 * expired, or are being written just now. */
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
            printf("%" PRId64 ": %.*s\n", from + i, (int)results[i].value_len,
                   (const char *)results[i].value);
            shown++;
        }
    }
    kv_free(values);
    return shown;
}

int main(void)
{
    const char *path = temporary_directory();
    char text[32];
    int64_t last = 0;
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    for (int n = 1; n <= 100; n++) {
        snprintf(text, sizeof text, "the clock struck %d", n % 12 + 1);
        last = append(db, text);
    }
    expect(show(db, last - 9) == 10, "the last ten events are there");
    expect(show(db, 1) == PAGE, "so is a whole page of older ones");

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
