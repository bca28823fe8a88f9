// The other of two units: without exceptions and type information, in the same program.
#include <kv.hpp>

#if __cplusplus >= 202002L
#include <array>
#include <span>
#endif

kv_status seen_without_exceptions(const char *path);

kv_status seen_without_exceptions(const char *path)
{
#ifdef __cpp_lib_span
    std::array<std::byte, 4> bytes{};
    const kv::buffer buffer = std::span(bytes);
    const kv::bytes key = std::span<const std::byte>(bytes);
    const std::span<const std::byte> back = key;
    if (buffer.size() != 4 || back.data() != bytes.data()) {
        return KV_INTERNAL;
    }
#endif
    return static_cast<kv_status>(kv::try_destroy(path).status());
}
