/* A queue of jobs that loses none: what a worker has taken and not finished goes to another. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <pthread.h>

#include "example.h"

enum { JOBS = 200, WORKERS = 3, LEASE_MS = 60 * 1000 };

/* Jobs are numbered by a counter, which is also where new ones go. */
static size_t job_key(char key[32], int64_t number)
{
    return (size_t)snprintf(key, 32, "job:%" PRId64, number);
}

static size_t lease_key(char key[32], int64_t number)
{
    return (size_t)snprintf(key, 32, "lease:%" PRId64, number);
}

static int64_t add_job(kv_db *db, const char *what)
{
    int64_t number = 0;
    char key[32];
    must(kv_add(db, "jobs", 4, 1, &number), "kv_add");
    must(kv_put(db, key, job_key(key, number), what, strlen(what)), "kv_put");
    return number;
}

/* Takes a job, so that no other worker does it for a while. A worker that dies leaves a lease that
 * expires. Answers whether it was to be had. */
static int take(kv_db *db, int64_t number)
{
    const kv_write_options_t lease = {.size = sizeof lease, .if_absent = 1, .ttl_ms = LEASE_MS};
    char key[32];
    kv_status status = kv_put_with(db, key, lease_key(key, number), "", 0, &lease, NULL);
    if (status == KV_EXISTS) {
        return 0;
    }
    must(status, "kv_put_with");
    /* Somebody may have finished it just before. */
    if (kv_exists(db, key, job_key(key, number), NULL) == KV_OK) {
        return 1;
    }
    must(kv_delete(db, key, lease_key(key, number)), "kv_delete");
    return 0;
}

/* A job that is done goes with its lease and with what it brought, in one step. */
static void finish(kv_db *db, kv_batch *batch, int64_t number, const char *result)
{
    char key[32];
    must(kv_batch_clear(batch), "kv_batch_clear");
    must(kv_batch_delete(batch, key, job_key(key, number)), "kv_batch_delete");
    must(kv_batch_delete(batch, key, lease_key(key, number)), "kv_batch_delete");
    int len = snprintf(key, sizeof key, "done:%" PRId64, number);
    must(kv_batch_put(batch, key, (size_t)len, result, strlen(result)), "kv_batch_put");
    must(kv_write(db, batch, NULL), "kv_write");
}

static void *work(void *context)
{
    kv_db *db = context;
    int64_t last = 0;
    kv_batch *batch = NULL;
    must(kv_batch_new(&batch), "kv_batch_new");
    must(kv_add(db, "jobs", 4, 0, &last), "kv_add");
    for (int64_t number = 1; number <= last; number++) {
        if (take(db, number)) {
            finish(db, batch, number, "fine");
        }
    }
    kv_batch_free(batch);
    return NULL;
}

static uint64_t how_many(kv_db *db, const char *prefix)
{
    uint64_t found = 0;
    kv_iter *iter = NULL;
    must(kv_iter_new(db, NULL, prefix, strlen(prefix), &iter), "kv_iter_new");
    while (kv_iter_next(iter, NULL, NULL) == KV_OK) {
        found++;
    }
    kv_iter_free(iter);
    return found;
}

int main(void)
{
    const char *path = temporary_directory();
    pthread_t workers[WORKERS];
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    for (int n = 0; n < JOBS; n++) {
        add_job(db, "count sheep");
    }
    for (int n = 0; n < WORKERS; n++) {
        expect(pthread_create(&workers[n], NULL, work, db) == 0, "a thread begins");
    }
    for (int n = 0; n < WORKERS; n++) {
        pthread_join(workers[n], NULL);
    }
    printf("%" PRIu64 " jobs are done\n", how_many(db, "done:"));
    expect(how_many(db, "done:") == JOBS, "each job is done");
    expect(how_many(db, "job:") + how_many(db, "lease:") == 0, "nothing is left of them");

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
