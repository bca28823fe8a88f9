/* Views: reading values where they lie, without a copy, for as long as the program likes. */
#define _XOPEN_SOURCE 700

#include "example.h"

enum { MIB = 1024 * 1024 };

/* A value of the database, as it was when it was looked up. */
struct sight {
    kv_view *view;
    const void *bytes;
    size_t length;
};

static struct sight look_up(kv_db *db, const char *key)
{
    struct sight sight;
    must(kv_view_get(db, key, strlen(key), &sight.view, &sight.bytes, &sight.length),
         "kv_view_get");
    return sight;
}

static int is_all(const struct sight *sight, char byte)
{
    const char *bytes = sight->bytes;
    for (size_t i = 0; i < sight->length; i++) {
        if (bytes[i] != byte) {
            return 0;
        }
    }
    return 1;
}

static void put_megabyte(kv_db *db, const char *key, char byte)
{
    static char megabyte[MIB];
    memset(megabyte, byte, sizeof megabyte);
    must(kv_put(db, key, strlen(key), megabyte, sizeof megabyte), "kv_put");
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    put_megabyte(db, "picture", 'a');
    struct sight first = look_up(db, "picture");
    expect(first.length == MIB && is_all(&first, 'a'), "the view shows the value");

    put_megabyte(db, "picture", 'b');
    struct sight second = look_up(db, "picture");
    expect(is_all(&first, 'a'), "a view does not change when its key is overwritten");
    expect(is_all(&second, 'b'), "a new view shows the new value");

    must(kv_delete(db, "picture", 7), "kv_delete");
    expect(is_all(&second, 'b'), "a view does not change when its key is deleted");

    must(kv_compact(db), "kv_compact");
    expect(is_all(&first, 'a') && is_all(&second, 'b'),
           "views do not change when compaction removes their files");

    must(kv_close(db), "kv_close");
    expect(is_all(&first, 'a') && is_all(&second, 'b'),
           "views can be read after the database was closed");
    kv_view_release(second.view);
    kv_view_release(first.view);

    must(kv_destroy(path), "kv_destroy");
    puts("two views outlived overwriting, deleting, compaction and closing");
    return EXIT_SUCCESS;
}
