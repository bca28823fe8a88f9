/* The operations that the guard counts, each between two stores to addresses that it knows.
 *
 * usage: operations fill DIRECTORY      makes the database, as fast as it can be made
 *        operations measure DIRECTORY   does every operation, under valgrind's tool lackey
 *
 * What the guard has to know is told on the standard error, which valgrind's trace goes to as well:
 * so both come in order. */
#define _GNU_SOURCE

#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <kv.h>

enum {
    /* Enough for a checkpoint when it is closed: under valgrind, nothing has to be replayed. */
    KEYS = 32000,
    /* How often an operation on one key is done, and one on many. */
    TURNS = 1000,
    TURNS_OF_MANY = 20,
    MANY = 100,
    KEY_LEN = 16,
    VALUE_LEN = 100
};

/* One store says which operation begins, one that it is over, one that it asked for memory. */
enum { END = 62, ALLOCATION = 63, MARKS = 64 };
static volatile uint64_t marks[MARKS] __attribute__((aligned(64)));

typedef unsigned char key_bytes[KEY_LEN];
static key_bytes keys[KEYS + TURNS] __attribute__((aligned(64)));
static unsigned char value[VALUE_LEN] __attribute__((aligned(64)));
static unsigned char room[2 * VALUE_LEN] __attribute__((aligned(64)));

static kv_db *db;
static kv_iter *iter;
static kv_slice_t many_keys[TURNS_OF_MANY][MANY] __attribute__((aligned(64)));
static kv_result_t many_results[MANY] __attribute__((aligned(64)));

/* The functions of this program take the place of those of the C library, also for libkv.so. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* Set in the thread that calls: those of libkv in the background allocate when they like. */
static _Thread_local int is_caller;

static void mark_allocation(void)
{
    if (is_caller) {
        marks[ALLOCATION] = 1;
    }
}

void *malloc(size_t size)
{
    mark_allocation();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    mark_allocation();
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    mark_allocation();
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    mark_allocation();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    mark_allocation();
    void *found = __libc_memalign(alignment, size);
    if (found == NULL) {
        return ENOMEM;
    }
    *memory = found;
    return 0;
}

/* So that every database has the same seed, and its keys the same places in the index. */
static uint64_t drawn;

ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < len; i++) {
        drawn = (drawn + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
        ((unsigned char *)bytes)[i] = (unsigned char)(drawn >> 56);
    }
    return (ssize_t)len;
}

/* Ends the program unless a call returned what it should. */
static void expect(kv_status wanted, kv_status status, const char *what)
{
    if (status != wanted) {
        fprintf(stderr, "guard failed: %s returned %d (%s), not %d: %s\n", what, (int)status,
                kv_strerror(status), (int)wanted, kv_error_message());
        exit(EXIT_FAILURE);
    }
}

/* Keys that are all different and look drawn; the same in every run. */
static void make_key(key_bytes key, uint64_t number)
{
    uint64_t mixed = number * 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
    mixed ^= mixed >> 31;
    memcpy(key, &mixed, 8);
    memcpy(key + 8, &number, 8);
}

static kv_db *open_database(const char *directory)
{
    kv_options *options = NULL;
    kv_db *opened = NULL;
    expect(KV_OK, kv_options_new(&options), "kv_options_new");
    /* As little as can be in the background. */
    expect(KV_OK, kv_options_set_sync(options, KV_SYNC_NONE), "kv_options_set_sync");
    expect(KV_OK, kv_options_set_compaction(options, KV_COMPACTION_MANUAL), "compaction");
    expect(KV_OK, kv_open(directory, options, &opened), "kv_open");
    kv_options_free(options);
    return opened;
}

static void fill(const char *directory)
{
    db = open_database(directory);
    for (unsigned i = 0; i < KEYS; i++) {
        expect(KV_OK, kv_put(db, keys[i], KEY_LEN, value, VALUE_LEN), "kv_put");
    }
    expect(KV_OK, kv_close(db), "kv_close");
}

/* The operations. Each takes a turn, and returns what the call did. */

static kv_status put_new(unsigned turn)
{
    return kv_put(db, keys[KEYS + turn], KEY_LEN, value, VALUE_LEN);
}

static kv_status put_old(unsigned turn)
{
    return kv_put(db, keys[turn], KEY_LEN, value, VALUE_LEN);
}

static kv_status get(unsigned turn)
{
    size_t len = 0;
    return kv_get_into(db, keys[turn], KEY_LEN, room, sizeof room, &len);
}

/* Before they are put. */
static kv_status get_missing(unsigned turn)
{
    size_t len = 0;
    return kv_get_into(db, keys[KEYS + turn], KEY_LEN, room, sizeof room, &len);
}

static kv_status delete_old(unsigned turn)
{
    return kv_delete(db, keys[turn], KEY_LEN);
}

static kv_status get_many(unsigned turn)
{
    void *arena = NULL;
    kv_status status = kv_get_many(db, MANY, many_keys[turn], many_results, &arena);
    kv_free(arena);
    return status;
}

