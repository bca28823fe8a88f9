/* Backups and restoring: what they hold, progress and cancelling, and every misuse. */
#include "test.h"
#include "watcher.h"


enum { KEYS = 6000 };

static char value[300];

static void put_keys(kv_db *db, unsigned from, unsigned to, char fill)
{
    memset(value, fill, sizeof value);
    for (unsigned i = from; i < to; i++) {
        char key[16];
        int len = snprintf(key, sizeof key, "key %u", i);
        CHECK_OK(kv_put(db, key, (size_t)len, value, sizeof value));
    }
}

static int has_key(kv_db *db, unsigned number, char fill)
{
    char key[16];
    snprintf(key, sizeof key, "key %u", number);
    memset(value, fill, sizeof value);
    return test_has(db, key, value, sizeof value);
}

static kv_db *open_filled(const char *name)
{
    kv_options *options = test_small_segments();
    CHECK_OK(kv_options_set_compaction(options, KV_COMPACTION_MANUAL));
    kv_db *db = test_open(name, options);
    kv_options_free(options);
    put_keys(db, 0, KEYS, 'a');
    return db;
}

static int is_there(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

static uint64_t keys_of(const char *name)
{
    kv_db *db = test_open(name, NULL);
    kv_stats_t stats = {.size = sizeof stats};
    CHECK_OK(kv_stats(db, &stats));
    CHECK_OK(kv_close(db));
    return stats.keys;
}

static void test_a_backup_and_its_restoration(void)
{
    kv_db *db = open_filled("source");
    CHECK_OK(kv_backup(db, test_path("copy")));
    put_keys(db, 0, 10, 'b');
    put_keys(db, KEYS, KEYS + 10, 'b');
    CHECK_OK(kv_restore(test_path("copy"), test_path("restored")));
    CHECK_OK(kv_backup_with(db, test_path("copy"), NULL, NULL));
    CHECK_OK(kv_compact(db));
    CHECK_OK(kv_close(db));

    CHECK(keys_of("restored") == KEYS && keys_of("copy") == KEYS + 10);
    kv_db *copy = test_open("copy", NULL);
    kv_db *restored = test_open("restored", NULL);
    for (unsigned i = 0; i < KEYS + 10; i++) {
        CHECK(has_key(copy, i, i < 10 || i >= KEYS ? 'b' : 'a'));
        CHECK(has_key(restored, i, 'a') == (i < KEYS));
    }
    /* Each is a database of its own. */
    put_keys(copy, 5, 6, 'c');
    CHECK_OK(kv_compact(copy));
    CHECK(has_key(restored, 5, 'a'));
    CHECK_OK(kv_close(copy));
    CHECK_OK(kv_close(restored));
    CHECK_OK(kv_destroy(test_path("copy")));
    CHECK_OK(kv_destroy(test_path("restored")));
    db = test_open("source", NULL);
    CHECK(has_key(db, 5, 'b') && has_key(db, 100, 'a'));
    CHECK_OK(kv_close(db));
}

/* All that a progress function may do, and what it may not. */
static int32_t use(const kv_progress_t *progress, void *context)
{
    struct watcher *watcher = context;
    (void)progress;
    CHECK_FAILS(KV_BUSY, "progress", kv_close(watcher->db));
    CHECK_FAILS(KV_ALREADY_OPEN, "open", kv_backup(watcher->db, test_path("watched")));
    CHECK_OK(kv_put(watcher->db, "from inside", 11, "v", 1));
    CHECK_OK(kv_sync(watcher->db));
    CHECK_OK(kv_compact(watcher->db));
    CHECK_OK(kv_backup(watcher->db, test_path("inner")));
    watcher->calls++;
    return 0;
}

static void test_progress(void)
{
    kv_db *db = open_filled("progress");
    struct watcher watcher = {.db = db};
    CHECK_OK(kv_backup_with(db, test_path("watched"), watch, &watcher));
    CHECK(watcher.calls >= 3 && watcher.last.done_bytes == watcher.last.total_bytes);
    CHECK(keys_of("watched") == KEYS);
    put_keys(db, 0, 1, 'b');
    for (unsigned last_call = 1; last_call <= 3; last_call++) {
        watcher = (struct watcher){.db = db, .last_call = last_call};
        CHECK_FAILS(KV_CANCELLED, "cancel",
                    kv_backup_with(db, test_path("watched"), watch, &watcher));
        CHECK_FAILS(KV_CANCELLED, "cancel",
                    kv_backup_with(db, test_path("cancelled"), watch,
                                   &(struct watcher){.last_call = last_call}));
        CHECK(watcher.calls == last_call && !is_there(test_path("watched.partial")));
        CHECK(!is_there(test_path("cancelled")) && !is_there(test_path("cancelled.partial")));
        CHECK_FAILS(KV_CANCELLED, "cancel",
                    kv_restore_with(test_path("watched"), test_path("cancelled"), watch,
                                    &(struct watcher){.last_call = last_call}));
        CHECK(!is_there(test_path("cancelled")) && !is_there(test_path("cancelled.partial")));
    }
    watcher = (struct watcher){.db = db};
    CHECK_OK(kv_backup_with(db, test_path("watched"), use, &watcher));
    CHECK(watcher.calls >= 3);
    CHECK(keys_of("watched") == KEYS && keys_of("inner") == KEYS + 1);
    watcher = (struct watcher){.db = db};
    CHECK_OK(kv_restore_with(test_path("watched"), test_path("again"), watch, &watcher));
    CHECK(watcher.calls >= 3 && watcher.last.done_bytes == watcher.last.total_bytes);
    CHECK(keys_of("again") == KEYS);
    CHECK_OK(kv_close(db));
    CHECK_FAILS(KV_CLOSED, "closed", kv_backup(db, test_path("watched")));
    CHECK_FAILS(KV_CLOSED, "closed", kv_backup_with(db, test_path("watched"), watch, &watcher));
}

static void *back_up_until_closed(void *context)
{
    kv_db *db = context;
    kv_status status;
    do {
        status = kv_backup(db, test_path("closing-backup"));
    } while (status == KV_OK);
    CHECK(status == KV_CANCELLED || status == KV_CLOSED);
    return NULL;
}

static void test_closing_ends_a_backup(void)
{
    for (int round = 0; round < 5; round++) {
        kv_db *db = round == 0 ? open_filled("closing") : test_open("closing", NULL);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, back_up_until_closed, db) == 0);
        put_keys(db, 0, 100, 'b');
        CHECK_OK(kv_close(db));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(!is_there(test_path("closing-backup.partial")));
    }
    CHECK(!is_there(test_path("closing-backup")) || keys_of("closing-backup") == KEYS);
}

