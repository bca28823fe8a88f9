//! What salvaging must bring back from a damaged sample, and a bench that compares it with what it
//! does.
//!
//! It is worked out from the undamaged files: the records that the damage does not touch.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub mod parent;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use kv::db::{self, Db, Form, Report, Subject};
use kv::format::name::parse_segment;
use kv::format::record::{RecordKind, SEAL_LEN};
use kv::format::segment::{SegmentHeader, SegmentKind};
use kv::options::OnDamage;
use kv::segment::scan::{Item, Scan};
use kv::storage::posix::PosixStorage;
use kv::storage::Storage;

use crate::common::TempDir;
use crate::damage::{log, options, read_all, read_files, Bench, Damage, Model, Sample};

/// A record of an undamaged sample.
#[derive(Clone, Debug)]
pub struct Written {
    pub file: String,
    pub place: Range<u64>,
    /// Bytes of it that matter: of a gap, the header.
    matters: u64,
    pub sequence: u64,
    pub kind: RecordKind,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Whether its segment is one of the log.
    is_log: bool,
    /// The number of its batch in the file.
    batch: Option<usize>,
}

/// All records of a sample, in the order of their files and places.
pub fn records_of(sample: &Sample) -> Vec<Written> {
    let directory = TempDir::in_memory("salvage-scan");
    let storage = PosixStorage::open(&directory.join(""), false).unwrap();
    let mut records = Vec::new();
    for file in sample.segments() {
        std::fs::write(directory.join(file), &sample.files[file]).unwrap();
        let (header, _) = SegmentHeader::decode_of_any(&sample.files[file]).unwrap();
        let opened = storage.open(file, false).unwrap();
        let mut scan = Scan::new(opened, header, sample.files[file].len() as u64);
        let (mut batch, mut is_in_batch) = (0, false);
        while let Item::Record(found) = scan.next_item().unwrap() {
            let record = found.record;
            let len = record.header.record_len() as u64;
            let is_gap = record.header.kind == RecordKind::Gap;
            batch += usize::from(record.header.is_in_batch() && !is_in_batch);
            is_in_batch = record.header.is_in_batch() && record.mark().is_none();
            records.push(Written {
                file: file.into(),
                place: found.offset..found.offset + len,
                matters: record.header.checked_len() as u64,
                sequence: found.sequence,
                is_log: header.kind == SegmentKind::Log,
                kind: record.header.kind,
                key: if is_gap { Vec::new() } else { record.key().to_vec() },
                value: if is_gap { Vec::new() } else { record.value().to_vec() },
                batch: record.header.is_in_batch().then_some(batch),
            });
        }
    }
    records
}

/// Whether a damage changes any byte of a range of its file.
fn hurts(sample: &Sample, damage: &Damage, range: Range<u64>) -> bool {
    let Some(after) = &damage.bytes else { return true };
    let before = &sample.files[&damage.file];
    let range = range.start as usize..range.end as usize;
    before.get(range.clone()) != after.get(range)
}

