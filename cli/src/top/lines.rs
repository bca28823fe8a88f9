//! What happened in an interval as a line: for people who keep it, and as JSON for programs.

use serde_json::{json, Value};

use super::rates::Rates;
use crate::output::human;
use crate::stats::segment_as_json;

/// Whether segments are told too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Whole,
    Short,
}

pub const HEADER: &str =
    "    puts/s  deletes/s    written/s  amplified        keys         live      \
    garbage      on disk  compacted/s  pauses/s";

pub fn as_text(rates: &Rates) -> String {
    let bytes = |name: &str| human(rates.now.count(name));
    let speed = |name: &str| human(rates.per_second(name) as u64);
    let amplified = rates.write_amplification().map_or("-".to_owned(), |by| format!("{by:.2}"));
    format!(
        "{:>10.0} {:>10.0} {:>12} {amplified:>10} {:>11} {:>12} {:>12} {:>12} {:>12} {:>9.1}",
        rates.puts(),
        rates.per_second("deletes_total"),
        speed("written_bytes_total"),
        rates.now.count("keys"),
        bytes("live_bytes"),
        bytes("garbage_bytes"),
        bytes("disk_bytes"),
        speed("compaction_written_bytes_total"),
        rates.per_second("writer_pauses_total"),
    )
}

pub fn as_json(rates: &Rates, form: Form) -> Value {
    let now = rates.now;
    let mut told = json!({
        "unix_ms": now.unix_ms,
        "age_ms": now.age_ms(),
        "interval_ms": now.interval_ms,
        "pid": now.pid,
        "seconds": rates.seconds,
        "keys": now.count("keys"),
        "puts_per_second": rates.puts(),
        "deletes_per_second": rates.per_second("deletes_total"),
        "written_bytes_per_second": rates.per_second("written_bytes_total"),
        "write_amplification": rates.write_amplification(),
        "syncs_per_second": rates.per_second("syncs_total"),
        "pauses_per_second": rates.per_second("writer_pauses_total"),
        "paused_share": rates.per_second("writer_paused_seconds_total"),
        "live_bytes": now.count("live_bytes"),
        "dead_bytes": now.count("garbage_bytes"),
        "expired_bytes": now.count("expired_bytes"),
        "disk_bytes": now.count("disk_bytes"),
        "index_bytes": now.count("index_bytes"),
        "unsynced_writes": now.count("unsynced_writes"),
        "waiting_segments": now.count("waiting_segments"),
        "snapshots": now.count("snapshots"),
        "read_only": now.get("read_only") > 0.0,
        "hints_due": now.hints_due,
        "log_bytes_since_checkpoint": now.log_since_checkpoint,
        "compaction": compaction(rates),
        "latency_histograms": now.is_timed,
        "operations": operations(rates),
    });
    if form == Form::Whole {
        told["segments"] = now.segments.iter().map(segment_as_json).collect();
    }
    told
}

fn compaction(rates: &Rates) -> Value {
    let now = rates.now;
    json!({
        "running": now.get("compaction_running") > 0.0,
        "paused": now.get("compaction_paused") > 0.0,
        "planned_bytes": now.count("compaction_planned_bytes"),
        "done_bytes": now.count("compaction_done_bytes"),
        "read_bytes_per_second": rates.per_second("compaction_read_bytes_total"),
        "written_bytes_per_second": rates.per_second("compaction_written_bytes_total"),
        "compactions": now.count("compactions_total"),
        "failures": now.count("compaction_failures_total"),
    })
}

fn operations(rates: &Rates) -> Value {
    let operations = rates.operations();
    let told = operations.iter().map(|pace| {
        let [p50, p99, p99_9] = pace.quantiles_ns.map_or([None; 3], |all| all.map(Some));
        json!({
            "name": pace.name,
            "per_second": pace.per_second,
            "timed_one_in": pace.one_in,
            "p50_ns": p50,
            "p99_ns": p99,
            "p99_9_ns": p99_9,
            "longest_ns_since_opening": pace.longest_ns,
        })
    });
    told.collect()
}
