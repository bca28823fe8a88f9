/* A store that keeps equal blocks once: found by their content, with their uses counted. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <pthread.h>

#include "example.h"

/* What is known of a block, under its name; the name is a hash of the content, and a number that
 * tells blocks with one hash apart. The content is under the place, which is never given out twice:
 * so what a place holds never changes, and may be removed when nothing refers to it. */
struct entry {
    int64_t uses;
    int64_t place;
};
enum { NAME_LEN = 1 + 16 + 1, PLACE_LEN = 1 + 8 + NAME_LEN, MOST_WITH_ONE_HASH = 255 };

/* Two FNV-1a hashes with other beginnings: good enough, because contents are compared as well. */
static void name_of(unsigned char name[NAME_LEN], const void *block, size_t len, unsigned turn)
{
    uint64_t parts[2] = {0xcbf29ce484222325u, 0x84222325cbf29ce4u};
    const unsigned char *bytes = block;
    for (size_t i = 0; i < len; i++) {
        parts[0] = (parts[0] ^ bytes[i]) * 0x100000001b3u;
        parts[1] = (parts[1] ^ bytes[i] ^ (i & 0xff)) * 0x100000001b3u;
    }
    name[0] = 'n';
    memcpy(name + 1, parts, sizeof parts);
    name[NAME_LEN - 1] = (unsigned char)turn;
}

/* The place has the name in it, so that what lies there can be told from what was left there. */
static void place_key(unsigned char key[PLACE_LEN], const unsigned char *name, int64_t place)
{
    key[0] = 'p';
    memcpy(key + 1, &place, sizeof place);
    memcpy(key + 1 + sizeof place, name, NAME_LEN);
}

/* Reads an entry and its version, which is read first: if the entry changes in between, writing it
 * with that version is refused. */
static int find(kv_db *db, const unsigned char *name, struct entry *entry, uint64_t *version)
{
    size_t len = 0;
    kv_status status = kv_get_version(db, name, NAME_LEN, version);
    if (status == KV_OK) {
        status = kv_get_into(db, name, NAME_LEN, entry, sizeof *entry, &len);
    }
    if (status == KV_NOT_FOUND) {
        return 0;
    }
    must(status, "an entry");
    return 1;
}

/* 1: the block at this place is this one; 0: it is another one; -1: it was removed just now. */
static int is_same(kv_db *db, const unsigned char *key, const void *block, size_t len)
{
    kv_view *view = NULL;
    const void *there = NULL;
    size_t there_len = 0;
    kv_status status = kv_view_get(db, key, PLACE_LEN, &view, &there, &there_len);
    if (status == KV_NOT_FOUND) {
        return -1;
    }
    must(status, "kv_view_get");
    int is_equal = there_len == len && memcmp(there, block, len) == 0;
    kv_view_release(view);
    return is_equal;
}

/* Stores a block that is not there under this name. If another thread does so first, its entry
 * stays, and what was written goes. */
static int add(kv_db *db, const unsigned char *name, const void *block, size_t len)
{
    const kv_write_options_t absent = {.size = sizeof absent, .if_absent = 1};
    struct entry entry = {.uses = 1};
    unsigned char key[PLACE_LEN];
    must(kv_add(db, "places", 6, 1, &entry.place), "kv_add");
    place_key(key, name, entry.place);
    must(kv_put(db, key, PLACE_LEN, block, len), "kv_put");
    kv_status status = kv_put_with(db, name, NAME_LEN, &entry, sizeof entry, &absent, NULL);
    if (status == KV_EXISTS) {
        must(kv_delete(db, key, PLACE_LEN), "kv_delete");
        return 0;
    }
    must(status, "kv_put_with");
    return 1;
}

/* Stores a block, or counts one use more of it, and answers the name by which it is found. */
static void store(kv_db *db, const void *block, size_t len, unsigned char name[NAME_LEN])
{
    unsigned turn = 0;
    while (turn <= MOST_WITH_ONE_HASH) {
        kv_write_options_t same = {.size = sizeof same};
        unsigned char key[PLACE_LEN];
        struct entry entry;
        name_of(name, block, len, turn);
        if (!find(db, name, &entry, &same.if_version)) {
            if (add(db, name, block, len)) {
                return;
            }
            continue;
        }
        place_key(key, name, entry.place);
        int found = is_same(db, key, block, len);
        if (found == 0) {
            turn++; /* another block with this hash */
        } else if (found == 1) {
            entry.uses++;
            kv_status status =
                kv_put_with(db, name, NAME_LEN, &entry, sizeof entry, &same, NULL);
            if (status == KV_OK) {
                return;
            }
            expect(status == KV_VERSION_MISMATCH, "it was changed in between, or gone");
        }
    }
    expect(0, "so many blocks have one hash");
}

