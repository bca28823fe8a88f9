//! What a database in an image must hold, if anything is sure.

use std::collections::{BTreeMap, BTreeSet};

use kv::format::{name, MAX_NUMBER_AT_OPEN};

use super::golden::Files;
use super::model::manifest::{self, Manifest};
use super::model::{self, u32_at, u64_at, Contents, End, Who, Whole, MAX_NUMBER};

/// What may be answered.
pub struct Expected {
    /// All values that whole records of a key have, in any file.
    pub possible: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// The same and more: where salvage finds the salt of a damaged header in the rest of the file,
    /// or in the manifest.
    pub salvageable: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// What each key must be, if no file but the log and the manifest has a say: `None` if there
    /// must be none. Keys that are not sure are in `unsure`.
    pub sure: Option<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    pub unsure: BTreeSet<Vec<u8>>,
    /// Whether there are segments with ids that the manifest has never given out: to salvage it is
    /// an older one then.
    pub may_have_lost: bool,
}

/// The newest record of a key.
struct Newest {
    sequence: u64,
    value: Option<Vec<u8>>,
    expiry: Option<u64>,
    /// There are two with this sequence.
    is_tied: bool,
}

/// Reads an image; `now_ms` is what the clock will say.
pub fn of(files: &Files, now_ms: u64) -> Expected {
    let mut possible = BTreeMap::new();
    let mut salvageable = BTreeMap::new();
    let stored = files.get(name::MANIFEST).and_then(|bytes| manifest::read(bytes).ok());
    let next_id = stored.as_ref().map_or(0, |stored| stored.next_id);
    let mut may_have_lost = false;
    for (name, bytes) in files {
        let Some(id) = name::parse_segment(name) else { continue };
        may_have_lost |= id >= next_id;
        if bytes.len() < model::FIRST_RECORD {
            continue;
        }
        let salt = u32_at(bytes, 40);
        add_values(&mut possible, bytes, salt);
        let live = stored.as_ref().and_then(|stored| stored.segments.get(&id));
        let others = agreed_salts(bytes).into_iter().chain(live.map(|live| live.salt));
        for salt in others.chain([salt]) {
            add_values(&mut salvageable, bytes, salt);
        }
    }
    let (sure, unsure) = (None, BTreeSet::new());
    let mut expected = Expected { possible, salvageable, sure, unsure, may_have_lost };
    if !has_others(files) {
        if let Some((newest, known_ms)) = stored.and_then(|stored| newest_of(files, &stored)) {
            let mut sure = BTreeMap::new();
            for (key, record) in newest {
                let is_gone = record.expiry.is_some_and(|expiry| expiry <= now_ms);
                // What the files know of the clock may be later than it.
                let may_be_gone = record.expiry.is_some_and(|expiry| expiry <= known_ms);
                if record.is_tied || (may_be_gone && !is_gone) {
                    expected.unsure.insert(key);
                } else {
                    sure.insert(key, record.value.filter(|_| !is_gone));
                }
            }
            expected.sure = Some(sure);
        }
    }
    expected
}

/// Whether there is a hint or a checkpoint: whoever wrote it knew how to make it verify, and can
/// say what is not so.
pub fn has_others(files: &Files) -> bool {
    files.keys().any(|name| name::parse_hint(name).is_some()) || files.contains_key(name::INDEX)
}

/// Adds the values of all records that verify, at any place: a damaged index may point to it.
fn add_values(to: &mut BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>, bytes: &[u8], salt: u32) {
    for at in (model::FIRST_RECORD..bytes.len()).step_by(8) {
        let found = model::record(&bytes[at..], salt, at as u64);
        if let Some(record) = found.filter(|record| record.head.kind == model::PUT) {
            to.entry(record.key).or_default().insert(record.value);
        }
    }
}

