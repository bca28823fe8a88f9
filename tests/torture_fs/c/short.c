/* Put in front of the C library (LD_PRELOAD): reads and writes do less than they are asked for, and
 * are interrupted, as a kernel may do. SHORT_SEED says which ones. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static _Atomic uint64_t state;

static uint64_t draw(void)
{
    uint64_t bits = atomic_fetch_add(&state, UINT64_C(0x9e3779b97f4a7c15));
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

__attribute__((constructor)) static void begin(void)
{
    const char *seed = getenv("SHORT_SEED");
    atomic_store(&state, seed ? strtoull(seed, NULL, 10) : 1);
}

/* How much of `len` is done this time; 0: it is interrupted. */
static size_t some(size_t len)
{
    uint64_t drawn = draw();
    if (len < 2 || drawn % 4 == 0) {
        return len;
    }
    return drawn % 4 == 1 ? 0 : 1 + (drawn >> 8) % (len - 1);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define SHORTENED(len) \
    size_t part = some(len); \
    if (part == 0) { \
        if ((len) > 0) { \
            errno = EINTR; \
            return -1; \
        } \
    }

ssize_t read(int descriptor, void *bytes, size_t len)
{
    SHORTENED(len)
    return REAL(read)(descriptor, bytes, part);
}

ssize_t write(int descriptor, const void *bytes, size_t len)
{
    SHORTENED(len)
    return REAL(write)(descriptor, bytes, part);
}

ssize_t pread64(int descriptor, void *bytes, size_t len, off64_t offset)
{
    SHORTENED(len)
    return REAL(pread64)(descriptor, bytes, part, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t len, off64_t offset)
{
    SHORTENED(len)
    return REAL(pwrite64)(descriptor, bytes, part, offset);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
                        unsigned flags)
{
    SHORTENED(len)
    return REAL(copy_file_range)(from, from_at, to, to_at, part, flags);
}
