//! Verifying files whose checksums are right and whose contents are not: what only a bug, or
//! somebody who means harm, can have written.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
mod damage;

use common::{seed, TempDir};
use damage::{Builder, Files, Sample};
use kv::db::{self, Form, Subject};
use kv::format::checkpoint::{decode_entries, decode_len, encode_entries, Checkpoint, FIXED_LEN};
use kv::format::hint::{Digest, Entry};
use kv::format::manifest::{
    decode_frame, decode_header, encode_frame, Edit, Frame, SealedSegment, HEADER_LEN,
};
use kv::format::name::{self, MANIFEST};
use kv::format::segment::SegmentHeader;
use kv::index::PIECES;

/// Closed, with sealed segments, a hint and a checkpoint.
fn closed() -> Sample {
    let mut builder = Builder::new(seed());
    builder.write_some();
    builder.put_for_a_day("a day", 13);
    builder.compact();
    builder.put("key 1", 300);
    builder.batch(&[("key 2", Some(30)), ("b", Some(0)), ("key 1", None)]);
    builder.checkpoint();
    builder.put("the last", 100);
    builder.closed("closed")
}

/// The manifest of some files.
fn manifest_of(files: &Files) -> ([u8; 16], Vec<Edit>) {
    let bytes = &files[MANIFEST];
    let uuid = decode_header(bytes).unwrap().0.uuid;
    let (mut edits, mut at) = (Vec::new(), HEADER_LEN as u64);
    while let Frame::Edits(more, next) = decode_frame(bytes, &uuid, at).unwrap() {
        edits.extend(more);
        at = next;
    }
    (uuid, edits)
}

fn with_manifest(files: &Files, edits: &[Edit], uuid: &[u8; 16]) -> Files {
    let mut files = files.clone();
    let bytes = files.get_mut(MANIFEST).unwrap();
    bytes.truncate(HEADER_LEN);
    bytes.extend(encode_frame(edits, uuid, HEADER_LEN as u64).unwrap());
    files
}

/// Verifies files whose checksums are right and whose contents are not.
fn must_find(files: &Files, subject: Subject, context: &str) {
    let directory = TempDir::in_memory("verify-lies");
    for (name, bytes) in files {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
    let report = db::verify(&directory.join("")).unwrap();
    let text = report.render(Form::Text);
    let is_found = report.problems.iter().any(|problem| problem.subject == subject);
    assert!(is_found, "{context}: {text}");
    assert!(subject == Subject::Garbage || report.has_damage(), "{context}: {text}");
}

#[test]
fn a_manifest_that_lies_is_found() {
    let sample = closed();
    let (uuid, edits) = manifest_of(&sample.files);
    let must = |subject, context: &str, change: &dyn Fn(&mut Edit)| {
        let mut changed = edits.clone();
        changed.iter_mut().for_each(change);
        assert!(changed != edits, "{context}");
        must_find(&with_manifest(&sample.files, &changed, &uuid), subject, context);
    };
    let sealed = |change: &'static dyn Fn(&mut SealedSegment)| {
        move |edit: &mut Edit| {
            if let Edit::Seal(sealed) = edit {
                change(sealed);
            }
        }
    };
    must(Subject::Seal, "records", &sealed(&|sealed| sealed.records += 1));
    must(Subject::Length, "length", &sealed(&|sealed| sealed.len += 8));
    must(Subject::Expiry, "expiry", &sealed(&|sealed| sealed.expiring.add(24, 7)));
    must(Subject::Manifest, "length", &sealed(&|sealed| sealed.len = 17));
    let header = |change: &'static dyn Fn(&mut SegmentHeader)| {
        move |edit: &mut Edit| {
            if let Edit::Add(header) = edit {
                change(header);
            }
        }
    };
    must(Subject::Header, "salt", &header(&|header| header.salt ^= 1));
    must(Subject::Manifest, "id", &header(&|header| header.id = 0));
    must(Subject::Sequence, "closed", &|edit| {
        if let Edit::Closed(tail) = edit {
            tail.next_sequence += 1;
        }
    });
}

