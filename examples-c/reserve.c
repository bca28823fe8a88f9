/* A value that is read from a file into the database, without a buffer in between. */
#define _XOPEN_SOURCE 700

#include "example.h"

/* Puts the contents of a file under a key. fread() writes straight into the log. */
static void put_file(kv_db *db, const char *key, FILE *file)
{
    fseek(file, 0, SEEK_END);
    size_t length = (size_t)ftell(file);
    rewind(file);

    kv_reservation *reservation;
    void *value;
    must(kv_put_reserve(db, key, strlen(key), length, NULL, &reservation, &value),
         "kv_put_reserve");
    if (fread(value, 1, length, file) == length) {
        must(kv_put_commit(reservation, NULL), "kv_put_commit");
    } else {
        kv_put_abort(reservation); /* nothing was written */
    }
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;
    must(kv_open(path, NULL, &db), "kv_open");

    FILE *file = tmpfile();
    expect(file != NULL, "a temporary file can be made");
    for (int line = 0; line < 10000; line++) {
        fprintf(file, "this is line %d\n", line);
    }
    put_file(db, "report", file);
    fclose(file);

    kv_view *view;
    const void *value;
    size_t length;
    must(kv_view_get(db, "report", 6, &view, &value, &length), "kv_view_get");
    printf("report: %zu bytes, ending in \"%.*s\"\n", length, 17,
           (const char *)value + length - 18);
    expect(memcmp((const char *)value + length - 18, "this is line 9999", 17) == 0,
           "the value is what was read");
    kv_view_release(view);

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return 0;
}
