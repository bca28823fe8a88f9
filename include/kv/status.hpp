// A part of kv.hpp: statuses, what a call returns, and the exception that failures become.
#ifndef KV_STATUS_HPP
#define KV_STATUS_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#if KV_HPP_THROWS
#include <stdexcept>
#include <string>
#endif

namespace kv {
inline namespace KV_HPP_FORM {

// What kv.h calls KV_OK and so on. A later libkv may return numbers that have no name here.
enum class status : kv_status {
    ok = KV_OK,
    not_found = KV_NOT_FOUND,
    buffer_too_small = KV_BUFFER_TOO_SMALL,
    exists = KV_EXISTS,
    version_mismatch = KV_VERSION_MISMATCH,
    damaged = KV_DAMAGED,
    null_argument = KV_NULL_ARGUMENT,
    invalid_argument = KV_INVALID_ARGUMENT,
    empty_key = KV_EMPTY_KEY,
    key_too_long = KV_KEY_TOO_LONG,
    value_too_long = KV_VALUE_TOO_LONG,
    unknown_option = KV_UNKNOWN_OPTION,
    invalid_option = KV_INVALID_OPTION,
    unsupported = KV_UNSUPPORTED,
    does_not_exist = KV_DOES_NOT_EXIST,
    already_exists = KV_ALREADY_EXISTS,
    not_a_directory = KV_NOT_A_DIRECTORY,
    not_a_database = KV_NOT_A_DATABASE,
    newer_format = KV_NEWER_FORMAT,
    already_open = KV_ALREADY_OPEN,
    closed = KV_CLOSED,
    forked = KV_FORKED,
    read_only = KV_READ_ONLY,
    not_a_counter = KV_NOT_A_COUNTER,
    overflow = KV_OVERFLOW,
    batch_too_large = KV_BATCH_TOO_LARGE,
    locked = KV_LOCKED,
    cancelled = KV_CANCELLED,
    busy = KV_BUSY,
    permission_denied = KV_PERMISSION_DENIED,
    no_space = KV_NO_SPACE,
    out_of_memory = KV_OUT_OF_MEMORY,
    too_many_open = KV_TOO_MANY_OPEN,
    io = KV_IO,
    unknown_outcome = KV_UNKNOWN_OUTCOME,
    index_full = KV_INDEX_FULL,
    corrupt = KV_CORRUPT,
    internal = KV_INTERNAL,
};

// What a program can do about a status.
enum class status_class : std::int32_t {
    ok = KV_CLASS_OK,
    answer = KV_CLASS_ANSWER,
    retry = KV_CLASS_RETRY,
    caller = KV_CLASS_CALLER,
    environment = KV_CLASS_ENVIRONMENT,
    corrupt = KV_CLASS_CORRUPT,
    internal = KV_CLASS_INTERNAL,
};

// Names a status in a few words. Static; never null.
inline const char *name(status of) noexcept { return kv_strerror(static_cast<kv_status>(of)); }

inline status_class class_of(status of) noexcept
{
    return static_cast<status_class>(kv_status_class(static_cast<kv_status>(of)));
}

// Whether it is a failure; KV_OK and the answers, such as KV_NOT_FOUND, are not.
constexpr bool is_failure(status of) noexcept { return static_cast<kv_status>(of) < 0; }

// Explains a status for people: of a failure, the last one on this thread, which file and what the
// system said. It holds until this thread's next call of libkv.
inline const char *message(status of) noexcept
{
    return is_failure(of) ? kv_error_message() : name(of);
}

// The version of the library that is loaded, such as "1.2.3".
inline const char *version() noexcept { return kv_version(); }

#if KV_HPP_THROWS

// A call failed. It keeps the status and a copy of the message.
class error : public std::runtime_error {
public:
    // Takes the message of the calling thread's last failure, which must be the one meant.
    explicit error(kv::status why) : error(why, name(why)) {}

    kv::status status() const noexcept { return status_; }

    // What happened, without the name of the status that what() begins with.
    const char *message() const noexcept { return what() + message_at_; }

private:
    error(kv::status why, const std::string &named)
        : std::runtime_error(is_failure(why) ? named + ": " + kv_error_message() : named),
          status_(why), message_at_(is_failure(why) ? named.size() + 2 : 0)
    {
    }

    kv::status status_;
    std::size_t message_at_;
};

#endif

// What a call without exceptions returns: the value if the status is KV_OK, else none.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    // Neither is explicit, so that a function can return its value, or why it has none.
    result(T value) : value_(std::move(value)), status_(status::ok) {}
    result(kv::status why) noexcept : value_(), status_(why) {}

    // Whether there is a value. An answer such as not_found is false, and no failure.
    explicit operator bool() const noexcept { return value_.has_value(); }
    bool ok() const noexcept { return value_.has_value(); }
    bool failed() const noexcept { return is_failure(status_); }

    kv::status status() const noexcept { return status_; }

    // Ask right away, on the same thread: it holds until the next call of libkv.
    const char *message() const noexcept { return kv::message(status_); }

    // The value, which must be there.
    T &operator*() & noexcept { return *value_; }
    const T &operator*() const & noexcept { return *value_; }
    // By value, so that a loop over what a temporary result holds has it as long as it runs.
    T operator*() && { return *std::move(value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }

    template <class U>
    T value_or(U &&other) const &
    {
        return value_.value_or(std::forward<U>(other));
    }
    template <class U>
    T value_or(U &&other) &&
    {
        return std::move(value_).value_or(std::forward<U>(other));
    }

#if KV_HPP_THROWS
    // The value; throws kv::error if there is none. Ask right away, for the message.
    const T &value() const &
    {
        must_be_ok();
        return *value_;
    }
    T &value() &
    {
        must_be_ok();
        return *value_;
    }
    T value() &&
    {
        must_be_ok();
        return *std::move(value_);
    }

    // The value, or nothing if the call answered so; throws kv::error if it failed.
    std::optional<T> optional() &&
    {
        if (failed()) {
            throw error(status_);
        }
        return std::move(value_);
    }
#endif

private:
#if KV_HPP_THROWS
    void must_be_ok() const
    {
        if (!value_) {
            throw error(status_);
        }
    }
#endif

    std::optional<T> value_;
    kv::status status_;
};

// What a call without a value returns.
template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result(kv::status why) noexcept : status_(why) {}

    // Whether the status is KV_OK. An answer such as not_found is false, and no failure.
    explicit operator bool() const noexcept { return ok(); }
    bool ok() const noexcept { return status_ == kv::status::ok; }
    bool failed() const noexcept { return is_failure(status_); }

    kv::status status() const noexcept { return status_; }
    const char *message() const noexcept { return kv::message(status_); }

#if KV_HPP_THROWS
    // Throws kv::error unless the status is KV_OK.
    void value() const
    {
        if (!ok()) {
            throw error(status_);
        }
    }

    // True on KV_OK, false on an answer; throws kv::error if the call failed.
    bool answer() const
    {
        if (failed()) {
            throw error(status_);
        }
        return ok();
    }
#endif

private:
    kv::status status_;
};

namespace detail {

constexpr status to_status(kv_status status) noexcept
{
    return static_cast<kv::status>(status);
}

// What a call returned, with its output if there is one.
template <class T>
result<T> with_value(kv_status status, T value)
{
    if (status != KV_OK) {
        return to_status(status);
    }
    return value;
}

} // namespace detail
} // namespace KV_HPP_FORM
} // namespace kv

#endif
