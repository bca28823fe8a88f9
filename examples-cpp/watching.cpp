// Watching: what a database says to people and to programs, and its figures.
#include <iostream>
#include <kv.hpp>
#include <mutex>
#include <string>

#include "example.hpp"

int main()
{
    const std::string path = temporary_directory();

    // Both are called by threads of libkv's, and must outlive the database.
    std::mutex mutex;
    const auto log = [&](kv::log_level level, const char *message) {
        const std::lock_guard<std::mutex> lock(mutex);
        std::cout << (level <= kv::log_level::warn ? "! " : "  ") << message << '\n';
    };
    std::uint64_t sealed = 0;
    auto on_event = [&](const kv::event &event) {
        const std::lock_guard<std::mutex> lock(mutex);
        sealed += kv::kind_of(event) == kv::event_kind::sealed;
    };

    {
        kv::options options;
        options.set(kv::option::segment_size, 1 << 20)
            .set(kv::option::latency_histograms, true)
            .set_log(log, kv::log_level::info)
            .set_events(on_event);
        kv::db db(path, options);
        for (int i = 0; i < 400; i++) {
            db.put(kv::bytes_of(i), std::string(10000, 'v'));
        }
        const kv_stats_t stats = db.stats();
        expect(stats.keys == 400, "all are there");
        std::cout << stats.live_bytes / 1000 << " kB in " << stats.segments << " segments\n";
        if (const auto puts = db.latency(kv::operation::put)) {
            std::cout << "half of the puts took no longer than " << puts->p50_ns << " ns\n";
        }
        const std::string metrics = db.metrics();
        std::cout << metrics.substr(0, metrics.find('\n')) << " ... for Prometheus\n";
        db.close();
    }
    expect(sealed > 0, "closing waits until everything was told");
    std::cout << sealed << " segments were sealed\n";
    kv::destroy(path);
}