static kv_status step(unsigned turn)
{
    kv_slice_t key;
    kv_slice_t found;
    (void)turn;
    kv_status status = KV_OK;
    for (unsigned i = 0; i < MANY && status == KV_OK; i++) {
        status = kv_iter_next(iter, &key, &found);
    }
    return status;
}

static const struct operation {
    const char *name;
    kv_status (*call)(unsigned turn);
    kv_status wanted;
    /* How often it is done, and how many keys it is about each time. */
    unsigned turns;
    unsigned keys;
} operations[] = {
    {"iterate", step, KV_OK, TURNS_OF_MANY, MANY},
    {"get", get, KV_OK, TURNS, 1},
    {"get_missing", get_missing, KV_NOT_FOUND, TURNS, 1},
    {"get_many", get_many, KV_OK, TURNS_OF_MANY, MANY},
    {"put_new", put_new, KV_OK, TURNS, 1},
    {"put_over", put_old, KV_OK, TURNS, 1},
    {"delete", delete_old, KV_OK, TURNS, 1},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

/* Where the program and its libraries are. */
static int tell_static(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_LOAD) {
            uintptr_t from = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
            uintptr_t to = from + object->dlpi_phdr[i].p_memsz;
            dprintf(STDERR_FILENO, "guard static %#jx %#jx\n", (uintmax_t)from, (uintmax_t)to);
        }
    }
    return 0;
}

/* What the guard has to know before the first operation. */
static void introduce(void)
{
    int on_stack = 0;
    dprintf(STDERR_FILENO, "guard glibc %s\n", gnu_get_libc_version());
    dprintf(STDERR_FILENO, "guard stack %p\n", (void *)&on_stack);
    dl_iterate_phdr(tell_static, NULL);
    dprintf(STDERR_FILENO, "guard marks %p %d %d\n", (void *)marks, (int)END, (int)ALLOCATION);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        dprintf(STDERR_FILENO, "guard operation %s %u\n", operations[i].name, operations[i].keys);
    }
}

/* Lets all be done that is done once: threads start, blocks are allocated, and the pieces of the
 * index are loaded in which the operations' keys are. */
static void warm_up(void)
{
    const struct timespec while_threads_work = {.tv_nsec = 100 * 1000 * 1000};
    size_t len = 0;
    /* An iterator is ahead of what it shows. */
    for (unsigned i = 0; i < (TURNS_OF_MANY + 5) * MANY; i++) {
        expect(KV_OK, kv_exists(db, keys[i], KEY_LEN, &len), "kv_exists");
    }
    for (unsigned i = 0; i < TURNS; i++) {
        expect(KV_NOT_FOUND, kv_exists(db, keys[KEYS + i], KEY_LEN, &len), "kv_exists");
    }
    /* The last ones, which no operation comes to. */
    for (unsigned i = KEYS - 20; i < KEYS; i++) {
        expect(KV_OK, put_old(i), "kv_put");
        expect(KV_OK, get(i), "kv_get_into");
        expect(KV_OK, delete_old(i), "kv_delete");
        expect(KV_OK, put_old(i), "kv_put");
    }
    expect(KV_OK, kv_iter_new(db, NULL, NULL, 0, &iter), "kv_iter_new");
    expect(KV_OK, step(0), "kv_iter_next");
    for (unsigned i = 0; i < TURNS_OF_MANY * MANY; i++) {
        many_keys[i / MANY][i % MANY] = (kv_slice_t){keys[i], KEY_LEN};
    }
    expect(KV_OK, get_many(0), "kv_get_many");
    nanosleep(&while_threads_work, NULL);
}

static void measure(const char *directory)
{
    /* From here on the stack lies at a page, however long the environment above it is: copying to
     * it takes as many instructions in every run. */
    _Alignas(4096) volatile unsigned char page[64];
    page[0] = 0;
    (void)page[0];
    db = open_database(directory);
    warm_up();
    introduce();
    for (unsigned i = 0; i < OPERATIONS; i++) {
        for (unsigned turn = 0; turn < operations[i].turns; turn++) {
            marks[i] = 1;
            kv_status status = operations[i].call(turn);
            marks[END] = 1;
            expect(operations[i].wanted, status, operations[i].name);
        }
        /* Writes would keep what it sees from now on. */
        kv_iter_free(iter);
        iter = NULL;
    }
    expect(KV_OK, kv_close(db), "kv_close");
    dprintf(STDERR_FILENO, "guard done\n");
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: operations fill|measure DIRECTORY\n");
        return EXIT_FAILURE;
    }
    is_caller = 1;
    /* The heap grows once and not now and then: that would be a system call of some operation. */
    mallopt(M_TOP_PAD, 64 << 20);
    for (unsigned i = 0; i < KEYS + TURNS; i++) {
        make_key(keys[i], i);
    }
    memset(value, 'v', sizeof value);
    if (strcmp(arguments[1], "fill") == 0) {
        fill(arguments[2]);
    } else {
        drawn = 1;
        measure(arguments[2]);
    }
    return EXIT_SUCCESS;
}