/* Forgets one use of a block. Whoever removes the entry removes the block: nobody can have come to
 * refer to it since, for that would have changed the entry's version. */
static void forget(kv_db *db, const unsigned char *name)
{
    kv_write_options_t same = {.size = sizeof same};
    unsigned char key[PLACE_LEN];
    struct entry entry;
    kv_status status = KV_VERSION_MISMATCH;
    while (status == KV_VERSION_MISMATCH || status == KV_NOT_FOUND) {
        expect(find(db, name, &entry, &same.if_version), "what is in use is there");
        place_key(key, name, entry.place);
        if (--entry.uses > 0) {
            status = kv_put_with(db, name, NAME_LEN, &entry, sizeof entry, &same, NULL);
        } else {
            status = kv_delete_with(db, name, NAME_LEN, &same);
        }
    }
    must(status, "an entry");
    if (entry.uses == 0) {
        must(kv_delete(db, key, PLACE_LEN), "kv_delete");
    }
}

/* Removes blocks that a crash has left: stored, but not yet or no longer referred to. For when the
 * database has just been opened, and nobody stores anything yet. */
static int sweep(kv_db *db)
{
    kv_iter *iter = NULL;
    kv_slice_t key, value;
    kv_status status;
    int swept = 0;
    must(kv_iter_new(db, NULL, "p", 1, &iter), "kv_iter_new");
    while ((status = kv_iter_next(iter, &key, &value)) == KV_OK) {
        const unsigned char *bytes = key.data;
        struct entry entry;
        uint64_t version = 0;
        int64_t place = 0;
        if (key.len != PLACE_LEN) {
            continue; /* the counter of places */
        }
        memcpy(&place, bytes + 1, sizeof place);
        if (!find(db, bytes + 1 + sizeof place, &entry, &version) || entry.place != place) {
            must(kv_delete(db, key.data, key.len), "kv_delete");
            swept++;
        }
    }
    expect(status == KV_NOT_FOUND, "all was looked at");
    kv_iter_free(iter);
    return swept;
}

enum { THREADS = 4, ROUNDS = 300, BLOCKS = 3, BLOCK_LEN = 4096 };

/* Stores and forgets the same few blocks as the other threads, and leaves each stored once. */
static void *work(void *db)
{
    unsigned char block[BLOCK_LEN], name[NAME_LEN];
    for (int n = 0; n < ROUNDS; n++) {
        memset(block, n % BLOCKS, sizeof block);
        store(db, block, sizeof block, name);
        if (n >= BLOCKS) {
            forget(db, name);
        }
    }
    return NULL;
}

int main(void)
{
    const char *path = temporary_directory();
    unsigned char block[BLOCK_LEN], name[NAME_LEN];
    pthread_t threads[THREADS];
    uint64_t bytes = 0, version = 0;
    struct entry entry;
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    for (int n = 0; n < THREADS; n++) {
        expect(pthread_create(&threads[n], NULL, work, db) == 0, "a thread begins");
    }
    for (int n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
    }
    for (int n = 0; n < BLOCKS; n++) {
        memset(block, n, sizeof block);
        name_of(name, block, sizeof block, 0);
        expect(find(db, name, &entry, &version) && entry.uses == THREADS, "each is used by each");
    }
    must(kv_approximate_bytes(db, &bytes), "kv_approximate_bytes");
    printf("%d blocks of %d bytes take %" PRIu64 " bytes\n", THREADS * BLOCKS, BLOCK_LEN, bytes);
    expect(bytes < (BLOCKS + 1) * BLOCK_LEN, "three blocks are kept");

    /* All are forgotten but one use of the last; and a crash leaves a block without an entry. */
    for (int n = 0; n < BLOCKS * THREADS - 1; n++) {
        memset(block, n / THREADS, sizeof block);
        name_of(name, block, sizeof block, 0);
        forget(db, name);
    }
    place_key(block, name, 0);
    must(kv_put(db, block, PLACE_LEN, "left", 4), "kv_put");
    must(kv_close(db), "kv_close");
    must(kv_open(path, NULL, &db), "kv_open");
    expect(sweep(db) == 1, "what was left goes");
    expect(find(db, name, &entry, &version) && entry.uses == 1, "what is used stays");
    must(kv_count(db, &bytes), "kv_count");
    expect(bytes == 3, "an entry, its block, and the counter of places");

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
