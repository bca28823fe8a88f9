/* Walking over all keys, or those with a prefix, while the database is written. */
#define _XOPEN_SOURCE 700

#include "example.h"

enum { USERS = 1000, ORDERS = 5000 };

static void put(kv_db *db, const char *kind, int number, const char *value)
{
    char key[64];
    int length = snprintf(key, sizeof key, "%s/%d", kind, number);
    must(kv_put(db, key, (size_t)length, value, strlen(value)), "kv_put");
}

/* How many keys begin with `prefix`, and in *bytes how long their values are together. */
static int walk(kv_db *db, const char *prefix, size_t *bytes)
{
    kv_iter *iter;
    kv_slice_t key, value;
    kv_status status;
    int count = 0;

    *bytes = 0;
    /* NULL for a snapshot: the iterator takes one of its own. */
    must(kv_iter_new(db, NULL, prefix, strlen(prefix), &iter), "kv_iter_new");
    while ((status = kv_iter_next(iter, &key, &value)) == KV_OK) {
        /* key and value can be read until the next call. */
        expect(key.len >= strlen(prefix) && memcmp(key.data, prefix, strlen(prefix)) == 0,
               "the key begins with the prefix");
        *bytes += value.len;
        count++;
        /* What is written meanwhile is not walked over. */
        if (count % 100 == 0) {
            put(db, "seen", count, prefix);
        }
    }
    expect(status == KV_NOT_FOUND, "the walk ends with KV_NOT_FOUND");
    kv_iter_free(iter);
    return count;
}

/* The longest value. What an iterator stands at can be asked for again. */
static void find_longest(kv_db *db)
{
    kv_iter *iter;
    char longest[64] = "";
    size_t most = 0;
    must(kv_iter_new(db, NULL, NULL, 0, &iter), "kv_iter_new");
    while (kv_iter_next(iter, NULL, NULL) == KV_OK) {
        const void *key, *value;
        size_t key_length, length;
        must(kv_iter_value(iter, &value, &length), "kv_iter_value");
        if (length > most) {
            must(kv_iter_key(iter, &key, &key_length), "kv_iter_key");
            snprintf(longest, sizeof longest, "%.*s", (int)key_length, (const char *)key);
            most = length;
        }
    }
    kv_iter_free(iter);
    printf("%s has the longest value, %zu bytes\n", longest, most);
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;
    size_t bytes;
    uint64_t keys;

    must(kv_open(path, NULL, &db), "kv_open");
    for (int number = 0; number < USERS; number++) {
        put(db, "user", number, "a name and an address");
    }
    for (int number = 0; number < ORDERS; number++) {
        put(db, "order", number, "what was ordered");
    }

    expect(walk(db, "", &bytes) == USERS + ORDERS, "all keys were shown once");
    printf("%d keys, %zu bytes of values\n", USERS + ORDERS, bytes);
    expect(walk(db, "user/", &bytes) == USERS, "so were those of all users");
    printf("%d users, %zu bytes of values\n", USERS, bytes);

    find_longest(db);

    uint64_t live;
    must(kv_count(db, &keys), "kv_count");
    must(kv_approximate_bytes(db, &live), "kv_approximate_bytes");
    printf("%lu keys by now, about %lu bytes\n", (unsigned long)keys, (unsigned long)live);
    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
