//! get, put and delete: every byte survives every way in and out.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::common::{read, Place};
use crate::{kv, kv_fed};

/// Every byte, twice.
fn every_byte() -> Vec<u8> {
    (0..=255).chain((0..=255).rev()).collect()
}

#[test]
fn a_value_is_stored_read_and_deleted() {
    let place = Place::new("values");
    let db = place.join("db");
    assert_eq!(kv!["put", &db, "planet", "Saturn", "--create"].ok().out, b"");
    assert_eq!(kv!["get", &db, "planet"].ok().out, b"Saturn");
    kv!["put", &db, "planet", ""].ok();
    assert_eq!(kv!["get", &db, "planet"].ok().out, b"");
    kv!["delete", &db, "planet"].ok();
    let missing = kv!["get", &db, "planet"].failed(1);
    assert_eq!((missing.out.len(), missing.err.as_str()), (0, "kv: there is no key \"planet\"\n"));
    assert_eq!(kv!["get", &db, "planet", "--quiet"].with(1).err, "");
    kv!["delete", &db, "planet"].failed(1);
    for key in ["a", "b"] {
        kv!["put", &db, key, "1"].ok();
    }
    kv!["delete", &db, "a", "c", "b"].failed(1);
    assert_eq!(read(&db), []);
}

#[test]
fn every_byte_survives_standard_input_and_files() {
    let place = Place::new("stdin");
    let (db, file) = (place.join("db"), place.join("file"));
    let bytes = every_byte();
    fs::write(&file, &bytes).unwrap();
    kv_fed![&bytes; "put", &db, "stdin", "-", "--create"].ok();
    kv_fed![&bytes; "put", &db, "dash", "--file", "-"].ok();
    kv!["put", &db, "file", "--file", &file].ok();
    for key in ["stdin", "dash", "file"] {
        assert_eq!(kv!["get", &db, key].ok().out, bytes, "{key}");
    }
    kv!["put", &db, "--key-file", &file, "--file", &file].ok();
    assert_eq!(kv!["get", &db, "--key-file", &file].ok().out, bytes);
    assert_eq!(kv_fed![&bytes; "get", &db, "--key-file", "-"].ok().out, bytes);
    kv_fed![&bytes; "delete", &db, "--key-file", "-"].ok();
    kv!["get", &db, "--key-file", &file].failed(1);
    // A value of a newline is a newline, and one of nothing is nothing.
    kv_fed![b"\n"; "put", &db, "newline", "-"].ok();
    assert_eq!(kv!["get", &db, "newline"].ok().out, b"\n");
    kv_fed![b""; "put", &db, "nothing", "-"].ok();
    assert_eq!(kv!["get", &db, "nothing"].ok().out, b"");
}

#[test]
fn every_byte_survives_each_encoding() {
    let place = Place::new("encodings");
    let db = place.join("db");
    let bytes = every_byte();
    kv_fed![&bytes; "put", &db, "k", "-", "--create"].ok();
    for encoding in ["hex", "base64", "escaped"] {
        let text = kv!["get", &db, "k", "--value-encoding", encoding].ok().text().to_owned();
        assert_eq!(text.matches('\n').count(), 1, "{encoding}: {text}");
        let text = text.trim_end_matches('\n');
        // In and out as arguments: a key of every byte, with a value of every byte.
        kv!["put", &db, text, text, "--encoding", encoding].ok();
        let again = kv!["get", &db, text, "--encoding", encoding].ok();
        assert_eq!(again.text().trim_end_matches('\n'), text);
        let raw = kv!["get", &db, text, "-e", encoding, "--value-encoding", "raw"].ok();
        assert_eq!(raw.out, bytes, "{encoding}");
        // A file in an encoding, with the newline that programs put at its end.
        kv_fed![format!("{text}\n").as_bytes(); "put", &db, "f", "-", "--value-encoding", encoding]
            .ok();
        let expected =
            if encoding == "escaped" { [&bytes[..], b"\n"].concat() } else { bytes.clone() };
        assert_eq!(kv!["get", &db, "f"].ok().out, expected, "{encoding}");
        kv!["delete", &db, text, "-e", encoding].ok();
    }
    kv!["put", &db, "00ff", "--hex", "0a"].ok();
    assert_eq!(kv!["get", &db, "AP8=", "--base64"].ok().out, b"Cg==\n");
    // Bytes that are no UTF-8, as an argument.
    let raw: &OsStr = OsStr::from_bytes(b"\xff\xfe\n");
    kv!["put", &db, raw, raw].ok();
    assert_eq!(kv!["get", &db, "fffe0a", "--hex"].ok().out, b"fffe0a\n");
    assert_eq!(kv!["get", &db, OsString::from(raw)].ok().out, b"\xff\xfe\n");
}

