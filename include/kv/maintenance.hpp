// A part of kv.hpp: what keeps a database small and safe, and its figures.
#ifndef KV_MAINTENANCE_HPP
#define KV_MAINTENANCE_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

namespace kv {
inline namespace KV_HPP_FORM {

// How far something is that takes long.
using progress = kv_progress_t;

namespace detail {

// Makes a call that tells a function how far it is, and throws on what that throws.
template <class Report, class Call>
result<void> with_report(Report &report, Call call)
{
    callback<Report> told(report);
    const kv_status status = call(callback<Report>::progress, &told);
    told.rethrow();
    return to_status(status);
}

#if KV_HPP_THROWS
// Whether a call came to its end, and was not ended by what it told how far it was.
inline bool is_done(const result<void> &done)
{
    return done.status() != status::cancelled && done.answer();
}
#endif

// A database as far as its upkeep goes.
class maintained : public writer {
public:
    // Waits until every write that was acknowledged is on the medium.
    result<void> try_sync() noexcept { return to_status(kv_sync(c_handle())); }

    // Rewrites the database until no garbage is left.
    result<void> try_compact() noexcept { return to_status(kv_compact(c_handle())); }

    // The same; a function, which takes a const kv::progress &, is told how far it is. It returns
    // nothing, or false to end the compaction. What it throws ends it too, and is thrown on.
    template <class Report>
    result<void> try_compact(Report &&report)
    {
        return with_report(report, [&](kv_progress_fn tell, void *context) {
            return kv_compact_with(c_handle(), tell, context);
        });
    }

    // Ends the compactions that were called for.
    result<void> try_compact_cancel() noexcept
    {
        return to_status(kv_compact_cancel(c_handle()));
    }

    // Keeps the database from compacting by itself.
    result<void> try_compaction_pause() noexcept
    {
        return to_status(kv_compaction_pause(c_handle()));
    }
    result<void> try_compaction_resume() noexcept
    {
        return to_status(kv_compaction_resume(c_handle()));
    }

    // Makes a directory a backup, which is a database of its own; an older backup that is there is
    // brought up to date.
    result<void> try_backup(c_text directory) const noexcept
    {
        return to_status(kv_backup(c_handle(), directory.c_str()));
    }
    template <class Report>
    result<void> try_backup(c_text directory, Report &&report) const
    {
        return with_report(report, [&](kv_progress_fn tell, void *context) {
            return kv_backup_with(c_handle(), directory.c_str(), tell, context);
        });
    }

    // Figures of this moment.
    result<kv_stats_t> try_stats() const noexcept
    {
        kv_stats_t stats{};
        stats.size = sizeof stats;
        const kv_status status = kv_stats(c_handle(), &stats);
        return with_value(status, stats);
    }

    // The same and more as text that a Prometheus server takes (OpenMetrics).
    result<std::string> try_metrics() const
    {
        char *text = nullptr;
        const kv_status status = kv_metrics(c_handle(), &text);
        if (status != KV_OK) {
            return to_status(status);
        }
        const value owner(text, std::strlen(text));
        return std::string(owner.text());
    }

    // How long an operation takes, if option::latency_histograms was set when this was opened.
    // What this libkv does not know is not_found.
    result<kv_latency_t> try_latency(operation timed) const noexcept
    {
        kv_latency_t latency{};
        latency.size = sizeof latency;
        const kv_status status =
            kv_latency(c_handle(), static_cast<std::int32_t>(timed), &latency);
        return with_value(status, latency);
    }

#if KV_HPP_THROWS
    void sync() { try_sync().value(); }
    void compact() { try_compact().value(); }

    // False: the function ended it, or compact_cancel().
    template <class Report>
    bool compact(Report &&report)
    {
        return is_done(try_compact(report));
    }
    void compact_cancel() { try_compact_cancel().value(); }
    void compaction_pause() { try_compaction_pause().value(); }
    void compaction_resume() { try_compaction_resume().value(); }
    void backup(c_text directory) const { try_backup(directory).value(); }

    // False: the function ended it.
    template <class Report>
    bool backup(c_text directory, Report &&report) const
    {
        return is_done(try_backup(directory, report));
    }

    kv_stats_t stats() const { return try_stats().value(); }
    std::string metrics() const { return try_metrics().value(); }
    std::optional<kv_latency_t> latency(operation timed) const
    {
        return try_latency(timed).optional();
    }
#endif

protected:
    using writer::writer;
    maintained(maintained &&) noexcept = default;
    maintained &operator=(maintained &&) noexcept = default;
    ~maintained() = default;
};

} // namespace detail

// Removes the database in a directory.
inline result<void> try_destroy(c_text path) noexcept
{
    return detail::to_status(kv_destroy(path.c_str()));
}

// Makes a directory a database that holds what a backup holds, after all of that was verified.
inline result<void> try_restore(c_text from, c_text to) noexcept
{
    return detail::to_status(kv_restore(from.c_str(), to.c_str()));
}
template <class Report>
result<void> try_restore(c_text from, c_text to, Report &&report)
{
    return detail::with_report(report, [&](kv_progress_fn tell, void *context) {
        return kv_restore_with(from.c_str(), to.c_str(), tell, context);
    });
}

#if KV_HPP_THROWS
inline void restore(c_text from, c_text to) { try_restore(from, to).value(); }

// False: the function ended it.
template <class Report>
bool restore(c_text from, c_text to, Report &&report)
{
    return detail::is_done(try_restore(from, to, report));
}

inline void destroy(c_text path) { try_destroy(path).value(); }
#endif

} // namespace KV_HPP_FORM
} // namespace kv

#endif
