/* Does the calls of a script, against the shared library as it is shipped, and notes what each one
 * answered. It ends well whatever they answer. usage: caller SCRIPT RESULTS DATABASE BACKUP */
#define _XOPEN_SOURCE 700

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <kv.h>

enum {
    NOT_OPEN = -1000, /* there was no database to call */
    LONGEST_VALUE = 1 << 20
};

/* One call; the key and the value follow. */
struct call {
    uint32_t what; /* a letter */
    uint32_t key_len;
    uint64_t value_len;
    uint64_t number; /* a time to live, an addend, the writes of a batch */
};

/* What became of it. In a shared map, so that it outlives the process. */
struct result {
    uint32_t was_begun;
    uint32_t was_ended;
    int64_t status;
    uint64_t begun_ms;
    uint64_t ended_ms;
    uint64_t hash; /* of the value that was read */
};

struct script {
    const unsigned char *at;
    const unsigned char *end;
};

static kv_db *db;
static const char *database, *backup;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t hash_of(const unsigned char *bytes, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t at = 0; at < len; at++) {
        hash = (hash ^ bytes[at]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Maps all of a file. */
static void *map(const char *path, int flags, int protection, size_t *len)
{
    int descriptor = open(path, flags);
    struct stat data;
    if (descriptor < 0 || fstat(descriptor, &data) != 0) {
        perror(path);
        exit(3);
    }
    *len = (size_t)data.st_size;
    void *start = mmap(NULL, *len, protection, MAP_SHARED, descriptor, 0);
    if (start == MAP_FAILED) {
        perror(path);
        exit(3);
    }
    close(descriptor);
    return start;
}

static struct call next(struct script *script, const unsigned char **key,
                        const unsigned char **value)
{
    struct call call;
    memcpy(&call, script->at, sizeof call);
    *key = script->at + sizeof call;
    *value = *key + call.key_len;
    script->at = *value + call.value_len;
    return call;
}

static int64_t open_database(const unsigned char *level, size_t level_len, int by_pread)
{
    char sync[16] = "";
    kv_options *options;
    memcpy(sync, level, level_len);
    int64_t status = kv_options_new(&options);
    status = status ? status : kv_options_set(options, "sync", sync);
    status = status ? status : kv_options_set(options, "sync_interval_ms", "5");
    status = status ? status : kv_options_set(options, "segment_size", "1MiB");
    if (by_pread && !status) {
        status = kv_options_set(options, "read_mode", "pread");
    }
    status = status ? status : kv_open(database, options, &db);
    kv_options_free(options);
    return status;
}

/* The writes of a batch are the next calls of the script. */
static int64_t write_batch(struct script *script, uint64_t count)
{
    kv_batch *batch = NULL;
    int64_t status = kv_batch_new(&batch);
    for (uint64_t at = 0; at < count; at++) {
        const unsigned char *key, *value;
        struct call call = next(script, &key, &value);
        if (!status && call.what == 'P') {
            status = kv_batch_put(batch, key, call.key_len, value, call.value_len);
        } else if (!status) {
            status = kv_batch_delete(batch, key, call.key_len);
        }
    }
    status = status ? status : kv_write(db, batch, NULL);
    kv_batch_free(batch);
    return status;
}

static int64_t reserve(const unsigned char *key, size_t key_len, const unsigned char *value,
                       size_t value_len)
{
    kv_reservation *reservation;
    void *room;
    int64_t status = kv_put_reserve(db, key, key_len, value_len, NULL, &reservation, &room);
    if (status) {
        return status;
    }
    memcpy(room, value, value_len);
    return kv_put_commit(reservation, NULL);
}

static int64_t count_all(uint64_t *count)
{
    kv_iter *iter;
    kv_slice_t key, value;
    int64_t status = kv_iter_new(db, NULL, NULL, 0, &iter);
    if (status) {
        return status;
    }
    while ((status = kv_iter_next(iter, &key, &value)) == KV_OK) {
        ++*count;
    }
    kv_iter_free(iter);
    return status == KV_NOT_FOUND ? KV_OK : status;
}

static int64_t read_value(const unsigned char *key, size_t key_len, uint64_t *hash)
{
    static unsigned char value[LONGEST_VALUE];
    size_t len;
    int64_t status = kv_get_into(db, key, key_len, value, sizeof value, &len);
    if (status == KV_OK) {
        *hash = hash_of(value, len);
    }
    return status;
}

static int64_t close_database(void)
{
    int64_t status = kv_close(db);
    db = NULL;
    return status;
}

static int64_t perform(const struct call *call, const unsigned char *key,
                       const unsigned char *value, struct script *script, uint64_t *hash)
{
    kv_write_options_t options = {.size = sizeof options, .ttl_ms = call->number};
    if (call->what == 'O') {
        return open_database(key, call->key_len, (int)call->number);
    }
    if (db == NULL) {
        for (uint64_t at = 0; call->what == 'B' && at < call->number; at++) {
            next(script, &key, &value);
        }
        return NOT_OPEN;
    }
    switch (call->what) {
    case 'P': return kv_put_with(db, key, call->key_len, value, call->value_len, &options, NULL);
    case 'R': return reserve(key, call->key_len, value, call->value_len);
    case 'D': return kv_delete(db, key, call->key_len);
    case 'B': return write_batch(script, call->number);
    case 'A': return kv_add(db, key, call->key_len, (int64_t)call->number, NULL);
    case 'T': return kv_touch(db, key, call->key_len, call->number);
    case 'S': return kv_sync(db);
    case 'C': return kv_compact(db);
    case 'K': return kv_backup(db, backup);
    case 'G': return read_value(key, call->key_len, hash);
    case 'I': return count_all(hash);
    case 'X': return close_database();
    default: exit(4);
    }
}

int main(int count, char **arguments)
{
    size_t script_len, results_len;
    if (count != 5) {
        return 5;
    }
    /* It does not go on without the tracer that injects failures. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const unsigned char *start = map(arguments[1], O_RDONLY, PROT_READ, &script_len);
    struct result *results = map(arguments[2], O_RDWR, PROT_READ | PROT_WRITE, &results_len);
    struct script script = {start, start + script_len};
    database = arguments[3];
    backup = arguments[4];
    for (size_t at = 0; script.at < script.end; at++) {
        const unsigned char *key, *value;
        struct call call = next(&script, &key, &value);
        volatile struct result *result = &results[at];
        uint64_t hash = 0;
        result->begun_ms = now_ms();
        result->was_begun = 1;
        result->status = perform(&call, key, value, &script, &hash);
        result->hash = hash;
        if (result->status < 0 && result->status != NOT_OPEN) {
            fprintf(stderr, "call %zu, %c: %s\n", at, (int)call.what, kv_error_message());
        }
        result->ended_ms = now_ms();
        result->was_ended = 1;
    }
    return 0;
}
