/* A queue of jobs that loses none: what a worker has taken and not finished goes to another, and
 * each job has one result. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "example.h"

enum { KEY_LEN = 32 };

/* Jobs have numbers, which grow without a gap. One process has the database open, so that a lock
 * in its memory is enough for that. */
struct queue {
    kv_db *db;
    pthread_mutex_t lock;
    int64_t first; /* every job before this one is done */
    int64_t last;
    kv_batch *batch;
};

/* "job:7" is what is to be done, until it is done. "state:7" is not there as long as nobody has
 * taken the job; then it is a lease, which expires; then the result, which does not. */
static size_t key_of(char key[KEY_LEN], const char *kind, int64_t number)
{
    return (size_t)snprintf(key, KEY_LEN, "%s:%" PRId64, kind, number);
}

static int is_there(kv_db *db, const char *kind, int64_t number)
{
    char key[KEY_LEN];
    kv_status status = kv_exists(db, key, key_of(key, kind, number), NULL);
    expect(status == KV_OK || status == KV_NOT_FOUND, "a key is there or not");
    return status == KV_OK;
}

/* The job and the number that the queue has come to are written together: a crash leaves both or
 * neither, so that no number is without a job. */
static int64_t add_job(struct queue *queue, const char *what)
{
    char key[KEY_LEN];
    pthread_mutex_lock(&queue->lock);
    int64_t number = queue->last + 1;
    must(kv_batch_clear(queue->batch), "kv_batch_clear");
    must(kv_batch_put(queue->batch, key, key_of(key, "job", number), what, strlen(what)),
         "kv_batch_put");
    must(kv_batch_put(queue->batch, "last", 4, &number, sizeof number), "kv_batch_put");
    must(kv_write(queue->db, queue->batch, NULL), "kv_write");
    queue->last = number;
    pthread_mutex_unlock(&queue->lock);
    return number;
}

/* Takes a job, so that no other worker does it for a while. A worker that dies leaves a lease that
 * expires. Answers whether the job was to be had, and the lease's version. */
static int take(kv_db *db, int64_t number, uint64_t lease_ms, uint64_t *lease)
{
    kv_write_options_t options = {.size = sizeof options, .if_absent = 1, .ttl_ms = lease_ms};
    char job[KEY_LEN], state[KEY_LEN];
    size_t state_len = key_of(state, "state", number);
    uint64_t remaining = 0;
    if (!is_there(db, "job", number)) {
        return 0;
    }
    kv_status status = kv_put_with(db, state, state_len, "", 0, &options, lease);
    if (status == KV_EXISTS) {
        if (kv_ttl(db, state, state_len, &remaining) == KV_OK && remaining == KV_NO_TTL) {
            /* It is done, but whoever did it died before it removed the job. */
            status = kv_delete(db, job, key_of(job, "job", number));
            expect(status == KV_OK || status == KV_NOT_FOUND, "a job goes");
        }
        return 0;
    }
    must(status, "kv_put_with");
    if (is_there(db, "job", number)) {
        return 1;
    }
    /* It was done, and its result collected, just now. */
    options = (kv_write_options_t){.size = sizeof options, .if_version = *lease};
    status = kv_delete_with(db, state, state_len, &options);
    expect(status == KV_OK || status == KV_NOT_FOUND || status == KV_VERSION_MISMATCH, "it goes");
    return 0;
}

/* For work that takes longer: a lease of which there is something left begins anew. 0: it has
 * expired, and the job may be another's. */
static int renew(kv_db *db, int64_t number, uint64_t lease_ms, uint64_t *lease)
{
    const kv_write_options_t options = {
        .size = sizeof options, .if_version = *lease, .ttl_ms = lease_ms};
    char key[KEY_LEN];
    kv_status status =
        kv_put_with(db, key, key_of(key, "state", number), "", 0, &options, lease);
    expect(status == KV_OK || status == KV_VERSION_MISMATCH, "a lease is renewed or lost");
    return status == KV_OK;
}

/* Turns the lease into the result, if it still is this worker's; 0: it is not, and the result is of
 * no use, since another worker brings one. */
static int finish(kv_db *db, int64_t number, const char *result, uint64_t lease)
{
    const kv_write_options_t same = {.size = sizeof same, .if_version = lease};
    char key[KEY_LEN];
    kv_status status = kv_put_with(db, key, key_of(key, "state", number), result, strlen(result),
                                   &same, NULL);
    if (status == KV_VERSION_MISMATCH) {
        return 0;
    }
    must(status, "kv_put_with");
    status = kv_delete(db, key, key_of(key, "job", number));
    expect(status == KV_OK || status == KV_NOT_FOUND, "the job goes");
    return 1;
}

