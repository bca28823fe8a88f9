/* Limits of the process: no more descriptors, no more maps, no more address space. Every call
 * says so by its status and changes nothing; when the limit is gone, everything goes on. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "test.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { MORE = 40, MAPS = 200 * 1000, VALUE = 60 * 1000 };

static char value[VALUE];

/* Whether a call went well, or said that there is a limit. */
static int is_limit(kv_status status)
{
    return status == KV_OK || status == KV_TOO_MANY_OPEN || status == KV_OUT_OF_MEMORY;
}

#define CHECK_LIMIT(call) test_check(is_limit(call), __FILE__, __LINE__, #call)

/* Calls what needs descriptors, maps or threads; answers how many calls failed. */
static unsigned call_what_needs_some(kv_db *db, const char *backup, unsigned from)
{
    kv_iter *iter = NULL;
    kv_batch *batch = NULL;
    kv_slice_t key, found;
    unsigned failed = 0;
    size_t len = 0;
    char buffer[VALUE];
    kv_stats_t stats = {.size = sizeof stats};
    for (unsigned number = from; number < from + MORE; number++) {
        kv_status status = kv_put(db, &number, sizeof number, value, sizeof value);
        failed += status != KV_OK;
        CHECK_LIMIT(status);
    }
    for (unsigned number = 0; number < MORE; number++) {
        kv_status status =
            kv_get_into(db, &number, sizeof number, buffer, sizeof buffer, &len);
        failed += status != KV_OK;
        CHECK_LIMIT(status);
        CHECK(status != KV_OK || (len == sizeof value && memcmp(buffer, value, len) == 0));
    }
    CHECK_OK(kv_batch_new(&batch));
    CHECK_OK(kv_batch_put(batch, "batch", 5, value, sizeof value));
    CHECK_LIMIT(kv_write(db, batch, NULL));
    kv_batch_free(batch);
    kv_status opened = kv_iter_new(db, NULL, NULL, 0, &iter);
    CHECK_LIMIT(opened);
    if (opened == KV_OK) {
        kv_status status;
        for (int i = 0; i < 1000 && (status = kv_iter_next(iter, &key, &found)) != KV_NOT_FOUND;
             i++) {
            CHECK_LIMIT(status);
        }
        kv_iter_free(iter);
    }
    CHECK_LIMIT(kv_sync(db));
    CHECK_LIMIT(kv_compact(db));
    kv_status backed_up = kv_backup(db, backup);
    failed += backed_up != KV_OK;
    CHECK_LIMIT(backed_up);
    CHECK_OK(kv_stats(db, &stats));
    CHECK(stats.read_only == 0);
    return failed;
}

static void check_all(kv_db *db)
{
    for (unsigned number = 0; number < MORE; number++) {
        size_t len = 0;
        CHECK_OK(kv_exists(db, &number, sizeof number, &len));
        CHECK(len == sizeof value);
    }
}

static void fill(const char *name, const kv_options *options)
{
    kv_db *db = test_open(name, options);
    for (unsigned number = 0; number < MORE; number++) {
        CHECK_OK(kv_put(db, &number, sizeof number, value, sizeof value));
        CHECK_OK(kv_put(db, &number, sizeof number, value, sizeof value));
    }
    CHECK_OK(kv_close(db));
}

/* With fewer descriptors than opening takes, one more each time. */
static void test_opening_with_few_descriptors(void)
{
    struct rlimit usual, few;
    kv_options *options = test_small_segments();
    unsigned refused = 0;
    fill("few", options);
    CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    int next = open("/dev/null", O_RDONLY);
    close(next);
    for (int more = 0; more < 30; more++) {
        kv_db *db = NULL;
        few = usual;
        few.rlim_cur = (rlim_t)(next + more);
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        kv_status status = kv_open(test_path(more % 2 ? "few" : "none"), options, &db);
        CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
        CHECK(status == KV_OK || status == KV_TOO_MANY_OPEN);
        refused += status == KV_TOO_MANY_OPEN;
        if (status == KV_OK) {
            CHECK_OK(kv_close(db));
        }
        db = test_open("few", options);
        check_all(db);
        CHECK_OK(kv_close(db));
    }
    CHECK(refused > 3 && refused < 29);
    kv_options_free(options);
}

