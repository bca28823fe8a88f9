//! Records, seals, segments and hints that an image gets besides: as the library writes them.

use kv::format::encode::{Extra, Prepared};
use kv::format::hint::Digest;
use kv::format::manifest::SealedSegment;
use kv::format::name;
use kv::format::record::{Class, Mark, RecordKind, Seal};
use kv::format::segment::{SegmentHeader, SegmentKind};
use kv::format::Expiring;
use kv::index::hash::KeyHasher;

use super::super::golden::Files;
use super::super::input::Input;
use super::super::model::manifest::{self, Manifest};
use super::super::model::{self, Contents, Who};
use super::{append_frame, number, some_segment, KEYS, MAX_LEN};

/// A segment gets a record more, or a batch, behind the last one that it has; a seal that stood
/// there is gone.
pub fn add_record(files: &mut Files, input: &mut Input) {
    let Some((_, bytes, who, contents)) = some_segment(files, input) else { return };
    let mut end = match contents.end {
        model::End::Seal => contents.end_at - 32,
        _ => contents.end_at,
    };
    let mut delta = contents.next_sequence.wrapping_sub(who.base_sequence);
    let count = if input.u8().is_multiple_of(4) { 1 + u32::from(input.u8() % 4) } else { 1 };
    let mut sums = Vec::new();
    for at in 1..=count {
        let how = input.u8();
        let key = KEYS[usize::from(how % 8)];
        let (kind, len) = match how >> 3 & 7 {
            0 => (RecordKind::Tombstone, 0),
            1 => (RecordKind::Gap, usize::from(input.u16())),
            2 => (RecordKind::Put, usize::from(input.u16() % 4096)),
            _ => (RecordKind::Put, usize::from(input.u8() % 16)),
        };
        if how & 0x80 != 0 {
            delta = delta.wrapping_add(number(input));
        }
        let expires = how & 0x40 != 0 && kind == RecordKind::Put;
        let mark = Mark { count, sum: crc32fast::hash(&sums) };
        let extra = Extra {
            expiry: expires.then(|| number(input)),
            is_in_batch: count > 1,
            mark: (count > 1 && at == count).then_some(mark),
        };
        let value = vec![delta as u8; len];
        let prepared = match kind {
            RecordKind::Gap => Prepared::gap(len),
            _ => Prepared::with(kind, key, &value, &extra),
        };
        if end + prepared.len > MAX_LEN {
            return;
        }
        bytes.resize(bytes.len().max(end + prepared.len), 0);
        let mut record = prepared.place(who.salt, end as u64, delta as u32).to_vec();
        record.extend_from_slice(&prepared.head);
        record.extend_from_slice(prepared.fields());
        if kind != RecordKind::Gap {
            record.extend_from_slice(key);
            record.extend_from_slice(&value);
        }
        record.resize(prepared.len, 0);
        bytes[end..end + prepared.len].copy_from_slice(&record);
        sums.extend_from_slice(&prepared.crc.to_le_bytes());
        end += prepared.len;
        delta = delta.wrapping_add(1);
    }
}

/// A segment ends with a seal, and the manifest knows it, if the input says so.
pub fn seal(files: &mut Files, input: &mut Input) {
    let Some((id, bytes, who, contents)) = some_segment(files, input) else { return };
    let how = input.u8();
    if contents.end == model::End::Seal {
        bytes.truncate(contents.end_at);
    } else {
        let (records, next_sequence) = (contents.counted as u64, contents.next_sequence);
        let seal = Seal { records, next_sequence };
        bytes.truncate(contents.counted_to);
        bytes.extend_from_slice(&seal.encode(who.salt, contents.counted_to as u64));
    }
    if how & 1 != 0 {
        let len = bytes.len() as u64;
        let expiring = expiring_of(&contents);
        let fields = [
            id,
            len,
            contents.counted as u64,
            contents.next_sequence,
            expiring.bytes,
            expiring.first,
            expiring.last,
        ];
        let mut edit = vec![if expiring.bytes == 0 { 2 } else { 8 }];
        let count = if expiring.bytes == 0 { 4 } else { 7 };
        fields[..count].iter().for_each(|field| edit.extend_from_slice(&field.to_le_bytes()));
        append_frame(files, &edit);
    }
}

fn expiring_of(contents: &Contents) -> Expiring {
    let mut expiring = Expiring::default();
    for (record, _) in &contents.met[..contents.counted] {
        record.expiry.into_iter().for_each(|expiry| expiring.add(record.head.len, expiry));
    }
    expiring
}

/// A new segment, with or without an edit that adds it.
pub fn begin_segment(files: &mut Files, input: &mut Input) {
    let how = input.u8();
    let manifest = files.get(name::MANIFEST).and_then(|bytes| manifest::read(bytes).ok());
    let (uuid, next_id, next_sequence) = match &manifest {
        Some(manifest) => (manifest.uuid, manifest.next_id, manifest.next_sequence),
        None => ([7; 16], 1, 1),
    };
    let kind = if how & 1 != 0 { SegmentKind::Compacted } else { SegmentKind::Log };
    let id = if how & 2 != 0 { u64::from(input.u8() % 16) } else { next_id };
    let base_sequence = if how & 4 != 0 { number(input) } else { next_sequence };
    let header = SegmentHeader { id, salt: u32::from(how) * 77, kind, base_sequence, horizon: 0 };
    files.insert(name::segment(id), header.encode(&uuid));
    if how & 8 == 0 {
        let salt_and_kind = u64::from(header.salt) | u64::from(kind.number()) << 32;
        let mut edit = vec![1];
        for field in [id, salt_and_kind, base_sequence, header.horizon] {
            edit.extend_from_slice(&field.to_le_bytes());
        }
        append_frame(files, &edit);
    }
}

/// A segment that the manifest knows as sealed gets a hint that is true.
pub fn write_hint(files: &mut Files, input: &mut Input) {
    let Some(manifest) = files.get(name::MANIFEST).and_then(|bytes| manifest::read(bytes).ok())
    else {
        return;
    };
    let Some((id, _, who, contents)) = some_segment(files, input) else { return };
    let Some([len, records, next_sequence, ..]) =
        manifest.segments.get(&id).and_then(|live| live.sealed)
    else {
        return;
    };
    let hint = hint_of(&manifest, id, &who, &contents, (len, records, next_sequence));
    hint.and_then(|hint| files.insert(name::hint(id), hint));
}

fn hint_of(
    manifest: &Manifest,
    id: u64,
    who: &Who,
    contents: &Contents,
    (len, records, next_sequence): (u64, u64, u64),
) -> Option<Vec<u8>> {
    let kind = SegmentKind::from_number(who.kind)?;
    let hasher = KeyHasher::new(manifest.hash_seed);
    let mut digest = Digest::new(kind);
    for (record, sequence) in &contents.met[..contents.counted] {
        let class = match (record.head.kind, record.expiry) {
            (model::TOMBSTONE, _) => Class::Tombstone,
            (model::GAP, _) => Class::Gap,
            (_, Some(_)) => Class::ExpiringPut,
            (_, None) => Class::Put,
        };
        let hash = if class == Class::Gap { 0 } else { hasher.hash(&record.key) };
        digest.push(hash, record.head.len, *sequence, class).expect("there is memory");
    }
    let base_sequence = who.base_sequence;
    let header = SegmentHeader { id, salt: who.salt, kind, base_sequence, horizon: 0 };
    let expiring = Expiring::default();
    let sealed = SealedSegment { id, len, records, next_sequence, expiring };
    Some(digest.encode(&manifest.uuid, &header, &sealed))
}
