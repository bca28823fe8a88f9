//! The records of all segments against one another, and the checkpoint of the index against them.
//!
//! This is what an open believes without looking: that each sequence is there once, that what
//! compaction wrote was its key's newest, and that the checkpoint leads to the newest record of
//! each key and to no other. Keys are taken a share of their hashes at a time, so that memory is
//! bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::problem::{Findings, Problem, Severity, Subject};
use super::walk::{ClassNumber, SegmentFile, Version};
use crate::error::{Error, Kind, Result};
use crate::format::checkpoint::{Checkpoint, KnownPiece, KnownSegment};
use crate::format::name;
use crate::format::segment::SegmentKind;
use crate::format::Expiring;
use crate::index::{number_of, LOCATION_BITS, PIECES};
use crate::segment::table::PAGE_UNITS;
use crate::storage::File;

/// Buckets in which an entry may be.
const BUCKETS_OF_ENTRY: u64 = 16;
const ENTRIES_OF_BUCKET: u64 = 8;

/// What is known of a segment that was walked through.
pub struct Seen {
    pub source: SegmentFile,
    /// Sequences from the first record on, up to here.
    pub sequences: std::ops::Range<u64>,
    pub expiring: Expiring,
    /// What the checkpoint says of it.
    pub known: Option<KnownSegment>,
    /// Bytes of dead records, at least and at most what the checkpoint may say.
    pub dead: [Dead; 2],
}

/// Bytes in dead records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dead {
    pub all: u64,
    pub tombstones: u64,
    pub expiring: u64,
}

/// The checkpoint, and its file.
pub struct Known {
    pub file: Arc<dyn File>,
    pub checkpoint: Checkpoint,
    /// Whether an open may believe it.
    pub is_current: bool,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    pub keys: u64,
    pub entries: u64,
}

impl Dead {
    fn add(&mut self, version: &Version) {
        self.all += version.len;
        match version.class {
            ClassNumber::Tombstone => self.tombstones += version.len,
            ClassNumber::ExpiringPut => self.expiring += version.len,
            ClassNumber::Put | ClassNumber::Gap => {}
        }
    }
}

/// A share of the hashes.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub number: usize,
    pub of: usize,
}

impl Share {
    /// Whether it has a hash: whole pieces of the index, so that one is compared at once.
    pub fn has(&self, hash: u64) -> bool {
        number_of(hash) * self.of / PIECES == self.number
    }

    fn pieces(&self) -> impl Iterator<Item = usize> {
        let Share { number, of } = *self;
        (0..PIECES).filter(move |piece| piece * of / PIECES == number)
    }
}

/// Adds a version to others, unless there is no memory.
pub fn push(versions: &mut Vec<Version>, version: Version) -> Result<()> {
    if versions.len() == versions.capacity() {
        let more = versions.len().max(1 << 10);
        versions.try_reserve(more).map_err(|_| {
            Error::new(Kind::OutOfMemory, "there is no memory for comparing the records")
        })?;
    }
    versions.push(version);
    Ok(())
}

/// Compares the versions of a share with one another and with the checkpoint.
pub struct Comparison<'a, 'f> {
    pub segments: &'a mut [Seen],
    pub known: Option<&'a Known>,
    pub findings: &'a mut Findings<'f>,
    pub compared: &'a mut Compared,
}

/// A record to which an entry of the checkpoint may lead.
struct Target {
    hash: u64,
    /// Whether one must.
    is_newest: bool,
    is_seen: bool,
}

impl Comparison<'_, '_> {
    /// Takes the versions of all keys of a share.
    pub fn compare(&mut self, versions: &mut [Version], share: Share) -> Result<()> {
        let by_key = |v: &Version| (v.class == ClassNumber::Gap, v.hash, v.other);
        versions.sort_unstable_by(|a, b| {
            by_key(a).cmp(&by_key(b)).then_with(|| b.sequence.cmp(&a.sequence))
        });
        let keys = versions.partition_point(|version| version.class != ClassNumber::Gap);
        let (versions, gaps) = versions.split_at(keys);
        for gap in gaps {
            self.count_dead(gap, true, true);
        }
        let mut rest = versions;
        for number in share.pieces() {
            let end = rest.partition_point(|version| number_of(version.hash) <= number);
            let piece;
            (piece, rest) = rest.split_at(end);
            self.piece(number, piece)?;
        }
        Ok(())
    }

