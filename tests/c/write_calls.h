/* Every call that writes by options, batches or times to live, on a database that refuses it. */
#ifndef WRITE_CALLS_H
#define WRITE_CALLS_H

#include "test.h"

/* Checks that each returns `wanted`, explains it in words that contain `part`, and sets nothing. */
static inline void test_write_calls(kv_db *db, kv_status wanted, const char *part)
{
    kv_write_options_t options = {.size = sizeof options};
    uint64_t number = 7;
    int64_t sum = 7;
    kv_batch *batch = NULL;
    CHECK_FAILS(wanted, part, kv_put_with(db, "k", 1, "v", 1, &options, &number));
    CHECK_FAILS(wanted, part, kv_put_with(db, "k", 1, "v", 1, NULL, NULL));
    CHECK_FAILS(wanted, part, kv_delete_with(db, "k", 1, &options));
    CHECK_FAILS(wanted, part, kv_get_version(db, "k", 1, &number));
    CHECK_FAILS(wanted, part, kv_add(db, "k", 1, 1, &sum));
    CHECK_FAILS(wanted, part, kv_touch(db, "k", 1, 1000));
    CHECK_FAILS(wanted, part, kv_ttl(db, "k", 1, &number));
    CHECK_OK(kv_batch_new(&batch));
    CHECK_FAILS(wanted, part, kv_write(db, batch, NULL));
    CHECK_OK(kv_batch_put(batch, "k", 1, "v", 1));
    CHECK_FAILS(wanted, part, kv_write(db, batch, &options));
    kv_batch_free(batch);
    CHECK(number == 7 && sum == 7);
}

#endif
