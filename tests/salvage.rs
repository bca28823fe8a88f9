//! Salvaging: every record that is whole comes back, the newest of each key, whatever is damaged;
//! what does not is listed; and the new database is sound.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
mod damage;
mod rescue;

use std::ops::ControlFlow;
use std::path::Path;

use common::{seed, Random, TempDir};
use damage::kinds::{append, cut, flip, overwrite, replace};
use damage::{Bench, Builder, Sample};
use kv::db::{self, Db, Form, Severity, Subject, WriteOptions};
use kv::error::Kind;
use kv::format::name::{parse_hint, parse_segment, INDEX, MANIFEST};
use kv::format::record::RecordKind;
use kv::format::segment::HEADER_PAGE;
use kv::options::OnDamage;
use rescue::{judge, records_of, salvage, Written};

fn flips_and_cuts(sample: &Sample, stride: usize) {
    let records = records_of(sample);
    let mut bench = Bench::new(sample);
    for file in sample.segments() {
        let bytes = &sample.files[file];
        for bit in (0..bytes.len() * 8).step_by(stride) {
            judge(&mut bench, &records, &flip(sample, file, bit));
        }
        for len in (0..bytes.len()).step_by(stride) {
            judge(&mut bench, &records, &cut(sample, file, len));
        }
    }
    // Nothing of what was written is in the other files.
    let rest: Vec<&String> = sample.files.keys().filter(|f| parse_segment(f).is_none()).collect();
    for file in rest {
        let stride = if file == INDEX { 100 * stride } else { stride };
        for bit in (0..sample.files[file].len() * 8).step_by(stride) {
            judge(&mut bench, &records, &flip(sample, file, bit));
        }
        for len in (0..sample.files[file].len()).step_by(stride) {
            judge(&mut bench, &records, &cut(sample, file, len));
        }
        judge(&mut bench, &records, &replace(sample, file, None, "nothing"));
    }
}

/// Closed, with sealed segments, hints and a checkpoint.
fn closed() -> Sample {
    let mut builder = Builder::new(seed());
    builder.write_some();
    builder.compact();
    builder.put("key 1", 300);
    builder.delete("key 4");
    builder.batch(&[("key 2", Some(30)), ("b", Some(0)), ("key 1", None)]);
    builder.put_for_a_day("a day", 13);
    builder.checkpoint();
    builder.put("the last", 100);
    builder.closed("closed")
}

fn killed() -> Sample {
    let mut builder = Builder::new(seed() + 1);
    builder.write_some();
    builder.sync();
    builder.write_all_kinds();
    builder.batch(&[("key 2", Some(30)), ("b", Some(0)), ("key 1", None)]);
    builder.killed("killed")
}

/// In segments of their own size: sealed ones of the log, with hints.
fn large(seed: u64) -> Sample {
    let mut builder = Builder::new(seed);
    for round in 0..3 {
        builder.put(&format!("filler {round}"), 700_000);
        for key in 0..5 {
            builder.put(&format!("k{key}"), round * 10 + key);
        }
        builder.delete("k4");
    }
    builder.sync();
    builder.closed("large")
}

#[test]
fn flipped_bits_and_cuts_cost_what_they_hit() {
    flips_and_cuts(&closed(), 211);
    flips_and_cuts(&killed(), 211);
}

#[test]
fn bits_of_sealed_segments_with_hints_cost_what_they_hit() {
    let sample = large(seed() + 2);
    let records = records_of(&sample);
    let mut bench = Bench::new(&sample);
    let mut random = Random(seed());
    for file in sample.segments() {
        let small = records.iter().filter(|r| r.file == file && r.value.len() < 1000);
        for record in small {
            let place = &record.place;
            for _ in 0..3 {
                let at = place.start + random.below(place.end - place.start);
                judge(&mut bench, &records, &flip(&sample, file, at as usize * 8));
            }
        }
        judge(&mut bench, &records, &flip(&sample, file, (HEADER_PAGE + 1000) * 8));
        judge(&mut bench, &records, &flip(&sample, file, 300));
    }
}

#[test]
fn blocks_that_are_not_as_they_were_cost_what_they_hit() {
    for sample in [closed(), killed()] {
        let records = records_of(&sample);
        let mut bench = Bench::new(&sample);
        let mut random = Random(seed());
        for file in sample.segments() {
            let bytes = &sample.files[file];
            for block in 0..bytes.len().div_ceil(512).min(40) {
                let source = random.below(bytes.len() as u64 / 512) as usize;
                for source in [None, Some(source)] {
                    judge(&mut bench, &records, &overwrite(&sample, file, block, source));
                }
            }
            for len in [1, 100, 5000] {
                judge(&mut bench, &records, &append(&sample, file, &random.bytes(len)));
            }
        }
    }
}

