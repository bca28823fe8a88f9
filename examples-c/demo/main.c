/* The demo: keeps real files in a database, kills writers, deletes, compacts, checks each byte. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"
#include "files.h"
#include "phases.h"
#include "report.h"

enum { CRASH_ROUNDS = 5, QUICK_FILES = 2000 };

static const char USAGE[] =
    "usage: demo [--quick] [--db DIR] [--keep] [TREE ...]\n"
    "\n"
    "Stores all files below each TREE (default: /usr/include and /usr/share/doc) in a libkv\n"
    "database, and checks that what comes out is what went in: also after a writing process was\n"
    "killed, after deleting, overwriting and compacting, and after the database was reopened.\n"
    "\n"
    "  --quick   at most 2,000 files, by default of /usr/include, and smaller crash rounds\n"
    "  --db DIR  make the database in DIR, which must not hold one, and keep it\n"
    "  --keep    keep the database\n";

struct arguments {
    int quick;
    int keep;
    const char *database;
    char **trees;
    int tree_count;
};

/* The temporary directory and the database, for cleaning up at exit. */
static struct {
    char directory[4096];
    char database[4096 + 8];
    char acks[4096 + 8];
    int keep;
    int is_made; /* the database */
    kv_db *db;
} work;

static void show_usage(FILE *to, int code)
{
    fputs(USAGE, to);
    exit(code);
}

static struct arguments parse(int argc, char **argv)
{
    struct arguments arguments = {0, 0, NULL, NULL, 0};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            arguments.quick = 1;
        } else if (strcmp(argv[i], "--keep") == 0) {
            arguments.keep = 1;
        } else if (strcmp(argv[i], "--db") == 0 && i + 1 < argc) {
            arguments.database = argv[++i];
            arguments.keep = 1;
        } else if (strcmp(argv[i], "--help") == 0) {
            show_usage(stdout, EXIT_SUCCESS);
        } else {
            show_usage(stderr, 2);
        }
    }
    arguments.trees = argv + i;
    arguments.tree_count = argc - i;
    return arguments;
}

/* Runs at exit, also after Ctrl-C. What is on disk after a failure is evidence, and stays. */
static void clean_up(void)
{
    if (work.db != NULL && kv_close(work.db) != KV_OK) {
        fprintf(stderr, "demo: kv_close: %s\n", kv_error_message());
    }
    unlink(work.acks);
    if (work.is_made && (work.keep || report_failed())) {
        fprintf(stderr, "demo: the database is kept in %s\n", work.database);
    } else if (work.is_made && kv_destroy(work.database) != KV_OK) {
        fprintf(stderr, "demo: kv_destroy: %s\n", kv_error_message());
    }
    rmdir(work.directory);
}

static void make_work_directory(const struct arguments *arguments)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0') {
        parent = "/tmp";
    }
    snprintf(work.directory, sizeof work.directory, "%s/kv-demo-XXXXXX", parent);
    if (mkdtemp(work.directory) == NULL) {
        fail("%s: %s", work.directory, strerror(errno));
    }
    snprintf(work.database, sizeof work.database, "%s/db", work.directory);
    snprintf(work.acks, sizeof work.acks, "%s/acks", work.directory);
    if (arguments->database != NULL) {
        snprintf(work.database, sizeof work.database, "%s", arguments->database);
    }
    work.keep = arguments->keep;
}

/* Opens a database that was not there before, so that the demo touches nobody's data. */
static void create_database(void)
{
    kv_options *options;
    must_be(KV_OK, kv_options_new(&options), "kv_options_new", "");
    must_be(KV_OK, kv_options_set_error_if_exists(options, 1), "kv_options_set", "");
    must_be(KV_OK, kv_open(work.database, options, &work.db), "kv_open", work.database);
    work.is_made = 1;
    kv_options_free(options);
}

static void close_database(void)
{
    kv_db *db = work.db;
    work.db = NULL;
    must_be(KV_OK, kv_close(db), "kv_close", work.database);
}

static void find_files(const struct arguments *arguments, struct file_list *list)
{
    static char *const defaults[] = {"/usr/include", "/usr/share/doc"};
    int named = arguments->tree_count > 0;
    char *const *trees = named ? arguments->trees : defaults;
    int count = named ? arguments->tree_count : arguments->quick ? 1 : 2;

    for (int i = 0; i < count; i++) {
        if (named || access(trees[i], R_OK) == 0) {
            files_find(list, trees[i]);
        }
    }
    files_tidy(list, arguments->quick ? QUICK_FILES : 0);
    if (list->count == 0) {
        fail("there are no files to store");
    }
    say("found", "%s files, %s", count_text(list->count).s, bytes_text(list->total_size).s);
}

/* Writers are killed, each after a random number of writes; nothing may be lost. */
static void run_crash_rounds(struct crash *crash, int quick)
{
    srand((unsigned)time(NULL) ^ (unsigned)getpid());
    crash_prepare(crash);
    for (int round = 1; round <= CRASH_ROUNDS; round++) {
        char label[32];
        uint64_t after = 100 + (uint64_t)rand() % (quick ? 4000 : 40000);
        snprintf(label, sizeof label, "crash %d/%d", round, CRASH_ROUNDS);
        close_database();
        crash_round(crash, label, after, &work.db);
    }
    crash_finish(crash);
}

static void run(const struct arguments *arguments, struct crash *crash)
{
    struct file_list list = {NULL, 0, 0, 0, 0};
    find_files(arguments, &list);
    create_database();
    store_files(work.db, &list);
    check_files(work.db, &list, 0);
    run_crash_rounds(crash, arguments->quick);
    check_files(work.db, &list, 0);

    delete_files(work.db, &list);
    rewrite_files(work.db, &list);
    check_files(work.db, &list, 1);
    compact_database(work.db, &list, work.database, crash_check(crash, work.db));
    check_files(work.db, &list, 1);

    close_database();
    say("closed", "%s on disk", bytes_text(directory_bytes(work.database)).s);
    double start = seconds_now();
    must_be(KV_OK, kv_open(work.database, NULL, &work.db), "kv_open", work.database);
    say("reopened", "in %s", seconds_text(seconds_now() - start).s);
    check_files(work.db, &list, 1);
    crash_check(crash, work.db);
    say("", "the %s records of the killed writers are right, too", count_text(crash->last).s);
    close_database();
    files_free(&list);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--writer") == 0) {
        return crash_writer_main(argv + 2);
    }
    double start = seconds_now();
    struct arguments arguments = parse(argc, argv);
    make_work_directory(&arguments);
    atexit(clean_up);
    note_interrupts();

    struct crash crash = {argv[0], work.database, work.acks, NULL, 0};
    say("libkv", "%s, database in %s", kv_version(), work.database);
    run(&arguments, &crash);
    say("all right", "after %s", seconds_text(seconds_now() - start).s);
    return EXIT_SUCCESS;
}
