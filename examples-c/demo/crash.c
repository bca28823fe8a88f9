/* The demo's crash rounds: a child writes numbered records and is killed with SIGKILL. */
#define _XOPEN_SOURCE 700

#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "report.h"

extern char **environ;

enum {
    KEY_LENGTH = 16,
    LONGEST_VALUE = 100 * 1000,
    MOST_RECORDS = 2 * 1000 * 1000, /* a writer that nobody kills stops here */
    PATIENCE_SECONDS = 60
};

/* Written by the writer, outlives it. Memory shared by two processes: if the writer is killed
 * at any instruction, `acknowledged` counts the calls of kv_put() that have returned KV_OK, and
 * `started` is the same or one more. */
struct acks {
    _Atomic uint64_t started;
    _Atomic uint64_t acknowledged;
};

/* The next number of a simple generator (splitmix64); the state may be any number. */
static uint64_t mixed(uint64_t *state)
{
    uint64_t bits = *state += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

/* The key of record `number`. It begins with a NUL byte, which no path of a file has. */
static void record_key(uint64_t number, char key[KEY_LENGTH + 1])
{
    snprintf(key, KEY_LENGTH + 1, "%cR%014" PRIu64, '\0', number);
    key[0] = '\0';
}

/* The value of record `number`: mostly under 1 KB, sometimes 100 KB, sometimes empty. */
static size_t record_value(uint64_t number, unsigned char value[LONGEST_VALUE])
{
    uint64_t state = number;
    uint64_t choice = mixed(&state);
    size_t length = (size_t)(choice >> 8) % 1000;
    if (choice % 256 == 0) {
        length = (size_t)(choice >> 8) % (LONGEST_VALUE + 1);
    } else if (choice % 256 == 1) {
        length = 0;
    }
    for (size_t at = 0; at < length; at += sizeof state) {
        uint64_t bits = mixed(&state);
        memcpy(value + at, &bits, length - at < sizeof bits ? length - at : sizeof bits);
    }
    return length;
}

static struct acks *map_acks(const char *path, int flags)
{
    int descriptor = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (descriptor < 0 || ftruncate(descriptor, sizeof(struct acks)) != 0) {
        fail("%s: %s", path, strerror(errno));
    }
    void *memory = mmap(NULL, sizeof(struct acks), PROT_READ | PROT_WRITE, MAP_SHARED,
                        descriptor, 0);
    if (memory == MAP_FAILED) {
        fail("cannot map %s: %s", path, strerror(errno));
    }
    close(descriptor);
    return memory;
}

void crash_prepare(struct crash *crash)
{
    crash->acks = map_acks(crash->acks_path, O_CREAT | O_EXCL);
}

void crash_finish(struct crash *crash)
{
    munmap(crash->acks, sizeof *crash->acks);
    unlink(crash->acks_path);
    crash->acks = NULL;
}

int crash_writer_main(char **arguments)
{
    static unsigned char value[LONGEST_VALUE];
    const char *path = arguments[0];
    struct acks *acks = map_acks(arguments[1], 0);
    uint64_t first = strtoull(arguments[2], NULL, 10);
    pid_t parent = getppid();
    kv_db *db;

    must_be(KV_OK, kv_open(path, NULL, &db), "writer: kv_open", path);
    for (uint64_t number = first; number < first + MOST_RECORDS; number++) {
        char key[KEY_LENGTH + 1];
        record_key(number, key);
        size_t length = record_value(number, value);
        atomic_store(&acks->started, number);
        must_be(KV_OK, kv_put(db, key, KEY_LENGTH, value, length), "writer: kv_put", key + 1);
        atomic_store(&acks->acknowledged, number);
        if (number % 1024 == 0 && getppid() != parent) {
            break;
        }
    }
    must_be(KV_OK, kv_close(db), "writer: kv_close", path);
    fputs("demo: the writer was not killed in time\n", stderr);
    return EXIT_FAILURE;
}

/* Starts the writer as a program of its own: a forked child could not use libkv once its
 * parent has. */
static pid_t start_writer(const struct crash *crash)
{
    char first[24];
    snprintf(first, sizeof first, "%" PRIu64, crash->last + 1);
    char *arguments[] = {(char *)crash->program, "--writer", (char *)crash->database,
                         (char *)crash->acks_path, first, NULL};
    pid_t writer;
    int error = posix_spawnp(&writer, crash->program, NULL, NULL, arguments, environ);
    if (error != 0) {
        fail("cannot start %s: %s", crash->program, strerror(error));
    }
    return writer;
}

/* Waits until the writer has acknowledged `enough`, then kills it in whatever it is doing. */
static void kill_writer(const struct crash *crash, pid_t writer, uint64_t enough)
{
    static const struct timespec pause = {0, 100 * 1000};
    double start = seconds_now();
    int how;

    while (atomic_load(&crash->acks->acknowledged) < enough &&
           seconds_now() - start < PATIENCE_SECONDS) {
        if (waitpid(writer, &how, WNOHANG) == writer) {
            stop_if_interrupted();
            fail("the writer ended before it was killed");
        }
        nanosleep(&pause, NULL);
    }
    kill(writer, SIGKILL);
    if (waitpid(writer, &how, 0) != writer || !WIFSIGNALED(how) || WTERMSIG(how) != SIGKILL) {
        fail("the writer did not die of SIGKILL");
    }
}

/* Whether record `number` is there. If it is, it must be right, byte for byte. */
static int has_record(kv_db *db, uint64_t number, uint64_t *bytes)
{
    static unsigned char expected[LONGEST_VALUE], value[LONGEST_VALUE];
    char key[KEY_LENGTH + 1];
    size_t length = 0;

    record_key(number, key);
    kv_status status = kv_get_into(db, key, KEY_LENGTH, value, sizeof value, &length);
    if (status == KV_NOT_FOUND) {
        return 0;
    }
    must_be(KV_OK, status, "kv_get_into", key + 1);
    if (length != record_value(number, expected) || memcmp(value, expected, length) != 0) {
        fail("record %" PRIu64 " is not what was written", number);
    }
    *bytes += KEY_LENGTH + length;
    return 1;
}

uint64_t crash_check(const struct crash *crash, kv_db *db)
{
    enum { BEYOND = 1000 };
    uint64_t bytes = 0;
    for (uint64_t number = 1; number <= crash->last; number++) {
        if (!has_record(db, number, &bytes)) {
            fail("record %" PRIu64 " of %" PRIu64 " is lost", number, crash->last);
        }
    }
    for (uint64_t number = crash->last + 1; number <= crash->last + BEYOND; number++) {
        if (has_record(db, number, &bytes)) {
            fail("record %" PRIu64 " was found, and the last one written was %" PRIu64, number,
                 crash->last);
        }
    }
    return bytes;
}

void crash_round(struct crash *crash, const char *label, uint64_t after, kv_db **db)
{
    uint64_t before = crash->last, unused = 0;
    atomic_store(&crash->acks->started, before);
    atomic_store(&crash->acks->acknowledged, before);

    pid_t writer = start_writer(crash);
    kill_writer(crash, writer, before + after);
    uint64_t started = atomic_load(&crash->acks->started);
    uint64_t acknowledged = atomic_load(&crash->acks->acknowledged);
    if (acknowledged == before) {
        fail("the writer had not written anything after %d seconds", PATIENCE_SECONDS);
    }

    double start = seconds_now();
    must_be(KV_OK, kv_open(crash->database, NULL, db), "kv_open after the kill", crash->database);
    double seconds = seconds_now() - start;
    crash->last = acknowledged;
    /* The write that the kill interrupted may have happened, whole, or not at all. */
    int is_more = started > acknowledged && has_record(*db, started, &unused);
    if (is_more) {
        crash->last = started;
    }
    crash_check(crash, *db);
    say(label, "killed after %s acknowledged writes: none lost%s; opened in %s",
        count_text(acknowledged - before).s,
        is_more ? ", 1 more whole" : "", seconds_text(seconds).s);
}
