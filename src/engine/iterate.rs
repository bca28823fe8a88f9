//! Iterators: every record that a snapshot sees, once, in the order in which they lie on disk.
//!
//! An iterator first takes down the segments that there are (with the manifest held still: an edit
//! puts compaction's output in the place of its victims, so that each record is in one of them),
//! then what is kept for its snapshot ([`super::versions`]). That comes first. Then it walks
//! through the segments. A record below the snapshot's sequence that was not kept by then belongs
//! to the snapshot if the index points to it, or if it has been replaced since and is kept. Where
//! nothing was dead when the segment was taken down, all records belong to it, and the index need
//! not be asked.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::read::Kept;
use super::snapshot::Snapshot;
use super::Engine;
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::record::Record;
use crate::format::segment::SegmentKind;
use crate::index::Location;
use crate::memory;
use crate::options::OnDamage;
use crate::segment::walk::{Ending, Step, Walk};
use crate::segment::Segment;

/// Records that are looked at together, so that misses in the index overlap (it is asked for all of
/// them, and nothing else in between), and that are in the cache still when they are handed out.
const AT_ONCE: usize = 64;
/// Bytes of them.
const BYTES_AT_ONCE: u64 = 64 << 10;

/// A walk over the records that a snapshot sees. Whoever opens one closes it.
pub struct Iter {
    snapshot: Snapshot,
    prefix: Box<[u8]>,
    /// What was kept when it began, the last one first, and the sequences of all that was.
    kept: Vec<Kept>,
    seen: HashSet<u64, BuildHasherDefault<Spread>>,
    /// What is yet to be walked through, the last one first.
    parts: Vec<Part>,
    /// What is being walked through, and whether nothing in it is dead.
    walk: Option<(Walk, bool)>,
    /// Records of the walk that are to be handed out.
    ready: Vec<Place>,
    next_ready: usize,
    /// Records of which the index is being asked.
    pending: Vec<Pending>,
    /// What went wrong behind those.
    failure: Option<Error>,
    current: Current,
    scratch: Vec<u8>,
}

/// A segment that is to be walked through.
struct Part {
    segment: Arc<Segment>,
    end: u64,
    ending: Ending,
    is_clean: bool,
}

/// Where the key begins and how long key and value are.
#[derive(Clone, Copy)]
struct Place {
    start: u64,
    key_len: usize,
    value_len: usize,
}

/// The record that was handed out last.
enum Current {
    None,
    Walked(Place),
    Kept(Kept, Place),
}

/// A record of which the index is to be asked.
struct Pending {
    place: Place,
    hash: u64,
    sequence: u64,
    offset: u64,
}

/// A hash function for sequences.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

impl Place {
    fn of(record: &Record, offset: u64) -> Place {
        let header = &record.header;
        let start = offset + header.key_at() as u64;
        Place { start, key_len: header.key_len, value_len: header.value_len }
    }

    fn len(&self) -> usize {
        self.key_len + self.value_len
    }
}

impl Iter {
    /// The snapshot, by which the iterator is closed as well.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The key and the value of the record that the iterator is at, if it is at one.
    #[inline]
    pub fn current(&self) -> Option<(&[u8], &[u8])> {
        let (bytes, place) = match &self.current {
            Current::None => return None,
            Current::Walked(place) => {
                (self.walk.as_ref()?.0.bytes(place.start, place.len())?, place)
            }
            Current::Kept(kept, place) => match kept.map() {
                Ok(Some(map)) => (map.bytes(place.start as usize, place.len())?, place),
                _ => {
                    let at = (place.start - kept.offset) as usize;
                    (self.scratch.get(at..at + place.len())?, place)
                }
            },
        };
        Some(bytes.split_at(place.key_len))
    }

    /// Whether a record is one that the iterator is for.
    #[inline]
    fn wants(&self, record: &Record) -> bool {
        // To compare with no bytes takes processors longer than all the rest, if they are nowhere.
        let begins = || self.prefix.is_empty() || record.key().starts_with(&self.prefix);
        self.snapshot.sees(record) && begins()
    }
}

impl Engine {
    /// An iterator over all records whose keys begin with `prefix`, as a snapshot sees them, or
    /// without one as they are now.
    pub fn open_iter(&self, snapshot: Option<&Snapshot>, prefix: &[u8]) -> Result<Iter> {
        let snapshot = match snapshot {
            Some(snapshot) => self.reopen_snapshot(snapshot)?,
            None => self.open_snapshot()?,
        };
        let mut iter = Iter {
            snapshot,
            prefix: prefix.into(),
            kept: Vec::new(),
            seen: HashSet::default(),
            parts: Vec::new(),
            walk: None,
            ready: Vec::new(),
            next_ready: 0,
            pending: Vec::new(),
            failure: None,
            current: Current::None,
            scratch: Vec::new(),
        };
        let taken = self.take_down(&mut iter.parts).and_then(|()| self.take_kept(&mut iter));
        if let Err(error) = taken {
            self.close_iter(iter);
            return Err(error);
        }
        Ok(iter)
    }

