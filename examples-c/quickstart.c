/* Quick start: opens a database, stores a value, reads it back, deletes it, closes. */
#define _XOPEN_SOURCE 700
#include <kv.h>
#include <stdio.h>
#include <stdlib.h>

static void check(kv_status status, const char *what)
{
    if (status != KV_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, kv_strerror(status), kv_error_message());
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    char path[] = "/tmp/kv-quickstart-XXXXXX";
    kv_db *db;
    void *value;
    size_t length;

    if (mkdtemp(path) == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }
    check(kv_open(path, NULL, &db), "kv_open");
    check(kv_put(db, "planet", 6, "Saturn", 6), "kv_put");
    check(kv_get(db, "planet", 6, &value, &length), "kv_get");
    printf("planet: %.*s\n", (int)length, (const char *)value);
    kv_free(value);
    check(kv_delete(db, "planet", 6), "kv_delete");
    check(kv_close(db), "kv_close");
    check(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
