/* Importing a list of changes in batches: each is in the database as a whole, or not at all. */
#define _XOPEN_SOURCE 700

#include "example.h"

enum { PER_BATCH = 4, DAY_MS = 24 * 3600 * 1000 };

/* What a change is: a value for good, one for a day, or none any more. */
static const struct {
    char kind;
    const char *key, *value;
} changes[] = {
    {'+', "anna", "librarian"}, {'+', "bert", "baker"},    {'t', "guest-1", "until tomorrow"},
    {'+', "carl", "carpenter"}, {'-', "bert", ""},         {'t', "guest-2", "until tomorrow"},
    {'+', "dora", "doctor"},    {'+', "anna", "director"}, {'-', "nobody", ""},
};

static void add(kv_batch *batch, char kind, const char *key, const char *value)
{
    switch (kind) {
    case '+':
        must(kv_batch_put(batch, key, strlen(key), value, strlen(value)), "kv_batch_put");
        break;
    case 't':
        must(kv_batch_put_ttl(batch, key, strlen(key), value, strlen(value), DAY_MS),
             "kv_batch_put_ttl");
        break;
    default:
        must(kv_batch_delete(batch, key, strlen(key)), "kv_batch_delete");
    }
}

/* Writes what has been collected, on the medium before it goes on, and begins anew. */
static void write_out(kv_db *db, kv_batch *batch)
{
    kv_write_options_t synced = {.size = sizeof synced, .sync = KV_WRITE_SYNC_YES};
    size_t count = 0;
    must(kv_batch_count(batch, &count), "kv_batch_count");
    must(kv_write(db, batch, &synced), "kv_write");
    must(kv_batch_clear(batch), "kv_batch_clear");
    printf("a batch of %zu changes\n", count);
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;
    kv_batch *batch;
    must(kv_open(path, NULL, &db), "kv_open");
    must(kv_batch_new(&batch), "kv_batch_new");

    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        size_t count = 0;
        add(batch, changes[i].kind, changes[i].key, changes[i].value);
        must(kv_batch_count(batch, &count), "kv_batch_count");
        if (count == PER_BATCH) {
            write_out(db, batch);
        }
    }
    write_out(db, batch);
    kv_batch_free(batch);

    uint64_t remaining = 0;
    must(kv_exists(db, "anna", 4, NULL), "anna is there");
    expect(kv_exists(db, "bert", 4, NULL) == KV_NOT_FOUND, "bert has left");
    must(kv_ttl(db, "guest-2", 7, &remaining), "kv_ttl");
    expect(remaining > 0 && remaining <= DAY_MS, "a guest stays for a day");

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