/// The salts with which two things in a segment verify: records, sync marks, notes of the time.
fn agreed_salts(bytes: &[u8]) -> BTreeSet<u32> {
    let records = (model::FIRST_RECORD..bytes.len()).step_by(8);
    let mut salts: Vec<u32> =
        records.filter_map(|at| model::salt_of_record(&bytes[at..], at as u64)).collect();
    let marks = [1024, 1536, 2048, 3072];
    salts.extend(marks.map(|at| crc32fast::hash(&bytes[at..at + 8]) ^ u32_at(bytes, at + 8)));
    salts.sort_unstable();
    salts.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

/// Of ids and sequences. A few more, and it could be opened, written to, and not opened again.
const MOST_USED: u64 = MAX_NUMBER_AT_OPEN - (1 << 32);

/// The newest record of each key in an image that opens, and how far its files know the clock.
fn newest_of(files: &Files, manifest: &Manifest) -> Option<(BTreeMap<Vec<u8>, Newest>, u64)> {
    let mut newest: BTreeMap<Vec<u8>, Newest> = BTreeMap::new();
    let mut known_ms = manifest.time_ms;
    let mut log_goes_on = true;
    let mut first = None;
    let mut all = Vec::new();
    for (&id, live) in &manifest.segments {
        let bytes = files.get(&name::segment(id))?;
        if live.sealed.is_none() && !log_goes_on {
            continue;
        }
        let who = Who {
            salt: live.salt,
            kind: live.kind,
            base_sequence: live.base_sequence,
            first: first.filter(|_| live.sealed.is_none()),
        };
        let contents = model::segment(bytes, &who);
        known_ms = known_ms.max(notes_of(bytes, live.salt));
        let counted = &contents.met[..contents.counted];
        if live.sealed.is_some_and(|sealed| sealed[3..] != expiring_of(counted)) {
            return None;
        }
        let horizon = if live.kind == model::COMPACTED { live.horizon } else { 0 };
        all.extend(counted.iter().map(|(record, sequence)| (record.clone(), *sequence, horizon)));
        add_all(&mut newest, &contents);
        if live.sealed.is_none() {
            log_goes_on = contents.end == End::Seal;
            first = Some(contents.next_sequence);
        }
    }
    let ends = all.iter().map(|(_, sequence, _)| sequence + 1).max().unwrap_or(0);
    let used = manifest.next_id.max(manifest.next_sequence).max(ends);
    (used < MOST_USED && keeps_its_word(&all)).then_some((newest, known_ms))
}

/// Bytes of the records that expire, when the first does, and the last: as a manifest has them.
fn expiring_of(counted: &[(Whole, u64)]) -> [u64; 3] {
    let times = || counted.iter().filter_map(|(record, _)| record.expiry);
    let expiring = counted.iter().filter(|(record, _)| record.expiry.is_some());
    let bytes = expiring.map(|(record, _)| record.head.len as u64).sum();
    [bytes, times().min().unwrap_or(0), times().max().unwrap_or(0)]
}

/// Whether nobody lies about sequences: no two records have the same, and puts that compaction has
/// written were their keys' newest below the horizon.
fn keeps_its_word(all: &[(Whole, u64, u64)]) -> bool {
    let sequences: BTreeSet<u64> = all.iter().map(|(_, sequence, _)| *sequence).collect();
    let is_newest = |(record, sequence, horizon): &(Whole, u64, u64)| {
        let hides = |(other, later, _): &(Whole, u64, u64)| {
            other.head.kind != model::GAP
                && other.key == record.key
                && (sequence + 1..*horizon).contains(later)
        };
        record.head.kind != model::PUT || (sequence < horizon && !all.iter().any(hides))
    };
    let compacted = || all.iter().filter(|(_, _, horizon)| *horizon > 0);
    sequences.len() == all.len() && compacted().all(is_newest)
}

/// The later of the two notes of the time.
fn notes_of(bytes: &[u8], salt: u32) -> u64 {
    let note = |at: usize| {
        let note = bytes.get(at..at + 12)?;
        let is_whole = crc32fast::hash(&note[..8]) ^ salt == u32_at(note, 8);
        is_whole.then(|| u64_at(note, 0)).filter(|&note| note < MAX_NUMBER)
    };
    note(1024).max(note(1536)).unwrap_or(0)
}

fn add_all(newest: &mut BTreeMap<Vec<u8>, Newest>, contents: &Contents) {
    for (record, sequence) in &contents.met[..contents.counted] {
        if record.head.kind == model::GAP {
            continue;
        }
        let new = Newest {
            sequence: *sequence,
            value: (record.head.kind == model::PUT).then(|| record.value.clone()),
            expiry: record.expiry,
            is_tied: false,
        };
        match newest.get_mut(&record.key) {
            Some(old) if old.sequence == new.sequence => old.is_tied = true,
            Some(old) if old.sequence > new.sequence => {}
            _ => drop(newest.insert(record.key.clone(), new)),
        }
    }
}
