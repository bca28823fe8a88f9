//! scan and count: what is listed, in which form, and how much of it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::{make, records, All, Place};
use crate::kv;

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn plain() -> All {
    let of = |key: &str, value: &str| (key.into(), value.into(), None);
    vec![of("a1", "x"), of("a2", "y\tz\n"), of("b\n", "\0"), of("é", "\u{1b}[31m")]
}

#[test]
fn lines_have_keys_and_values_escaped() {
    let place = Place::new("scan");
    let db = place.join("db");
    make(&db, &plain());
    let all = kv!["scan", &db].ok();
    assert_eq!(sorted(all.text()), ["a1\tx", "a2\ty\\tz\\n", "b\\n\t\\x00", "é\t\\x1b[31m"]);
    let keys = kv!["scan", &db, "--keys-only"].ok();
    assert_eq!(sorted(keys.text()), ["a1", "a2", "b\\n", "é"]);
    let values = kv!["scan", &db, "--values", "--hex"].ok();
    assert_eq!(sorted(values.text()), ["00", "1b5b33316d", "78", "79097a0a"]);
    let some = kv!["scan", &db, "--prefix", "a"].ok();
    assert_eq!(sorted(some.text()), ["a1\tx", "a2\ty\\tz\\n"]);
    let some = kv!["scan", &db, "--prefix", "c3", "--hex"].ok();
    assert_eq!(some.text(), "c3a9\t1b5b33316d\n");
    assert_eq!(kv!["scan", &db, "--prefix", "none"].ok().out, b"");
    for limit in 0..6 {
        let some = kv!["scan", &db, "--limit", limit.to_string()].ok();
        assert_eq!(some.text().lines().count(), limit.min(4), "{limit}");
    }
    kv!["scan", &db, "--keys-only", "--values"].with(2);
    kv!["scan", &db, "-0", "--json"].with(2);
}

#[test]
fn nul_ends_raw_keys_and_values() {
    let place = Place::new("scan-nul");
    let db = place.join("db");
    let mut all: All =
        (0..50_u8).map(|n| (vec![b'k', b'\n', n + 1, 0xff], vec![0xfe], None)).collect();
    make(&db, &all);
    let out = kv!["scan", &db, "-0"].ok().out;
    let mut parts: Vec<&[u8]> = out.split(|byte| *byte == 0).collect();
    assert_eq!(parts.pop(), Some(&b""[..]));
    let mut found: All =
        parts.chunks(2).map(|two| (two[0].to_vec(), two[1].to_vec(), None)).collect();
    found.sort();
    all.sort();
    assert_eq!(found, all);
    let keys = kv!["scan", &db, "-0", "-k"].ok().out;
    assert_eq!(keys.iter().filter(|byte| **byte == 0).count(), 50);
}

#[test]
fn json_lines_lose_nothing_and_agree_with_count() {
    let place = Place::new("scan-json");
    let db = place.join("db");
    let all = records(1, 300);
    make(&db, &all);
    let text = kv!["scan", &db, "--json"].ok();
    let lines: Vec<Value> =
        text.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), all.len());
    let expiring = lines.iter().filter(|line| line["expires_at_ms"].is_u64()).count();
    assert_eq!(expiring, all.iter().filter(|(_, _, expiry)| expiry.is_some()).count());
    let keys: BTreeSet<String> = lines.iter().map(|line| line.to_string()).collect();
    assert_eq!(keys.len(), all.len());
    assert_eq!(kv!["count", &db].ok().text(), format!("{}\n", all.len()));
    assert_eq!(kv!["count", &db, "--exact"].ok().text(), format!("{}\n", all.len()));
    assert_eq!(kv!["count", &db, "--prefix", "empt"].ok().text(), "1\n");
    let told = kv!["count", &db, "--json"].ok().json();
    assert_eq!(told.to_string(), format!("{{\"count\":{},\"exact\":false}}", all.len()));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let place = Place::new("scan-pipe");
    let db = place.join("db");
    make(&db, &records(2, 3000));
    let script = format!("{} scan {} | head -n 1", env!("CARGO_BIN_EXE_kv"), db.display());
    let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    assert_eq!(ran.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}
