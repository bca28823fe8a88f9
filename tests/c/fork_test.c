/* fork(): a child is told KV_FORKED by every function, and its parent goes on unharmed. */
#include "test.h"
#include "write_calls.h"

#include <signal.h>
#include <sys/wait.h>

enum { LEN = 100 * 1000 };

static void wait_for(pid_t child)
{
    int how = -1;
    CHECK(child > 0 && waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS);
}

/* Ends a child. Its failures have been printed; its parent counts them as one. */
static void end_child(void)
{
    _exit(test_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void every_function_in_child(kv_db *db)
{
    char buffer[8];
    const void *seen;
    kv_view *view;
    void *value;
    size_t len;
    kv_db *other;
    CHECK_FAILS(KV_FORKED, "fork", kv_put(db, "k", 1, "child", 5));
    CHECK_FAILS(KV_FORKED, "fork", kv_get(db, "k", 1, &value, &len));
    CHECK_FAILS(KV_FORKED, "fork", kv_get_into(db, "k", 1, buffer, sizeof buffer, &len));
    CHECK_FAILS(KV_FORKED, "fork", kv_view_get(db, "k", 1, &view, &seen, &len));
    CHECK_FAILS(KV_FORKED, "fork", kv_exists(db, "k", 1, &len));
    CHECK_FAILS(KV_FORKED, "fork", kv_delete(db, "k", 1));
    test_write_calls(db, KV_FORKED, "fork");
    CHECK_FAILS(KV_FORKED, "fork", kv_sync(db));
    CHECK_FAILS(KV_FORKED, "fork", kv_compact(db));
    CHECK_FAILS(KV_FORKED, "fork", kv_compact_with(db, NULL, NULL));
    CHECK_FAILS(KV_FORKED, "fork", kv_compact_cancel(db));
    CHECK_FAILS(KV_FORKED, "fork", kv_compaction_pause(db));
    CHECK_FAILS(KV_FORKED, "fork", kv_compaction_resume(db));
    CHECK_FAILS(KV_FORKED, "fork", kv_backup(db, test_path("backup")));
    CHECK_FAILS(KV_FORKED, "fork", kv_backup_with(db, test_path("backup"), NULL, NULL));
    CHECK_FAILS(KV_FORKED, "fork", kv_restore(test_path("fork"), test_path("restored")));
    CHECK_FAILS(KV_FORKED, "fork", kv_verify(test_path("fork"), KV_REPORT_TEXT, NULL));
    CHECK_FAILS(KV_FORKED, "fork",
                kv_salvage(test_path("fork"), test_path("saved"), KV_REPORT_TEXT, NULL));
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_FAILS(KV_FORKED, "fork", kv_stats(db, &stats));
    CHECK_FAILS(KV_FORKED, "fork", kv_close(db));
    CHECK_FAILS(KV_FORKED, "fork", kv_open(test_path("other"), NULL, &other));
    CHECK_FAILS(KV_FORKED, "fork", kv_open(test_path("fork"), NULL, &other));
    CHECK_FAILS(KV_FORKED, "fork", kv_destroy(test_path("fork")));
    CHECK(access(test_path("other"), F_OK) != 0);
}

/* What needs no database works in a child, too. */
static void harmless_functions_in_child(kv_view *view, void *value)
{
    kv_options *options = NULL;
    CHECK(strcmp(kv_version(), KV_VERSION_STRING) == 0);
    CHECK(strlen(kv_strerror(KV_FORKED)) > 0);
    CHECK(kv_status_class(KV_FORKED) == KV_CLASS_CALLER);
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set(options, "sync", "none"));
    kv_options_free(options);
    CHECK_OK(kv_close(NULL));
    kv_free(value);
    kv_view_release(view);
}

static void test_child_is_told(void)
{
    static char big[LEN];
    kv_db *db = test_open("fork", NULL);
    const void *seen = NULL;
    kv_view *view = NULL;
    void *value = NULL;
    size_t len = 0;

    memset(big, 'x', sizeof big);
    CHECK_OK(kv_put(db, "k", 1, "parent", 6));
    CHECK_OK(kv_put(db, "big", 3, big, sizeof big));
    CHECK_OK(kv_get(db, "k", 1, &value, &len));
    CHECK_OK(kv_view_get(db, "big", 3, &view, &seen, &len));
    pid_t child = fork();
    if (child == 0) {
        every_function_in_child(db);
        harmless_functions_in_child(view, value);
        /* And the child's child. */
        pid_t grandchild = fork();
        if (grandchild == 0) {
            every_function_in_child(db);
            end_child();
        }
        wait_for(grandchild);
        end_child();
    }
    wait_for(child);
    CHECK(memcmp(value, "parent", 6) == 0);
    kv_free(value);
    CHECK(len == sizeof big && memcmp(seen, big, len) == 0);
    kv_view_release(view);
    CHECK(test_has(db, "k", "parent", 6));
    CHECK_OK(kv_put(db, "k", 1, "still here", 10));
    CHECK_OK(kv_compact(db));
    CHECK(test_has(db, "k", "still here", 10));
    CHECK_OK(kv_close(db));
}

/* A child inherits the descriptors, and with them the lock: closing must undo it all the same. */
static void test_reopening_beside_a_child(void)
{
    kv_db *db = test_open("fork", NULL);
    pid_t child = fork();
    if (child == 0) {
        for (;;) {
            pause();
        }
    }
    CHECK(child > 0);
    CHECK_OK(kv_close(db));
    db = test_open("fork", NULL);
    CHECK(test_has(db, "k", "still here", 10));
    CHECK_OK(kv_put(db, "k", 1, "reopened", 8));
    CHECK_OK(kv_close(db));
    kill(child, SIGKILL);
    CHECK(waitpid(child, NULL, 0) == child);
    db = test_open("fork", NULL);
    CHECK(test_has(db, "k", "reopened", 8));
    CHECK_OK(kv_close(db));
}

/* A child that ends by exit() runs what was registered for that, and must not touch anything. */
static void test_child_that_exits(void)
{
    kv_db *db = test_open("fork", NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        exit(EXIT_SUCCESS);
    }
    wait_for(child);
    CHECK_OK(kv_put(db, "after", 5, "exit", 4));
    CHECK(test_has(db, "after", "exit", 4));
    CHECK_OK(kv_close(db));
}

struct writing {
    kv_db *db;
    volatile int stop;
    unsigned count;
};

static void *keep_writing(void *argument)
{
    struct writing *writing = (struct writing *)argument;
    for (writing->count = 0;; writing->count++) {
        unsigned key = writing->count % 1000;
        pthread_mutex_lock(&test_mutex);
        int stop = writing->stop;
        pthread_mutex_unlock(&test_mutex);
        if (stop) {
            return NULL;
        }
        if (kv_put(writing->db, &key, sizeof key, &writing->count, sizeof writing->count) != 0) {
            CHECK(!"kv_put failed");
            return NULL;
        }
    }
}

/* Forks at any moment of a write that another thread is in: the child must not hang. */
static void test_forking_while_writing(void)
{
    struct writing writing = {test_open("busy", NULL), 0, 0};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, keep_writing, &writing) == 0);
    for (int i = 0; i < 30; i++) {
        /* The mutex of the checks must not be held by the other thread in the child. */
        pthread_mutex_lock(&test_mutex);
        pid_t child = fork();
        pthread_mutex_unlock(&test_mutex);
        if (child == 0) {
            alarm(30);
            every_function_in_child(writing.db);
            end_child();
        }
        wait_for(child);
    }
    pthread_mutex_lock(&test_mutex);
    writing.stop = 1;
    pthread_mutex_unlock(&test_mutex);
    CHECK(pthread_join(thread, NULL) == 0);
    for (unsigned key = 0; key < 1000 && writing.count >= 1000; key++) {
        unsigned value = 0;
        size_t len = 0;
        CHECK_OK(kv_get_into(writing.db, &key, sizeof key, &value, sizeof value, &len));
        CHECK(len == sizeof value && value % 1000 == key && value + 1000 >= writing.count);
    }
    CHECK_OK(kv_close(writing.db));
}

int main(void)
{
    test_directory();
    test_child_is_told();
    test_reopening_beside_a_child();
    test_child_that_exits();
    test_forking_while_writing();
    return test_end("fork_test");
}
