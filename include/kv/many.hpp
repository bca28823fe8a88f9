// A part of kv.hpp: reading many keys at once.
#ifndef KV_MANY_HPP
#define KV_MANY_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace kv {
inline namespace KV_HPP_FORM {

// What became of one of many keys. It belongs to what keeps the values.
class answer {
public:
    constexpr answer() noexcept : raw_{KV_NOT_FOUND, nullptr, 0} {}

    // Whether the key was found.
    explicit operator bool() const noexcept { return raw_.status == KV_OK; }
    kv::status status() const noexcept { return detail::to_status(raw_.status); }
    bool failed() const noexcept { return raw_.status < 0; }

    // The value, which must be there.
    std::string_view operator*() const noexcept
    {
        return std::string_view(static_cast<const char *>(raw_.value), raw_.value_len);
    }

#if KV_HPP_THROWS
    // The value, or nothing; throws kv::error if it could not be read.
    std::optional<std::string_view> value() const
    {
        if (failed()) {
            throw error(status());
        }
        return raw_.status == KV_OK ? std::optional(**this) : std::nullopt;
    }
#endif

private:
    kv_result_t raw_;
};

// Both are passed to kv.h as they are.
static_assert(sizeof(bytes) == sizeof(kv_slice_t) && alignof(bytes) == alignof(kv_slice_t));
static_assert(sizeof(answer) == sizeof(kv_result_t) && alignof(answer) == alignof(kv_result_t));
static_assert(std::is_standard_layout_v<bytes> && std::is_standard_layout_v<answer>);

namespace detail {

template <class List>
using element_of = std::remove_cv_t<
    std::remove_reference_t<decltype(*std::begin(std::declval<const List &>()))>>;

// Keys one after the other in memory, as kv.h wants them: a list of kv::bytes as it is, and of any
// other list a copy of where its keys lie.
template <class Keys>
class key_list {
public:
    explicit key_list(const Keys &keys) : keys_(listed(keys)) {}

    const kv_slice_t *data() const noexcept
    {
        return reinterpret_cast<const kv_slice_t *>(std::data(keys_));
    }
    std::size_t size() const noexcept { return std::size(keys_); }

private:
    static constexpr bool is_as_wanted = std::is_same_v<element_of<Keys>, bytes>;
    using list = std::conditional_t<is_as_wanted, const Keys &, std::vector<bytes>>;

    static list listed(const Keys &keys)
    {
        if constexpr (is_as_wanted) {
            return keys;
        } else {
            static_assert(std::is_reference_v<decltype(*std::begin(keys))>,
                          "the keys must lie in the list, and not be made for the moment");
            return std::vector<bytes>(std::begin(keys), std::end(keys));
        }
    }

    list keys_;
};

// Where there is room for so many answers; else null, which is null_argument.
template <class Answers>
kv_result_t *room_for(std::size_t count, Answers &into) noexcept
{
    static_assert(std::is_same_v<element_of<Answers>, answer>, "room for kv::answer");
    return std::size(into) < count ? nullptr : reinterpret_cast<kv_result_t *>(std::data(into));
}

} // namespace detail

// The answers to many keys, in their order, and what keeps the values: Owner is kv::value, or
// kv::view for values that are not copied.
template <class Owner>
class answers {
public:
    answers(std::vector<answer> list, Owner owner) noexcept
        : list_(std::move(list)), owner_(std::move(owner))
    {
    }

    std::size_t size() const noexcept { return list_.size(); }
    const answer &operator[](std::size_t at) const noexcept { return list_[at]; }
    std::vector<answer>::const_iterator begin() const noexcept { return list_.begin(); }
    std::vector<answer>::const_iterator end() const noexcept { return list_.end(); }

private:
    std::vector<answer> list_;
    Owner owner_;
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
