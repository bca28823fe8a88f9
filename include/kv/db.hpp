// A part of kv.hpp: the database.
#ifndef KV_DB_HPP
#define KV_DB_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <utility>
#include <vector>

namespace kv {
inline namespace KV_HPP_FORM {

// An open database; it is closed at the end. Any number of threads may use it at once.
class db : public detail::maintained {
public:
    // No database yet: every call returns null_argument.
    constexpr db() noexcept = default;

    // Takes over what kv_open() opened.
    explicit db(kv_db *raw) noexcept : maintained(raw) {}

    // Opens the database in a directory, or makes one there.
    static result<db> try_open(c_text path) noexcept { return try_open_with(path, nullptr); }
    static result<db> try_open(c_text path, const kv::options &options) noexcept
    {
        // To kv_open(), null is the defaults; here it is what was moved from, and this says so.
        if (options.c_handle() == nullptr) {
            return detail::to_status(kv_options_set(nullptr, "", ""));
        }
        return try_open_with(path, options.c_handle());
    }

    // Closes it, and says how that went. Afterwards, every call returns closed.
    result<void> try_close() noexcept { return detail::to_status(kv_close(c_handle())); }

    // Does all that is in a batch, or nothing. Of the options, sync alone may be set.
    result<void> try_write(const batch &batch, const write_options &options = {}) noexcept
    {
        const kv_write_options_t with = options.c_options();
        return detail::to_status(kv_write(c_handle(), batch.c_handle(), &with));
    }

    // Keeps what the database is at this moment.
    result<kv::snapshot> try_snapshot() const noexcept
    {
        kv_snapshot *raw = nullptr;
        const kv_status status = kv_snapshot_new(c_handle(), &raw);
        return detail::with_value(status, kv::snapshot(raw));
    }

    // Goes through all keys, or those that begin with a prefix, as they are now.
    result<iterator> try_scan(bytes prefix = {}) const noexcept { return scan_at(nullptr, prefix); }

    // The same, as they were at a snapshot of this database.
    result<iterator> try_scan(const kv::snapshot &at, bytes prefix = {}) const noexcept
    {
        // To kv_iter_new(), null is the present; here it is what was moved from, and this says so.
        if (at.c_handle() == nullptr) {
            return at.try_exists("key").status();
        }
        return scan_at(at.c_handle(), prefix);
    }

    // Reads many keys: faster than one by one. Their answers go into a container that has room for
    // them, and what is returned keeps the values. A list of kv::bytes is used as it is, so that
    // nothing is allocated but the values; of other keys a list is made.
    template <class Keys, class Answers>
    result<value> try_get_many(const Keys &keys, Answers &&into) const
    {
        const detail::key_list<Keys> list(keys);
        void *arena = nullptr;
        const kv_status status = kv_get_many(
            c_handle(), list.size(), list.data(), detail::room_for(list.size(), into), &arena);
        return detail::with_value(status, value(arena, 0));
    }

    // The same, with the answers in a list of their own.
    template <class Keys>
    result<answers<value>> try_get_many(const Keys &keys) const
    {
        std::vector<answer> list(std::size(keys));
        result<value> read = try_get_many(keys, list);
        if (!read) {
            return read.status();
        }
        return answers<value>(std::move(list), *std::move(read));
    }

    result<answers<value>> try_get_many(std::initializer_list<bytes> keys) const
    {
        return try_get_many<std::initializer_list<bytes>>(keys);
    }

    // The same, without copying the values.
    template <class Keys, class Answers>
    result<view> try_view_get_many(const Keys &keys, Answers &&into) const
    {
        const detail::key_list<Keys> list(keys);
        kv_view *raw = nullptr;
        const kv_status status = kv_view_get_many(
            c_handle(), list.size(), list.data(), detail::room_for(list.size(), into), &raw);
        return detail::with_value(status, view(raw, nullptr, 0));
    }
    template <class Keys>
    result<answers<view>> try_view_get_many(const Keys &keys) const
    {
        std::vector<answer> list(std::size(keys));
        result<view> read = try_view_get_many(keys, list);
        if (!read) {
            return read.status();
        }
        return answers<view>(std::move(list), *std::move(read));
    }

    result<answers<view>> try_view_get_many(std::initializer_list<bytes> keys) const
    {
        return try_view_get_many<std::initializer_list<bytes>>(keys);
    }

    // How many keys there are, without looking at them.
    result<std::uint64_t> try_count() const noexcept
    {
        std::uint64_t count = 0;
        const kv_status status = kv_count(c_handle(), &count);
        return detail::with_value(status, count);
    }

    // About how many bytes the keys and values take on disk.
    result<std::uint64_t> try_approximate_bytes() const noexcept
    {
        std::uint64_t bytes = 0;
        const kv_status status = kv_approximate_bytes(c_handle(), &bytes);
        return detail::with_value(status, bytes);
    }

#if KV_HPP_THROWS
    explicit db(c_text path) : db(try_open(path).value()) {}
    db(c_text path, const kv::options &options) : db(try_open(path, options).value()) {}

    void close() { try_close().value(); }

    void write(const batch &batch, const write_options &options = {})
    {
        try_write(batch, options).value();
    }
    kv::snapshot snapshot() const { return try_snapshot().value(); }
    iterator scan(bytes prefix = {}) const { return throwing(try_scan(prefix).value()); }
    iterator scan(const kv::snapshot &at, bytes prefix = {}) const
    {
        return throwing(try_scan(at, prefix).value());
    }

    template <class Keys, class Answers>
    value get_many(const Keys &keys, Answers &&into) const
    {
        return try_get_many(keys, into).value();
    }
    template <class Keys>
    answers<value> get_many(const Keys &keys) const
    {
        return try_get_many(keys).value();
    }
    answers<value> get_many(std::initializer_list<bytes> keys) const
    {
        return try_get_many(keys).value();
    }
    template <class Keys, class Answers>
    view view_get_many(const Keys &keys, Answers &&into) const
    {
        return try_view_get_many(keys, into).value();
    }
    template <class Keys>
    answers<view> view_get_many(const Keys &keys) const
    {
        return try_view_get_many(keys).value();
    }
    answers<view> view_get_many(std::initializer_list<bytes> keys) const
    {
        return try_view_get_many(keys).value();
    }

    std::uint64_t count() const { return try_count().value(); }
    std::uint64_t approximate_bytes() const { return try_approximate_bytes().value(); }
#endif

private:
#if KV_HPP_THROWS
    static iterator throwing(iterator rows) noexcept
    {
        rows.throws_ = true;
        return rows;
    }
#endif

    result<iterator> scan_at(kv_snapshot *at, bytes prefix) const noexcept
    {
        kv_iter *raw = nullptr;
        const kv_status status =
            kv_iter_new(c_handle(), at, prefix.data(), prefix.size(), &raw);
        return detail::with_value(status, iterator(raw));
    }

    static result<db> try_open_with(c_text path, const kv_options *options) noexcept
    {
        kv_db *raw = nullptr;
        const kv_status status = kv_open(path.c_str(), options, &raw);
        return detail::with_value(status, db(raw));
    }
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
