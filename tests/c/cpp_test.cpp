// The header in C++17: it compiles there, its handles fit RAII, and the basics work.
#include "test.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

static_assert(std::is_same_v<kv_status, std::int32_t>, "a status has 32 bits everywhere");
static_assert(noexcept(kv_close(nullptr)), "the compiler knows that nothing throws");

namespace {

struct FreeOptions {
    void operator()(kv_options *options) const { kv_options_free(options); }
};
struct FreeValue {
    void operator()(void *value) const { kv_free(value); }
};
struct ReleaseView {
    void operator()(kv_view *view) const { kv_view_release(view); }
};

using Options = std::unique_ptr<kv_options, FreeOptions>;
using View = std::unique_ptr<kv_view, ReleaseView>;

// A database that is closed at the end of its scope.
class Database {
public:
    explicit Database(const std::string &path, const kv_options *options = nullptr)
    {
        CHECK_OK(kv_open(path.c_str(), options, &db_));
    }
    Database(Database &&other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
    Database(const Database &) = delete;
    Database &operator=(const Database &) = delete;
    Database &operator=(Database &&) = delete;
    ~Database() { CHECK_OK(kv_close(db_)); }

    kv_db *get() const { return db_; }

    kv_status put(std::string_view key, std::string_view value) const
    {
        return kv_put(db_, key.data(), key.size(), value.data(), value.size());
    }

    kv_status remove(std::string_view key) const
    {
        return kv_delete(db_, key.data(), key.size());
    }

    std::optional<std::string> find(std::string_view key) const
    {
        void *value = nullptr;
        std::size_t len = 0;
        const kv_status status = kv_get(db_, key.data(), key.size(), &value, &len);
        if (status == KV_NOT_FOUND) {
            return std::nullopt;
        }
        CHECK_OK(status);
        const std::unique_ptr<void, FreeValue> owner(value);
        return std::string(static_cast<const char *>(value), len);
    }

private:
    kv_db *db_ = nullptr;
};

Options small_segments()
{
    kv_options *options = nullptr;
    CHECK_OK(kv_options_new(&options));
    CHECK_OK(kv_options_set_segment_size(options, 1 << 20));
    CHECK_OK(kv_options_set_sync(options, KV_SYNC_NONE));
    return Options(options);
}

void test_basics(const std::string &path)
{
    using namespace std::string_literals;
    const Options options = small_segments();
    const Database db(path, options.get());
    CHECK(!db.find("planet"));
    CHECK_OK(db.put("planet", "Saturn"));
    CHECK(db.find("planet") == "Saturn");
    CHECK_OK(db.put("planet", ""));
    CHECK(db.find("planet") == "");
    CHECK_OK(db.put("\0key"s, "va\0lue"s));
    CHECK(db.find("\0key"s) == "va\0lue"s);
    CHECK_OK(db.remove("planet"));
    CHECK_STATUS(KV_NOT_FOUND, db.remove("planet"));
    CHECK_STATUS(KV_EMPTY_KEY, db.put("", "value"));
    CHECK_STATUS(KV_EMPTY_KEY, db.put(std::string_view(), "value"));
    CHECK_OK(kv_compact(db.get()));
    CHECK_OK(kv_sync(db.get()));
}

void test_moved_database(const std::string &path)
{
    Database first(path);
    const Database second(std::move(first));
    CHECK(second.find(std::string_view("\0key", 4)) == std::string("va\0lue", 6));
}

// The view is released after the database is closed, as the order of declaration has it.
void test_view_outlives_database(const std::string &path)
{
    View view;
    std::string_view seen;
    {
        const Database db(path);
        kv_view *raw = nullptr;
        const void *value = nullptr;
        std::size_t len = 0;
        CHECK_OK(db.put("long", std::string(100000, 'l')));
        CHECK_OK(kv_view_get(db.get(), "long", 4, &raw, &value, &len));
        view.reset(raw);
        seen = std::string_view(static_cast<const char *>(value), len);
        CHECK_OK(db.put("long", "short"));
    }
    CHECK(seen == std::string(100000, 'l'));
}

void test_threads(const std::string &path)
{
    const Database db(path);
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; number++) {
        threads.emplace_back([&db, number] {
            for (int i = 0; i < 1000; i++) {
                const std::string key = std::to_string(number) + "/" + std::to_string(i);
                CHECK_OK(db.put(key, key));
                CHECK(db.find(key) == key);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(db.find("3/999") == "3/999");
}

} // namespace

int main()
{
    const std::string path = test_path("cpp");
    test_basics(path);
    test_moved_database(path);
    test_view_outlives_database(path);
    test_threads(path);
    CHECK_OK(kv_destroy(path.c_str()));
    return test_end("cpp_test");
}
