/* A program outside the tree, in C: keeps a value in the database named on the command line. */
#include <kv.h>
#include <stdio.h>

int main(int argc, char **argv) {
    kv_db *db = NULL;
    void *value = NULL;
    size_t length = 0;
    kv_status status = argc == 2 ? kv_open(argv[1], NULL, &db) : -1;
    if (status == KV_OK) status = kv_put(db, "greeting", 8, "hello", 5);
    if (status == KV_OK) status = kv_get(db, "greeting", 8, &value, &length);
    if (status == KV_OK) printf("libkv %s: %.*s\n", kv_version(), (int)length, (char *)value);
    kv_free(value);
    if (status == KV_OK) status = kv_close(db);
    if (status != KV_OK) fprintf(stderr, "%s\n", kv_strerror(status));
    return status != KV_OK;
}
