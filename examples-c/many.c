/* Reading many keys in one call: the waits for memory overlap, and values come back together. */
#define _XOPEN_SOURCE 700

#include "example.h"

enum { USERS = 1000, FRIENDS = 6 };

static void add_users(kv_db *db)
{
    for (int i = 0; i < USERS; i++) {
        char key[32], name[32];
        snprintf(key, sizeof key, "user %d", i);
        snprintf(name, sizeof name, "name of %d", i);
        must(kv_put(db, key, strlen(key), name, strlen(name)), "kv_put");
    }
}

/* The keys of somebody's friends, one of whom has left. */
static void keys_of_friends(char names[FRIENDS][32], kv_slice_t keys[FRIENDS])
{
    for (int i = 0; i < FRIENDS; i++) {
        snprintf(names[i], sizeof names[i], "user %d", i == 3 ? USERS + 1 : i * 157);
        keys[i] = (kv_slice_t){.data = names[i], .len = strlen(names[i])};
    }
}

/* Every key has a status of its own: one that is missing or damaged does not hinder the others. */
static int show(const kv_slice_t *keys, const kv_result_t *results)
{
    int found = 0;
    for (int i = 0; i < FRIENDS; i++) {
        printf("  %.*s: ", (int)keys[i].len, (const char *)keys[i].data);
        if (results[i].status == KV_OK) {
            printf("%.*s\n", (int)results[i].value_len, (const char *)results[i].value);
            found++;
        } else {
            printf("%s\n", kv_strerror(results[i].status));
        }
    }
    return found;
}

int main(void)
{
    const char *path = temporary_directory();
    kv_db *db;
    char names[FRIENDS][32];
    kv_slice_t keys[FRIENDS];
    kv_result_t results[FRIENDS];
    must(kv_open(path, NULL, &db), "kv_open");
    add_users(db);
    keys_of_friends(names, keys);

    /* Copies, all in one piece of memory. */
    void *arena;
    must(kv_get_many(db, FRIENDS, keys, results, &arena), "kv_get_many");
    printf("copied\n");
    expect(show(keys, results) == FRIENDS - 1, "all but one are there");
    kv_free(arena);

    /* Or where they lie, without a copy; one view keeps them all. */
    kv_view *view;
    must(kv_view_get_many(db, FRIENDS, keys, results, &view), "kv_view_get_many");
    printf("in place\n");
    expect(show(keys, results) == FRIENDS - 1, "all but one are there");
    kv_view_release(view);

    must(kv_close(db), "kv_close");
    must(kv_destroy(path), "kv_destroy");
    return EXIT_SUCCESS;
}
