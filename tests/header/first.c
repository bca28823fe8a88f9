/* One of two units that include kv.h before anything else, and twice; C99, C11 and C++17. */
#include <kv.h>

#include <kv.h>

const char *version_seen_elsewhere(void);

const char *version_seen_elsewhere(void) {
    return kv_version();
}