    /// Closes an iterator of this database.
    pub fn close_iter(&self, iter: Iter) {
        self.close_snapshot(iter.snapshot);
    }

    /// Goes to the next record. Answers whether there is one; see [`Iter::current`]. After a
    /// failure it can be called again: it goes on behind what is damaged, as far as that can be
    /// told, and tries again what could not be read for another reason.
    #[inline]
    pub fn advance(&self, iter: &mut Iter) -> Result<bool> {
        loop {
            if let Some(place) = iter.ready.get(iter.next_ready) {
                iter.next_ready += 1;
                iter.current = Current::Walked(*place);
                return Ok(true);
            }
            iter.current = Current::None;
            if let Some(error) = iter.failure.take() {
                return Err(error);
            }
            if !iter.kept.is_empty() {
                if self.next_kept(iter)? {
                    return Ok(true);
                }
            } else if !self.refill(iter)? {
                return Ok(false);
            }
        }
    }

    /// All segments as they are now, in the order of their ids, the last one first.
    fn take_down(&self, parts: &mut Vec<Part>) -> Result<()> {
        // With damage passed over, it is not known what is dead, nor where the log ended.
        let is_known = self.options.on_damage == OnDamage::Fail || self.latch.check().is_ok();
        let manifest = self.manifest.lock();
        for segment in self.table.all()? {
            let Some(live) = manifest.state().segments.get(&segment.header.id) else { continue };
            let end = segment.len();
            // In this order: when it does not move any more, all that is dead is counted.
            let is_clean = is_known && !segment.is_moving() && segment.dead() == 0;
            let ending = match live.sealed {
                Some(_) => Ending::Seal,
                None if is_known => Ending::There,
                None => Ending::Zeros,
            };
            memory::push(parts, Part { end, ending, is_clean, segment })?;
        }
        drop(manifest);
        parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.segment.header.id));
        Ok(())
    }

    /// What is kept for the iterator's snapshot by now.
    fn take_kept(&self, iter: &mut Iter) -> Result<()> {
        let mut kept = self.versions.seen_by(iter.snapshot.sequence)?;
        kept.sort_unstable_by_key(|(_, kept)| {
            std::cmp::Reverse((kept.hold.segment().header.id, kept.offset))
        });
        iter.kept.try_reserve_exact(kept.len())?;
        iter.seen.try_reserve(kept.len())?;
        for (sequence, kept) in kept {
            // A damaged one may say that it has the sequence of another, and is to be told of.
            if iter.seen.insert(sequence) || kept.is_damaged(self, &mut iter.scratch)? {
                iter.kept.push(kept);
            }
        }
        Ok(())
    }

    /// Goes to the next of what was kept. Answers whether it is one that the iterator is for.
    fn next_kept(&self, iter: &mut Iter) -> Result<bool> {
        let Some(kept) = iter.kept.last().cloned() else { return Ok(false) };
        let mut scratch = std::mem::take(&mut iter.scratch);
        let read = kept.record(self, &mut scratch);
        let place = read.map(|record| iter.wants(&record).then(|| Place::of(&record, kept.offset)));
        if place.as_ref().err().is_none_or(|error| error.kind() == Kind::Corrupt) {
            iter.kept.pop();
        }
        iter.scratch = scratch;
        if let Some(place) = place? {
            iter.current = Current::Kept(kept, place);
            return Ok(true);
        }
        Ok(false)
    }

    /// Walks on until there is something to hand out, or to tell. Answers `false` at the end.
    fn refill(&self, iter: &mut Iter) -> Result<bool> {
        iter.ready.clear();
        iter.next_ready = 0;
        let (mut walk, is_clean) = match iter.walk.take() {
            Some(walk) => walk,
            None => match self.next_part(iter)? {
                Some(walk) => walk,
                None => return Ok(false),
            },
        };
        let walked = self.walk_on(iter, &mut walk, is_clean);
        // What is ready lies in the walk.
        if !matches!(walked, Ok(false)) || !iter.ready.is_empty() {
            iter.walk = Some((walk, is_clean));
        }
        iter.failure = iter.failure.take().or(walked.err());
        Ok(true)
    }

    /// Begins to walk through the next segment, if there is one.
    fn next_part(&self, iter: &mut Iter) -> Result<Option<(Walk, bool)>> {
        let Some(part) = iter.parts.last() else { return Ok(None) };
        let hold = part.segment.hold(&epoch::pin()?);
        let walk = hold.map(|hold| {
            let walk = Walk::new(hold, part.end, part.ending, self.options.verify_checksums);
            Some((walk, part.is_clean))
        });
        if walk.as_ref().err().is_none_or(|error| error.kind() == Kind::Corrupt) {
            iter.parts.pop();
        }
        walk
    }

    /// Walks through some records and finds out which belong to the snapshot. Answers `false` at
    /// the end of the segment.
    fn walk_on(&self, iter: &mut Iter, walk: &mut Walk, is_clean: bool) -> Result<bool> {
        let guard = epoch::pin()?;
        let hold = walk.hold().clone();
        let (segment, from) = (hold.segment(), walk.offset());
        let mut goes_on = true;
        iter.pending.clear();
        while iter.ready.len() + iter.pending.len() < AT_ONCE
            && walk.offset() < from + BYTES_AT_ONCE
        {
            let (record, offset) = match walk.step(walk.offset() == from)? {
                Step::Record(record, offset) => (record, offset),
                Step::Outside => break,
                Step::End => {
                    goes_on = false;
                    break;
                }
                Step::Damage(what) => {
                    iter.failure = Some(pass_damage(walk, what).unwrap_or_else(|error| error));
                    break;
                }
            };
            let sequence = segment.sequence(&record);
            if sequence >= iter.snapshot.sequence {
                if segment.header.kind == SegmentKind::Log {
                    // All that follows is younger still.
                    walk.stop();
                }
                continue;
            }
            if !iter.wants(&record) || !iter.seen.is_empty() && iter.seen.contains(&sequence) {
                continue;
            }
            let place = Place::of(&record, offset);
            if is_clean {
                iter.ready.push(place);
                continue;
            }
            let hash = self.hasher.hash(record.key());
            iter.pending.push(Pending { place, hash, sequence, offset });
        }
        iter.pending.iter().for_each(|pending| self.index.prefetch(&guard, pending.hash));
        for pending in &iter.pending {
            let key = walk.bytes(pending.place.start, pending.place.key_len).unwrap_or_default();
            match self.belongs(&guard, iter.snapshot.sequence, segment, pending, key) {
                Ok(true) => iter.ready.push(pending.place),
                Ok(false) => {}
                Err(error) => iter.failure = Some(error),
            }
        }
        Ok(goes_on)
    }

    /// Whether a record below the snapshot's sequence, which was not kept when the iterator began,
    /// belongs to the snapshot.
    fn belongs(
        &self,
        guard: &Guard,
        snapshot: u64,
        segment: &Segment,
        pending: &Pending,
        key: &[u8],
    ) -> Result<bool> {
        let Pending { hash, sequence, offset, .. } = *pending;
        let here = segment.location(offset);
        let was_moving = segment.is_moving();
        let is_here = |location: Location| Ok((location == here).then_some(()));
        let mut is_newest = self.index.find(guard, hash, is_here)?.is_some();
        // While records move, the index may point to another copy; and when the segment is gone, to
        // another segment in its place.
        if was_moving || segment.is_moving() {
            is_newest = self.is_newest(guard, hash, sequence, key)?;
        }
        // Only now: what is replaced is kept before the index forgets it.
        Ok(is_newest || self.versions.has(hash, sequence, snapshot))
    }

    /// Whether the newest record of `key` is the one with this sequence, wherever it is.
    #[cold]
    fn is_newest(&self, guard: &Guard, hash: u64, sequence: u64, key: &[u8]) -> Result<bool> {
        let (segments, mut scratch) = (self.table.pinned(guard), Vec::new());
        let found = self.index.find(guard, hash, |location| {
            let segment = segments.of(location)?;
            let offset = segment.offset(location);
            let record = segment.record(guard, offset, &mut scratch)?;
            let is_it = segment.is_of(key, &record, offset)?;
            Ok(is_it.then(|| segment.sequence(&record)))
        })?;
        Ok(found == Some(sequence))
    }
}

/// Reports damage that the last step of `walk` met, and goes on behind it.
#[cold]
fn pass_damage(walk: &mut Walk, what: &str) -> Result<Error> {
    let offset = walk.offset();
    let goes_on = walk.pass_damage()?;
    let what = match goes_on {
        true => what.to_owned(),
        false => format!("{what}; what lies behind it in this segment is left out"),
    };
    Ok(walk.hold().segment().damaged(offset, &what))
}
