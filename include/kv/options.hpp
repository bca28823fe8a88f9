// A part of kv.hpp: the settings of a database.
#ifndef KV_OPTIONS_HPP
#define KV_OPTIONS_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

namespace kv {
inline namespace KV_HPP_FORM {

enum class sync_level : std::int32_t {
    none = KV_SYNC_NONE,
    interval = KV_SYNC_INTERVAL,
    always = KV_SYNC_ALWAYS,
};

enum class read_mode : std::int32_t {
    mmap = KV_READ_MMAP,
    pread = KV_READ_PREAD,
};

enum class on_damage : std::int32_t {
    fail = KV_ON_DAMAGE_FAIL,
    read_only = KV_ON_DAMAGE_READ_ONLY,
};

enum class compaction : std::int32_t {
    automatic = KV_COMPACTION_AUTO,
    manual = KV_COMPACTION_MANUAL,
};

// An option with the type of its values. What each one does is said in kv.h, at kv_options_set_
// and its name.
template <class T>
class option_of {
public:
    // As kv.h has it: a choice or a yes as int32_t, else uint64_t.
    using c_type = std::conditional_t<std::is_enum_v<T> || std::is_same_v<T, bool>,
                                      std::int32_t, std::uint64_t>;
    using type = T;
    using setter = kv_status (*)(kv_options *, c_type);

    constexpr explicit option_of(setter function) noexcept : set_(function) {}

    kv_status set(kv_options *options, T value) const noexcept
    {
        if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
            // Less than nothing is a large number then, and out of range.
            return set_(options, static_cast<c_type>(value.count()));
        } else {
            return set_(options, static_cast<c_type>(value));
        }
    }

private:
    setter set_;
};

namespace option {

using byte_count = std::uint64_t;

inline constexpr option_of<byte_count> segment_size{kv_options_set_segment_size};
inline constexpr option_of<sync_level> sync{kv_options_set_sync};
inline constexpr option_of<std::chrono::milliseconds> sync_interval{
    kv_options_set_sync_interval_ms};
inline constexpr option_of<bool> create_if_missing{kv_options_set_create_if_missing};
inline constexpr option_of<bool> error_if_exists{kv_options_set_error_if_exists};
inline constexpr option_of<bool> verify_checksums{kv_options_set_verify_checksums};
inline constexpr option_of<kv::read_mode> read_mode{kv_options_set_read_mode};
inline constexpr option_of<kv::on_damage> on_damage{kv_options_set_on_damage};
inline constexpr option_of<kv::compaction> compaction{kv_options_set_compaction};
inline constexpr option_of<std::uint64_t> compaction_garbage_percent{
    kv_options_set_compaction_garbage_percent};
inline constexpr option_of<byte_count> compaction_bytes_per_second{
    kv_options_set_compaction_bytes_per_second};
inline constexpr option_of<byte_count> max_disk_bytes{kv_options_set_max_disk_bytes};
inline constexpr option_of<byte_count> max_index_bytes{kv_options_set_max_index_bytes};
inline constexpr option_of<bool> latency_histograms{kv_options_set_latency_histograms};
inline constexpr option_of<std::chrono::milliseconds> publish_stats{
    kv_options_set_publish_stats_ms};
inline constexpr option_of<std::uint64_t> file_mode{kv_options_set_file_mode};

} // namespace option

// The settings of a database. They are copied when it is opened.
//
//     kv::options options;
//     options.set(kv::option::sync, kv::sync_level::always).set("segment_size", "16MiB");
class options {
public:
    // Makes options that are all at their defaults.
    static result<options> try_make() noexcept
    {
        kv_options *raw = nullptr;
        const kv_status status = kv_options_new(&raw);
        return detail::with_value(status, options(raw));
    }

    // Takes over what kv_options_new() made.
    explicit options(kv_options *raw) noexcept : owner_(raw) {}

    // Sets a typed option. It says invalid_option if the value is out of range.
    template <class T>
    result<void> try_set(const option_of<T> &option, typename option_of<T>::type value) noexcept
    {
        return detail::to_status(option.set(owner_.get(), value));
    }

    // Sets an option from text, as a configuration file has it; kv_options_set() lists them.
    result<void> try_set(c_text name, c_text value) noexcept
    {
        return detail::to_status(kv_options_set(owner_.get(), name.c_str(), value.c_str()));
    }

    // Reads an option back, as text that try_set() takes.
    result<std::string> try_get(c_text name) const
    {
        char text[64];
        std::size_t size = 0;
        const kv_status status =
            kv_options_get(owner_.get(), name.c_str(), text, sizeof text, &size);
        if (status != KV_OK) {
            return detail::to_status(status);
        }
        return std::string(text, size);
    }

    // Has a function told what databases do that are opened with these options. It takes a
    // log_level and a const char *, is called by threads of libkv's, once at a time by each
    // database, and must stay where it is until they are closed. What it throws is lost.
    template <class Function>
    result<void> try_set_log(Function &function, log_level level) noexcept
    {
        return detail::to_status(kv_options_set_log(owner_.get(), detail::tell_message<Function>,
                                                    detail::context_of(function),
                                                    static_cast<std::int32_t>(level)));
    }
    template <class Function>
    result<void> try_set_log(const Function &&function, log_level level) = delete;

    // The same for events: the function takes a const kv::event &.
    template <class Function>
    result<void> try_set_events(Function &function) noexcept
    {
        return detail::to_status(
            kv_options_set_events(owner_.get(), detail::tell_event<Function>,
                                  detail::context_of(function)));
    }
    template <class Function>
    result<void> try_set_events(const Function &&function) = delete;

#if KV_HPP_THROWS
    options() : options(try_make().value()) {}

    template <class T>
    options &set(const option_of<T> &option, typename option_of<T>::type value)
    {
        try_set(option, value).value();
        return *this;
    }
    options &set(c_text name, c_text value)
    {
        try_set(name, value).value();
        return *this;
    }

    std::string get(c_text name) const { return try_get(name).value(); }

    template <class Function>
    options &set_log(Function &function, log_level level)
    {
        try_set_log(function, level).value();
        return *this;
    }
    template <class Function>
    options &set_log(const Function &&function, log_level level) = delete;

    template <class Function>
    options &set_events(Function &function)
    {
        try_set_events(function).value();
        return *this;
    }
    template <class Function>
    options &set_events(const Function &&function) = delete;
#endif

    kv_options *c_handle() const noexcept { return owner_.get(); }

private:
    detail::handle<kv_options, kv_options_free> owner_;
};

// What there is to know of an option: name, unit, default, range.
using option_info = kv_option_info_t;

// Describes the options, one by one: those that there are have the indexes from 0 on. Past the last
// one it is not_found.
inline result<option_info> try_describe_option(std::size_t index) noexcept
{
    option_info info{};
    info.size = sizeof info;
    const kv_status status = kv_option_describe(index, &info);
    return detail::with_value(status, info);
}

#if KV_HPP_THROWS
inline std::optional<option_info> describe_option(std::size_t index)
{
    return try_describe_option(index).optional();
}
#endif

} // namespace KV_HPP_FORM
} // namespace kv

#endif