    /// Compares the versions of all keys of one piece.
    fn piece(&mut self, number: usize, versions: &[Version]) -> Result<()> {
        let known = self.known.filter(|known| known.is_current);
        let piece = known.map(|known| &known.checkpoint.pieces[number]);
        let below = piece.map_or(0, |piece| piece.sequence);
        let mut targets = HashMap::new();
        for key in versions.chunk_by(|a, b| (a.hash, a.other) == (b.hash, b.other)) {
            self.key(key)?;
            let newest_then = key.iter().find(|version| version.sequence < below);
            let Some(then) = newest_then.filter(|version| is_put(version)) else { continue };
            if self.segments[then.segment as usize].known.is_some() {
                let is_newest = then.sequence == key[0].sequence;
                let target = Target { hash: then.hash, is_newest, is_seen: false };
                targets.try_reserve(1)?;
                targets.insert((then.segment, then.offset), target);
            }
        }
        match (known, piece) {
            (Some(known), Some(piece)) => self.entries(known, piece, &mut targets),
            _ => Ok(()),
        }
    }

    /// Looks at all versions of a key, the newest first.
    fn key(&mut self, versions: &[Version]) -> Result<()> {
        self.compared.keys += u64::from(is_put(&versions[0]));
        let end = self.known.map_or(0, |known| known.checkpoint.sequence_end);
        let newest_then = versions.iter().position(|version| version.sequence < end);
        for (at, version) in versions.iter().enumerate() {
            let dead = !is_put(version);
            self.count_dead(version, dead || Some(at) != newest_then, dead || at > 0);
            let Some(newer) = at.checked_sub(1).map(|before| &versions[before]) else { continue };
            let segment = &self.segments[version.segment as usize];
            let header = &segment.source.header;
            let what = if newer.sequence == version.sequence {
                "a record with this key and sequence is in another place, too"
            } else if header.kind == SegmentKind::Compacted
                && is_put(version)
                && newer.sequence < header.horizon
            {
                "compaction has kept a record that had been replaced"
            } else {
                continue;
            };
            let place = (version.offset, version.len);
            let name = &segment.source.name;
            let (severity, subject) = (Severity::Damage, Subject::Sequence);
            self.findings.add(Problem::new(severity, subject, name, place, what))?;
        }
        for version in versions {
            self.in_one_place(version)?;
        }
        Ok(())
    }

    /// A record that compaction has copied must not be where it came from any more.
    fn in_one_place(&mut self, version: &Version) -> Result<()> {
        let own = &self.segments[version.segment as usize];
        if own.source.header.kind == SegmentKind::Log {
            return Ok(());
        }
        let is_in = |other: &&Seen| {
            other.source.header.kind == SegmentKind::Log
                && other.sequences.contains(&version.sequence)
        };
        let Some(other) = self.segments.iter().find(is_in) else { return Ok(()) };
        let what = format!("the sequence {} is in {}, too", version.sequence, other.source.name);
        let place = (version.offset, version.len);
        let name = &own.source.name;
        self.findings.add(Problem::new(Severity::Damage, Subject::Sequence, name, place, what))
    }

    /// Counts a version that is dead as far as the checkpoint must know, or may know.
    fn count_dead(&mut self, version: &Version, must: bool, may: bool) {
        let end = self.known.map_or(0, |known| known.checkpoint.sequence_end);
        let segment = &mut self.segments[version.segment as usize];
        if segment.known.is_some() && version.sequence < end {
            if must {
                segment.dead[0].add(version);
            }
            if may {
                segment.dead[1].add(version);
            }
        }
    }

    /// Compares the entries of a piece with the records to which they may lead.
    fn entries(
        &mut self,
        known: &Known,
        piece: &KnownPiece,
        targets: &mut HashMap<(u32, u64), Target>,
    ) -> Result<()> {
        let Some(entries) = super::checkpoint::read_entries(&*known.file, piece)? else {
            return Ok(()); // It was told when the file was looked at.
        };
        let places = self.places();
        for (slot, &entry) in entries.iter().enumerate().filter(|(_, &entry)| entry != 0) {
            self.compared.entries += 1;
            let location = entry & ((1 << LOCATION_BITS) - 1);
            let Some(place) = place_of(&places, known, location) else { continue };
            let what = match targets.get_mut(&place) {
                None => "an entry does not lead to its key's newest record",
                Some(target) if target.is_seen => "two entries lead to one record",
                Some(target) if !is_at_home(piece, &entries, slot, target.hash) => {
                    "an entry is not where its key is looked for"
                }
                Some(target) => {
                    target.is_seen = true;
                    continue;
                }
            };
            self.wrong(piece.offset + slot as u64 * 8, 8, what)?;
        }
        let missing = targets.values().filter(|target| target.is_newest && !target.is_seen).count();
        if missing > 0 {
            let what = format!("the entries of {missing} keys are missing");
            self.wrong(piece.offset, piece.len() as u64, &what)?;
        }
        Ok(())
    }