/* Takes a result away, and with it all that is left of the job. */
static int collect(kv_db *db, kv_batch *batch, int64_t number, char *result, size_t cap)
{
    char key[KEY_LEN];
    uint64_t remaining = 0;
    size_t len = 0;
    kv_status status = kv_ttl(db, key, key_of(key, "state", number), &remaining);
    if (status == KV_NOT_FOUND || (status == KV_OK && remaining != KV_NO_TTL)) {
        return 0;
    }
    must(status, "kv_ttl");
    must(kv_get_into(db, key, key_of(key, "state", number), result, cap - 1, &len), "a result");
    result[len] = '\0';
    must(kv_batch_clear(batch), "kv_batch_clear");
    must(kv_batch_delete(batch, key, key_of(key, "job", number)), "kv_batch_delete");
    must(kv_batch_delete(batch, key, key_of(key, "state", number)), "kv_batch_delete");
    must(kv_write(db, batch, NULL), "kv_write");
    return 1;
}

/* From which job on to look, and up to which one. */
static int64_t range(struct queue *queue, int64_t *last)
{
    pthread_mutex_lock(&queue->lock);
    int64_t before = queue->first;
    while (queue->first <= queue->last && !is_there(queue->db, "job", queue->first)) {
        queue->first++;
    }
    int64_t first = queue->first;
    if (first != before) {
        must(kv_put(queue->db, "first", 5, &first, sizeof first), "kv_put");
    }
    *last = queue->last;
    pthread_mutex_unlock(&queue->lock);
    return first;
}

static void open_queue(struct queue *queue, const char *path)
{
    size_t len = 0;
    *queue = (struct queue){.first = 1};
    must(kv_open(path, NULL, &queue->db), "kv_open");
    must(kv_batch_new(&queue->batch), "kv_batch_new");
    expect(pthread_mutex_init(&queue->lock, NULL) == 0, "a lock");
    kv_status status =
        kv_get_into(queue->db, "first", 5, &queue->first, sizeof queue->first, &len);
    expect(status == KV_OK || status == KV_NOT_FOUND, "the first job");
    status = kv_get_into(queue->db, "last", 4, &queue->last, sizeof queue->last, &len);
    expect(status == KV_OK || status == KV_NOT_FOUND, "the last job");
}

static void close_queue(struct queue *queue)
{
    kv_batch_free(queue->batch);
    pthread_mutex_destroy(&queue->lock);
    must(kv_close(queue->db), "kv_close");
}

enum { JOBS = 200, WORKERS = 3, LEASE_MS = 60 * 1000 };

/* Takes what is there to be taken, and does it. */
static void *work(void *context)
{
    struct queue *queue = context;
    int64_t last = 0;
    uint64_t lease = 0;
    for (int64_t number = range(queue, &last); number <= last; number++) {
        if (take(queue->db, number, LEASE_MS, &lease)) {
            expect(finish(queue->db, number, "fine", lease), "a minute is enough");
        }
    }
    return NULL;
}

/* A worker that is slower than its lease: the next one gets the job, and one result counts. */
static void be_slow(struct queue *queue)
{
    const struct timespec rest = {.tv_nsec = 10 * 1000 * 1000};
    int64_t number = add_job(queue, "count sheep slowly");
    uint64_t slow = 0, fast = 0;
    expect(take(queue->db, number, 50, &slow), "a new job is to be had");
    while (is_there(queue->db, "state", number)) {
        nanosleep(&rest, NULL);
    }
    expect(!renew(queue->db, number, LEASE_MS, &slow), "a lease that has expired is over");
    expect(take(queue->db, number, LEASE_MS, &fast), "another worker gets the job");
    expect(!take(queue->db, number, LEASE_MS, &slow), "and nobody else");
    expect(renew(queue->db, number, LEASE_MS, &fast), "and has it for as long as it wants");
    expect(!finish(queue->db, number, "late", slow), "the slow one comes too late");
    expect(finish(queue->db, number, "in time", fast), "the other one does not");
}

int main(void)
{
    const char *path = temporary_directory();
    pthread_t workers[WORKERS];
    struct queue queue;
    char result[64];
    int collected = 0;

    open_queue(&queue, path);
    for (int n = 0; n < JOBS; n++) {
        add_job(&queue, "count sheep");
    }
    close_queue(&queue);
    open_queue(&queue, path);
    for (int n = 0; n < WORKERS; n++) {
        expect(pthread_create(&workers[n], NULL, work, &queue) == 0, "a thread begins");
    }
    for (int n = 0; n < WORKERS; n++) {
        pthread_join(workers[n], NULL);
    }
    be_slow(&queue);
    expect(range(&queue, &(int64_t){0}) == JOBS + 2, "no job is left");
    for (int64_t number = 1; number <= queue.last; number++) {
        collected += collect(queue.db, queue.batch, number, result, sizeof result);
    }
    printf("%d jobs are done; the last one %s\n", collected, result);
    expect(collected == JOBS + 1 && strcmp(result, "in time") == 0, "each has one result");

    close_queue(&queue);
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
