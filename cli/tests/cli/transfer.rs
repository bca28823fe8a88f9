//! import and export: round trips in each format, and what is said of a file that is wrong.

use std::fs;
use std::path::Path;

use serde_json::{json, Value};

use crate::common::{make, read, records, Place};
use crate::{kv, kv_fed};

const FORMATS: [(&str, &str); 3] = [("jsonl", "jsonl"), ("csv", "csv"), ("binary", "kvx")];

#[test]
fn random_bytes_and_times_of_expiry_come_back_in_each_format() {
    let place = Place::new("round");
    let db = place.join("db");
    let all = records(5, 3000);
    make(&db, &all);
    for (format, end) in FORMATS {
        let (file, to) = (place.join(&format!("all.{end}")), place.join(&format!("to-{format}")));
        kv!["export", &db, &file].ok();
        kv!["import", &to, &file, "--create"].ok();
        assert!(read(&to) == all, "{format}, by the name of the file");
        // The same through pipes, and once more: not a byte is another one.
        let out = kv!["export", &db, "-", "--format", format].with(0).out;
        assert!(out == fs::read(&file).unwrap(), "{format}: a pipe gets what a file gets");
        let piped = place.join(&format!("piped-{format}"));
        let ran = kv_fed![&out; "import", &piped, "-f", format, "--create", "--batch", "7"].ok();
        assert!(ran.text().starts_with(&format!("{} records imported", all.len())), "{ran:?}");
        assert!(read(&piped) == all, "{format}, by a pipe");
        let lines = |path: &Path| {
            let out = kv!["export", path, "--quiet"].ok().out;
            let mut lines: Vec<Vec<u8>> = out.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            lines
        };
        assert!(lines(&piped) == lines(&db), "{format}: exported again it is the same");
        kv!["verify", &piped].ok();
    }
}

#[test]
fn what_is_written_is_text_that_others_read() {
    let place = Place::new("text");
    let db = place.join("db");
    kv!["put", &db, "00ff", "ff0a", "--hex", "--create"].ok();
    let line: Value = serde_json::from_slice(&kv!["export", &db, "-q"].ok().out).unwrap();
    assert_eq!(line, json!({ "key_base64": "AP8=", "value_base64": "/wo=" }));
    kv!["put", &db, "k", "a,\"b\"\n"].ok();
    kv!["delete", &db, "00ff", "--hex"].ok();
    let csv = kv!["export", &db, "-q", "-f", "csv"].ok();
    assert_eq!(
        csv.text(),
        "key,key_base64,value,value_base64,expires_at_ms\nk,,\"a,\"\"b\"\"\n\",,\n"
    );
    let some = kv!["export", &db, "-q", "--prefix", "x", "-f", "csv"].ok();
    assert_eq!(some.text().lines().count(), 1);
    let told = kv!["export", &db, place.join("f.csv"), "--json"].ok().json();
    assert_eq!(told, json!({ "exported": 1 }));
}

#[test]
fn a_wrong_line_stops_it_and_is_named() {
    let place = Place::new("wrong");
    let (db, file) = (place.join("db"), place.join("in.jsonl"));
    let good = |key: &str| format!("{{\"key\":\"{key}\",\"value\":\"v\"}}\n");
    let text = [good("a"), "\n".to_owned(), good("b"), "nonsense\n".to_owned(), good("c")].concat();
    fs::write(&file, text).unwrap();
    let failed = kv!["import", &db, &file, "--create"].failed(7);
    let said = format!("kv: {}, line 4: column 2: ", file.display());
    assert!(failed.err.starts_with(&said), "{failed:?}");
    assert!(failed.err.contains("2 records are in the database"), "{failed:?}");
    let error = kv!["import", &db, &file, "--json"].failed(7).error();
    assert_eq!((&error["kind"], &error["line"]), (&"bad_input".into(), &4.into()));
    assert_eq!(error["file"], file.to_str().unwrap());
    assert_eq!(kv!["count", &db].ok().text(), "2\n");

    let passed = kv!["import", &db, &file, "--skip-errors"].failed(0);
    assert!(passed.err.contains("line 4") && passed.text().contains("1 left out"), "{passed:?}");
    let told = kv!["import", &db, &file, "--skip-errors", "--json"].ok().json();
    assert_eq!((&told["imported"], &told["skipped"]), (&3.into(), &1.into()));
    assert_eq!(told["errors"][0]["line"], 4);
    assert_eq!(kv!["count", &db].ok().text(), "3\n");
    kv!["import", &db, place.join("none.csv")].failed(6);
    kv!["import", &db, place.path()].failed(6);
}

