/* What the examples share: giving up with a message, and a temporary directory. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kv.h>

/* Ends the example unless the call went well. */
static inline void must(kv_status status, const char *what)
{
    if (status != KV_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, kv_strerror(status), kv_error_message());
        exit(EXIT_FAILURE);
    }
}

/* Ends the example unless what it says is true. */
static inline void expect(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "not as expected: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* Makes a directory under $TMPDIR or /tmp. The path is the same string in every call. */
static inline const char *temporary_directory(void)
{
    static char path[4096];
    const char *parent = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/kv-example-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (mkdtemp(path) == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return path;
}

#endif
