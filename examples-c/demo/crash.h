/* The demo's crash rounds: a child writes numbered records and is killed with SIGKILL. */
#ifndef DEMO_CRASH_H
#define DEMO_CRASH_H

#include <stdint.h>

#include <kv.h>

/* What the rounds share. Records 1 to `last` are in the database. */
struct crash {
    const char *program;   /* this program, to be run as the writer */
    const char *database;  /* its directory */
    const char *acks_path; /* a file that this process and the writer map */
    struct acks *acks;
    uint64_t last;
};

/* Makes the file at acks_path and maps it. */
void crash_prepare(struct crash *crash);
void crash_finish(struct crash *crash);

/* One round: starts a writer, kills it after `after` acknowledged writes or a little later,
 * opens the database again and checks every record of this and all earlier rounds. The
 * database must not be open; afterwards it is, as *db. */
void crash_round(struct crash *crash, const char *label, uint64_t after, kv_db **db);

/* Checks that records 1 to last are right, byte for byte, and that no later one exists.
 * Returns the bytes of their keys and values. */
uint64_t crash_check(const struct crash *crash, kv_db *db);

/* The writer: `demo --writer DATABASE ACKS FIRST`. Returns the exit code. */
int crash_writer_main(char **arguments);

#endif