/* An open database that gets no more of them. */
static void test_no_descriptors(int read_mode, const char *name)
{
    int taken[4096], count = 0;
    struct rlimit usual, few;
    kv_options *options = test_small_segments();
    CHECK_OK(kv_options_set_read_mode(options, read_mode));
    fill(name, options);
    kv_db *db = test_open(name, options);
    CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    few = usual;
    few.rlim_cur = 256;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    while (count < 4096 && (taken[count] = open("/dev/null", O_RDONLY)) >= 0) {
        count++;
    }
    char backup[64];
    snprintf(backup, sizeof backup, "%s.backup", name);
    CHECK(call_what_needs_some(db, test_path(backup), 1000) > 0);
    while (count > 0) {
        close(taken[--count]);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
    CHECK(call_what_needs_some(db, test_path(backup), 1000) == 0);
    check_all(db);
    CHECK_OK(kv_close(db));
    db = test_open(name, options);
    check_all(db);
    CHECK_OK(kv_close(db));
    kv_options_free(options);
}

static void *maps[MAPS];
static int maps_taken;

/* Takes all maps that the process may have. Neighbours differ, or the kernel would make one of
 * them. */
static void take_maps(void)
{
    while (maps_taken < MAPS) {
        int protection = maps_taken % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE;
        void *map = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) {
            return;
        }
        maps[maps_taken++] = map;
    }
}

/* The last ones stand at an end: no hole is torn that would need a map itself. */
static void give_maps_back(int count)
{
    while (count-- > 0 && maps_taken > 0) {
        munmap(maps[--maps_taken], 4096);
    }
}

/* In a process of its own, which a full address space may end in ways that no test can mend. */
static void in_child(void (*test)(void))
{
    int how = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        test();
        fflush(NULL);
        _exit(test_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    CHECK(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS);
}

static void maps_child(void)
{
    kv_options *options = test_small_segments();
    unsigned refused = 0;
    /* The C library gets its own memory without maps: where it has none, it ends the process. */
    CHECK(mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1);
    fill("maps", options);
    take_maps();
    for (int spare = 0; spare < 45; spare += 3) {
        kv_db *db = NULL;
        kv_status status = kv_open(test_path("maps"), options, &db);
        CHECK_LIMIT(status);
        refused += status != KV_OK;
        if (status == KV_OK) {
            CHECK_OK(kv_close(db));
        }
        give_maps_back(3);
    }
    CHECK(refused > 0);
    kv_db *db = test_open("maps", options);
    take_maps();
    for (int spare = 0; spare < 4; spare++) {
        call_what_needs_some(db, test_path("maps.backup"), 1000);
        give_maps_back(1);
    }
    give_maps_back(MAPS);
    CHECK(call_what_needs_some(db, test_path("maps.backup"), 1000) == 0);
    check_all(db);
    CHECK_OK(kv_close(db));
    kv_options_free(options);
}

static void address_space_child(void)
{
    struct rlimit usual, few;
    kv_db *db = NULL;
    size_t pages = 0, len = 32 * 1024 * 1024;
    char *large = (char *)malloc(len);
    FILE *file = fopen("/proc/self/statm", "r");
    if (!CHECK(file != NULL && large != NULL && fscanf(file, "%zu", &pages) == 1)) {
        return;
    }
    fclose(file);
    memset(large, 'x', len);
    CHECK(getrlimit(RLIMIT_AS, &usual) == 0);
    few = usual;
    few.rlim_cur = (rlim_t)pages * 4096 + 24 * 1024 * 1024;
    CHECK(setrlimit(RLIMIT_AS, &few) == 0);
    db = test_open("space", NULL); /* No segment yet: that takes 64 MiB. */
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(KV_OUT_OF_MEMORY, kv_put(db, "large", 5, large, len));
        CHECK_STATUS(KV_OUT_OF_MEMORY, kv_put(db, "small", 5, "value", 5));
        CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "small", 5, NULL));
        CHECK_OK(kv_sync(db));
    }
    CHECK(setrlimit(RLIMIT_AS, &usual) == 0);
    CHECK_OK(kv_put(db, "large", 5, large, len));
    CHECK(test_has(db, "large", large, len));
    CHECK_OK(kv_close(db));
    free(large);
}

int main(void)
{
    memset(value, 'v', sizeof value);
    test_directory();
    in_child(address_space_child);
    in_child(maps_child);
    test_opening_with_few_descriptors();
    test_no_descriptors(KV_READ_MMAP, "mapped");
    test_no_descriptors(KV_READ_PREAD, "pread");
    return test_end("limits_test");
}
