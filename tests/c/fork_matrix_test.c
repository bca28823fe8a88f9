/* fork(), whatever each side does then: the child reads, writes, closes, exits, runs another
 * program or dies; the parent goes on, closes, ends or dies. What was acknowledged is there, and
 * the database opens again: at once, or where a child that runs no other program has outlived a
 * parent that did not close, when that child has ended.
 *
 * The parent of the matrix is a child of this program, which never opens a database itself: each
 * check is a process of its own. */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum child_act { READS, WRITES, CLOSES, EXITS, EXITS_QUICKLY, RUNS, DIES, CHILD_ACTS };
enum parent_act { GOES_ON, CLOSES_IT, RETURNS, IS_KILLED, PARENT_ACTS };

static const char *const child_names[] = {"reads", "writes",       "closes", "exits",
                                          "exits quickly", "runs a program", "dies"};
static const char *const parent_names[] = {"goes on", "closes it", "ends", "is killed"};

enum { PUTS = 200, LEN = 4000 };

static void put_some(kv_db *db, unsigned from, unsigned to)
{
    char value[LEN];
    for (unsigned key = from; key < to; key++) {
        memset(value, (int)key, sizeof value);
        CHECK_OK(kv_put(db, &key, sizeof key, value, sizeof value));
    }
}

