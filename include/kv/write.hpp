// A part of kv.hpp: what a write depends on, and how long its value lives.
#ifndef KV_WRITE_HPP
#define KV_WRITE_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <chrono>
#include <cstdint>
#include <limits>

namespace kv {
inline namespace KV_HPP_FORM {

// How long a value lives: for ever, or for any duration of std::chrono.
class expiry {
public:
    // For ever.
    constexpr expiry() noexcept : ms_(forever) {}
    static constexpr expiry never() noexcept { return expiry(); }

    // Rounded up to milliseconds. What is past already, as a deadline may be, becomes the shortest
    // time there is, one millisecond; what is too long for libkv is invalid_argument there.
    template <class Rep, class Period>
    constexpr expiry(std::chrono::duration<Rep, Period> from_now) noexcept : ms_(count(from_now))
    {
    }

    constexpr bool is_never() const noexcept { return ms_ == forever; }

    // How long it is; the longest there is for never.
    constexpr std::chrono::milliseconds remaining() const noexcept
    {
        using std::chrono::milliseconds;
        return is_never() ? milliseconds::max() : milliseconds(static_cast<milliseconds::rep>(ms_));
    }

    // As kv.h has it, where 0 is for ever.
    constexpr std::uint64_t c_ttl_ms() const noexcept { return ms_; }
    static constexpr expiry from_c_remaining_ms(std::uint64_t ms) noexcept
    {
        expiry read;
        read.ms_ = ms == KV_NO_TTL ? forever : ms == 0 ? 1 : ms;
        return read;
    }

    friend constexpr bool operator==(expiry a, expiry b) noexcept { return a.ms_ == b.ms_; }
    friend constexpr bool operator!=(expiry a, expiry b) noexcept { return a.ms_ != b.ms_; }

private:
    static constexpr std::uint64_t forever = 0;

    template <class Rep, class Period>
    static constexpr std::uint64_t count(std::chrono::duration<Rep, Period> from_now) noexcept
    {
        using std::chrono::milliseconds;
        // Wide enough for every duration, and compared so that what is no number is too long.
        using wide = std::chrono::duration<long double, std::milli>;
        if (!(wide(from_now) < wide(milliseconds::max()))) {
            return std::numeric_limits<std::uint64_t>::max();
        }
        if (wide(from_now) <= wide(1)) {
            return 1;
        }
        return static_cast<std::uint64_t>(std::chrono::ceil<milliseconds>(from_now).count());
    }

    std::uint64_t ms_;
};

// When a write is on the medium: as the option "sync" says, before it returns, or later.
enum class write_sync : std::int32_t {
    by_option = KV_WRITE_SYNC_DEFAULT,
    yes = KV_WRITE_SYNC_YES,
    no = KV_WRITE_SYNC_NO,
};

// What a write depends on, and what comes with it. With C++20: {.ttl = 5min, .if_absent = true}.
struct write_options {
    // How long the value lives.
    expiry ttl{};
    // Write only if the key has this version; 0: whatever it has.
    std::uint64_t if_version = 0;
    write_sync sync = write_sync::by_option;
    // Write only if the key is not there.
    bool if_absent = false;
    // Write nothing if the key has this very value.
    bool skip_if_equal = false;
    // Let the value live as long as the one before it.
    bool keep_ttl = false;

    kv_write_options_t c_options() const noexcept
    {
        kv_write_options_t options{};
        options.size = sizeof options;
        options.ttl_ms = ttl.c_ttl_ms();
        options.if_version = if_version;
        options.sync = static_cast<std::int32_t>(sync);
        options.if_absent = if_absent ? 1 : 0;
        options.skip_if_equal = skip_if_equal ? 1 : 0;
        options.keep_ttl = keep_ttl ? 1 : 0;
        return options;
    }
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
