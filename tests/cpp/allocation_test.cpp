// kv.hpp allocates nothing: as often as kv.h does, its calls call malloc, and operator new never.
// malloc is counted by functions of this program that take its place, also for libkv.so.
#include "test.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <new>
#include <string>

extern "C" {
void *__libc_malloc(std::size_t size);
void *__libc_calloc(std::size_t count, std::size_t size);
void *__libc_realloc(void *old, std::size_t size);
void *__libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

// This thread's, since those of libkv in the background allocate when they like.
thread_local unsigned long mallocs;
thread_local unsigned long news;

struct allocations {
    unsigned long of_malloc;
    unsigned long of_new;
};

// The least of several rounds: what libkv does once, or when it has to wait, is not counted.
template <class Call>
allocations count(Call call)
{
    allocations least = {ULONG_MAX, ULONG_MAX};
    for (int round = 0; round < 5; round++) {
        const allocations before = {mallocs, news};
        for (int i = 0; i < 100; i++) {
            call();
        }
        least.of_malloc = std::min(least.of_malloc, mallocs - before.of_malloc);
        least.of_new = std::min(least.of_new, news - before.of_new);
    }
    return least;
}

template <class OfC, class OfCpp>
void check_same(const char *what, OfC of_c, OfCpp of_cpp)
{
    const allocations wanted = count(of_c);
    const allocations found = count(of_cpp);
    if (!CHECK(found.of_malloc == wanted.of_malloc && found.of_new == 0)) {
        std::fprintf(stderr, "    %s: malloc %lu times, not %lu, and new %lu times\n", what,
                     found.of_malloc, wanted.of_malloc, found.of_new);
    }
}

} // namespace

extern "C" {

void *malloc(std::size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}

void *calloc(std::size_t number, std::size_t size)
{
    mallocs++;
    return __libc_calloc(number, size);
}

void *realloc(void *old, std::size_t size)
{
    mallocs++;
    return __libc_realloc(old, size);
}

int posix_memalign(void **memory, std::size_t alignment, std::size_t size)
{
    mallocs++;
    *memory = __libc_memalign(alignment, size);
    return *memory == nullptr ? ENOMEM : 0;
}

} // extern "C"

void *operator new(std::size_t size)
{
    news++;
    if (void *memory = std::malloc(size)) {
        return memory;
    }
    throw std::bad_alloc();
}

void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

