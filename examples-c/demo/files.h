/* The files the demo stores: found by walking directory trees, read whole. */
#ifndef DEMO_FILES_H
#define DEMO_FILES_H

#include <stddef.h>
#include <stdint.h>

/* A regular file, and what was stored of it. */
struct file {
    char *path;
    uint64_t size;      /* when it was found */
    uint64_t length;    /* of what was stored */
    uint64_t hash;      /* of what was stored */
    int is_stored;
    int is_deleted;     /* from the database */
};

struct file_list {
    struct file *files;
    size_t count;
    size_t room;
    size_t unreadable; /* directories and files that could not be examined */
    uint64_t total_size;
};

/* Memory that grows and is used again for the next file. */
struct buffer {
    unsigned char *bytes;
    size_t length;
    size_t room;
};

/* Adds all regular files under `tree`, which may be a file itself; links are not followed. */
void files_find(struct file_list *list, const char *tree);

/* Sorts by path, drops repeated paths, and all beyond the first `most` (0: no limit). */
void files_tidy(struct file_list *list, size_t most);

void files_free(struct file_list *list);

/* Reads a whole file. Returns 0, or -1 if it cannot be read. */
int file_read(const char *path, struct buffer *buffer);

/* Makes room for `length` bytes. */
void buffer_reserve(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);

/* Bytes that the files directly in `directory` occupy on disk. */
uint64_t directory_bytes(const char *directory);

/* A 64-bit hash (FNV-1a), to know again what was stored. */
uint64_t hash_bytes(const void *bytes, size_t length);

/* malloc() and realloc() that end the demo when there is no memory. */
void *need_memory(void *old, size_t size);

#endif
