//! The figures of a database as OpenMetrics text, version 1.0, for Prometheus and its kin.

use std::fmt::{self, Write};
use std::iter::Peekable;

use super::latency::{Latency, OPERATIONS};
use super::stats::Stats;
use super::Engine;

/// What is told of the figures: one line of text each, with what they mean.
struct Family {
    /// Without the "libkv_" before it; a unit comes last.
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
    value: fn(&Stats) -> u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up only, from 0 when the database is opened.
    Counter,
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&Stats) -> u64,
) -> Family {
    Family { name, kind: Kind::Gauge, unit, help, value }
}

const fn counter(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&Stats) -> u64,
) -> Family {
    Family { name, kind: Kind::Counter, unit, help, value }
}

/// Times are in nanoseconds here, or in milliseconds since 1970, and in seconds in the text.
static FAMILIES: [Family; 35] = [
    gauge("keys", "", "Keys.", |s| s.keys),
    gauge("live_bytes", "bytes", "Newest records of all keys.", |s| s.live_bytes),
    gauge("garbage_bytes", "bytes", "Replaced, deleted and expired records.", |s| s.dead_bytes),
    gauge("expired_bytes", "bytes", "Expired records, not yet removed.", |s| s.expired_bytes),
    gauge("disk_bytes", "bytes", "Files of the log.", |s| s.disk_bytes),
    gauge("index_bytes", "bytes", "Memory of the index.", |s| s.index_bytes),
    gauge("segments", "", "Files that hold records.", |s| s.segments),
    gauge("sealed_segments", "", "Those that are complete.", |s| s.sealed_segments),
    gauge("waiting_segments", "", "Those that are full, but not on the medium.", |s| {
        s.waiting_segments
    }),
    gauge("open_files", "", "Those that are mapped or open for reading.", |s| s.open_files),
    gauge("snapshots", "", "Open snapshots and iterators.", |s| s.snapshots),
    gauge("snapshot_bytes", "bytes", "Memory for what only they see.", |s| s.snapshot_bytes),
    gauge("unsynced_writes", "", "Records that a power cut could lose now.", |s| s.unsynced_writes),
    gauge("read_only", "", "Whether writes are refused.", |s| u64::from(s.is_read_only)),
    gauge("compaction_running", "", "Whether a compaction is under way.", |s| {
        u64::from(s.is_compacting)
    }),
    gauge("compaction_paused", "", "Whether it is paused.", |s| u64::from(s.is_compaction_paused)),
    gauge("compaction_planned_bytes", "bytes", "What the present one reads.", |s| {
        s.compaction_total
    }),
    gauge("compaction_done_bytes", "bytes", "What it has read.", |s| s.compaction_done),
    gauge("opened_timestamp_seconds", "seconds", "When the database was opened.", |s| {
        s.opened_unix_ms
    }),
    counter("writes", "", "Records written by puts and deletes.", |s| s.writes),
    counter("deletes", "", "Those of them that delete.", |s| s.deletes),
    counter("written_bytes", "bytes", "Bytes of these records.", |s| s.bytes_put),
    counter("compactions", "", "Compactions that came to their end.", |s| s.compactions),
    counter("compaction_failures", "", "Compactions that will be tried again.", |s| {
        s.compaction_failures
    }),
    counter("compaction_read_bytes", "bytes", "What compaction read.", |s| s.bytes_compaction_read),
    counter("compaction_written_bytes", "bytes", "What it wrote.", |s| s.bytes_compacted),
    counter("compaction_removed_segments", "", "Files that it removed.", |s| s.segments_removed),
    counter("hint_and_checkpoint_bytes", "bytes", "Written for opening fast.", |s| {
        s.bytes_hints_and_checkpoints
    }),
    counter("writer_pauses", "", "How often writers were slowed.", |s| s.pauses),
    counter("writer_paused_seconds", "seconds", "For how long.", |s| s.paused_ns),
    counter("rolls", "", "How often the log went on in a new file.", |s| s.rolls),
    counter("rolls_unprepared", "", "How often a writer had to make it.", |s| {
        s.rolls_without_spare
    }),
    counter("syncs", "", "Syncs that writers waited for and made.", |s| s.syncs_led),
    counter("syncs_shared", "", "Waits that another's sync ended.", |s| s.syncs_followed),
    counter("events_dropped", "", "Messages and events that came too fast.", |s| s.events_dropped),
];

/// The bounds of the buckets of latencies, in nanoseconds: three for each power of ten.
const BOUNDS: [u64; 28] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    25_000_000_000,
    50_000_000_000,
    100_000_000_000,
];

