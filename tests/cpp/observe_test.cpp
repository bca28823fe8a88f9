// What libkv tells of options and of databases: text, messages, events, metrics, times.
#include "test.hpp"

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>

namespace {

using namespace std::string_literals;

void test_options_as_text()
{
    kv::options options;
    CHECK(options.get("sync") == "interval");
    options.set(kv::option::sync, kv::sync_level::always).set("segment_size", "2MiB");
    CHECK(options.get("sync") == "always");
    CHECK(options.get("segment_size") == "2MiB");
    CHECK_THROWS(unknown_option, options.get("colour"));

    std::set<std::string> names;
    std::size_t count = 0;
    for (; const auto info = kv::describe_option(count); count++) {
        names.insert(info->name);
        CHECK(info->size == sizeof(kv::option_info));
        CHECK(*info->type_name != '\0' && *info->description != '\0');
        CHECK(kv::options().get(info->name) == info->default_value);
    }
    CHECK(names.size() == count && names.count("segment_size") == 1);
    CHECK_IS(not_found, kv::try_describe_option(count));
}

// Told under a mutex, since libkv calls from a thread of its own.
struct told {
    std::mutex mutex{};
    int messages = 0;
    int warnings = 0;
    std::multiset<kv::event_kind> events{};
};

void test_messages_and_events()
{
    told all;
    const auto log = [&](kv::log_level level, const char *message) {
        const std::lock_guard<std::mutex> lock(all.mutex);
        all.messages++;
        all.warnings += level <= kv::log_level::warn;
        CHECK(*message != '\0');
    };
    auto on_event = [&, last = std::uint64_t{0}](const kv::event &event) mutable {
        const std::lock_guard<std::mutex> lock(all.mutex);
        all.events.insert(kv::kind_of(event));
        CHECK(event.unix_ms >= last && kv::level_of(event) <= kv::log_level::debug);
        last = event.unix_ms;
    };
    kv::options options;
    options.set(kv::option::segment_size, 1 << 20)
        .set_log(log, kv::log_level::debug)
        .set_events(on_event);
    CHECK_THROWS(invalid_argument, options.set_log(log, static_cast<kv::log_level>(9)));
    kv::db db(test_path("told"), options);
    for (int i = 0; i < 300; i++) {
        db.put(kv::bytes_of(i), std::string(10000, 'v'));
    }
    db.close();
    CHECK(all.messages >= 3 && all.warnings == 0);
    CHECK(all.events.count(kv::event_kind::opened) == 1);
    CHECK(all.events.count(kv::event_kind::sealed) >= 2);
    CHECK(all.events.count(kv::event_kind::closed) == 1);
}

// What they throw is lost, and does no harm.
void test_throwing_functions()
{
    std::atomic<int> calls{0};
    const auto log = [&](kv::log_level, const char *) {
        calls++;
        throw std::runtime_error("lost");
    };
    auto on_event = [&](const kv::event &) {
        calls++;
        throw 1;
    };
    kv::options options;
    options.set_log(log, kv::log_level::info).set_events(on_event);
    kv::db db(test_path("throwing"), options);
    db.put("key", "value");
    db.close();
    CHECK(calls >= 4);
}

// A pointer to a function is a variable, and can be passed as one.
void log_nothing(kv::log_level, const char *) {}

void test_pointers_to_functions()
{
    void (*log)(kv::log_level, const char *) = log_nothing;
    kv::options options;
    options.set_log(log, kv::log_level::info);
    kv::db(test_path("pointer"), options).close();
}

void test_metrics_and_latency()
{
    kv::options options;
    options.set(kv::option::latency_histograms, true);
    kv::db db(test_path("metrics"), options);
    for (int i = 0; i < 10000; i++) {
        db.put(kv::bytes_of(i), "value");
    }
    db.sync();
    const auto put = db.latency(kv::operation::put);
    CHECK(put && put->size == sizeof *put && put->count > 0 && put->min_ns <= put->max_ns);
    CHECK(put && put->name == "put"s);
    CHECK(db.latency(kv::operation::checkpoint).has_value());
    CHECK(!db.latency(static_cast<kv::operation>(999)));
    const std::string text = db.metrics();
    CHECK(text.size() > 100 && text.find("# EOF") != std::string::npos);
    db.close();
    CHECK_IS(closed, db.try_metrics());
    CHECK_IS(closed, db.try_latency(kv::operation::put));
}

} // namespace

int main()
{
    test_options_as_text();
    test_messages_and_events();
    test_throwing_functions();
    test_pointers_to_functions();
    test_metrics_and_latency();
    return test_end("observe_test");
}
