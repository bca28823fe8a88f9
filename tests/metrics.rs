//! kv_metrics: the text is OpenMetrics, as a parser of its own reads it here, its figures are those
//! of kv_stats and kv_latency, and no figure is left out.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::TempDir;
use kv::db::Db;
use kv::options::{Options, SyncLevel};

/// What a text says: for each sample, with its labels, a number.
type Samples = BTreeMap<String, f64>;

/// Reads a text, line by line, and fails where it is none.
fn parse(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").unwrap();
    let mut samples = Samples::new();
    let (mut family, mut kind, mut seen) = ("", "", Vec::new());
    for line in body.lines() {
        assert!(!line.trim().is_empty() && line.trim() == line, "{line:?}");
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name, rest) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match what {
                "TYPE" => {
                    assert!(!seen.contains(&name), "{name} comes twice");
                    seen.push(name);
                    (family, kind) = (name, rest);
                }
                "UNIT" => assert!(name == family && name.ends_with(&format!("_{rest}"))),
                "HELP" => assert!(name == family && !rest.is_empty()),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
        let allowed: &[&str] = match kind {
            "gauge" => &[""],
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => panic!("{kind}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        let value: f64 = value.parse().unwrap();
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert!(samples.insert(sample.to_owned(), value).is_none(), "{line} comes twice");
    }
    samples
}

#[test]
fn the_text_is_open_metrics_and_says_what_the_figures_do() {
    let directory = TempDir::new("metrics");
    let options = Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        latency_histograms: true,
        ..Options::default()
    };
    let db = Db::open(&directory.join("a \"db\""), &options).unwrap();
    for key in 0..20_000_u64 {
        db.put(&(key % 5000).to_le_bytes(), &[7; 200]).unwrap();
        assert!(db.get(&(key % 5000).to_le_bytes(), <[u8]>::len).unwrap().is_some());
    }
    db.delete(&1_u64.to_le_bytes()).unwrap();
    db.sync().unwrap();
    db.compact().unwrap();
    let (samples, stats) = (parse(&db.metrics()), db.stats());
    let told = |name: &str| samples[&format!("libkv_{name}")];
    assert_eq!(told("keys"), 4999.0);
    assert_eq!((told("writes_total"), told("deletes_total")), (20_001.0, 1.0));
    assert_eq!(told("written_bytes_total"), stats.bytes_put as f64);
    assert_eq!(told("garbage_bytes"), stats.dead_bytes as f64);
    assert_eq!(told("opened_timestamp_seconds"), stats.opened_unix_ms as f64 / 1000.0);
    assert_eq!(told("read_only"), 0.0);
    let info = samples.keys().find(|name| name.starts_with("libkv_info")).unwrap();
    assert!(info.contains("a \\\"db\\\"") && info.contains(env!("CARGO_PKG_VERSION")), "{info}");

    // One in 32 is timed, and stands for 32.
    for (operation, often) in [("get", 20_000.0), ("put", 20_000.0), ("sync", 1.0)] {
        let name = format!("libkv_operation_duration_seconds_count{{operation=\"{operation}\"}}");
        let count: f64 = samples[&name];
        assert!((count / often - 1.0).abs() < 0.3, "{operation}: {count}");
        let mut buckets: Vec<(f64, f64)> = samples
            .iter()
            .filter(|(name, _)| name.contains(&format!("operation=\"{operation}\",le=")))
            .map(|(name, count)| {
                let bound = name.split("le=\"").nth(1).unwrap().trim_end_matches("\"}");
                (bound.parse().unwrap_or(f64::INFINITY), *count)
            })
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(buckets.len(), 29);
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{operation}: {buckets:?}");
        assert_eq!(buckets.last().unwrap().1, count);
    }
    let put = db.latency(1).unwrap();
    let (min, median, max) = (put.times.shortest(), put.times.quantile(500), put.times.longest());
    assert!(min <= median && median <= max && max < 60_000_000_000, "{min} {median} {max}");
    assert!(db.latency(1000).is_none());
}

#[test]
fn without_the_option_nothing_is_timed() {
    let directory = TempDir::new("metrics");
    let db = Db::open(&directory.join("db"), &Options::default()).unwrap();
    (0..1000_u64).for_each(|key| db.put(&key.to_le_bytes(), b"value").unwrap());
    assert_eq!(db.latency(1).unwrap().times.count, 0);
    assert!(!parse(&db.metrics()).keys().any(|name| name.contains("duration")));
}

/// The names of the members of a struct in a source file.
fn members(path: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let start = text.find(&format!("pub struct {name} {{")).unwrap();
    let body = &text[start..start + text[start..].find("\n}").unwrap()];
    let member =
        |line: &str| line.trim().strip_prefix("pub ")?.split(':').next().map(str::to_owned);
    body.lines().skip(1).filter_map(member).collect()
}

#[test]
fn no_figure_of_the_engine_is_left_out() {
    let source =
        |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (metrics, ffi) = (source("src/engine/metrics.rs"), source("src/ffi/stats.rs"));
    let figures = members("src/engine/stats.rs", "Stats");
    assert!(figures.len() > 30);
    for figure in &figures {
        assert!(metrics.contains(&format!("s.{figure}")), "{figure} is not in kv_metrics");
        assert!(ffi.contains(&format!("stats.{figure}")), "{figure} is not in kv_stats");
    }
    // And the size.
    assert_eq!(members("src/ffi/stats.rs", "kv_stats_t").len(), figures.len() + 1);
}