/// Everything comes back without a manifest, though the headers of segments are gone, too.
#[test]
fn neither_the_manifest_nor_headers_are_needed() {
    for sample in [closed(), killed(), large(seed() + 2)] {
        let mut bench = Bench::new(&sample);
        let all = &sample.states[sample.states.len() - 1];
        let no_manifest = replace(&sample, MANIFEST, None, "nothing");
        for file in sample.segments() {
            let mut bytes = sample.files[file].clone();
            bytes[..HEADER_PAGE].fill(0);
            let no_header = replace(&sample, file, Some(&bytes), "itself without header");
            bench.lay_out(&[&no_manifest, &no_header]);
            let context = format!("{}, {file} without header", sample.name);
            let (report, found) = salvage(&bench, &context);
            let text = report.render(Form::Text);
            assert!(found == *all, "{context}: {text}");
            assert!(report.has_damage() && text.contains("worked out"), "{context}: {text}");
        }
    }
}

#[test]
fn files_under_wrong_names_are_told_by_their_headers() {
    let sample = large(seed() + 2);
    let mut bench = Bench::new(&sample);
    let all = &sample.states[sample.states.len() - 1];
    for pair in sample.segments().windows(2) {
        let first = replace(&sample, pair[0], Some(&sample.files[pair[1]]), "the next");
        let second = replace(&sample, pair[1], Some(&sample.files[pair[0]]), "the one before");
        bench.lay_out(&[&first, &second]);
        let (report, found) = salvage(&bench, "swapped");
        assert!(found == *all, "{}", report.render(Form::Text));
        // A copy in the place of another costs the other.
        bench.lay_out(&[&first]);
        let (report, found) = salvage(&bench, "copied");
        assert!(found != *all && report.has_damage(), "{}", report.render(Form::Text));
    }
    let other = large(seed() + 3);
    let foreign = sample.segments()[1];
    let damage = replace(&sample, foreign, Some(&other.files[foreign]), "that of another database");
    bench.lay_out(&[&damage]);
    let (report, _) = salvage(&bench, "foreign");
    assert!(report.render(Form::Text).contains("belongs to another database"));
}

/// What a missing segment held is told by its hint: of which keys only older values came back, and
/// which are gone.
#[test]
fn hints_tell_what_a_missing_segment_held() {
    let sample = large(seed() + 2);
    let records = records_of(&sample);
    let last = sample.files.keys().rfind(|file| parse_hint(file).is_some()).unwrap();
    let file = kv::format::name::segment(parse_hint(last).unwrap());
    let mut bench = Bench::new(&sample);
    bench.lay_out(&[&replace(&sample, &file, None, "nothing")]);
    let (report, found) = salvage(&bench, "missing");
    let text = report.render(Form::Text);
    let of_file: Vec<&Written> = records.iter().filter(|record| record.file == file).collect();
    assert!(of_file.len() > 3);
    for record in of_file {
        let newer = records.iter().filter(|r| r.key == record.key && r.sequence > record.sequence);
        if newer.count() > 0 {
            continue;
        }
        let key = &record.key;
        if record.kind == RecordKind::Tombstone {
            assert!(!found.contains_key(key), "{} is back: {text}", key.escape_ascii());
        } else if found.contains_key(key) {
            let is_told = report.problems.iter().any(|problem| {
                problem.subject == Subject::Older && problem.key.as_ref() == Some(key)
            });
            assert!(is_told, "{} is an older one: {text}", key.escape_ascii());
        }
    }
}

#[test]
fn versions_and_times_to_live_stay() {
    let directory = TempDir::in_memory("salvage-versions");
    let (from, to) = (directory.join("db"), directory.join("saved"));
    let options = damage::options(OnDamage::Fail);
    let db = Db::open(&from, &options).unwrap();
    for number in 0..500_u64 {
        let ttl_ms = (number % 3) * 1_000_000;
        let with = WriteOptions { ttl_ms, ..WriteOptions::default() };
        db.put_with(&number.to_le_bytes(), b"value", &with).unwrap();
        if number % 5 == 0 {
            db.put(&number.to_le_bytes(), b"another").unwrap();
        }
    }
    db.put_with(b"short", b"gone", &WriteOptions { ttl_ms: 1, ..WriteOptions::default() }).unwrap();
    let versions: Vec<_> =
        (0..500_u64).map(|n| db.version(&n.to_le_bytes()).unwrap().unwrap()).collect();
    let next = db.version(b"short").unwrap();
    // Salvaging may take less than it lives, with what two clocks are rounded by.
    std::thread::sleep(std::time::Duration::from_millis(5));
    db.close().unwrap();
    let report = db::salvage(&from, &to).unwrap();
    assert_eq!(report.counts, [0; 3], "{}", report.render(Form::Text));
    let db = Db::open(&to, &options).unwrap();
    for (number, version) in (0..500_u64).zip(versions) {
        let key = number.to_le_bytes();
        assert_eq!(db.version(&key).unwrap(), Some(version));
        let expires = number % 3 > 0 && number % 5 > 0;
        assert_eq!(db.ttl(&key).unwrap().unwrap().is_some(), expires, "{number}");
    }
    assert_eq!(db.get(b"short", <[u8]>::len).unwrap(), None);
    db.put(b"new", b"value").unwrap();
    assert!(db.version(b"new").unwrap() > next);
    db.compact().unwrap();
    db.close().unwrap();
    assert_eq!(db::verify(&to).unwrap().counts, [0; 3]);
}

