/* Small stacks: a thread with 64 KiB calls every function. Also where the file system cannot
 * allocate ahead, so that the library writes zeros instead. */
#include "every_call.h"

#include <errno.h>
#include <sys/mman.h>

enum { STACK = 64 * 1024 };

static int cannot_allocate;

/* Takes the place of the C library's, for libkv too. */
int fallocate(int fd, int mode, off_t offset, off_t len)
{
    (void)mode;
    if (cannot_allocate) {
        errno = EOPNOTSUPP;
        return -1;
    }
    /* Zeros behind the end of the file, without a library function that calls this one again. */
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return -1;
    }
    return about.st_size < offset + len ? ftruncate(fd, offset + len) : 0;
}

static void *call(void *path)
{
    every_call((const char *)path);
    return NULL;
}

static void test_small_stack(const char *name)
{
    static char path[300];
    pthread_attr_t attributes;
    pthread_t thread;
    size_t size = 0;
    snprintf(path, sizeof path, "%s", test_path(name));
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHECK(pthread_attr_getstacksize(&attributes, &size) == 0 && size == STACK);
    CHECK(pthread_create(&thread, &attributes, call, path) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

int main(void)
{
    test_small_stack("small");
    cannot_allocate = 1;
    test_small_stack("zeros");
    return test_end("stack_test");
}