static void make_file(const char *path)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("not yours", file) >= 0 && fclose(file) == 0);
}

static void test_places_that_are_refused(void)
{
    kv_db *db = open_filled("refusing");
    kv_db *other = test_open("other", NULL);
    CHECK_FAILS(KV_NULL_ARGUMENT, "dir", kv_backup(db, NULL));
    CHECK_FAILS(KV_NULL_ARGUMENT, "db", kv_backup(NULL, test_path("x")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "dir", kv_backup(db, ""));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "name", kv_backup(db, "/"));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "name", kv_backup(db, ".."));
    CHECK_FAILS(KV_UNSUPPORTED, "URL", kv_backup(db, "s3://bucket/backup"));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "nowhere", kv_backup(db, test_path("nowhere/backup")));

    /* Its own directory, whatever it is called, and those in it and around it. */
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_backup(db, test_path("refusing")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_backup(db, test_path("other/../refusing/")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_backup(db, test_path("refusing/inside")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_backup(db, test_directory()));

    /* What is no backup of it stays as it is. */
    CHECK_FAILS(KV_ALREADY_EXISTS, "another database", kv_backup(db, test_path("other")));
    make_file(test_path("file"));
    CHECK_FAILS(KV_NOT_A_DIRECTORY, "file", kv_backup(db, test_path("file")));
    CHECK(mkdir(test_path("full"), 0700) == 0);
    make_file(test_path("full/letter"));
    CHECK_FAILS(KV_NOT_A_DATABASE, "letter", kv_backup(db, test_path("full")));
    CHECK(symlink("full", test_path("link")) == 0);
    CHECK_FAILS(KV_NOT_A_DIRECTORY, "link", kv_backup(db, test_path("link")));
    CHECK(is_there(test_path("full/letter")) && is_there(test_path("link")));
    CHECK(mkdir(test_path("taken.partial"), 0700) == 0);
    make_file(test_path("taken.partial/letter"));
    CHECK_FAILS(KV_ALREADY_EXISTS, "in the way", kv_backup(db, test_path("taken")));
    CHECK(is_there(test_path("taken.partial/letter")) && !is_there(test_path("taken")));

    /* A backup that somebody has open, with other files, or that was written to. */
    CHECK_OK(kv_backup(db, test_path("backup")));
    kv_db *backup = test_open("backup", NULL);
    CHECK_FAILS(KV_ALREADY_OPEN, "backup", kv_backup(db, test_path("backup")));
    CHECK_FAILS(KV_ALREADY_OPEN, "backup", kv_restore(test_path("backup"), test_path("to")));
    CHECK_OK(kv_close(backup));
    make_file(test_path("backup/letter"));
    CHECK_FAILS(KV_NOT_A_DATABASE, "letter", kv_backup(db, test_path("backup")));
    CHECK(remove(test_path("backup/letter")) == 0);
    CHECK_OK(kv_backup(db, test_path("backup")));
    backup = test_open("backup", NULL);
    put_keys(backup, 0, 1, 'z');
    CHECK_OK(kv_close(backup));
    CHECK_FAILS(KV_ALREADY_EXISTS, "written", kv_backup(db, test_path("backup")));

    /* An empty directory will do. */
    CHECK(mkdir(test_path("empty"), 0700) == 0);
    CHECK_OK(kv_backup(db, test_path("empty/")));
    CHECK(keys_of("empty") == KEYS);
    CHECK_OK(kv_close(other));
    CHECK_OK(kv_close(db));
}

static void test_relative_paths_and_permissions(void)
{
    kv_db *db = open_filled("relative");
    char before[4096];
    CHECK(getcwd(before, sizeof before) != NULL && chdir(test_directory()) == 0);
    CHECK_OK(kv_backup(db, "by-name"));
    CHECK_OK(kv_backup(db, "./by-name"));
    CHECK_OK(kv_restore("by-name", "by-name-too"));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_backup(db, "relative"));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_backup(db, "relative/x"));
    CHECK(chdir(before) == 0);
    CHECK(keys_of("by-name") == KEYS && keys_of("by-name-too") == KEYS);
    CHECK(mkdir(test_path("closed"), 0500) == 0);
    if (geteuid() != 0) {
        CHECK_FAILS(KV_PERMISSION_DENIED, "closed", kv_backup(db, test_path("closed/backup")));
        CHECK_FAILS(KV_PERMISSION_DENIED, "closed",
                    kv_restore(test_path("by-name"), test_path("closed/to")));
    }
    CHECK_OK(kv_put(db, "k", 1, "v", 1));
    CHECK_OK(kv_close(db));
}