/// A record that is made to look like one of the segment's, inside a value.
#[test]
fn images_of_records_inside_values_are_none() {
    let mut builder = Builder::new(seed());
    builder.put("key", 100);
    builder.put("forged", 20);
    let files = builder.files();
    let segment = files.keys().find(|file| parse_segment(file).is_some()).unwrap().clone();
    let image = files[&segment][HEADER_PAGE..HEADER_PAGE + 400].to_vec();
    // The very bytes of records of this file, at each alignment, and then damage in front of them.
    let directory = TempDir::in_memory("salvage-images");
    let (from, to) = (directory.join("db"), directory.join("saved"));
    std::fs::create_dir(&from).unwrap();
    for (file, bytes) in &files {
        std::fs::write(from.join(file), bytes).unwrap();
    }
    let options = damage::options(OnDamage::Fail);
    let db = Db::open(&from, &options).unwrap();
    db.delete(b"forged").unwrap();
    for shift in 0..8 {
        let mut value = vec![7; shift];
        value.extend(image.repeat(20));
        db.put(b"images", &value).unwrap();
        db.put(b"behind", b"whole").unwrap();
    }
    db.close().unwrap();
    let path = from.join(&segment);
    let mut bytes = std::fs::read(&path).unwrap();
    let places = (HEADER_PAGE..bytes.len() - 8).step_by(8);
    let heads: Vec<usize> = places.filter(|&at| bytes[at..].starts_with(b"images")).collect();
    heads.iter().for_each(|&at| bytes[at - 10] ^= 0x40);
    std::fs::write(&path, bytes).unwrap();
    for has_manifest in [true, false] {
        if !has_manifest {
            std::fs::remove_file(from.join(MANIFEST)).unwrap();
        }
        let report = db::salvage(&from, &to).unwrap();
        let db = Db::open(&to, &options).unwrap();
        assert_eq!(db.get(b"behind", <[u8]>::to_vec).unwrap().unwrap(), b"whole");
        assert_eq!(db.get(b"images", <[u8]>::len).unwrap(), None);
        assert_eq!(db.get(b"forged", <[u8]>::len).unwrap(), None, "it was deleted");
        assert_eq!(db.count(), 2, "{}", report.render(Form::Text));
        db.close().unwrap();
        std::fs::remove_dir_all(&to).unwrap();
    }
}

fn names_in(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn it_takes_its_place_whole_or_not_at_all() {
    let directory = TempDir::in_memory("salvage-place");
    let (from, to) = (directory.join("db"), directory.join("saved"));
    let options = damage::options(OnDamage::Fail);
    let db = Db::open(&from, &options).unwrap();
    for number in 0..3000_u64 {
        db.put(&number.to_le_bytes(), &[1; 500]).unwrap();
    }
    assert_eq!(db::salvage(&from, &to).unwrap_err().kind(), Kind::AlreadyOpen);
    db.close().unwrap();
    assert_eq!(db::salvage(&from, &from).unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(db::salvage(&from, &from.join("in")).unwrap_err().kind(), Kind::InvalidArgument);
    let go_on = |_: &kv::db::Problem| ControlFlow::Continue(());
    for last in 1..6 {
        let mut calls = 0;
        let tell = |now: &kv::db::Progress| {
            assert!(now.done_bytes <= now.total_bytes && now.segments_done <= now.segments_total);
            calls += 1;
            if calls == last {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let cancelled = db::salvage_with(&from, &to, tell, go_on);
        assert_eq!(cancelled.unwrap_err().kind(), Kind::Cancelled, "{last}");
        assert_eq!(names_in(&directory.join("")), ["db"]);
    }
    let report = db::salvage(&from, &to).unwrap();
    assert_eq!(report.counts[Severity::Damage as usize], 0);
    assert_eq!(db::salvage(&from, &to).unwrap_err().kind(), Kind::AlreadyExists);
    assert_eq!(names_in(&directory.join("")), ["db", "saved"]);
    assert_eq!(Db::open(&to, &options).unwrap().count(), 3000);
    for nothing in ["empty", "letters"] {
        std::fs::create_dir(directory.join(nothing)).unwrap();
    }
    std::fs::write(directory.join("letters/a"), "letter").unwrap();
    let salvage = |name: &str| db::salvage(&directory.join(name), &directory.join("x"));
    assert_eq!(salvage("empty").unwrap_err().kind(), Kind::DoesNotExist);
    assert_eq!(salvage("letters").unwrap_err().kind(), Kind::NotADatabase);
    assert_eq!(salvage("nowhere").unwrap_err().kind(), Kind::DoesNotExist);
}
