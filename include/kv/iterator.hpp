// A part of kv.hpp: snapshots, and going through all keys.
#ifndef KV_ITERATOR_HPP
#define KV_ITERATOR_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

namespace kv {
inline namespace KV_HPP_FORM {
namespace detail {

struct calls_of_snapshot {
    using type = kv_snapshot;
    static void free(kv_snapshot *snapshot) noexcept { kv_snapshot_free(snapshot); }
    static constexpr auto get = kv_snapshot_get;
    static constexpr auto get_into = kv_snapshot_get_into;
    static constexpr auto exists = kv_snapshot_exists;
    static constexpr auto view_get = kv_snapshot_view_get;
};

} // namespace detail

// The database as it was at one moment. As long as it is open, nothing that it shows can be removed
// from disk.
class snapshot : public detail::reader<detail::calls_of_snapshot> {
public:
    // Takes over what kv_snapshot_new() made.
    explicit snapshot(kv_snapshot *raw) noexcept : reader(raw) {}
};

struct entry {
    std::string_view key{};
    std::string_view value{};
};

// Goes through keys and values, in no order, each once, as they were when it was made. It is an
// input range, which can be gone through once:
//
//     for (auto [key, value] : db.scan("user/")) ...
//
// What an entry shows is readable until the next step, or until the iterator is destroyed, also
// after the database was closed. In a loop over db::scan(), what fails is thrown. A loop over
// db::try_scan() throws nothing: it ends, and status() says why.
class iterator {
public:
    class cursor {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = entry;
        using difference_type = std::ptrdiff_t;
        using pointer = const entry *;
        using reference = const entry &;

        constexpr cursor() noexcept : from_(nullptr) {}
        explicit constexpr cursor(iterator &from) noexcept : from_(&from) {}
        cursor(const cursor &) noexcept = default;
        cursor &operator=(const cursor &) noexcept = default;

        const entry &operator*() const noexcept { return from_->entry_; }
        const entry *operator->() const noexcept { return &from_->entry_; }
        cursor &operator++()
        {
            from_->step();
            return *this;
        }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Weffc++"
        // What is left behind cannot be seen any more, so there is nothing to return.
        void operator++(int) { from_->step(); }
#pragma GCC diagnostic pop

        // All that are at the end are equal.
        friend bool operator==(const cursor &a, const cursor &b) noexcept
        {
            return a.is_at_end() ? b.is_at_end() : a.from_ == b.from_;
        }
        friend bool operator!=(const cursor &a, const cursor &b) noexcept { return !(a == b); }

    private:
        bool is_at_end() const noexcept
        {
            return from_ == nullptr || from_->status_ != kv::status::ok;
        }

        iterator *from_;
    };

    // Takes over what kv_iter_new() made.
    explicit iterator(kv_iter *raw) noexcept : owner_(raw), entry_(), status_(kv::status::ok) {}

    // The next key and its value; not_found at the end.
    result<entry> try_next() noexcept
    {
        kv_slice_t key{};
        kv_slice_t value{};
        const kv_status status = kv_iter_next(owner_.get(), &key, &value);
        status_ = detail::to_status(status);
        return detail::with_value(status, entry{text(key), text(value)});
    }

    // What the last step returned: not_found after a loop that came to its end.
    kv::status status() const noexcept { return status_; }

    // Makes the first step, so ask once.
    cursor begin()
    {
        step();
        return cursor(*this);
    }
    cursor end() noexcept { return cursor(); }

#if KV_HPP_THROWS
    std::optional<entry> next() { return try_next().optional(); }
#endif

    kv_iter *c_handle() const noexcept { return owner_.get(); }

private:
    friend class db;

    static std::string_view text(const kv_slice_t &slice) noexcept
    {
        return std::string_view(static_cast<const char *>(slice.data), slice.len);
    }

    void step()
    {
        const result<entry> next = try_next();
        if (next) {
            entry_ = *next;
        }
#if KV_HPP_THROWS
        if (throws_ && next.failed()) {
            throw error(next.status());
        }
#endif
    }

    detail::handle<kv_iter, kv_iter_free> owner_;
    entry entry_;
    kv::status status_;
#if KV_HPP_THROWS
    bool throws_ = false;
#endif
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