static void test_restorations_that_are_refused(void)
{
    kv_db *db = open_filled("kept");
    CHECK_OK(kv_backup(db, test_path("from")));
    CHECK_FAILS(KV_NULL_ARGUMENT, "from", kv_restore(NULL, test_path("to")));
    CHECK_FAILS(KV_NULL_ARGUMENT, "to", kv_restore(test_path("from"), NULL));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "from", kv_restore("", test_path("to")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "to", kv_restore(test_path("from"), ""));
    CHECK_FAILS(KV_DOES_NOT_EXIST, "gone", kv_restore(test_path("gone"), test_path("to")));
    CHECK(mkdir(test_path("nothing"), 0700) == 0);
    CHECK_FAILS(KV_NOT_A_DATABASE, "nothing", kv_restore(test_path("nothing"), test_path("to")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_restore(test_path("from"), test_path("from/in")));
    CHECK_FAILS(KV_INVALID_ARGUMENT, "own", kv_restore(test_path("from"), test_path("from")));
    CHECK_FAILS(KV_ALREADY_OPEN, "kept", kv_restore(test_path("kept"), test_path("to")));
    CHECK_OK(kv_close(db));
    CHECK_FAILS(KV_ALREADY_EXISTS, "empty", kv_restore(test_path("from"), test_path("kept")));

    FILE *file = fopen(test_path("from/00000002.seg"), "r+b");
    CHECK(file != NULL && fseek(file, 300000, SEEK_SET) == 0);
    CHECK(file != NULL && fputc(0, file) == 0 && fputc(0, file) == 0 && fclose(file) == 0);
    CHECK_FAILS(KV_CORRUPT, "00000002.seg", kv_restore(test_path("from"), test_path("to")));
    CHECK(!is_there(test_path("to")) && !is_there(test_path("to.partial")));
}

int main(void)
{
    test_a_backup_and_its_restoration();
    test_progress();
    test_closing_ends_a_backup();
    test_places_that_are_refused();
    test_relative_paths_and_permissions();
    test_restorations_that_are_refused();
    return test_end("backup_test");
}
