/* A hundred databases open in one process: each has its own records, threads work on all of them,
 * half are closed and opened beside the others, and all descriptors and threads are given back. */
#include "test.h"

#include <dirent.h>

enum { DATABASES = 100, WORKERS = 4, ROUNDS = 6, VALUE = 2000 };

static kv_db *databases[DATABASES];

/* How many entries a directory has. */
static int entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    if (directory != NULL) {
        while (readdir(directory) != NULL) {
            count++;
        }
        closedir(directory);
    }
    return count;
}

static const char *name_of(int number)
{
    static _Thread_local char name[32];
    snprintf(name, sizeof name, "many-%d", number);
    return name;
}

static kv_db *open_one(int number)
{
    kv_options *options = test_small_segments();
    CHECK_OK(kv_options_set_sync_interval_ms(options, 20));
    kv_db *db = test_open(name_of(number), options);
    kv_options_free(options);
    return db;
}

/* Each worker has the databases that leave its number: it writes, reads and deletes in turn. */
static void *work(void *argument)
{
    int worker = *(int *)argument;
    unsigned char value[VALUE], found[VALUE];
    for (int round = 0; round < ROUNDS; round++) {
        for (int number = worker; number < DATABASES; number += WORKERS) {
            for (unsigned key = 0; key < 60; key++) {
                size_t len = 0;
                memset(value, number ^ (int)key ^ round, sizeof value);
                CHECK_OK(kv_put(databases[number], &key, sizeof key, value, sizeof value));
                CHECK_OK(kv_get_into(databases[number], &key, sizeof key, found, sizeof found,
                                     &len));
                CHECK(len == sizeof found && memcmp(found, value, len) == 0);
            }
            CHECK_OK(kv_put(databases[number], name_of(number), strlen(name_of(number)), "", 0));
            CHECK_OK(kv_delete(databases[number], &(unsigned){7}, sizeof(unsigned)));
        }
        for (int number = worker; number < DATABASES; number += 10 * WORKERS) {
            CHECK_OK(kv_sync(databases[number]));
            CHECK_OK(kv_compact(databases[number]));
        }
    }
    return NULL;
}

static void check(int number)
{
    unsigned char found[VALUE];
    uint64_t count = 0;
    CHECK_OK(kv_count(databases[number], &count));
    CHECK(count == 60);
    for (unsigned key = 0; key < 60; key++) {
        size_t len = 0;
        kv_status status =
            kv_get_into(databases[number], &key, sizeof key, found, sizeof found, &len);
        CHECK_STATUS(key == 7 ? KV_NOT_FOUND : KV_OK, status);
        CHECK(key == 7 || found[VALUE / 2] == (unsigned char)(number ^ (int)key ^ (ROUNDS - 1)));
    }
    CHECK_OK(kv_exists(databases[number], name_of(number), strlen(name_of(number)), NULL));
}

int main(void)
{
    pthread_t threads[WORKERS];
    int numbers[WORKERS];
    kv_db *once = open_one(0);
    CHECK_OK(kv_close(once));
    int descriptors = entries("/proc/self/fd"), tasks = entries("/proc/self/task");
    for (int number = 0; number < DATABASES; number++) {
        databases[number] = open_one(number);
    }
    for (int i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (int number = 0; number < DATABASES; number += 2) {
        CHECK_OK(kv_close(databases[number]));
    }
    for (int number = 1; number < DATABASES; number += 2) {
        check(number);
    }
    for (int number = 0; number < DATABASES; number += 2) {
        databases[number] = open_one(number);
        check(number);
    }
    for (int number = 0; number < DATABASES; number++) {
        CHECK_OK(kv_close(databases[number]));
    }
    CHECK(entries("/proc/self/fd") == descriptors);
    CHECK(entries("/proc/self/task") == tasks);
    return test_end("hundred_test");
}
