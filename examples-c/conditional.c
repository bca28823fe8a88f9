/* Conditional writes: a lock, a counter, and a change by compare-and-swap, from several threads. */
#define _XOPEN_SOURCE 700

#include <pthread.h>

#include "example.h"

enum { THREADS = 4, VISITS = 250 };

static kv_db *db;

/* A counter: additions of threads that add at once are all counted. */
static void count_visit(void)
{
    int64_t visits = 0;
    must(kv_add(db, "visits", 6, 1, &visits), "kv_add");
    expect(visits > 0, "a counter tells what it is now");
}

/* Compare-and-swap: read, think, write if nobody has written meanwhile; else begin anew. */
static void lengthen_list(char mark)
{
    for (;;) {
        char list[THREADS * VISITS + 1];
        uint64_t version;
        size_t length;
        must(kv_get_version(db, "list", 4, &version), "kv_get_version");
        must(kv_get_into(db, "list", 4, list, sizeof list, &length), "kv_get_into");
        list[length] = mark;
        kv_write_options_t unchanged = {.size = sizeof unchanged, .if_version = version};
        kv_status status = kv_put_with(db, "list", 4, list, length + 1, &unchanged, NULL);
        if (status != KV_VERSION_MISMATCH) {
            must(status, "kv_put_with");
            return;
        }
    }
}

static void *visit(void *mark)
{
    for (int i = 0; i < VISITS; i++) {
        count_visit();
        lengthen_list(*(const char *)mark);
    }
    return NULL;
}

/* A lock: who stores the key first has it, for ten seconds at most if he dies with it. */
static void take_and_give_back_lock(void)
{
    kv_write_options_t lock = {.size = sizeof lock, .if_absent = 1, .ttl_ms = 10 * 1000};
    uint64_t mine = 0, theirs = 0;
    must(kv_put_with(db, "lock", 4, "anna", 4, &lock, &mine), "kv_put_with");
    expect(kv_put_with(db, "lock", 4, "bert", 4, &lock, &theirs) == KV_EXISTS,
           "a lock is had by one");

    /* Only the lock that was taken is given back, not one that somebody took since. */
    kv_write_options_t as_taken = {.size = sizeof as_taken, .if_version = mine};
    must(kv_delete_with(db, "lock", 4, &as_taken), "kv_delete_with");
    must(kv_put_with(db, "lock", 4, "bert", 4, &lock, &theirs), "kv_put_with");
    expect(kv_delete_with(db, "lock", 4, &as_taken) == KV_VERSION_MISMATCH,
           "another's lock is not given back");
}

int main(void)
{
    static const char marks[THREADS] = {'a', 'b', 'c', 'd'};
    const char *path = temporary_directory();
    pthread_t threads[THREADS];
    int64_t visits = 0;
    size_t length = 0;

    must(kv_open(path, NULL, &db), "kv_open");
    must(kv_put(db, "list", 4, NULL, 0), "kv_put");
    for (int i = 0; i < THREADS; i++) {
        expect(pthread_create(&threads[i], NULL, visit, (void *)&marks[i]) == 0, "a thread");
    }
    for (int i = 0; i < THREADS; i++) {
        expect(pthread_join(threads[i], NULL) == 0, "a thread ends");
    }
    must(kv_add(db, "visits", 6, 0, &visits), "kv_add");
    must(kv_exists(db, "list", 4, &length), "kv_exists");
    expect(visits == THREADS * VISITS, "no addition was lost");
    expect(length == THREADS * VISITS, "no change was lost");
    take_and_give_back_lock();

    printf("%d threads: %d visits counted, a list of %d\n", (int)THREADS, (int)visits,
           (int)length);
    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
