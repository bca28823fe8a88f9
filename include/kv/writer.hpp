// A part of kv.hpp: writes to a database, with what they may depend on.
#ifndef KV_WRITER_HPP
#define KV_WRITER_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kv {
inline namespace KV_HPP_FORM {
namespace detail {

struct calls_of_db {
    using type = kv_db;
    // What kv_close() fails with cannot be told at the end of a scope; db::close() tells it.
    static void free(kv_db *db) noexcept { static_cast<void>(kv_close(db)); }
    static constexpr auto get = kv_get;
    static constexpr auto get_into = kv_get_into;
    static constexpr auto exists = kv_exists;
    static constexpr auto view_get = kv_view_get;
};

// A database as far as single keys go.
class writer : public reader<calls_of_db> {
public:
    // Stores a value in the place of the one that was there.
    result<void> try_put(bytes key, bytes value) noexcept
    {
        return to_status(kv_put(c_handle(), key.data(), key.size(), value.data(), value.size()));
    }

    // Stores a value that expires.
    result<void> try_put(bytes key, bytes value, expiry ttl) noexcept
    {
        write_options options;
        options.ttl = ttl;
        return try_put_with(key, value, options).status();
    }

    // Stores a value if the key is as the options say, and returns its version now. Where it is
    // not, it is exists or version_mismatch.
    result<std::uint64_t> try_put_with(bytes key, bytes value,
                                       const write_options &options) noexcept
    {
        std::uint64_t version = 0;
        const kv_write_options_t with = options.c_options();
        const kv_status status = kv_put_with(c_handle(), key.data(), key.size(), value.data(),
                                             value.size(), &with, &version);
        return with_value(status, version);
    }

    // Makes room for a value in the log, to be filled and committed.
    result<reservation> try_reserve(bytes key, std::size_t size,
                                    const write_options &options = {}) noexcept
    {
        kv_reservation *raw = nullptr;
        void *data = nullptr;
        const kv_write_options_t with = options.c_options();
        const kv_status status =
            kv_put_reserve(c_handle(), key.data(), key.size(), size, &with, &raw, &data);
        return with_value(status, reservation(raw, data, size));
    }

    // Stores a value if the key is not there.
    result<std::uint64_t> try_insert(bytes key, bytes value) noexcept
    {
        write_options options;
        options.if_absent = true;
        return try_put_with(key, value, options);
    }

    // Stores a value if the key has this version, and lets it live as long as the one before it.
    result<std::uint64_t> try_compare_exchange(bytes key, std::uint64_t version,
                                               bytes value) noexcept
    {
        // No key has version 0, but to the options it means any.
        if (version == 0) {
            return status::version_mismatch;
        }
        write_options options;
        options.if_version = version;
        options.keep_ttl = true;
        return try_put_with(key, value, options);
    }

    // Replaces a value by what a function makes of it, as one step: when another write comes in
    // between, the function is called again, with that one's value. It takes a
    // std::optional<std::string_view>, empty if the key is not there, and returns what can be a
    // value. What it throws ends this, and nothing is written.
    template <class Change>
    result<std::uint64_t> try_update(bytes key, Change &&change)
    {
        for (std::string old;;) {
            // The version comes first: a value newer than it is refused below.
            result<std::uint64_t> version = try_get_version(key);
            const result<void> read = version ? try_get(key, old) : result<void>(version.status());
            if (read.failed()) {
                return read.status();
            }
            std::optional<std::string_view> seen;
            if (read) {
                seen.emplace(old);
            }
            const auto &made = change(seen);
            const result<std::uint64_t> put =
                read ? try_compare_exchange(key, *version, made) : try_insert(key, made);
            if (put || put.failed()) {
                return put;
            }
        }
    }

    // Deletes a key; not_found if it was not there.
    result<void> try_erase(bytes key) noexcept
    {
        return to_status(kv_delete(c_handle(), key.data(), key.size()));
    }

    // Deletes a key if it has the version of the options; no other but their sync may be set.
    result<void> try_erase_with(bytes key, const write_options &options) noexcept
    {
        const kv_write_options_t with = options.c_options();
        return to_status(kv_delete_with(c_handle(), key.data(), key.size(), &with));
    }

    // The version of a key, which is another after each write to it.
    result<std::uint64_t> try_get_version(bytes key) const noexcept
    {
        std::uint64_t version = 0;
        const kv_status status = kv_get_version(c_handle(), key.data(), key.size(), &version);
        return with_value(status, version);
    }

    // Adds to a counter, and returns what it is now. A key that is not there counts as 0; see
    // decode_counter() for reading one.
    result<std::int64_t> try_add(bytes key, std::int64_t delta) noexcept
    {
        std::int64_t sum = 0;
        const kv_status status = kv_add(c_handle(), key.data(), key.size(), delta, &sum);
        return with_value(status, sum);
    }

    // Lets a value live so long from now, or for ever.
    result<void> try_touch(bytes key, expiry ttl) noexcept
    {
        return to_status(kv_touch(c_handle(), key.data(), key.size(), ttl.c_ttl_ms()));
    }

    // How long a value will live.
    result<expiry> try_ttl(bytes key) const noexcept
    {
        std::uint64_t remaining = 0;
        const kv_status status = kv_ttl(c_handle(), key.data(), key.size(), &remaining);
        return with_value(status, expiry::from_c_remaining_ms(remaining));
    }

#if KV_HPP_THROWS
    void put(bytes key, bytes value) { try_put(key, value).value(); }
    void put(bytes key, bytes value, expiry ttl) { try_put(key, value, ttl).value(); }

    // Nothing: the key was not as the options say, and nothing was written. So for those below.
    std::optional<std::uint64_t> put_with(bytes key, bytes value, const write_options &options)
    {
        return try_put_with(key, value, options).optional();
    }
    reservation reserve(bytes key, std::size_t size, const write_options &options = {})
    {
        return try_reserve(key, size, options).value();
    }
    std::optional<std::uint64_t> insert(bytes key, bytes value)
    {
        return try_insert(key, value).optional();
    }
    std::optional<std::uint64_t> compare_exchange(bytes key, std::uint64_t version, bytes value)
    {
        return try_compare_exchange(key, version, value).optional();
    }
    template <class Change>
    std::uint64_t update(bytes key, Change &&change)
    {
        return try_update(key, change).value();
    }

    // False: it was not there, or had another version.
    bool erase(bytes key) { return try_erase(key).answer(); }
    bool erase_with(bytes key, const write_options &options)
    {
        return try_erase_with(key, options).answer();
    }

    std::optional<std::uint64_t> get_version(bytes key) const
    {
        return try_get_version(key).optional();
    }
    std::int64_t add(bytes key, std::int64_t delta) { return try_add(key, delta).value(); }

    // False: it was not there.
    bool touch(bytes key, expiry ttl) { return try_touch(key, ttl).answer(); }
    std::optional<expiry> ttl(bytes key) const { return try_ttl(key).optional(); }
#endif

protected:
    using reader::reader;
    writer(writer &&) noexcept = default;
    writer &operator=(writer &&) noexcept = default;
    ~writer() = default;
};

} // namespace detail
} // namespace KV_HPP_FORM
} // namespace kv

#endif
