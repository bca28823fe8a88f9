/* The files the demo stores: found by walking directory trees, read whole. */
#define _XOPEN_SOURCE 700

#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

void *need_memory(void *old, size_t size)
{
    void *memory = realloc(old, size > 0 ? size : 1);
    if (memory == NULL) {
        fail("no memory for %zu bytes", size);
    }
    return memory;
}

static char *joined(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/') {
        length--;
    }
    const char *slash = length == 1 && directory[0] == '/' ? "" : "/";
    size_t size = length + strlen(name) + 2;
    char *path = need_memory(NULL, size);
    snprintf(path, size, "%.*s%s%s", (int)length, directory, slash, name);
    return path;
}

/* Adds a file; the list takes `path` over. */
static void add_file(struct file_list *list, char *path, uint64_t size)
{
    if (list->count == list->room) {
        list->room = list->room > 0 ? list->room * 2 : 1024;
        list->files = need_memory(list->files, list->room * sizeof *list->files);
    }
    struct file *file = &list->files[list->count++];
    memset(file, 0, sizeof *file);
    file->path = path;
    file->size = size;
}

static void walk(struct file_list *list, char *path);

/* Adds everything below a directory. */
static void walk_directory(struct file_list *list, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        list->unreadable++;
        return;
    }
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            walk(list, joined(path, name));
        }
        free(entries[i]);
    }
    free(entries);
}

/* Adds what is at `path`, with everything below it; takes `path` over. */
static void walk(struct file_list *list, char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0) {
        list->unreadable++;
    } else if (S_ISREG(about.st_mode)) {
        add_file(list, path, (uint64_t)about.st_size);
        return;
    } else if (S_ISDIR(about.st_mode)) {
        walk_directory(list, path);
    }
    free(path);
}

void files_find(struct file_list *list, const char *tree)
{
    struct stat about;
    if (stat(tree, &about) != 0) {
        fail("%s: %s", tree, strerror(errno));
    }
    /* A link that the user names is followed; those found below are not. */
    if (S_ISDIR(about.st_mode)) {
        walk_directory(list, tree);
    } else {
        char *copy = need_memory(NULL, strlen(tree) + 1);
        walk(list, strcpy(copy, tree));
    }
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct file *)left)->path, ((const struct file *)right)->path);
}

void files_tidy(struct file_list *list, size_t most)
{
    size_t kept = 0;
    if (list->count > 0) {
        qsort(list->files, list->count, sizeof *list->files, by_path);
    }
    for (size_t i = 0; i < list->count; i++) {
        struct file *file = &list->files[i];
        int repeated = kept > 0 && strcmp(list->files[kept - 1].path, file->path) == 0;
        if (repeated || (most > 0 && kept == most)) {
            free(file->path);
            continue;
        }
        list->total_size += file->size;
        list->files[kept++] = *file;
    }
    list->count = kept;
}

void files_free(struct file_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->files[i].path);
    }
    free(list->files);
    memset(list, 0, sizeof *list);
}

void buffer_reserve(struct buffer *buffer, size_t length)
{
    if (length > buffer->room) {
        buffer->room = length + length / 2;
        buffer->bytes = need_memory(buffer->bytes, buffer->room);
    }
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

/* Reads to the end of a file, which may be at another place than when the file was found. */
static int read_all(int descriptor, struct buffer *buffer)
{
    buffer->length = 0;
    for (;;) {
        buffer_reserve(buffer, buffer->length + 64 * 1024);
        ssize_t got = read(descriptor, buffer->bytes + buffer->length,
                           buffer->room - buffer->length);
        if (got == 0) {
            return 0;
        }
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got > 0) {
            buffer->length += (size_t)got;
        }
    }
}

int file_read(const char *path, struct buffer *buffer)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) {
        return -1;
    }
    int result = read_all(descriptor, buffer);
    close(descriptor);
    return result;
}

uint64_t directory_bytes(const char *directory)
{
    uint64_t total = 0;
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        fail("%s: %s", directory, strerror(errno));
    }
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        struct stat about;
        char *path = joined(directory, entry->d_name);
        if (lstat(path, &about) == 0 && S_ISREG(about.st_mode)) {
            total += (uint64_t)about.st_blocks * 512;
        }
        free(path);
    }
    closedir(stream);
    return total;
}

uint64_t hash_bytes(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}