static void rest(void)
{
    struct timespec pause = {0, 10 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

/* Ends a process of the test; its failures have been printed. */
static void end(void)
{
    fflush(NULL);
    _exit(test_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int how_it_ended(pid_t process)
{
    int how = -1;
    CHECK(process > 0 && waitpid(process, &how, 0) == process);
    return how;
}


/* What the child does with the database of its parent. It lives until its parent has acted: until
 * the end of the pipe. */
static void act_as_child(kv_db *db, enum child_act act, int until)
{
    char byte, buffer[LEN];
    size_t len;
    alarm(60);
    switch (act) {
    case READS:
        CHECK_FAILS(KV_FORKED, "fork", kv_get_into(db, "k", 1, buffer, sizeof buffer, &len));
        break;
    case WRITES:
        CHECK_FAILS(KV_FORKED, "fork", kv_put(db, "k", 1, "child", 5));
        break;
    case CLOSES:
        CHECK_FAILS(KV_FORKED, "fork", kv_close(db));
        break;
    default:
        break;
    }
    if (act == RUNS) {
        /* It keeps the pipe, and no descriptor of the library. */
        char number[16];
        snprintf(number, sizeof number, "%d", until);
        execl("/bin/sh", "sh", "-c", "read x <&\"$0\"; exit 0", number, (char *)NULL);
        _exit(EXIT_FAILURE);
    }
    while (read(until, &byte, 1) > 0) {
    }
    if (act == EXITS) {
        exit(test_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (act == DIES) {
        raise(SIGKILL);
    }
    end();
}

/* The parent of the matrix: opens the database, forks, acts. Says over `child_out` who its child
 * is, which outlives it where `until` does. */
static void act_as_parent(const char *name, enum child_act child_act, enum parent_act act,
                          const int until[2], int child_out)
{
    kv_db *db = test_open(name, NULL);
    put_some(db, 0, PUTS);
    pid_t child = fork();
    if (child == 0) {
        close(until[1]);
        act_as_child(db, child_act, until[0]);
    }
    CHECK(write(child_out, &child, sizeof child) == (ssize_t)sizeof child);
    switch (act) {
    case GOES_ON:
        put_some(db, PUTS, 2 * PUTS);
        CHECK_OK(kv_compact(db));
        close(until[1]);
        how_it_ended(child);
        put_some(db, 2 * PUTS, 3 * PUTS);
        CHECK_OK(kv_close(db));
        break;
    case CLOSES_IT:
        CHECK_OK(kv_close(db));
        /* While the child lives. */
        db = test_open(name, NULL);
        put_some(db, PUTS, 2 * PUTS);
        CHECK_OK(kv_close(db));
        break;
    case IS_KILLED:
        raise(SIGKILL);
        break;
    default:
        break;
    }
    end();
}

/* A process opens the database and looks for all that was acknowledged. */
static kv_status look(const char *name, unsigned puts)
{
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        kv_db *db = NULL;
        kv_status status = kv_open(test_path(name), NULL, &db);
        if (status == KV_OK) {
            char value[LEN], expected[LEN];
            for (unsigned key = 0; key < puts; key++) {
                size_t len = 0;
                memset(expected, (int)key, sizeof expected);
                CHECK_OK(kv_get_into(db, &key, sizeof key, value, sizeof value, &len));
                CHECK(len == sizeof value && memcmp(value, expected, sizeof value) == 0);
            }
            CHECK_STATUS(KV_NOT_FOUND, kv_exists(db, "k", 1, NULL));
            CHECK_OK(kv_close(db));
        }
        fflush(NULL);
        _exit(test_failures > 0 ? 1 : status == KV_OK ? 0 : status == KV_LOCKED ? 2 : 3);
    }
    int how = how_it_ended(process);
    CHECK(WIFEXITED(how) && (WEXITSTATUS(how) == 0 || WEXITSTATUS(how) == 2));
    return WIFEXITED(how) && WEXITSTATUS(how) == 2 ? KV_LOCKED : KV_OK;
}

/* Waits until an orphan is gone: nobody else can wait for it. */
static void await_orphan(pid_t child)
{
    for (int i = 0; i < 3000 && kill(child, 0) == 0; i++) {
        char path[64], state[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            return;
        }
        size_t len = fread(state, 1, sizeof state - 1, file);
        fclose(file);
        state[len] = '\0';
        if (strstr(state, ") Z ") != NULL) {
            return;
        }
        rest();
    }
}

static void test_pair(enum child_act child_act, enum parent_act act)
{
    int until[2], out[2];
    char name[64];
    pid_t child = 0;
    snprintf(name, sizeof name, "matrix-%d-%d", (int)child_act, (int)act);
    if (!CHECK(pipe(until) == 0 && pipe(out) == 0)) {
        return;
    }
    fflush(NULL);
    pid_t parent = fork();
    if (parent == 0) {
        close(out[0]);
        act_as_parent(name, child_act, act, until, out[1]);
    }
    close(out[1]);
    close(until[0]);
    if (act == GOES_ON) {
        close(until[1]);
    }
    CHECK(read(out[0], &child, sizeof child) == (ssize_t)sizeof child);
    int how = how_it_ended(parent);
    CHECK(act == IS_KILLED ? WIFSIGNALED(how) : WIFEXITED(how) && WEXITSTATUS(how) == 0);
    unsigned puts = act == GOES_ON ? 3 * PUTS : act == CLOSES_IT ? 2 * PUTS : PUTS;
    if (act == GOES_ON || act == CLOSES_IT) {
        CHECK(look(name, puts) == KV_OK);
    } else if (child_act == RUNS) {
        /* It may be about to run the other program only now. */
        kv_status status = KV_LOCKED;
        for (int i = 0; i < 500 && status == KV_LOCKED; i++) {
            rest();
            status = look(name, puts);
        }
        CHECK(status == KV_OK);
    } else {
        CHECK(look(name, puts) == KV_LOCKED);
    }
    if (act != GOES_ON) {
        close(until[1]);
        await_orphan(child);
        CHECK(look(name, puts) == KV_OK);
    }
    close(out[0]);
}

int main(void)
{
    test_directory();
    for (int child = 0; child < CHILD_ACTS; child++) {
        for (int parent = 0; parent < PARENT_ACTS; parent++) {
            unsigned before = test_failures;
            test_pair((enum child_act)child, (enum parent_act)parent);
            if (test_failures > before) {
                fprintf(stderr, "where the child %s and the parent %s\n", child_names[child],
                        parent_names[parent]);
            }
        }
    }
    return test_end("fork_matrix_test");
}
