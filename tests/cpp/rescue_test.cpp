// Verifying, with functions that are told what is found and how far it is.
#include "test.hpp"

#include <stdexcept>
#include <string>

namespace {

void make(const std::string &path)
{
    kv::db db(path);
    for (int i = 0; i < 1000; i++) {
        db.put(kv::bytes_of(i), std::string(100, 'v'));
    }
}

void damage(const std::string &path)
{
    FILE *file = std::fopen((path + "/00000001.seg").c_str(), "r+b");
    CHECK(file != nullptr && std::fseek(file, 5000, SEEK_SET) == 0);
    CHECK(file != nullptr && std::fputc('X', file) == 'X' && std::fclose(file) == 0);
}

void test_verify()
{
    const std::string path = test_path("db");
    make(path);
    CHECK(kv::verify(path).is_sound);
    damage(path);
    const kv::findings found = kv::verify(path, kv::report_form::json);
    CHECK(!found.is_sound && found.report.find("\"verdict\":\"damaged\"") != std::string::npos);
    std::uint64_t offset = 0;
    int calls = 0;
    const auto on_problem = [&](const kv::problem &problem) {
        CHECK(static_cast<kv::about>(problem.about) == kv::about::record);
        CHECK(static_cast<kv::severity>(problem.severity) == kv::severity::damage);
        offset = problem.offset;
    };
    const auto on_progress = [&](const kv::progress &) { calls++; };
    CHECK(!kv::verify(path, kv::report_form::text, on_problem, on_progress)->is_sound);
    CHECK(offset > 4096 && offset <= 5000 && calls > 0);

    // What a function ends gives nothing, what it throws is thrown on.
    const auto end = [](const auto &) { return false; };
    CHECK(!kv::verify(path, kv::report_form::text, on_problem, end));
    CHECK(!kv::verify(path, kv::report_form::text, end, on_progress));
    bool has_thrown = false;
    try {
        kv::verify(path, kv::report_form::text, on_problem,
                   [](const kv::progress &) { throw std::runtime_error("thrown on"); });
    } catch (const std::runtime_error &) {
        has_thrown = true;
    }
    CHECK(has_thrown);
    CHECK_THROWS(does_not_exist, kv::verify(test_path("nowhere")));
    CHECK_IS(does_not_exist, kv::try_verify(test_path("nowhere")));
}

void test_salvage()
{
    const std::string from = test_path("db");
    const kv::findings found = kv::salvage(from, test_path("salvaged"));
    CHECK(!found.is_sound && found.report.find("keys brought: 999\n") != std::string::npos);
    CHECK(kv::verify(test_path("salvaged")).is_sound);
    CHECK(kv::db(test_path("salvaged")).stats().keys == 999);
    int problems = 0;
    const auto on_problem = [&](const kv::problem &) { problems++; };
    const auto on_progress = [](const kv::progress &) {};
    const auto end = [](const auto &) { return false; };
    const auto form = kv::report_form::json;
    CHECK(kv::salvage(from, test_path("again"), form, on_problem, on_progress));
    CHECK(problems == 1);
    CHECK(!kv::salvage(from, test_path("never"), form, end, on_progress));
    CHECK(!kv::salvage(from, test_path("never"), form, on_problem, end));
    CHECK_IS(does_not_exist, kv::try_verify(test_path("never")));
    CHECK_IS(already_exists, kv::try_salvage(from, test_path("again")));
}

} // namespace

int main()
{
    test_verify();
    test_salvage();
    return test_end("rescue_test");
}
