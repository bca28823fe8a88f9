/* The other unit: checks that both link, and that the library is the one that was built. */
#include <kv.h>

#include <kv.h>

#include <string.h>

const char *version_seen_elsewhere(void);

int main(int argc, char **argv) {
    kv_db *db = NULL;
    kv_status status = KV_OK;
    if (argc != 2 || db != NULL || sizeof(status) != 4 || kv_strerror(status) == NULL) {
        return 2;
    }
    return strcmp(version_seen_elsewhere(), argv[1]) != 0;
}
