// A part of kv.hpp: how keys, values, buffers and paths are passed.
#ifndef KV_BYTES_HPP
#define KV_BYTES_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace kv {
inline namespace KV_HPP_FORM {
namespace detail {

template <class T>
inline constexpr bool is_byte =
    std::is_same_v<T, char> || std::is_same_v<T, signed char> || std::is_same_v<T, unsigned char>
#ifdef __cpp_char8_t
    || std::is_same_v<T, char8_t>
#endif
    || std::is_same_v<T, std::byte>;

// What the data() of a container points to; nothing for what has no data() and size().
template <class T, class = void>
struct element {
    using type = void;
};
template <class T>
struct element<T, std::void_t<decltype(std::declval<T &>().data()),
                              decltype(std::declval<T &>().size())>> {
    using type = std::remove_pointer_t<decltype(std::declval<T &>().data())>;
};

template <class T>
inline constexpr bool holds_bytes = is_byte<std::remove_const_t<typename element<T>::type>>;

template <class T>
inline constexpr bool holds_writable_bytes = is_byte<typename element<T>::type>;

template <class T, class = void>
inline constexpr bool has_size = false;
template <class T>
inline constexpr bool has_size<T, std::void_t<decltype(std::declval<const T &>().size())>> = true;

} // namespace detail

// Bytes of somebody else's, to be read: a key or a value. It is made from whatever holds bytes, and
// is as short-lived.
class bytes {
public:
    constexpr bytes() noexcept : data_(nullptr), size_(0) {}
    constexpr bytes(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    constexpr bytes(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}

    // Text up to its NUL, such as one in quotes. Null is nothing: an empty value, or no key.
    bytes(const char *text) noexcept : data_(text), size_(text ? std::strlen(text) : 0) {}

    // std::string, std::span, std::vector, std::array and the like, of chars or bytes.
    template <class T, std::enable_if_t<detail::holds_bytes<const T>, int> = 0>
    constexpr bytes(const T &container) noexcept
        : data_(container.data()), size_(container.size())
    {
    }

    template <class T, std::size_t N,
              std::enable_if_t<detail::is_byte<T> && !std::is_same_v<T, char>, int> = 0>
    constexpr bytes(const T (&array)[N]) noexcept : data_(array), size_(N)
    {
    }

    constexpr const void *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }

    std::string_view text() const noexcept
    {
        return std::string_view(static_cast<const char *>(data_), size_);
    }
    operator std::string_view() const noexcept { return text(); }

#ifdef __cpp_lib_span
    operator std::span<const std::byte>() const noexcept
    {
        return std::span<const std::byte>(static_cast<const std::byte *>(data_), size_);
    }
#endif

private:
    const void *data_;
    std::size_t size_;
};

// The bytes of a number, or of another object without padding, as they lie in memory.
template <class T>
constexpr bytes bytes_of(const T &object) noexcept
{
    static_assert(std::has_unique_object_representations_v<T>,
                  "equal objects must have equal bytes: no padding, no floating point");
    return bytes(&object, sizeof object);
}

// Bytes of the caller's, to be written.
class buffer {
public:
    constexpr buffer(void *data, std::size_t size) noexcept : data_(data), size_(size) {}

    template <class T, std::enable_if_t<detail::holds_writable_bytes<T>, int> = 0>
    constexpr buffer(T &container) noexcept : data_(container.data()), size_(container.size())
    {
    }

    template <class T, std::size_t N, std::enable_if_t<detail::is_byte<T>, int> = 0>
    constexpr buffer(T (&array)[N]) noexcept : data_(array), size_(N)
    {
    }

#ifdef __cpp_lib_span
    template <class T, std::size_t N, std::enable_if_t<detail::is_byte<T>, int> = 0>
    constexpr buffer(std::span<T, N> span) noexcept : data_(span.data()), size_(span.size())
    {
    }
#endif

    constexpr void *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }

private:
    void *data_;
    std::size_t size_;
};

// The value of a counter, as db::add() keeps it: eight bytes, the lowest first. Nothing if these
// bytes are none.
inline std::optional<std::int64_t> decode_counter(bytes value) noexcept
{
    if (value.size() != 8) {
        return std::nullopt;
    }
    std::uint64_t number = 0;
    for (std::size_t at = 8; at-- > 0;) {
        number = number << 8 | static_cast<const unsigned char *>(value.data())[at];
    }
    std::int64_t counter = 0;
    std::memcpy(&counter, &number, sizeof counter);
    return counter;
}

// The bytes of a counter, to be put.
inline std::array<unsigned char, 8> encode_counter(std::int64_t counter) noexcept
{
    std::array<unsigned char, 8> value{};
    auto number = static_cast<std::uint64_t>(counter);
    for (unsigned char &byte : value) {
        byte = static_cast<unsigned char>(number & 0xff);
        number >>= 8;
    }
    return value;
}

// A path or an option's text: what kv.h wants with a NUL at its end, so no std::string_view. One
// with a NUL inside would be another path: it is passed as null, which is null_argument.
class c_text {
public:
    constexpr c_text(const char *text) noexcept : text_(text) {}

    // std::string, std::filesystem::path.
    template <class T, class Text = decltype(std::declval<const T &>().c_str()),
              std::enable_if_t<std::is_same_v<Text, const char *>, int> = 0>
    c_text(const T &text) noexcept : text_(text.c_str())
    {
        if constexpr (detail::has_size<T>) {
            if (std::strlen(text_) != text.size()) {
                text_ = nullptr;
            }
        }
    }

    constexpr const char *c_str() const noexcept { return text_; }

private:
    const char *text_;
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
