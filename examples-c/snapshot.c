/* Snapshots: a database as it was at one moment, read while it is written. */
#define _XOPEN_SOURCE 700

#include "example.h"

static void set(kv_db *db, const char *account, long amount)
{
    must(kv_put(db, account, strlen(account), &amount, sizeof amount), "kv_put");
}

static long at(kv_snapshot *snapshot, const char *account)
{
    long amount = 0;
    size_t length;
    must(kv_snapshot_get_into(snapshot, account, strlen(account), &amount, sizeof amount, &length),
         "kv_snapshot_get_into");
    expect(length == sizeof amount, "the value is an amount");
    return amount;
}

/* Reading a snapshot has the same forms as reading the database: copied, or in place. */
static void show_in_other_forms(kv_snapshot *snapshot)
{
    void *copy;
    kv_view *view;
    const void *place;
    size_t length;
    must(kv_snapshot_get(snapshot, "bob", 3, &copy, &length), "kv_snapshot_get");
    must(kv_snapshot_view_get(snapshot, "bob", 3, &view, &place, &length),
         "kv_snapshot_view_get");
    expect(length == sizeof(long) && memcmp(copy, place, length) == 0, "they are the same");
    kv_view_release(view);
    kv_free(copy);
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;
    kv_snapshot *before, *after;

    must(kv_open(path, NULL, &db), "kv_open");
    set(db, "alice", 70);
    set(db, "bob", 30);

    must(kv_snapshot_new(db, &before), "kv_snapshot_new");
    set(db, "alice", 20);
    set(db, "bob", 80);
    must(kv_snapshot_new(db, &after), "kv_snapshot_new");
    must(kv_delete(db, "bob", 3), "kv_delete");
    must(kv_compact(db), "kv_compact");

    printf("before: alice %ld, bob %ld\n", at(before, "alice"), at(before, "bob"));
    printf("after:  alice %ld, bob %ld\n", at(after, "alice"), at(after, "bob"));
    expect(at(before, "alice") + at(before, "bob") == 100, "the sum is that of one moment");
    expect(at(after, "alice") + at(after, "bob") == 100, "and of another one");
    show_in_other_forms(before);
    expect(kv_exists(db, "bob", 3, NULL) == KV_NOT_FOUND, "by now bob is gone");

    /* A snapshot keeps what it sees: free it when it is not needed any more. */
    kv_snapshot_free(before);
    must(kv_close(db), "kv_close");
    expect(kv_snapshot_exists(after, "bob", 3, NULL) == KV_CLOSED, "its database is closed");
    kv_snapshot_free(after);
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
