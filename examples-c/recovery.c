/* Recovery: a writer is killed with SIGKILL, and every write it had acknowledged is found. */
#define _XOPEN_SOURCE 700

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "example.h"

enum { ENOUGH = 2000 };

/* Puts one numbered value after the other and reports each one, until it is killed. */
static void write_for_ever(const char *path, int report_to)
{
    kv_db *db;
    must(kv_open(path, NULL, &db), "kv_open");
    for (unsigned number = 1;; number++) {
        char value[64];
        int length = snprintf(value, sizeof value, "the value of record %u", number);
        must(kv_put(db, &number, sizeof number, value, (size_t)length), "kv_put");
        /* From here on the value survives, whatever happens to this process. */
        if (write(report_to, &number, sizeof number) != sizeof number) {
            exit(EXIT_FAILURE);
        }
    }
}

/* Kills the writer when it has reported enough. Returns the last number it had reported. */
static unsigned kill_writer(pid_t writer, int reports)
{
    unsigned number = 0, last = 0;
    while (read(reports, &number, sizeof number) == sizeof number) {
        last = number;
        if (last == ENOUGH) {
            kill(writer, SIGKILL);
        }
    }
    int how;
    expect(waitpid(writer, &how, 0) == writer && WIFSIGNALED(how), "the writer was killed");
    return last;
}

static int has_record(kv_db *db, unsigned number)
{
    char expected[64], value[64];
    size_t length;
    kv_status status = kv_get_into(db, &number, sizeof number, value, sizeof value, &length);
    if (status == KV_NOT_FOUND) {
        return 0;
    }
    must(status, "kv_get_into");
    snprintf(expected, sizeof expected, "the value of record %u", number);
    expect(length == strlen(expected) && memcmp(value, expected, length) == 0,
           "a record is whole");
    return 1;
}

int main(void)
{
    const char *path = temporary_directory();
    int channel[2];
    kv_db *db;

    /* fork() comes first: a child cannot use libkv if its parent has a database open. */
    expect(pipe(channel) == 0, "pipe");
    pid_t writer = fork();
    expect(writer >= 0, "fork");
    if (writer == 0) {
        close(channel[0]);
        write_for_ever(path, channel[1]);
    }
    close(channel[1]);
    unsigned last = kill_writer(writer, channel[0]);
    close(channel[0]);

    must(kv_open(path, NULL, &db), "kv_open after the kill");
    for (unsigned number = 1; number <= last; number++) {
        expect(has_record(db, number), "every acknowledged record is there");
    }
    int is_more = has_record(db, last + 1);
    expect(!has_record(db, last + 2), "nothing is there that was not written");
    printf("killed after %u acknowledged writes; found all of them%s\n", last,
           is_more ? ", and the one that was not acknowledged yet" : "");
    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
