// A part of kv.hpp: what libkv tells people and programs.
#ifndef KV_OBSERVE_HPP
#define KV_OBSERVE_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <memory>
#include <type_traits>

namespace kv {
inline namespace KV_HPP_FORM {

// How much a message matters; less is more.
enum class log_level : std::int32_t {
    error = KV_LOG_ERROR,
    warn = KV_LOG_WARN,
    info = KV_LOG_INFO,
    debug = KV_LOG_DEBUG,
};

// Something that happened to a database; kind_of() names what.
using event = kv_event_t;

// What happened, and what the figures of the event mean then, is said in kv.h. A later libkv may
// tell of events that have no name here.
enum class event_kind : std::int32_t {
    dropped = KV_EVENT_DROPPED,
    opened = KV_EVENT_OPENED,
    tail_cut = KV_EVENT_TAIL_CUT,
    sealed = KV_EVENT_SEALED,
    compacted = KV_EVENT_COMPACTED,
    damaged = KV_EVENT_DAMAGED,
    stalled = KV_EVENT_STALLED,
    disk_full = KV_EVENT_DISK_FULL,
    disk_has_room = KV_EVENT_DISK_HAS_ROOM,
    read_only = KV_EVENT_READ_ONLY,
    closed = KV_EVENT_CLOSED,
};

constexpr event_kind kind_of(const event &what) noexcept
{
    return static_cast<event_kind>(what.kind);
}

constexpr log_level level_of(const event &what) noexcept
{
    return static_cast<log_level>(what.level);
}

// What kv_latency() tells the time of.
enum class operation : std::int32_t {
    get = KV_LATENCY_GET,
    put = KV_LATENCY_PUT,
    erase = KV_LATENCY_DELETE,
    exists = KV_LATENCY_EXISTS,
    view_get = KV_LATENCY_VIEW,
    write = KV_LATENCY_WRITE,
    add = KV_LATENCY_ADD,
    touch = KV_LATENCY_TOUCH,
    get_many = KV_LATENCY_GET_MANY,
    iterate = KV_LATENCY_ITERATE,
    sync = KV_LATENCY_SYNC,
    log_sync = KV_LATENCY_LOG_SYNC,
    seal = KV_LATENCY_SEAL,
    compaction = KV_LATENCY_COMPACTION,
    hint = KV_LATENCY_HINT,
    checkpoint = KV_LATENCY_CHECKPOINT,
};

namespace detail {

// A function object as the context that libkv passes back.
template <class Function>
void *context_of(Function &function) noexcept
{
    static_assert(std::is_object_v<Function>, "pass a lambda, or a variable that points to it");
    return const_cast<void *>(static_cast<const void *>(std::addressof(function)));
}

// Calls a function that is told something on a thread of libkv's, where nobody can catch what it
// throws: that is lost.
template <class Function, class... What>
void tell(void *context, const What &...what) noexcept
{
    auto &function = *static_cast<Function *>(context);
#if KV_HPP_THROWS
    try {
        function(what...);
    } catch (...) {
        return;
    }
#else
    function(what...);
#endif
}

template <class Function>
void tell_message(std::int32_t level, const char *message, void *context) noexcept
{
    tell<Function>(context, static_cast<log_level>(level), message);
}

template <class Function>
void tell_event(const kv_event_t *event, void *context) noexcept
{
    tell<Function>(context, *event);
}

} // namespace detail
} // namespace KV_HPP_FORM
} // namespace kv

#endif
