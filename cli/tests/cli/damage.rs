//! A damaged database: who notices, what is said of it, and how the rest is saved.

use crate::common::{damage, make, read, All, Place};
use crate::kv;

/// Records of which each has a value that is nowhere else.
fn marked() -> All {
    let value = |n: u32| format!("the value of number {n:05} {}", "x".repeat(200)).into_bytes();
    (0..20_000).map(|n| (format!("key-{n:05}").into_bytes(), value(n), None)).collect()
}

#[test]
fn a_flipped_bit_is_found_told_and_survived() {
    let place = Place::new("damage");
    let (db, saved) = (place.join("db"), place.join("saved"));
    let all = marked();
    make(&db, &all);
    kv!["verify", &db].ok();
    let sound = kv!["verify", &db, "--json"].ok().json();
    assert_eq!((&sound["verdict"], &sound["damage"]), (&"sound".into(), &0.into()));
    assert_eq!(kv!["verify", &db, "--quiet"].ok().out, b"");

    let (file, offset) = damage(&db, b"the value of number 00123");
    let found = kv!["verify", &db].with(1);
    assert!(found.text().contains("damaged") && found.text().contains(&file), "{found:?}");
    let found = kv!["verify", &db, "--json"].with(1).json();
    assert_eq!(found["verdict"], "damaged");
    let problems = found["problems"].as_array().unwrap();
    let problem = problems.iter().find(|problem| problem["about"] == "record").unwrap();
    assert_eq!(problem["file"], file);
    let at = problem["offset"].as_u64().unwrap();
    assert!(at <= offset && offset < at + 400, "{at} and {offset}");

    // The key itself, and whatever reads all of them.
    let failed = kv!["get", &db, "key-00123"].failed(5);
    assert!(failed.err.contains(&file) && failed.err.contains("byte"), "{failed:?}");
    let error = kv!["get", &db, "key-00123", "--json"].failed(5).error();
    assert_eq!(error["kind"], "corrupt");
    assert_eq!(error["file"], db.join(&file).to_str().unwrap());
    assert!(error["offset"].as_u64().unwrap().abs_diff(at) < 400);
    kv!["scan", &db].failed(5);
    let out = place.join("out.jsonl");
    kv!["export", &db, &out].failed(5);
    assert!(!out.exists() && !place.join("out.jsonl.partial").exists());
    // The others are there still.
    assert_eq!(kv!["get", &db, "key-00124"].ok().out, all[124].1);
    assert_eq!(kv!["get", &db, "key-00124", "-o", "on_damage=read_only"].ok().out, all[124].1);

    let report = kv!["salvage", &db, &saved, "--json"].with(1).json();
    assert_eq!(report["action"], "salvage");
    assert!(report["damage"].as_u64() >= Some(1), "{report}");
    let mut left = all;
    left.remove(123);
    assert!(read(&saved) == left, "salvage brings all but what is damaged");
    kv!["verify", &saved].ok();
    kv!["salvage", &db, &saved].failed(3);
    let sound = place.join("sound");
    kv!["salvage", &saved, &sound].ok();
    assert!(read(&sound) == left);
}

#[test]
fn a_damaged_manifest_keeps_it_from_opening_and_not_from_being_salvaged() {
    let place = Place::new("manifest");
    let (db, saved) = (place.join("db"), place.join("saved"));
    let all = marked();
    make(&db, &all);
    let manifest = db.join("MANIFEST");
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes[20] ^= 0x10;
    std::fs::write(&manifest, bytes).unwrap();
    assert!(kv!["get", &db, "key-00000"].failed(5).err.contains("MANIFEST"));
    kv!["verify", &db].with(1);
    assert!(kv!["salvage", &db, &saved].code <= 1);
    assert!(read(&saved) == all);
}