impl Engine {
    /// The figures of this moment as text.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = self.write_metrics(&mut text);
        text
    }

    /// Writes them.
    pub fn write_metrics(&self, out: &mut dyn Write) -> fmt::Result {
        let latencies = (0..OPERATIONS.len()).filter_map(|number| self.latency(number));
        let mut latencies = latencies.filter(|found| found.times.count > 0).peekable();
        write_all(out, self.storage.path(), &self.stats(), &mut latencies)
    }
}

fn write_all(
    out: &mut dyn Write,
    path: &str,
    stats: &Stats,
    latencies: &mut Peekable<impl Iterator<Item = Latency>>,
) -> fmt::Result {
    writeln!(out, "# TYPE libkv info\n# HELP libkv The library and the database.")?;
    let (version, path) = (env!("CARGO_PKG_VERSION"), escaped(path));
    writeln!(out, "libkv_info{{version=\"{version}\",path=\"{path}\"}} 1")?;
    for family in &FAMILIES {
        write_family(out, family, (family.value)(stats))?;
    }
    if latencies.peek().is_some() {
        let name = "libkv_operation_duration_seconds";
        writeln!(out, "# TYPE {name} histogram\n# UNIT {name} seconds")?;
        let help = "How long operations take; of short ones a sample is timed, and multiplied.";
        writeln!(out, "# HELP {name} {help}")?;
        for latency in latencies {
            write_latency(out, name, &latency)?;
        }
    }
    writeln!(out, "# EOF")
}

fn write_family(out: &mut dyn Write, family: &Family, value: u64) -> fmt::Result {
    let Family { name, kind, unit, help, .. } = family;
    let (kind, suffix) = match kind {
        Kind::Gauge => ("gauge", ""),
        Kind::Counter => ("counter", "_total"),
    };
    writeln!(out, "# TYPE libkv_{name} {kind}")?;
    if !unit.is_empty() {
        writeln!(out, "# UNIT libkv_{name} {unit}")?;
    }
    writeln!(out, "# HELP libkv_{name} {help}")?;
    write!(out, "libkv_{name}{suffix} ")?;
    match (*unit, suffix) {
        ("seconds", "") => writeln!(out, "{}", fraction(value, 3)),
        ("seconds", _) => writeln!(out, "{}", fraction(value, 9)),
        _ => writeln!(out, "{value}"),
    }
}

fn write_latency(out: &mut dyn Write, name: &str, latency: &Latency) -> fmt::Result {
    let operation = latency.name.to_str().unwrap_or_default();
    let (times, factor) = (&latency.times, latency.one_in);
    for bound in BOUNDS {
        let (count, bound) = (times.count_up_to(bound) * factor, fraction(bound, 9));
        writeln!(out, "{name}_bucket{{operation=\"{operation}\",le=\"{bound}\"}} {count}")?;
    }
    let (count, sum) = (times.count * factor, fraction(times.sum.saturating_mul(factor), 9));
    writeln!(out, "{name}_bucket{{operation=\"{operation}\",le=\"+Inf\"}} {count}")?;
    writeln!(out, "{name}_count{{operation=\"{operation}\"}} {count}")?;
    writeln!(out, "{name}_sum{{operation=\"{operation}\"}} {sum}")
}

/// A number with so many digits behind the point, of which it has one at least.
fn fraction(number: u64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let text = format!("{}.{:0width$}", number / unit, number % unit, width = digits as usize);
    let shortest = text.trim_end_matches('0');
    match shortest.ends_with('.') {
        true => format!("{shortest}0"),
        false => shortest.to_owned(),
    }
}

/// The value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        assert_eq!(fraction(0, 9), "0.0");
        assert_eq!(fraction(100, 9), "0.0000001");
        assert_eq!(fraction(2_500_000_000, 9), "2.5");
        assert_eq!(fraction(100_000_000_000, 9), "100.0");
        assert_eq!(fraction(1_700_000_000_123, 3), "1700000000.123");
        assert_eq!(fraction(u64::MAX, 9), "18446744073.709551615");
    }

    #[test]
    fn names_end_in_their_units_and_there_are_no_two() {
        for family in &FAMILIES {
            let unit = family.name.rsplit('_').next();
            assert_eq!(!family.unit.is_empty(), matches!(unit, Some("bytes" | "seconds")));
            assert!(family.unit.is_empty() || unit == Some(family.unit), "{}", family.name);
            assert_eq!(FAMILIES.iter().filter(|other| other.name == family.name).count(), 1);
            assert!(!family.name.ends_with("_total") && !family.help.contains(['\\', '\n', '"']));
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("/a \"b\"\\c\nd"), "/a \\\"b\\\"\\\\c\\nd");
    }
}
