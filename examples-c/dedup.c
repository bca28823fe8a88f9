/* A store that keeps equal blocks once: a block is found by its content, and counted. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>

#include "example.h"

/* Keys of blocks: 'b', 128 bits of a hash, and a number that tells blocks with one hash apart. */
enum { KEY_LEN = 1 + 16 + 1, MOST_WITH_ONE_HASH = 255 };

/* Two FNV-1a hashes with other beginnings: good enough, because contents are compared as well. */
static void block_key(unsigned char key[KEY_LEN], const void *block, size_t len, unsigned char turn)
{
    uint64_t parts[2] = {0xcbf29ce484222325u, 0x84222325cbf29ce4u};
    const unsigned char *bytes = block;
    for (size_t i = 0; i < len; i++) {
        parts[0] = (parts[0] ^ bytes[i]) * 0x100000001b3u;
        parts[1] = (parts[1] ^ bytes[i] ^ (i & 0xff)) * 0x100000001b3u;
    }
    key[0] = 'b';
    memcpy(key + 1, parts, sizeof parts);
    key[KEY_LEN - 1] = turn;
}

/* How many times a block is stored is under the same key with another first letter. */
static int64_t count(kv_db *db, const unsigned char key[KEY_LEN], int64_t more)
{
    unsigned char counter[KEY_LEN];
    int64_t now = 0;
    memcpy(counter, key, KEY_LEN);
    counter[0] = 'c';
    must(kv_add(db, counter, KEY_LEN, more, &now), "kv_add");
    return now;
}

/* Stores a block, unless it is there, and answers the key by which it is found. */
static void store(kv_db *db, const void *block, size_t len, unsigned char key[KEY_LEN])
{
    const kv_write_options_t absent = {.size = sizeof absent, .if_absent = 1};
    for (unsigned turn = 0; turn < MOST_WITH_ONE_HASH; turn++) {
        kv_view *view = NULL;
        const void *there = NULL;
        size_t there_len = 0;
        block_key(key, block, len, (unsigned char)turn);
        kv_status status = kv_put_with(db, key, KEY_LEN, block, len, &absent, NULL);
        if (status == KV_OK) {
            count(db, key, 1);
            return;
        }
        expect(status == KV_EXISTS, "a block is stored or there");
        must(kv_view_get(db, key, KEY_LEN, &view, &there, &there_len), "kv_view_get");
        int is_equal = there_len == len && memcmp(there, block, len) == 0;
        kv_view_release(view);
        if (is_equal) {
            count(db, key, 1);
            return;
        }
    }
    expect(0, "so many blocks have one hash");
}

/* Forgets a block that was stored once; the last to do so removes it. */
static void forget(kv_db *db, const unsigned char key[KEY_LEN])
{
    if (count(db, key, -1) == 0) {
        must(kv_delete(db, key, KEY_LEN), "kv_delete");
    }
}

int main(void)
{
    const char *path = temporary_directory();
    unsigned char block[4096], keys[300][KEY_LEN];
    uint64_t bytes = 0;
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    for (int n = 0; n < 300; n++) {
        memset(block, n % 3, sizeof block);
        store(db, block, sizeof block, keys[n]);
    }
    must(kv_approximate_bytes(db, &bytes), "kv_approximate_bytes");
    printf("300 blocks of 4096 bytes take %" PRIu64 " bytes\n", bytes);
    expect(bytes < 4 * 4096, "three blocks are kept");

    for (int n = 0; n < 300; n++) {
        if (n % 3 != 0) {
            forget(db, keys[n]);
        }
    }
    expect(kv_exists(db, keys[0], KEY_LEN, NULL) == KV_OK, "one is still needed");
    expect(kv_exists(db, keys[1], KEY_LEN, NULL) == KV_NOT_FOUND, "another is not");

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
