// What the tests of kv.hpp add to the harness of those in C.
#ifndef TEST_HPP
#define TEST_HPP

#include "../c/test.h"

#include <kv.hpp>

constexpr kv_status test_number(kv::status status) { return static_cast<kv_status>(status); }

// Checks that a call without exceptions returns kv::status::`wanted`.
#define CHECK_IS(wanted, call) \
    CHECK_STATUS(test_number(kv::status::wanted), test_number((call).status()))

// Checks that a call throws kv::error with kv::status::`wanted`.
#define CHECK_THROWS(wanted, call) \
    do { \
        kv::status thrown = kv::status::ok; \
        try { \
            static_cast<void>(call); \
        } catch (const kv::error &error) { \
            thrown = error.status(); \
        } \
        CHECK_STATUS(test_number(kv::status::wanted), test_number(thrown)); \
    } while (false)

#endif
