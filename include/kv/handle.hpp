// A part of kv.hpp: owners of what kv.h hands out, and how it calls back.
#ifndef KV_HANDLE_HPP
#define KV_HANDLE_HPP
#ifndef KV_HPP
#error "include <kv.hpp>"
#endif

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#if KV_HPP_THROWS
#include <exception>
#endif

namespace kv {
inline namespace KV_HPP_FORM {
namespace detail {

// Owns a handle of kv.h, and gives it back with Free.
template <class T, void (*Free)(T *)>
class handle {
public:
    constexpr handle() noexcept : raw_(nullptr) {}
    explicit handle(T *raw) noexcept : raw_(raw) {}
    handle(handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    handle &operator=(handle &&other) noexcept
    {
        // The other is emptied first: what is moved to itself has nothing to give back.
        T *moved = std::exchange(other.raw_, nullptr);
        if (T *old = std::exchange(raw_, moved)) {
            Free(old);
        }
        return *this;
    }
    handle(const handle &) = delete;
    handle &operator=(const handle &) = delete;
    ~handle()
    {
        if (raw_ != nullptr) {
            Free(raw_);
        }
    }

    T *get() const noexcept { return raw_; }

    // Gives up what is owned.
    T *release() noexcept { return std::exchange(raw_, nullptr); }

private:
    T *raw_;
};

// Calls a function of the program's from within libkv, and keeps what it throws.
template <class Function>
class callback {
public:
    explicit callback(Function &function) noexcept : function_(&function) {}
    callback(const callback &) = delete;
    callback &operator=(const callback &) = delete;

    // For a function that is told how far something is: it returns nothing, or false to end it.
    static std::int32_t progress(const kv_progress_t *how_far, void *context) noexcept
    {
        return tell(how_far, context);
    }

    // The same for a function that is told something else.
    template <class What>
    static std::int32_t tell(const What *what, void *context) noexcept
    {
        auto *self = static_cast<callback *>(context);
        return self->goes_on(*what) ? 0 : 1;
    }

    // Throws what the function threw.
    void rethrow()
    {
#if KV_HPP_THROWS
        if (thrown_) {
            std::rethrow_exception(std::exchange(thrown_, nullptr));
        }
#endif
    }

private:
    template <class What>
    bool goes_on(const What &what) noexcept
    {
#if KV_HPP_THROWS
        try {
            return ask(what);
        } catch (...) {
            thrown_ = std::current_exception();
            return false;
        }
#else
        return ask(what);
#endif
    }

    template <class What>
    bool ask(const What &what)
    {
        if constexpr (std::is_void_v<std::invoke_result_t<Function &, const What &>>) {
            (*function_)(what);
            return true;
        } else {
            return static_cast<bool>((*function_)(what));
        }
    }

    Function *function_;
#if KV_HPP_THROWS
    std::exception_ptr thrown_{};
#endif
};

} // namespace detail

// A value in memory of libkv's own, which is freed with it.
class value {
public:
    // Takes over what kv_get() returned.
    value(void *data, std::size_t size) noexcept : owner_(data), size_(size) {}

    const char *data() const noexcept { return static_cast<const char *>(owner_.get()); }
    std::size_t size() const noexcept { return text().size(); }

    // The bytes, as long as this object has them. At a multiple of 16 bytes.
    std::string_view text() const noexcept
    {
        return owner_.get() ? std::string_view(data(), size_) : std::string_view();
    }
    operator std::string_view() const noexcept { return text(); }

    // Gives the memory away: it is to be freed with kv_free().
    void *release() noexcept { return owner_.release(); }

private:
    detail::handle<void, kv_free> owner_;
    std::size_t size_;
};

// A value that is read where it lies, without a copy. It keeps a file of the database mapped and on
// disk, so do not keep it long. It can be read until it is destroyed, also after the database was
// closed; by many threads, as long as none moves or destroys it.
class view {
public:
    // Takes over what kv_view_get() returned.
    view(kv_view *raw, const void *data, std::size_t size) noexcept
        : owner_(raw), text_(static_cast<const char *>(data), size)
    {
    }

    const char *data() const noexcept { return text().data(); }
    std::size_t size() const noexcept { return text().size(); }

    std::string_view text() const noexcept { return owner_.get() ? text_ : std::string_view(); }
    operator std::string_view() const noexcept { return text_; }

    kv_view *c_handle() const noexcept { return owner_.get(); }

private:
    detail::handle<kv_view, kv_view_release> owner_;
    std::string_view text_;
};

} // namespace KV_HPP_FORM
} // namespace kv

#endif
