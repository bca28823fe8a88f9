// What keys, values, buffers and paths may be made of, and the bytes of counters.
#include "test.hpp"

#include <array>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace std::string_literals;

std::size_t size_of(kv::bytes bytes) { return bytes.size(); }
bool is(kv::bytes bytes, std::string_view wanted) { return bytes.text() == wanted; }

void test_bytes()
{
    const unsigned char raw[] = {'a', 0, 'b'};
    const std::array<std::byte, 2> array = {std::byte{'x'}, std::byte{0}};
    CHECK(is("text", "text"));
    CHECK(is("te\0xt", "te"));
    CHECK(is("te\0xt"s, "te\0xt"s));
    CHECK(is(std::string_view("text", 2), "te"));
    CHECK(is(std::vector<unsigned char>{'o', 'k'}, "ok"));
    CHECK(is(std::vector<std::byte>(), ""));
    CHECK(is(array, "x\0"s));
    CHECK(is(raw, "a\0b"s));
    CHECK(is(kv::bytes("long text", 4), "long"));
    CHECK(size_of(static_cast<const char *>(nullptr)) == 0);
    CHECK(kv::bytes().empty());
    CHECK(std::string(kv::bytes("text")) == "text");

    const std::uint32_t number = 0x61616161;
    CHECK(is(kv::bytes_of(number), "aaaa"));
}

void test_buffers()
{
    char chars[3];
    std::byte raw[5];
    std::string text(7, ' ');
    std::vector<unsigned char> vector(9);
    CHECK(kv::buffer(chars).size() == 3 && kv::buffer(chars).data() == chars);
    CHECK(kv::buffer(raw).size() == 5);
    CHECK(kv::buffer(text).size() == 7 && kv::buffer(text).data() == text.data());
    CHECK(kv::buffer(vector).size() == 9);
    CHECK(kv::buffer(chars, 1).size() == 1);
}

void test_paths()
{
    const std::string inside = "a\0b"s;
    const std::filesystem::path path = "a/b";
    CHECK(kv::c_text("a").c_str() == "a"s);
    CHECK(kv::c_text("a"s).c_str() == "a"s);
    CHECK(kv::c_text(path).c_str() == "a/b"s);
    CHECK(kv::c_text(inside).c_str() == nullptr);
    CHECK_IS(null_argument, kv::db::try_open(inside));
    CHECK_IS(null_argument, kv::try_destroy(nullptr));
}

void test_counters()
{
    using limits = std::numeric_limits<std::int64_t>;
    for (const std::int64_t number : {limits::min(), limits::max(), INT64_C(-1), INT64_C(0),
                                      INT64_C(1), INT64_C(0x0102030405060708)}) {
        CHECK(kv::decode_counter(kv::encode_counter(number)) == number);
    }
    CHECK(kv::bytes(kv::encode_counter(0x0102030405060708)).text() == "\x08\7\6\5\4\3\2\1");
    CHECK(!kv::decode_counter("seven b"));
    CHECK(!kv::decode_counter(""));
}

} // namespace

int main()
{
    test_bytes();
    test_buffers();
    test_paths();
    test_counters();
    return test_end("bytes_test");
}
