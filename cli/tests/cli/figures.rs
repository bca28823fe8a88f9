//! stats, bench and watch: figures for people and for programs.

use std::fs;

use serde_json::Value;

use crate::common::{command, make, records, Place};
use crate::kv;

#[test]
fn stats_has_every_counter_and_a_picture_that_fits() {
    let place = Place::new("stats");
    let db = place.join("db");
    let all = records(9, 20_000);
    make(&db, &all);
    make(&db, &all);
    let told = kv!["stats", &db, "--json"].ok().json();
    let (stats, segments) = (&told["stats"], told["segments"].as_array().unwrap());
    assert_eq!(stats["keys"].as_u64(), Some(all.len() as u64));
    assert_eq!(stats.as_object().unwrap().len(), 35);
    assert_eq!(stats["segments"].as_u64(), Some(segments.len() as u64));
    let sum = |name: &str| segments.iter().map(|s| s[name].as_u64().unwrap()).sum::<u64>();
    for name in ["live_bytes", "dead_bytes"] {
        assert!(sum(name) > 0, "{name}");
        assert_eq!(stats[name].as_u64(), Some(sum(name)), "{name}");
    }
    let text = kv!["stats", &db].ok().text().to_owned();
    for name in stats.as_object().unwrap().keys() {
        assert!(text.contains(&name.replace('_', " ")), "{name}");
    }
    assert!(text.contains(".seg [") && text.contains("% garbage"), "{text}");
    for (columns, rows) in [(60, 3), (200, 24)] {
        let args = ["stats".into(), db.clone().into(), "--rows".into(), rows.to_string().into()];
        let ran = command(&args).env("COLUMNS", columns.to_string()).output().unwrap();
        let text = String::from_utf8(ran.stdout).unwrap();
        let bars: Vec<&str> = text.lines().filter(|line| line.ends_with("garbage")).collect();
        assert!(bars.len() <= rows && bars.iter().all(|bar| bar.len() <= columns), "{text}");
    }
    kv!["stats", &db, "--rows", "0"].with(2);
}

#[test]
fn bench_measures_and_leaves_nothing() {
    let place = Place::new("bench");
    let args = ["--keys", "3000", "--operations", "2000", "--threads", "2", "--value-size", "50"];
    let mut all: Vec<std::ffi::OsString> =
        vec!["bench".into(), "--dir".into(), place.path().into()];
    all.extend(args.map(std::ffi::OsString::from));
    let text = crate::common::run(&all, b"").failed(0);
    assert!(text.err.contains("compare nothing"), "{text:?}");
    for name in ["fill", "overwrite", "read", "mixed", "per second", "p99.9"] {
        assert!(text.text().contains(name), "{name}");
    }
    all.extend(["--json", "--workloads", "read", "-o", "sync=none"].map(std::ffi::OsString::from));
    let told = crate::common::run(&all, b"").ok().json();
    assert!(told["note"].as_str().unwrap().contains("compare nothing"));
    let workloads = told["workloads"].as_array().unwrap();
    let names: Vec<&str> = workloads.iter().map(|w| w["workload"].as_str().unwrap()).collect();
    assert_eq!(names, ["fill", "read"]);
    for workload in workloads {
        let ns = |name: &str| workload["latency_ns"][name].as_u64().unwrap();
        assert!(workload["per_second"].as_f64() > Some(0.0), "{workload}");
        assert!(ns("p50") <= ns("p99") && ns("p99") <= ns("p99_9") && ns("p99_9") <= ns("longest"));
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "something is left");
    kv!["bench", "--dir", place.join("none")].failed(6);
    kv!["bench", "--dir", place.path(), "--threads", "0"].with(2);
    kv!["bench", "--dir", place.path(), "-o", "sync=no"].failed(2);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn watch_shows_how_files_grow() {
    let place = Place::new("watch");
    let db = place.join("db");
    make(&db, &records(10, 10_000));
    let text = kv!["watch", &db, "--count", "2", "--interval", "10ms"].ok();
    assert_eq!(text.text().lines().count(), 3, "{text:?}");
    let out = kv!["watch", &db, "-n", "3", "-i", "1ms", "--json"].ok();
    let lines: Vec<Value> =
        out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let stats = kv!["stats", &db, "--json"].ok().json();
    assert_eq!(lines[0]["segments"], stats["stats"]["segments"]);
    assert_eq!(lines[0]["growth_bytes_per_second"], 0);
    assert!(lines[0]["disk_bytes"].as_u64() >= lines[0]["checkpoint_bytes"].as_u64());
}
