// A part of kv.hpp: values that the program puts into the log itself.
#ifndef KV_RESERVATION_HPP
#define KV_RESERVATION_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstddef>
#include <cstdint>
#include <optional>

namespace kv {
inline namespace KV_HPP_FORM {

// Room for a value, which is filled in place and then committed: nothing is copied. Until then, and
// if it is destroyed before, there is no such value.
class reservation {
public:
    // Takes over what kv_put_reserve() made.
    reservation(kv_reservation *raw, void *data, std::size_t size) noexcept
        : owner_(raw), room_(data, size)
    {
    }

    // Where the value goes; until it is committed or aborted. Null afterwards.
    char *data() const noexcept
    {
        return owner_.get() ? static_cast<char *>(room_.data()) : nullptr;
    }
    std::size_t size() const noexcept { return owner_.get() ? room_.size() : 0; }

    // Makes what was filled in the value of the key, and returns its version. If the key is not as
    // the options say, it is exists or version_mismatch. However it ends, the room is gone, but for
    // busy: another thread is using it.
    result<std::uint64_t> try_commit() noexcept
    {
        std::uint64_t version = 0;
        const kv_status status = kv_put_commit(owner_.get(), &version);
        if (status != KV_BUSY) {
            owner_.release();
        }
        return detail::with_value(status, version);
    }

    // Gives the room up.
    void abort() noexcept { kv_put_abort(owner_.release()); }

#if KV_HPP_THROWS
    // Nothing: the key was not as the options say.
    std::optional<std::uint64_t> commit() { return try_commit().optional(); }
#endif

    kv_reservation *c_handle() const noexcept { return owner_.get(); }

private:
    detail::handle<kv_reservation, kv_put_abort> owner_;
    buffer room_;
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
