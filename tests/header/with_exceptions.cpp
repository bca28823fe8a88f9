// One of two units that include kv.hpp before anything else, and twice: with exceptions. It leaves
// no macro behind, and what it says of its types is so.
#include <kv.hpp>

#include <kv.hpp>

#include <filesystem>
#if __cplusplus >= 202002L
#include <ranges>
#endif
#include <string>
#include <type_traits>
#include <vector>

#if defined(KV_HPP_THROWS) || defined(KV_HPP_FORM)
#error "kv.hpp leaves its own macros behind"
#endif

template <class T>
constexpr bool is_handle =
    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && !std::is_polymorphic_v<T>;

static_assert(is_handle<kv::db> && is_handle<kv::options>);
static_assert(is_handle<kv::view> && is_handle<kv::value>);
static_assert(is_handle<kv::batch> && is_handle<kv::snapshot> && is_handle<kv::iterator>);
static_assert(is_handle<kv::reservation> && is_handle<kv::answers<kv::view>>);
static_assert(sizeof(kv::db) == sizeof(kv_db *), "a database is its handle, and nothing else");
static_assert(!std::is_convertible_v<std::string_view, kv::c_text>, "it may have no NUL");
static_assert(std::is_convertible_v<std::filesystem::path, kv::c_text>);
static_assert(std::is_convertible_v<std::vector<std::byte>, kv::bytes>);
static_assert(!std::is_convertible_v<std::vector<int>, kv::bytes>, "no bytes");
static_assert(!std::is_convertible_v<const std::string &, kv::buffer>, "not to be written");
static_assert(std::is_base_of_v<std::runtime_error, kv::error>);

#if __cplusplus >= 202002L
static_assert(std::ranges::input_range<kv::iterator>);
static_assert(std::input_iterator<kv::iterator::cursor>);
static_assert(kv::write_options{.ttl = std::chrono::seconds(5), .if_absent = true}.if_absent);
#endif

kv_status seen_without_exceptions(const char *path);

int main()
{
    const std::filesystem::path path = "database";
    if (seen_without_exceptions(path.c_str()) != KV_DOES_NOT_EXIST) {
        return 1;
    }
    try {
        kv::destroy(path);
    } catch (const kv::error &error) {
        return error.status() == kv::status::does_not_exist ? 0 : 1;
    }
    return 1;
}
