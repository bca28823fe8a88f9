/* Signals: a timer interrupts every call some thousand times a second, without SA_RESTART, while
 * another thread sends more to those that call. Nobody notices: no call fails, none is lost. The
 * library's own threads take no signal of the program's. */
#include "every_call.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

enum { CALLERS = 2, INTERVAL_US = 200 };

static atomic_ulong timer_signals, sent_signals, strange_threads;
static atomic_int callers_ready, callers_left;
static _Thread_local int is_ours;
static pthread_t callers[CALLERS];
static char paths[CALLERS][300];

static void count_timer(int number)
{
    (void)number;
    int kept = errno;
    atomic_fetch_add(&timer_signals, 1);
    atomic_fetch_add(&strange_threads, is_ours ? 0 : 1);
    errno = kept;
}

static void count_sent(int number)
{
    (void)number;
    atomic_fetch_add(&sent_signals, 1);
}

static void *call(void *path)
{
    is_ours = 1;
    atomic_fetch_add(&callers_ready, 1);
    every_call((const char *)path);
    atomic_fetch_sub(&callers_left, 1);
    return NULL;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void set_timer(suseconds_t interval_us)
{
    struct itimerval timer = {{0, interval_us}, {0, interval_us}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void test_signals_during_every_call(const char *name)
{
    struct timespec pause = {0, 50 * 1000};
    is_ours = 1;
    handle(SIGALRM, count_timer);
    handle(SIGUSR1, count_sent);
    atomic_store(&callers_left, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        char own[64];
        snprintf(own, sizeof own, "%s-%d", name, i);
        snprintf(paths[i], sizeof paths[i], "%s", test_path(own));
        CHECK(pthread_create(&callers[i], NULL, call, paths[i]) == 0);
    }
    while (atomic_load(&callers_ready) < CALLERS) {
        nanosleep(&pause, NULL);
    }
    set_timer(INTERVAL_US);
    while (atomic_load(&callers_left) > 0) {
        for (int i = 0; i < CALLERS; i++) {
            pthread_kill(callers[i], SIGUSR1);
        }
        nanosleep(&pause, NULL);
    }
    set_timer(0);
    for (int i = 0; i < CALLERS; i++) {
        CHECK(pthread_join(callers[i], NULL) == 0);
    }
    CHECK(atomic_load(&timer_signals) > 100 && atomic_load(&sent_signals) > 100);
    CHECK(atomic_load(&strange_threads) == 0);
}

/* Blocks for a long value take longer to allocate than the next signal takes to come, and some
 * file systems give up when one does: it must be allocated all the same. */
static void test_long_values(const char *directory)
{
    enum { LEN = 48 * 1024 * 1024 };
    char path[300];
    kv_db *db = NULL;
    char *value = (char *)malloc(LEN);
    if (!CHECK(value != NULL)) {
        return;
    }
    memset(value, 'v', LEN);
    snprintf(path, sizeof path, "%s/kv-signals-%d", directory, (int)getpid());
    if (CHECK_OK(kv_open(path, NULL, &db))) {
        set_timer(INTERVAL_US);
        for (int i = 0; i < 3; i++) {
            CHECK_OK(kv_put(db, "long", 4, value, LEN));
            CHECK(test_has(db, "long", value, LEN));
        }
        set_timer(0);
        CHECK_OK(kv_close(db));
        CHECK_OK(kv_destroy(path));
    }
    free(value);
}

int main(void)
{
    test_signals_during_every_call("signals");
    test_long_values(test_directory());
    if (access("/dev/shm", W_OK) == 0) {
        test_long_values("/dev/shm");
    }
    printf("%lu signals of the timer, %lu sent\n", atomic_load(&timer_signals),
           atomic_load(&sent_signals));
    return test_end("signals_test");
}
