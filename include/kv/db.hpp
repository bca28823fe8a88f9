// A part of kv.hpp: the database.
#ifndef KV_DB_HPP
#define KV_DB_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <type_traits>
#include <utility>

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

} // namespace detail

using progress = kv_progress_t;

// An open database; it is closed at the end. Any number of threads may use it at once.
class db : public detail::reader<detail::calls_of_db> {
public:
    // No database yet: every call returns null_argument.
    constexpr db() noexcept = default;

    // Opens the database in a directory, or makes one there.
    static result<db> try_open(c_text path) noexcept { return try_open_with(path, nullptr); }
    static result<db> try_open(c_text path, const kv::options &options) noexcept
    {
        return try_open_with(path, options.c_handle());
    }

    // Closes it, and says how that went. Afterwards, every call returns closed.
    result<void> try_close() noexcept { return detail::to_status(kv_close(c_handle())); }

    // Stores a value in the place of the one that was there.
    result<void> try_put(bytes key, bytes value) noexcept
    {
        return detail::to_status(
            kv_put(c_handle(), key.data(), key.size(), value.data(), value.size()));
    }

    // Deletes a key; not_found if it was not there.
    result<void> try_erase(bytes key) noexcept
    {
        return detail::to_status(kv_delete(c_handle(), key.data(), key.size()));
    }

    // Waits until every write that was acknowledged is on the medium.
    result<void> try_sync() noexcept { return detail::to_status(kv_sync(c_handle())); }

    // Rewrites the database until no garbage is left.
    result<void> try_compact() noexcept { return detail::to_status(kv_compact(c_handle())); }

    // The same; a function, which takes a const kv::progress &, is told how far it is. It returns
    // nothing, or false to end the compaction. What it throws ends it too, and is thrown on.
    template <class Report>
    result<void> try_compact(Report &&report)
    {
        detail::callback<std::remove_reference_t<Report>> callback(report);
        const kv_status status =
            kv_compact_with(c_handle(), callback.template progress<kv_progress_t>, &callback);
        callback.rethrow();
        return detail::to_status(status);
    }

    // Ends the compactions that were called for.
    result<void> try_compact_cancel() noexcept
    {
        return detail::to_status(kv_compact_cancel(c_handle()));
    }

    // Keeps the database from compacting by itself.
    result<void> try_compaction_pause() noexcept
    {
        return detail::to_status(kv_compaction_pause(c_handle()));
    }
    result<void> try_compaction_resume() noexcept
    {
        return detail::to_status(kv_compaction_resume(c_handle()));
    }

    // Figures of this moment.
    result<kv_stats_t> try_stats() const noexcept
    {
        kv_stats_t stats{};
        stats.size = sizeof stats;
        const kv_status status = kv_stats(c_handle(), &stats);
        return detail::with_value(status, stats);
    }

#if KV_HPP_THROWS
    explicit db(c_text path) : db(try_open(path).value()) {}
    db(c_text path, const kv::options &options) : db(try_open(path, options).value()) {}

    void close() { try_close().value(); }
    void put(bytes key, bytes value) { try_put(key, value).value(); }

    // False: it was not there.
    bool erase(bytes key) { return try_erase(key).answer(); }

    void sync() { try_sync().value(); }
    void compact() { try_compact().value(); }

    // False: the function ended it.
    template <class Report>
    bool compact(Report &&report)
    {
        const result<void> compacted = try_compact(std::forward<Report>(report));
        return compacted.status() != status::cancelled && compacted.answer();
    }

    void compact_cancel() { try_compact_cancel().value(); }
    void compaction_pause() { try_compaction_pause().value(); }
    void compaction_resume() { try_compaction_resume().value(); }
    kv_stats_t stats() const { return try_stats().value(); }
#endif

private:
    explicit db(kv_db *raw) noexcept : reader(raw) {}

    static result<db> try_open_with(c_text path, const kv_options *options) noexcept
    {
        kv_db *raw = nullptr;
        const kv_status status = kv_open(path.c_str(), options, &raw);
        return detail::with_value(status, db(raw));
    }
};

// Removes the database in a directory.
inline result<void> try_destroy(c_text path) noexcept
{
    return detail::to_status(kv_destroy(path.c_str()));
}

#if KV_HPP_THROWS
inline void destroy(c_text path) { try_destroy(path).value(); }
#endif

} // namespace KV_HPP_FORM
} // namespace kv

#endif
