/* Times to live: sessions that end when nobody comes for a while. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <time.h>

#include "example.h"

/* A second, so that the example is short; it would be half an hour. */
enum { SESSION_MS = 1000 };

static void sleep_ms(long ms)
{
    struct timespec rest = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
    while (nanosleep(&rest, &rest) != 0) {
    }
}

static void log_in(kv_db *db, const char *token, const char *user)
{
    kv_write_options_t options = {.size = sizeof options, .ttl_ms = SESSION_MS};
    must(kv_put_with(db, token, strlen(token), user, strlen(user), &options, NULL),
         "kv_put_with");
}

/* Whether the session is alive. If so, it begins anew. */
static int come_back(kv_db *db, const char *token)
{
    kv_status status = kv_touch(db, token, strlen(token), SESSION_MS);
    if (status == KV_NOT_FOUND) {
        return 0;
    }
    must(status, "kv_touch");
    return 1;
}

int main(void)
{
    const char *path = temporary_directory();
    uint64_t remaining = 0;
    int visits = 0;
    kv_db *db;

    must(kv_open(path, NULL, &db), "kv_open");
    must(kv_put(db, "users", 5, "anna, bert", 10), "kv_put");
    must(kv_ttl(db, "users", 5, &remaining), "kv_ttl");
    expect(remaining == KV_NO_TTL, "what kv_put() stores does not expire");

    log_in(db, "a3f9", "anna");
    log_in(db, "77c0", "bert");
    must(kv_ttl(db, "77c0", 4, &remaining), "kv_ttl");
    expect(remaining <= SESSION_MS, "a session ends");
    printf("bert's session ends in %" PRIu64 " ms\n", remaining);

    /* Anna comes back in time, as long as Bert's session is there; Bert does not. */
    while (kv_exists(db, "77c0", 4, NULL) == KV_OK) {
        visits += come_back(db, "a3f9");
        sleep_ms(SESSION_MS / 10);
    }
    expect(!come_back(db, "77c0"), "a session that has ended cannot be had back");
    printf("bert's session ended; anna came %d times\n", visits);

    /* Time goes on while the database is closed. */
    must(kv_close(db), "kv_close");
    sleep_ms(SESSION_MS);
    must(kv_open(path, NULL, &db), "kv_open");
    expect(!come_back(db, "a3f9"), "a session ends while the database is closed");
    must(kv_exists(db, "users", 5, NULL), "kv_exists");
    puts("anna's session ended while the database was closed");

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
