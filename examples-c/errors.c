/* Errors: the mistakes that programs make, and the status, class and message each one gets. */
#define _XOPEN_SOURCE 700

#include <sys/wait.h>
#include <unistd.h>

#include "example.h"

static const char *class_name(int32_t class)
{
    switch (class) {
    case KV_CLASS_OK:
        return "ok";
    case KV_CLASS_ANSWER:
        return "an answer";
    case KV_CLASS_RETRY:
        return "try again";
    case KV_CLASS_CALLER:
        return "mend the call";
    case KV_CLASS_ENVIRONMENT:
        return "mend the machine";
    case KV_CLASS_CORRUPT:
        return "look at the disk";
    default:
        return "report a bug";
    }
}

/* Prints what a call answered, and ends the example if that is not what was expected. */
static void show(const char *mistake, kv_status status, kv_status expected)
{
    /* Before any other call: it holds until then. Answers leave it alone, they explain all. */
    char message[512] = "";
    if (status < 0) {
        snprintf(message, sizeof message, "%s", kv_error_message());
    }
    printf("%s\n    %d, %s (%s)\n", mistake, status, kv_strerror(status),
           class_name(kv_status_class(status)));
    if (message[0] != '\0') {
        printf("    %s\n", message);
    }
    expect(status == expected, kv_strerror(expected));
}

static void show_keys_and_values(kv_db *db)
{
    static char long_key[KV_MAX_KEY_LEN + 1];
    char small[2];
    size_t length;
    void *value;
    must(kv_put(db, "key", 3, "value", 5), "kv_put");
    show("get a key that is not there", kv_get(db, "kez", 3, &value, &length), KV_NOT_FOUND);
    show("delete a key that is not there", kv_delete(db, "kez", 3), KV_NOT_FOUND);
    show("get 5 bytes into a buffer of 2", kv_get_into(db, "key", 3, small, 2, &length),
         KV_BUFFER_TOO_SMALL);
    expect(length == 5, "the length needed is reported");
    show("an empty key", kv_put(db, "", 0, "value", 5), KV_EMPTY_KEY);
    show("a key of 64 KiB", kv_put(db, long_key, sizeof long_key, "value", 5), KV_KEY_TOO_LONG);
    show("a value of 4 GiB", kv_put(db, "key", 3, "value", (size_t)KV_MAX_VALUE_LEN + 1),
         KV_VALUE_TOO_LONG);
    show("NULL with a length", kv_put(db, "key", 3, NULL, 5), KV_NULL_ARGUMENT);
    show("nowhere to put the answer", kv_get(db, "key", 3, &value, NULL), KV_NULL_ARGUMENT);
}

static void show_options(void)
{
    kv_options *options;
    must(kv_options_new(&options), "kv_options_new");
    show("an option that does not exist", kv_options_set(options, "colour", "red"),
         KV_UNKNOWN_OPTION);
    show("a value that an option cannot have", kv_options_set(options, "segment_size", "1"),
         KV_INVALID_OPTION);
    show("a number that is no choice", kv_options_set_sync(options, 9), KV_INVALID_ARGUMENT);
    kv_options_free(options);
}

static void show_paths(const char *path)
{
    kv_db *db;
    kv_options *options;
    must(kv_options_new(&options), "kv_options_new");
    show("open a URL", kv_open("redis://localhost/0", NULL, &db), KV_UNSUPPORTED);
    show("open an empty path", kv_open("", NULL, &db), KV_INVALID_ARGUMENT);
    show("open a device", kv_open("/dev/null", NULL, &db), KV_NOT_A_DIRECTORY);
    show("open a directory with other things", kv_open("/dev", NULL, &db), KV_NOT_A_DATABASE);
    show("make a database in a directory that does not exist",
         kv_open("/does/not/exist", NULL, &db), KV_DOES_NOT_EXIST);
    show("open a database twice", kv_open(path, NULL, &db), KV_ALREADY_OPEN);
    must(kv_options_set_error_if_exists(options, 1), "kv_options_set_error_if_exists");
    show("make a database where one is", kv_open(path, options, &db), KV_ALREADY_EXISTS);
    show("destroy a database that is open", kv_destroy(path), KV_ALREADY_OPEN);
    kv_options_free(options);
}

static void show_fork(kv_db *db)
{
    int channel[2];
    char done = 0;
    fflush(stdout);
    expect(pipe(channel) == 0, "pipe");
    pid_t child = fork();
    expect(child >= 0, "fork");
    if (child == 0) {
        show("use a database in a child of fork()", kv_sync(db), KV_FORKED);
        fflush(stdout);
        _exit(write(channel[1], &done, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(channel[1]);
    expect(read(channel[0], &done, 1) == 1, "the child went well");
    close(channel[0]);
    waitpid(child, NULL, 0);
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    show_keys_and_values(db);
    show_options();
    show_paths(path);
    show_fork(db);
    must(kv_close(db), "kv_close");
    show("use a database after closing it", kv_sync(db), KV_CLOSED);
    show("close it again", kv_close(db), KV_CLOSED);
    must(kv_destroy(path), "kv_destroy");
    show("destroy it again", kv_destroy(path), KV_DOES_NOT_EXIST);
    return EXIT_SUCCESS;
}