#[test]
fn a_hint_that_lies_is_found() {
    let sample = closed();
    let (uuid, edits) = manifest_of(&sample.files);
    let header = |id| {
        let of = |edit: &Edit| match edit {
            Edit::Add(header) if header.id == id => Some(*header),
            _ => None,
        };
        edits.iter().find_map(of)
    };
    let is_live = |id| edits.iter().all(|edit| *edit != Edit::Remove { id });
    let mut seals = edits.iter().filter_map(|edit| match edit {
        Edit::Seal(sealed) if is_live(sealed.id) => Some(*sealed),
        _ => None,
    });
    let sealed = seals.next_back().unwrap();
    let header = header(sealed.id).unwrap();
    let file = name::hint(sealed.id);
    let decoded = Digest::decode(sample.files[&file].clone(), &uuid, &header, &sealed).unwrap();
    let entries: Vec<Entry> = decoded.entries().collect();
    assert!(entries.len() > 3);
    let encode = |entries: &[Entry]| {
        let mut digest = Digest::new(header.kind);
        for e in entries {
            digest.push(e.hash, e.len as usize, e.sequence, e.class).unwrap();
        }
        digest.encode(&uuid, &header, &sealed)
    };
    assert!(encode(&entries) == sample.files[&file]);
    let mut files = sample.files.clone();
    let mut lie = |changed: Vec<Entry>, context: &str| {
        files.insert(file.clone(), encode(&changed));
        must_find(&files, Subject::Hint, context);
    };
    let mut changed = entries.clone();
    changed[1].hash ^= 1;
    lie(changed, "a hash");
    let mut changed = entries.clone();
    (changed[0].len, changed[1].len) = (changed[0].len + 8, changed[1].len - 8);
    lie(changed, "lengths");
    let mut changed = entries;
    changed[2].class = kv::format::record::Class::Tombstone;
    lie(changed, "a class");
}

#[test]
fn a_checkpoint_that_lies_is_found() {
    let sample = closed();
    let (uuid, _) = manifest_of(&sample.files);
    let file = sample.files[name::INDEX].clone();
    let len = file.len() as u64;
    let fixed = file.first_chunk::<FIXED_LEN>().unwrap();
    let header_len = decode_len(fixed, &uuid, PIECES as u32, len).unwrap();
    let checkpoint = Checkpoint::decode(&file[..header_len], len).unwrap().unwrap();
    let lie = |subject, context: &str, change: &dyn Fn(&mut Checkpoint, &mut [u64])| {
        let (mut checkpoint, mut bytes) = (checkpoint.clone(), file.clone());
        let at = checkpoint.pieces.iter().position(|piece| piece.used > 0).unwrap();
        let place = checkpoint.pieces[at].offset as usize;
        let place = place..place + checkpoint.pieces[at].len();
        let entries = decode_entries(&bytes[place.clone()], &checkpoint.pieces[at]);
        let mut entries = entries.unwrap().unwrap();
        change(&mut checkpoint, &mut entries);
        let (encoded, checksum) = encode_entries(&entries).unwrap();
        bytes[place].copy_from_slice(&encoded);
        checkpoint.pieces[at].checksum = checksum;
        checkpoint.pieces[at].used = entries.iter().filter(|&&entry| entry != 0).count() as u32;
        bytes[..header_len].copy_from_slice(&checkpoint.encode(&uuid).unwrap());
        let mut files = sample.files.clone();
        files.insert(name::INDEX.into(), bytes);
        must_find(&files, subject, context);
    };
    let used = |entries: &mut [u64]| entries.iter().position(|&entry| entry != 0).unwrap();
    let about = Subject::Checkpoint;
    lie(about, "an entry is missing", &|_, entries| entries[used(entries)] = 0);
    lie(about, "another location", &|_, entries| entries[used(entries)] += 1);
    lie(about, "another tag", &|_, entries| entries[used(entries)] ^= 1 << 45);
    lie(about, "twice", &|_, entries| {
        let (at, free) = (used(entries), entries.iter().position(|&entry| entry == 0).unwrap());
        entries[free] = entries[at];
    });
    lie(Subject::Garbage, "dead bytes", &|checkpoint, _| checkpoint.segments[0].dead += 8);
    lie(Subject::Garbage, "tombstones", &|checkpoint, _| checkpoint.segments[0].tombstones += 8);
    lie(Subject::Garbage, "expiry", &|checkpoint, _| checkpoint.segments[0].expiring.last += 1);
}
