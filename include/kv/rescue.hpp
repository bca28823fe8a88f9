// A part of kv.hpp: verifying a database, salvaging one, and what is told of problems.
#ifndef KV_RESCUE_HPP
#define KV_RESCUE_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace kv {
inline namespace KV_HPP_FORM {

// What a report is written as.
enum class report_form : std::int32_t {
    text = KV_REPORT_TEXT,
    json = KV_REPORT_JSON,
};

// How bad a problem is: problem.severity.
enum class severity : std::int32_t {
    note = KV_SEVERITY_NOTE,
    warning = KV_SEVERITY_WARNING,
    damage = KV_SEVERITY_DAMAGE,
};

// What a problem is about: problem.about.
enum class about : std::int32_t {
    manifest = KV_ABOUT_MANIFEST,
    missing = KV_ABOUT_MISSING,
    header = KV_ABOUT_HEADER,
    length = KV_ABOUT_LENGTH,
    record = KV_ABOUT_RECORD,
    batch = KV_ABOUT_BATCH,
    sequence = KV_ABOUT_SEQUENCE,
    seal = KV_ABOUT_SEAL,
    tail = KV_ABOUT_TAIL,
    expiry = KV_ABOUT_EXPIRY,
    hint = KV_ABOUT_HINT,
    checkpoint = KV_ABOUT_CHECKPOINT,
    garbage = KV_ABOUT_GARBAGE,
    stray = KV_ABOUT_STRAY,
    older = KV_ABOUT_OLDER,
};

// Something that is wrong with a database.
using problem = kv_problem_t;

// What was found. If it is not sound, something is damaged or lost, and the report says what.
struct findings {
    bool is_sound;
    std::string report;
};

namespace detail {

// Two functions that one call tells different things.
template <class OnProblem, class OnProgress>
class both_told {
public:
    both_told(OnProblem &on_problem, OnProgress &on_progress) noexcept
        : problem_(on_problem), progress_(on_progress)
    {
    }

    static std::int32_t problem(const kv_problem_t *what, void *context) noexcept
    {
        return callback<OnProblem>::tell(what, &static_cast<both_told *>(context)->problem_);
    }
    static std::int32_t progress(const kv_progress_t *how_far, void *context) noexcept
    {
        auto *self = static_cast<both_told *>(context);
        return callback<OnProgress>::progress(how_far, &self->progress_);
    }

    // Throws what one of them threw.
    void rethrow()
    {
        problem_.rethrow();
        progress_.rethrow();
    }

private:
    callback<OnProblem> problem_;
    callback<OnProgress> progress_;
};

// What a call returned that makes a report.
inline result<findings> to_findings(kv_status status, char *text)
{
    if (status != KV_OK && status != KV_DAMAGED) {
        return to_status(status);
    }
    const value owner(text, std::strlen(text));
    return findings{status == KV_OK, std::string(owner.text())};
}

} // namespace detail

// Verifies the database in a directory, and changes nothing.
inline result<findings> try_verify(c_text path, report_form form = report_form::text)
{
    char *text = nullptr;
    const kv_status status = kv_verify(path.c_str(), static_cast<std::int32_t>(form), &text);
    return detail::to_findings(status, text);
}

// The same; one function, which takes a const kv::problem &, is told of each problem, and another,
// which takes a const kv::progress &, how far it is. Each returns nothing, or false to end it. What
// they throw ends it too, and is thrown on.
template <class OnProblem, class OnProgress>
result<findings> try_verify(c_text path, report_form form, OnProblem &&on_problem,
                            OnProgress &&on_progress)
{
    using told = detail::both_told<std::remove_reference_t<OnProblem>,
                                   std::remove_reference_t<OnProgress>>;
    told both(on_problem, on_progress);
    char *text = nullptr;
    const kv_status status = kv_verify_with(path.c_str(), static_cast<std::int32_t>(form),
                                            told::problem, told::progress, &both, &text);
    both.rethrow();
    return detail::to_findings(status, text);
}

// Makes a new database of all that is whole in a damaged one; the report lists what is lost.
inline result<findings> try_salvage(c_text from, c_text to, report_form form = report_form::text)
{
    char *text = nullptr;
    const kv_status status =
        kv_salvage(from.c_str(), to.c_str(), static_cast<std::int32_t>(form), &text);
    return detail::to_findings(status, text);
}

// The same; functions are told of each loss and how far it is, as for try_verify().
template <class OnProblem, class OnProgress>
result<findings> try_salvage(c_text from, c_text to, report_form form, OnProblem &&on_problem,
                             OnProgress &&on_progress)
{
    using told = detail::both_told<std::remove_reference_t<OnProblem>,
                                   std::remove_reference_t<OnProgress>>;
    told both(on_problem, on_progress);
    char *text = nullptr;
    const kv_status status =
        kv_salvage_with(from.c_str(), to.c_str(), static_cast<std::int32_t>(form), told::problem,
                        told::progress, &both, &text);
    both.rethrow();
    return detail::to_findings(status, text);
}

#if KV_HPP_THROWS
inline findings verify(c_text path, report_form form = report_form::text)
{
    return try_verify(path, form).value();
}

// Nothing: one of the functions ended it.
template <class OnProblem, class OnProgress>
std::optional<findings> verify(c_text path, report_form form, OnProblem &&on_problem,
                               OnProgress &&on_progress)
{
    result<findings> found = try_verify(path, form, on_problem, on_progress);
    if (found.status() == status::cancelled) {
        return std::nullopt;
    }
    return std::move(found).value();
}

inline findings salvage(c_text from, c_text to, report_form form = report_form::text)
{
    return try_salvage(from, to, form).value();
}

// Nothing: one of the functions ended it.
template <class OnProblem, class OnProgress>
std::optional<findings> salvage(c_text from, c_text to, report_form form, OnProblem &&on_problem,
                                OnProgress &&on_progress)
{
    result<findings> found = try_salvage(from, to, form, on_problem, on_progress);
    if (found.status() == status::cancelled) {
        return std::nullopt;
    }
    return std::move(found).value();
}
#endif

} // namespace KV_HPP_FORM
} // namespace kv

#endif