    fn wrong(&mut self, at: u64, len: u64, what: &str) -> Result<()> {
        let (severity, subject) = (Severity::Damage, Subject::Checkpoint);
        self.findings.add(Problem::new(severity, subject, name::INDEX, (at, len), what))
    }

    /// The places of the segments by their first pages.
    fn places(&self) -> BTreeMap<u32, u32> {
        let known = self.segments.iter().enumerate();
        // One by one, which takes memory in small pieces.
        let mut places = BTreeMap::new();
        places.extend(known.filter_map(|(at, seen)| Some((seen.known?.first_page, at as u32))));
        places
    }

    /// Compares what the checkpoint says of segments with what was found in all shares.
    pub fn segments(&mut self) -> Result<()> {
        if !self.known.is_some_and(|known| known.is_current) {
            return Ok(());
        }
        let mut wrong = Vec::new();
        for seen in &*self.segments {
            let Some(known) = seen.known else { continue };
            // For all that can be wrong with one.
            wrong.try_reserve(4)?;
            let said = Dead {
                all: known.dead,
                tombstones: known.tombstones,
                expiring: known.dead_expiring,
            };
            let name = &seen.source.name;
            let [least, most] = seen.dead;
            let mut compare = |of: &str, said: u64, least: u64, most: u64| {
                if said < least || said > most {
                    let what = format!(
                        "{name} has {least} to {most} bytes in dead {of}, and {said} are counted"
                    );
                    // Garbage that nobody knows of could be taken for none.
                    let is_bad = least > 0 && said == 0;
                    wrong.push((if is_bad { Severity::Damage } else { Severity::Warning }, what));
                }
            };
            compare("records", said.all, least.all, most.all);
            compare("tombstones", said.tombstones, least.tombstones, most.tombstones);
            compare("values that expire", said.expiring, least.expiring, most.expiring);
            let (told, found) = (known.expiring, seen.expiring);
            let is_part = told.bytes == 0
                || told.bytes <= found.bytes
                    && told.first >= found.first
                    && told.last <= found.last;
            if !is_part || told.bytes == found.bytes && told != found {
                let what = format!("what it says of values that expire is not so of {name}");
                wrong.push((Severity::Warning, what));
            }
        }
        for (severity, what) in wrong {
            let problem = Problem::new(severity, Subject::Garbage, name::INDEX, (0, 0), what);
            self.findings.add(problem)?;
        }
        Ok(())
    }
}

fn is_put(version: &Version) -> bool {
    matches!(version.class, ClassNumber::Put | ClassNumber::ExpiringPut)
}

/// The segment that a location means, and the offset in it; nothing if compaction has removed it.
fn place_of(places: &BTreeMap<u32, u32>, known: &Known, location: u64) -> Option<(u32, u64)> {
    let page = (location / PAGE_UNITS) as u32;
    let segments = &known.checkpoint.segments;
    let behind = segments.partition_point(|segment| segment.first_page <= page);
    let segment = behind.checked_sub(1).map(|at| &segments[at])?;
    let at = *places.get(&segment.first_page)?;
    let offset = (location - u64::from(segment.first_page) * PAGE_UNITS) * 8;
    (page < segment.first_page + segment.pages).then_some((at, offset))
}

/// Whether the entry in `slot` is where a reader looks for a key with this hash.
fn is_at_home(piece: &KnownPiece, entries: &[u64], slot: usize, hash: u64) -> bool {
    let buckets = u64::from(piece.buckets);
    let fraction = match piece.precision {
        0 => 0,
        precision => (hash << PIECES.ilog2()) >> (64 - precision),
    };
    let home = ((u128::from(fraction) * u128::from(buckets)) >> piece.precision) as u64;
    let distance = (slot as u64 / ENTRIES_OF_BUCKET + buckets - home) % buckets;
    let tag = fraction & ((1 << (64 - LOCATION_BITS)) - 1);
    // Readers go on to the next bucket where one is full.
    let is_full = |bucket: u64| {
        let at = (bucket % buckets * ENTRIES_OF_BUCKET) as usize;
        entries[at..at + ENTRIES_OF_BUCKET as usize].iter().all(|&entry| entry != 0)
    };
    distance < BUCKETS_OF_ENTRY
        && entries[slot] >> LOCATION_BITS == tag
        && (home..home + distance).all(is_full)
}
