//! compact, backup and restore.

use kv::db::Db;

use crate::common::{make, read, records, small, Place};
use crate::kv;

#[test]
fn compacting_leaves_no_garbage() {
    let place = Place::new("compact");
    let db = place.join("db");
    let all = records(7, 5000);
    make(&db, &all);
    make(&db, &all);
    let told = kv!["compact", &db, "--json"].ok().json();
    assert!(told["disk_bytes"].as_u64() < told["disk_bytes_before"].as_u64(), "{told}");
    assert_eq!(told["dead_bytes"], 0);
    assert!(read(&db) == all);
    let again = kv!["compact", &db].ok();
    assert!(again.text().starts_with("compacted: "), "{again:?}");
    assert_eq!(kv!["compact", &db, "--quiet"].ok().out, b"");
}

#[test]
fn a_backup_is_made_brought_up_to_date_and_restored() {
    let place = Place::new("backup");
    let (db, backup, again) = (place.join("db"), place.join("backup"), place.join("again"));
    let all = records(8, 2000);
    make(&db, &all);
    let told = kv!["backup", &db, &backup, "--json"].ok().json();
    assert_eq!(told["keys"].as_u64(), Some(all.len() as u64));
    kv!["verify", &backup].ok();
    kv!["put", &db, "later", "v"].ok();
    kv!["backup", &db, &backup].ok();
    let told = kv!["restore", &backup, &again, "--json"].ok().json();
    assert_eq!(told["keys"].as_u64(), Some(all.len() as u64 + 1));
    assert!(read(&again) == read(&db));
    kv!["restore", &backup, &again].failed(3);
    kv!["restore", place.join("none"), place.join("to")].failed(3);
    // Another database's backup is not replaced.
    let other = place.join("other");
    Db::open(&other, &small()).unwrap().close().unwrap();
    let refused = kv!["backup", &other, &backup];
    assert!(refused.code > 1 && !refused.err.is_empty(), "{refused:?}");
}
