// A part of kv.hpp: writes that are done all or none.
#ifndef KV_BATCH_HPP
#define KV_BATCH_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstddef>

namespace kv {
inline namespace KV_HPP_FORM {

// Puts and deletes that db::write() does all or none, also if it crashes. A batch belongs to no
// database: it keeps what it has when it is written, and can be written again.
class batch {
public:
    static result<batch> try_make() noexcept
    {
        kv_batch *raw = nullptr;
        const kv_status status = kv_batch_new(&raw);
        return detail::with_value(status, batch(raw));
    }

    // Takes over what kv_batch_new() made.
    explicit batch(kv_batch *raw) noexcept : owner_(raw) {}

    // Adds a put. The key and the value are copied.
    result<void> try_put(bytes key, bytes value) noexcept
    {
        return detail::to_status(
            kv_batch_put(owner_.get(), key.data(), key.size(), value.data(), value.size()));
    }

    // The same; the value lives so long from when the batch is written.
    result<void> try_put(bytes key, bytes value, expiry ttl) noexcept
    {
        return detail::to_status(kv_batch_put_ttl(owner_.get(), key.data(), key.size(),
                                                  value.data(), value.size(), ttl.c_ttl_ms()));
    }

    // Adds a delete.
    result<void> try_erase(bytes key) noexcept
    {
        return detail::to_status(kv_batch_delete(owner_.get(), key.data(), key.size()));
    }

    // Removes all that was added.
    result<void> try_clear() noexcept { return detail::to_status(kv_batch_clear(owner_.get())); }

    // How many puts and deletes it has.
    result<std::size_t> try_count() const noexcept
    {
        std::size_t count = 0;
        const kv_status status = kv_batch_count(owner_.get(), &count);
        return detail::with_value(status, count);
    }

#if KV_HPP_THROWS
    batch() : batch(try_make().value()) {}

    batch &put(bytes key, bytes value)
    {
        try_put(key, value).value();
        return *this;
    }
    batch &put(bytes key, bytes value, expiry ttl)
    {
        try_put(key, value, ttl).value();
        return *this;
    }
    batch &erase(bytes key)
    {
        try_erase(key).value();
        return *this;
    }
    void clear() { try_clear().value(); }
    std::size_t count() const { return try_count().value(); }
#endif

    kv_batch *c_handle() const noexcept { return owner_.get(); }

private:
    detail::handle<kv_batch, kv_batch_free> owner_;
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