#[test]
fn json_tells_what_was_done_and_loses_no_byte() {
    let place = Place::new("json");
    let db = place.join("db");
    let stored = kv!["put", &db, "k", "v", "--create", "--json", "--ttl", "1h"].ok().json();
    assert_eq!(stored.to_string(), r#"{"key":"k","stored":true,"value_bytes":1}"#);
    let found = kv!["get", &db, "k", "--json"].ok().json();
    assert_eq!((&found["found"], &found["value"]), (&true.into(), &"v".into()));
    assert!(found["expires_at_ms"].as_u64() > Some(1_700_000_000_000));
    kv!["put", &db, "00ff", "ff", "--hex"].ok();
    let found = kv!["get", &db, "00ff", "--hex", "--json"].ok().json();
    assert_eq!(found.to_string(), r#"{"found":true,"key_base64":"AP8=","value_base64":"/w=="}"#);
    let missing = kv!["get", &db, "none", "--json"].with(1);
    assert_eq!(missing.json().to_string(), r#"{"found":false,"key":"none"}"#);
    let deleted = kv!["delete", &db, "k", "none", "--json"].with(1);
    assert_eq!(deleted.json().to_string(), r#"{"deleted":1,"missing":1}"#);
}

#[test]
fn values_expire_and_are_not_overwritten_if_that_is_asked_for() {
    let place = Place::new("ttl");
    let db = place.join("db");
    kv!["put", &db, "short", "v", "--ttl", "1ms", "--create"].ok();
    std::thread::sleep(std::time::Duration::from_millis(20));
    kv!["get", &db, "short"].failed(1);
    kv!["put", &db, "k", "1", "--if-absent"].ok();
    kv!["put", &db, "k", "2", "--if-absent"].failed(1);
    let told = kv!["put", &db, "k", "2", "--if-absent", "--json"].with(1).json();
    assert_eq!(told["stored"], false);
    assert_eq!(kv!["get", &db, "k"].ok().out, b"1");
}

#[test]
fn wrong_usage_is_2_and_changes_nothing() {
    let place = Place::new("usage");
    let db = place.join("db");
    kv!["put", &db, "k", "v", "--create"].ok();
    kv!["get", &db].with(2);
    kv!["get", &db, "a", "--key-file", "b"].with(2);
    kv!["put", &db, "k"].with(2);
    kv!["put", &db, "k", "v", "--file", "f"].with(2);
    kv!["put", &db, "k", "v", "--ttl", "soon"].with(2);
    kv!["put", &db, "--key-file", "-", "--file", "-"].failed(2);
    kv!["put", &db, "", "v"].failed(2);
    kv!["put", &db, "0", "v", "--hex"].failed(2);
    kv!["put", &db, "k", "\\q", "-e", "escaped"].failed(2);
    kv!["put", &db, "x".repeat(65_536), "v"].failed(2);
    kv!["get", &db, "k", "--encoding", "rot13"].with(2);
    kv!["get", &db, "k", "--hex", "--base64"].with(2);
    kv!["nonsense"].with(2);
    kv![].with(2);
    let error = kv!["get", &db, "--json"].failed(2).error();
    assert_eq!((&error["kind"], &error["exit_code"]), (&"usage".into(), &2.into()));
    assert_eq!(kv!["get", &db, "k"].ok().out, b"v");
    kv!["put", &db, "k", "--file", "/nonexistent/file"].failed(6);
    // Negative numbers are values, and behind -- everything is.
    kv!["put", &db, "k", "-5"].ok();
    kv!["put", &db, "--", "-k", "--json"].ok();
    assert_eq!(kv!["get", &db, "--", "-k"].ok().out, b"--json");
}
