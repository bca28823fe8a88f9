// A part of kv.hpp: the settings of a database.
#ifndef KV_OPTIONS_HPP
#define KV_OPTIONS_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <chrono>
#include <cstdint>
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
            // Less than nothing is out of range, as nothing is.
            return set_(options, value.count() < 0 ? 0 : static_cast<c_type>(value.count()));
        } else {
            return set_(options, static_cast<c_type>(value));
        }
    }

private:
    setter set_;
};

namespace option {

using bytes = std::uint64_t;

inline constexpr option_of<bytes> segment_size{kv_options_set_segment_size};
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
inline constexpr option_of<bytes> compaction_bytes_per_second{
    kv_options_set_compaction_bytes_per_second};
inline constexpr option_of<bytes> max_disk_bytes{kv_options_set_max_disk_bytes};
inline constexpr option_of<bytes> max_index_bytes{kv_options_set_max_index_bytes};

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
#endif

    kv_options *c_handle() const noexcept { return owner_.get(); }

private:
    explicit options(kv_options *raw) noexcept : owner_(raw) {}

    detail::handle<kv_options, kv_options_free> owner_;
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
