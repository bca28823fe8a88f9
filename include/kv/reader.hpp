// A part of kv.hpp: reads by key, which databases and snapshots share.
#ifndef KV_READER_HPP
#define KV_READER_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kv {
inline namespace KV_HPP_FORM {
namespace detail {

// Reads of what Calls names: it has the handle's type, and the functions of kv.h for it.
template <class Calls>
class reader {
public:
    // Reads a value. What is not there is not_found.
    result<std::string> try_get(bytes key) const
    {
        std::string value;
        const result<void> read = try_get(key, value);
        if (!read) {
            return read.status();
        }
        return value;
    }

    // Reads a value into a string, whose memory is used again. Unless it returns KV_OK, what the
    // string holds then is no value.
    result<void> try_get(bytes key, std::string &value) const
    {
        // Short values take this way, so that a string that is empty or short needs no guess, and
        // is not filled twice.
        char short_value[512];
        std::size_t needed = 0;
        if (value.size() < sizeof short_value) {
            const result<std::string_view> read = try_get_into(key, short_value, &needed);
            if (read) {
                value.assign(*read);
            }
            if (read.status() != status::buffer_too_small) {
                return read.status();
            }
            value.resize(needed);
        }
        // More than once if the value grows meanwhile.
        for (;;) {
            const result<std::string_view> read = try_get_into(key, value, &needed);
            if (read) {
                value.resize(read->size());
            }
            if (read.status() != status::buffer_too_small) {
                return read.status();
            }
            value.resize(needed);
        }
    }

    // Reads a value into memory of libkv's, which is given away, and not copied again.
    result<value> try_get_value(bytes key) const noexcept
    {
        void *data = nullptr;
        std::size_t size = 0;
        const kv_status status = Calls::get(c_handle(), key.data(), key.size(), &data, &size);
        return with_value(status, value(data, size));
    }

    // Reads a value into a buffer, and returns that part of it. A value that does not fit is
    // buffer_too_small: then the buffer is as it was, and *needed is the value's length.
    result<std::string_view> try_get_into(bytes key, buffer into,
                                          std::size_t *needed = nullptr) const noexcept
    {
        std::size_t size = 0;
        const kv_status status =
            Calls::get_into(c_handle(), key.data(), key.size(), into.data(), into.size(), &size);
        if (needed != nullptr && (status == KV_OK || status == KV_BUFFER_TOO_SMALL)) {
            *needed = size;
        }
        return with_value(status, std::string_view(static_cast<const char *>(into.data()), size));
    }

    // Says whether a key is there, and the length of its value.
    result<std::size_t> try_exists(bytes key) const noexcept
    {
        std::size_t size = 0;
        const kv_status status = Calls::exists(c_handle(), key.data(), key.size(), &size);
        return with_value(status, size);
    }

    // Shows a value where it lies, without a copy.
    result<view> try_view_get(bytes key) const noexcept
    {
        kv_view *raw = nullptr;
        const void *data = nullptr;
        std::size_t size = 0;
        const kv_status status =
            Calls::view_get(c_handle(), key.data(), key.size(), &raw, &data, &size);
        return with_value(status, view(raw, data, size));
    }

#if KV_HPP_THROWS
    std::optional<std::string> get(bytes key) const { return try_get(key).optional(); }

    // False: the key is not there.
    bool get(bytes key, std::string &value) const { return try_get(key, value).answer(); }

    std::optional<kv::value> get_value(bytes key) const { return try_get_value(key).optional(); }

    // Throws on a value that does not fit, too: only a key that is not there is nothing.
    std::optional<std::string_view> get_into(bytes key, buffer into) const
    {
        result<std::string_view> read = try_get_into(key, into);
        if (read.status() == status::not_found) {
            return std::nullopt;
        }
        return read.value();
    }

    bool exists(bytes key) const { return try_exists(key).optional().has_value(); }

    std::optional<std::size_t> value_size(bytes key) const { return try_exists(key).optional(); }

    std::optional<kv::view> view_get(bytes key) const { return try_view_get(key).optional(); }
#endif

    // For calls of kv.h; it stays this object's.
    typename Calls::type *c_handle() const noexcept { return owner_.get(); }

protected:
    constexpr reader() noexcept : owner_() {}
    explicit reader(typename Calls::type *raw) noexcept : owner_(raw) {}
    reader(reader &&) noexcept = default;
    reader &operator=(reader &&) noexcept = default;
    reader(const reader &) = delete;
    reader &operator=(const reader &) = delete;
    ~reader() = default;

    handle<typename Calls::type, Calls::free> owner_;
};

} // namespace detail
} // namespace KV_HPP_FORM
} // namespace kv

#endif