namespace {

// The counters see what they are to see.
void test_the_counters(kv::db &db)
{
    CHECK(count([] { kv_free(nullptr); }).of_malloc == 0);
    const allocations of_strings = count([] { static_cast<void>(std::string(100, 's')); });
    CHECK(of_strings.of_new == 100 && of_strings.of_malloc == 100);
    db.put("key", "value");
    const allocations of_values = count([&] {
        void *value = nullptr;
        std::size_t size = 0;
        CHECK_OK(kv_get(db.c_handle(), "key", 3, &value, &size));
        kv_free(value);
    });
    CHECK(of_values.of_malloc >= 100 && of_values.of_new == 0);
}

void test_writes(kv::db &db)
{
    kv_db *raw = db.c_handle();
    check_same(
        "put", [&] { CHECK_OK(kv_put(raw, "key", 3, "value", 5)); },
        [&] { db.put("key", "value"); });
    kv_write_options_t raw_options{};
    raw_options.size = sizeof raw_options;
    raw_options.ttl_ms = 1000000;
    kv::write_options options;
    options.ttl = std::chrono::seconds(1000);
    check_same(
        "put_with",
        [&] { CHECK_OK(kv_put_with(raw, "short", 5, "value", 5, &raw_options, nullptr)); },
        [&] { db.put_with("short", "value", options); });
    check_same(
        "add", [&] { CHECK_OK(kv_add(raw, "counter", 7, 1, nullptr)); },
        [&] { db.add("counter", 1); });
    check_same(
        "a batch",
        [&] {
            kv_batch *batch = nullptr;
            CHECK_OK(kv_batch_new(&batch));
            CHECK_OK(kv_batch_put(batch, "key", 3, "value", 5));
            CHECK_OK(kv_write(raw, batch, nullptr));
            kv_batch_free(batch);
        },
        [&] {
            kv::batch batch;
            batch.put("key", "value");
            db.write(batch);
        });
    check_same(
        "erase", [&] { CHECK_STATUS(KV_NOT_FOUND, kv_delete(raw, "none", 4)); },
        [&] { CHECK(!db.erase("none")); });
}

void test_reads(kv::db &db)
{
    kv_db *raw = db.c_handle();
    std::array<char, 100> buffer;
    std::size_t size = 0;
    void *value = nullptr;
    const void *seen = nullptr;
    kv_view *view = nullptr;
    std::string text(1000, ' ');
    check_same(
        "get_into",
        [&] { CHECK_OK(kv_get_into(raw, "key", 3, buffer.data(), buffer.size(), &size)); },
        [&] { CHECK(db.get_into("key", buffer) == "value"); });
    check_same(
        "get into a string",
        [&] { CHECK_OK(kv_get_into(raw, "key", 3, buffer.data(), buffer.size(), &size)); },
        [&] { CHECK(db.get("key", text) && text == "value"); });
    check_same(
        "get of a short value",
        [&] { CHECK_OK(kv_get_into(raw, "key", 3, buffer.data(), buffer.size(), &size)); },
        [&] { CHECK(db.get("key") == "value"); });
    check_same(
        "exists", [&] { CHECK_OK(kv_exists(raw, "key", 3, &size)); },
        [&] { CHECK(db.exists("key")); });
    check_same(
        "get_value",
        [&] {
            CHECK_OK(kv_get(raw, "key", 3, &value, &size));
            kv_free(value);
        },
        [&] { CHECK(db.get_value("key")->text() == "value"); });
    check_same(
        "view_get",
        [&] {
            CHECK_OK(kv_view_get(raw, "key", 3, &view, &seen, &size));
            kv_view_release(view);
        },
        [&] { CHECK(db.view_get("key")->text() == "value"); });
    check_same(
        "not found", [&] { CHECK_STATUS(KV_NOT_FOUND, kv_exists(raw, "none", 4, &size)); },
        [&] { CHECK(!db.get("none") && !db.get_value("none") && !db.view_get("none")); });
    check_same(
        "a failure", [&] { CHECK_STATUS(KV_EMPTY_KEY, kv_exists(raw, "", 0, &size)); },
        [&] { CHECK_IS(empty_key, db.try_get("")); });
}

void test_scans(kv::db &db)
{
    kv_db *raw = db.c_handle();
    check_same(
        "a scan",
        [&] {
            kv_iter *rows = nullptr;
            kv_slice_t key{};
            kv_slice_t value{};
            CHECK_OK(kv_iter_new(raw, nullptr, nullptr, 0, &rows));
            while (kv_iter_next(rows, &key, &value) == KV_OK) {
                CHECK(key.len > 0);
            }
            kv_iter_free(rows);
        },
        [&] {
            for (auto [key, value] : db.scan()) {
                CHECK(!key.empty() && !value.empty());
            }
        });
    check_same(
        "a snapshot",
        [&] {
            kv_snapshot *snapshot = nullptr;
            std::size_t size = 0;
            CHECK_OK(kv_snapshot_new(raw, &snapshot));
            CHECK_OK(kv_snapshot_exists(snapshot, "key", 3, &size));
            kv_snapshot_free(snapshot);
        },
        [&] { CHECK(db.snapshot().exists("key")); });

    const kv_slice_t raw_keys[] = {{"key", 3}, {"none", 4}};
    kv_result_t results[2];
    const std::array<kv::bytes, 2> keys = {"key", "none"};
    std::array<kv::answer, 2> answers;
    check_same(
        "get_many",
        [&] {
            void *arena = nullptr;
            CHECK_OK(kv_get_many(raw, 2, raw_keys, results, &arena));
            kv_free(arena);
        },
        [&] {
            const kv::value arena = db.get_many(keys, answers);
            CHECK(*answers[0] == "value" && !answers[1]);
        });
}

} // namespace

int main()
{
    kv::db db(test_path("allocations"));
    test_the_counters(db);
    test_writes(db);
    test_reads(db);
    test_scans(db);
    return test_end("allocation_test");
}