/// What must come back, and which records are lost.
pub fn expected(sample: &Sample, records: &[Written], damage: &Damage) -> (Model, Vec<Written>) {
    let is_hurt = |record: &&Written| {
        let matters = record.place.start..record.place.start + record.matters;
        // A gap reaches as far as it says, if the file does.
        let len = damage.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        record.file == damage.file && (hurts(sample, damage, matters) || record.place.end > len)
    };
    let (lost, whole): (Vec<&Written>, Vec<&Written>) = records.iter().partition(is_hurt);
    // A batch whose end is lost counts if it was on the medium, or if anything behind it is whole.
    let mark = |file: &str| {
        let tail = sample.tails.iter().find(|tail| tail.file == file);
        tail.map(|tail| tail.mark_left_by(damage, sample))
    };
    let may_be_unfinished = |record: &&Written| {
        let Some(batch) = record.batch else { return false };
        let of_batch =
            || records.iter().filter(|r| r.file == record.file && r.batch == Some(batch));
        let begin = of_batch().map(|r| r.place.start).min().unwrap();
        let end = of_batch().map(|r| r.place.end).max().unwrap();
        let has_end = !lost.iter().any(|lost| lost.file == record.file && lost.place.end == end);
        let id = |file: &str| parse_segment(file).unwrap();
        let goes_on = whole.iter().any(|r| {
            let is_behind = r.file == record.file && r.place.start >= end;
            is_behind || r.is_log && id(&r.file) > id(&record.file)
        });
        let seal = log::read(&sample.files[&record.file]);
        let at = (seal.end - SEAL_LEN) as u64..seal.end as u64;
        let seal_is_hurt = record.file == damage.file && hurts(sample, damage, at);
        let is_synced = mark(&record.file).is_none_or(|mark| begin < mark as u64);
        !(has_end || goes_on || is_synced || seal.is_sealed && !seal_is_hurt)
    };
    let mut newest: BTreeMap<&[u8], &Written> = BTreeMap::new();
    let known = parse_segment(&damage.file).map(kv::format::name::hint);
    let has_hint = known.is_some_and(|hint| sample.files.contains_key(&hint));
    let gone = lost.iter().filter(|r| has_hint && r.kind == RecordKind::Tombstone);
    for record in whole.iter().filter(|r| !may_be_unfinished(r)).chain(gone) {
        let slot = newest.entry(&record.key).or_insert(record);
        if record.sequence > slot.sequence {
            *slot = record;
        }
    }
    let puts = newest.into_iter().filter(|(_, record)| record.kind == RecordKind::Put);
    let model = puts.map(|(key, record)| (key.to_vec(), record.value.as_slice().into())).collect();
    (model, lost.into_iter().cloned().collect())
}

fn target(bench: &Bench) -> PathBuf {
    let target = bench.path().with_extension("salvaged");
    if target.exists() {
        std::fs::remove_dir_all(&target).unwrap();
    }
    target
}

/// Salvages what is laid out; the new database is sound.
pub fn salvage(bench: &Bench, context: &str) -> (Report, Model) {
    let (from, to) = (bench.path(), target(bench));
    let before = bench.cases.is_multiple_of(64).then(|| read_files(&from));
    let report = db::salvage(&from, &to).unwrap_or_else(|error| panic!("{context}: {error}"));
    if let Some(before) = before {
        assert!(read_files(&from) == before, "{context}: a file was changed");
    }
    let verified = db::verify(&to).unwrap();
    assert_eq!(verified.counts, [0; 3], "{context}: {}", verified.render(Form::Text));
    let db = Db::open(&to, &options(OnDamage::Fail)).unwrap();
    let found = read_all(&db, &bench.sample.keys).unwrap();
    assert_eq!(db.count() as usize, found.len(), "{context}: there are keys that nobody wrote");
    db.close().unwrap();
    (report, found)
}

/// Damages a sample, salvages it, and looks at what comes back and what is listed.
pub fn judge(bench: &mut Bench, records: &[Written], damage: &Damage) {
    let context = format!("{}, {}", bench.sample.name, damage.what);
    bench.lay_out(&[damage]);
    bench.cases += 1;
    let (report, found) = salvage(bench, &context);
    let text = report.render(Form::Text);
    let (wanted, lost) = expected(bench.sample, records, damage);
    for (key, value) in &wanted {
        let is_there = found.get(key) == Some(value);
        assert!(is_there, "{context}: {} is not there: {text}", key.escape_ascii());
    }
    for key in found.keys() {
        assert!(wanted.contains_key(key), "{context}: {} is there: {text}", key.escape_ascii());
    }
    // Where a log was not synced, zeros do not tell whether there was anything.
    let tails = &bench.sample.tails;
    let is_certain = |r: &&Written| {
        let may_be_torn = tails.iter().any(|tail| {
            let mark = tail.mark_left_by(damage, bench.sample) as u64;
            tail.file == r.file && r.place.end > mark
        });
        r.kind == RecordKind::Put && !may_be_torn
    };
    for record in lost.iter().filter(is_certain) {
        let is_listed = report.problems.iter().any(|problem| {
            let is_all = problem.subject == Subject::Missing;
            let end = if is_all { u64::MAX } else { problem.offset + problem.len.max(1) };
            problem.file == record.file
                && problem.offset < record.place.end
                && record.place.start < end
        });
        assert!(is_listed, "{context}: {record:?} is not listed: {text}");
    }
}