#[test]
fn keys_that_cannot_be_are_errors_of_their_lines() {
    let place = Place::new("keys");
    let (db, file) = (place.join("db"), place.join("in.csv"));
    let long = "x".repeat(65_536);
    fs::write(&file, format!("value,key\n1,a\n2,\n3,{long}\n4\n5,b\n")).unwrap();
    let failed = kv!["import", &db, &file, "--create"].failed(7);
    assert!(failed.err.contains("line 3"), "{failed:?}");
    let told = kv!["import", &db, &file, "--skip-errors", "--json"].ok().json();
    let lines: Vec<u64> =
        told["errors"].as_array().unwrap().iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!((&told["imported"], lines), (&2.into(), vec![3, 4, 5]));
    let failed = kv_fed![b"a,b\n1,2\n"; "import", &db, "-f", "csv"].failed(7);
    assert!(failed.err.contains("standard input, line 1"), "{failed:?}");
}

#[test]
fn a_binary_file_that_was_cut_or_changed_is_refused() {
    let place = Place::new("cut");
    let (db, to, file) = (place.join("db"), place.join("to"), place.join("all.kvx"));
    make(&db, &records(6, 100));
    kv!["export", &db, &file].ok();
    let whole = fs::read(&file).unwrap();
    for len in [0, 4, 8, 9, 40, whole.len() / 2, whole.len() - 13, whole.len() - 1] {
        fs::write(&file, &whole[..len]).unwrap();
        let failed = kv!["import", &to, &file, "--create", "--skip-errors"].failed(7);
        assert!(failed.err.contains("byte"), "cut at {len}: {failed:?}");
    }
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 4;
    fs::write(&file, &changed).unwrap();
    kv!["import", &to, &file].failed(7);
    kv_fed![b"{\"key\":\"a\",\"value\":\"\"}\n"; "import", &to, "-f", "binary"].failed(7);
}

#[test]
fn what_has_expired_is_not_brought_back() {
    let place = Place::new("expired");
    let db = place.join("db");
    kv!["put", &db, "old", "1", "--create"].ok();
    kv!["put", &db, "new", "1"].ok();
    let text = "{\"key\":\"old\",\"value\":\"2\",\"expires_at_ms\":1000}\n\
                {\"key\":\"new\",\"value\":\"2\",\"ttl_ms\":3600000}\n";
    let told = kv_fed![text.as_bytes(); "import", &db, "--json"].ok().json();
    assert_eq!((&told["expired"], &told["skipped"]), (&1.into(), &0.into()));
    let all = read(&db);
    assert_eq!((all.len(), &all[0].0[..], &all[0].1[..]), (1, &b"new"[..], &b"2"[..]));
    assert!(all[0].2 > Some(1_700_000_000_000));
}

#[test]
fn an_older_file_stays_until_the_new_one_is_whole() {
    let place = Place::new("older");
    let (db, file) = (place.join("db"), place.join("all.jsonl"));
    kv!["put", &db, "k", "v", "--create"].ok();
    fs::write(&file, "older").unwrap();
    kv!["export", place.join("none"), &file].failed(3);
    assert_eq!(fs::read(&file).unwrap(), b"older");
    kv!["export", &db, &file].ok();
    assert_eq!(fs::read(&file).unwrap(), b"{\"key\":\"k\",\"value\":\"v\"}\n");
    kv!["export", &db, "/dev/null"].ok();
    kv!["export", &db, place.join("none/file")].failed(6);
    let full = kv!["export", &db, "/dev/full"].failed(6);
    assert!(full.err.contains("/dev/full"), "{full:?}");
}
