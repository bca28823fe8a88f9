//! Compaction: live records move to new segments, garbage goes with the old ones.
//!
//! In the background it begins when there is too much garbage, chooses its victims ([`policy`]),
//! and goes no faster than it must ([`rate`]). A caller's compaction takes all segments with
//! garbage. Either works group by group: [`copy`] what must stay of some victims to an [`output`],
//! then put that in their place with one edit of the manifest.
//!
//! A tombstone goes too as soon as no older record of its key can exist: when each segment that
//! stays either begins after it, or holds nothing dead, or was itself compacted after it. Before a
//! segment is dropped the log is on the medium as far as it made records in it garbage; else a
//! power cut could take back the overwriting and keep the loss of what it overwrote.
//!
//! A record that has expired is its key's newest until it goes, and hides older ones, which may
//! last longer: it is treated like a tombstone with its sequence. Where that could go it is left
//! out, and where not, a tombstone takes its place; either way the index forgets it after the
//! commit, if it still points to it. It does not count as dead: the rules for tombstones rest on
//! dead records being older than another of their key. A segment of which all that is not dead has
//! expired, and that ends where its tombstones could go, is not read ([`expired`]): the index is
//! swept instead. After a crash there is
//! - before the commit: what there was, and an output that the manifest does not know;
//! - after it: a tombstone, or nothing at all of the key. Nothing older is left then: all that was
//!   is in segments that went with the same edit, or before;
//! - a checkpoint from before it: entries into segments that are not live any more, which the next
//!   open leaves out. So it is not believed to be of the moment of closing, even if nothing was
//!   written since;
//! - the clock set back: what had gone is gone, and of the rest what had expired at a time that the
//!   files know (`engine/expiry.rs`), of which the commit is one, stays expired.
//!
//! Beside others: a write of the key replaces the entry before the sweep or after it, under the
//! lock of its piece; who prolongs a life writes a new record, so that no record's time changes;
//! pieces that are loaded later are brought before the commit; a reader that has a location is
//! waited for before the segment leaves the table; what a snapshot sees has not expired.

mod background;
pub mod control;
mod copy;
mod expired;
mod output;
pub mod policy;
mod rate;
mod run;
mod tell;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::latency::Operation;
use super::space::Purpose;
use super::stats::{add, record_bytes};
use super::Engine;
use crate::epoch::{self, Guard};
use crate::error::{Kind, Result};
use crate::format::manifest::Edit;
use crate::format::record::SEAL_LEN;
use crate::manifest::State;
use crate::memory;
use crate::segment::active::ActiveSegment;
use crate::segment::Segment;
use crate::wrong_turn::{is_taken, unless, when};
use output::{Move, Output};
pub use run::Progress;
use run::{Mode, Run};
use tell::Begun;

/// Passes over the segments. A second one takes the tombstones that the first had to keep because
/// of segments it came to later; the third is for what writers leave meanwhile.
const PASSES: usize = 3;
/// Records whose places in the index are fetched together, with nothing else between them: so the
/// misses on the way to each overlap.
const AT_ONCE: usize = 64;

/// What compaction remembers; holding its lock is being the one who compacts.
#[derive(Debug, Default)]
pub struct Compaction {
    /// Whether the background compaction has begun and garbage is not low enough again.
    is_running: bool,
    /// Since when.
    begun: Option<Begun>,
    /// Segments that were found damaged, or that the disk could not read, which the background
    /// leaves alone.
    unreadable: BTreeSet<u64>,
}

impl Engine {
    /// Rewrites segments until what was garbage when it was called is gone.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&mut |_| ControlFlow::Continue(()))
    }

    /// The same; `tell` is told now and then how far it is, with no lock held that other calls
    /// need, and can end it.
    pub fn compact_with(&self, tell: &mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Result<()> {
        let cancels = self.control.cancels();
        let turn = self.control.call()?;
        let compacted = {
            let mut compaction = self.compaction.lock();
            self.control.own();
            self.latch.check().and_then(|()| self.control.check(cancels)).and_then(|()| {
                let begun = self.tell_compaction("as it was called for");
                let mut run = Run::new(self, Mode::Caller(cancels, tell));
                let compacted = self.compact_all(&mut compaction, &mut run);
                self.tell_end_of_compaction(&begun, compacted.as_ref().err());
                compacted
            })
        };
        drop(turn);
        if compacted.is_ok() && self.remove_checkpoint_if_small() {
            // That it cannot be had is no failure.
            let mut writer = self.writer.lock();
            writer.pass_hole();
            let _ = writer.active.as_mut().map(ActiveSegment::trim);
        }
        self.compact_bell.ring();
        compacted
    }

    fn compact_all(&self, compaction: &mut Compaction, run: &mut Run) -> Result<()> {
        self.leave_active_segment()?;
        for _ in 0..PASSES {
            let cutoff = self.expiry_cutoff(&self.writer.lock());
            let victims = self.victims(cutoff)?;
            if victims.is_empty() {
                break;
            }
            run.plan(victims.len() as u64, victims.iter().map(|v| record_bytes_of(v)).sum());
            self.note_opened(&mut self.writer.lock()).map_err(|error| self.latch.watch(error))?;
            for group in self.groups(&victims, cutoff)? {
                self.timed(Operation::Compaction, || self.compact_group(compaction, group, run))?;
            }
        }
        add(&self.counters.compactions, 1);
        Ok(())
    }

    /// Ends the active segment if there is garbage in it, and seals all full ones.
    fn leave_active_segment(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        let cutoff = self.expiry_cutoff(&writer);
        let has_garbage =
            writer.active.as_ref().is_some_and(|a| garbage_of(a.segment(), cutoff) > 0);
        if has_garbage {
            self.make_room(&mut writer, 0, Purpose::Compaction)?;
            self.roll(&mut writer, 0).map_err(|error| self.latch.watch(error))?;
        }
        drop(writer);
        self.seal()
    }

    /// All sealed segments.
    fn sealed_segments(&self) -> Result<Vec<Arc<Segment>>> {
        let manifest = self.manifest.lock();
        let mut segments = self.table.all()?;
        segments.retain(|segment| {
            let live = manifest.state().segments.get(&segment.header.id);
            live.is_some_and(|live| live.sealed.is_some())
        });
        Ok(segments)
    }

    /// Sealed segments with garbage, those with the oldest records first. Where there is little
    /// room, those that need least of it.
    fn victims(&self, cutoff: u64) -> Result<Vec<Arc<Segment>>> {
        let mut victims = self.sealed_segments()?;
        victims.retain(|segment| garbage_of(segment, cutoff) > 0);
        let is_short = self.is_short_of_space();
        victims.sort_unstable_by_key(|victim| {
            let live = if is_short { live_of(victim, cutoff) } else { 0 };
            (live, victim.header.base_sequence, victim.header.id)
        });
        Ok(victims)
    }

    /// Divides victims, of which there are some, so that the live records of each group fill about
    /// one segment.
    fn groups<'a>(
        &self,
        victims: &'a [Arc<Segment>],
        cutoff: u64,
    ) -> Result<Vec<&'a [Arc<Segment>]>> {
        let room = self.room_for_output();
        let live = |segment: &Segment| live_of(segment, cutoff);
        let mut groups = Vec::new();
        let (mut start, mut sum) = (0, 0);
        for (at, victim) in victims.iter().enumerate() {
            if at > start && sum + live(victim) > room {
                memory::push(&mut groups, &victims[start..at])?;
                (start, sum) = (at, 0);
            }
            sum += live(victim);
        }
        memory::push(&mut groups, &victims[start..])?;
        Ok(groups)
    }

    /// Puts what must stay of `victims` in their place.
    fn compact_group(
        &self,
        compaction: &mut Compaction,
        victims: &[Arc<Segment>],
        run: &mut Run,
    ) -> Result<()> {
        // A record that is counted as dead may be in the index for a moment. `Output::new` waits
        // until that is over.
        let (cutoff, are_spent) = self.are_spent(victims)?;
        let (began, written) = (Instant::now(), run.written());
        let mut output = Output::new(self, victims, cutoff)?;
        let copied = victims.iter().zip(are_spent).try_for_each(|(victim, is_spent)| {
            if is_spent && self.may_go_unread(victim, output.droppable_below) {
                let unread = is_in_index(victim).then(|| Arc::clone(victim));
                memory::extend(&mut output.unread, unread)?;
                run.skip(record_bytes_of(victim));
                return run.step(0, 0, 0);
            }
            self.copy_live(victim, &mut output, run).inspect_err(|error| {
                if matches!(error.kind(), Kind::Corrupt | Kind::Io) {
                    compaction.unreadable.insert(victim.header.id);
                    self.herald.tell_damage(error);
                }
            })
        });
        let swept = copied.and_then(|()| match output.unread.is_empty() {
            true => Ok(Vec::new()),
            false => self.load_index().and_then(|()| self.places_of(&output.unread)),
        });
        let places = match swept {
            Ok(places) => places,
            Err(error) => {
                // What could not be read is where it was; what could not be written is kept
                // already.
                output.abandon();
                return Err(error);
            }
        };
        if let Err(error) = self.commit(victims, &mut output) {
            output.abandon();
            return Err(self.latch.watch(error));
        }
        let swung = self.swing_all(&output.moves).and_then(|()| self.sweep(&places));
        swung.map_err(|error| self.latch.watch(error))?;
        output.full.iter().for_each(|full| full.segment.set_moving(false));
        let nameless = victims.iter().filter(|victim| self.may_lose_its_name(victim));
        self.table.remove(victims);
        nameless.for_each(|victim| self.remove_segment_files(victim.header.id));
        output.hints().for_each(|(full, digest)| self.write_hint_of(full, digest));
        add(&self.counters.segments_removed, victims.len() as u64);
        run.segments_done(victims.len() as u64);
        self.tell_group(victims, run.written() - written, began.elapsed());
        Ok(())
    }

    /// Keeps a victim open if an iterator may have it still to read. If that cannot be done, the
    /// file stays until the database is opened again.
    fn may_lose_its_name(&self, victim: &Segment) -> bool {
        // An iterator that has taken it down had its snapshot before; and none can any more.
        let is_read = self.versions.snapshots() > 0;
        !is_read || epoch::pin().and_then(|guard| victim.keep_open(&guard)).is_ok()
    }

    /// Whether nothing in `victim` is needed against older records, as far as can be told without
    /// reading: neither tombstones nor records that have expired.
    fn may_go_unread(&self, victim: &Segment, droppable_below: u64) -> bool {
        let hides_none = victim.tombstones() == 0 && !is_in_index(victim);
        let end = self.manifest.lock().state().end_of(victim.header.id);
        let is_spared = is_taken!(UnreadThoughNeeded);
        hides_none || end.is_some_and(|end| end <= droppable_below) || is_spared
    }

    /// Puts the output in the place of the victims, in one step.
    fn commit(&self, victims: &[Arc<Segment>], output: &mut Output) -> Result<()> {
        output.finish_segment()?;
        let mut edits: Vec<Edit> = Vec::new();
        edits.try_reserve_exact(2 * output.full.len() + victims.len() + 1)?;
        if !output.full.is_empty() {
            self.settle(&mut output.full)?;
            unless!(OutputNameNotSynced, self.storage.sync_directory())?;
        }
        unless!(CommitBeforeLogSync, self.sync())?;
        for full in &output.full {
            edits.push(Edit::Add(full.segment.header));
            edits.push(Edit::Seal(super::sync::sealed(full)));
        }
        edits.extend(victims.iter().map(|victim| Edit::Remove { id: victim.header.id }));
        edits.extend(self.time_edit());
        // Before anybody takes down the output instead of the victims.
        let outputs = output.full.iter().map(|full| &full.segment);
        victims.iter().chain(outputs).for_each(|segment| segment.set_moving(true));
        when!(VictimsRemovedFirst, {
            victims.iter().for_each(|victim| self.remove_segment_files(victim.header.id));
        });
        let mut manifest = self.manifest.lock();
        let stay = || victims.iter().for_each(|victim| victim.set_moving(false));
        let frame = manifest.encode(&edits).inspect_err(|_| stay())?;
        let appended = manifest.append_encoded(&frame, &edits);
        drop(manifest);
        appended.inspect_err(|error| {
            stay();
            // Whether the edit is on the medium is unknown, and so is which files must stay.
            if error.kind() != Kind::NoSpace {
                self.latch.close(error);
            }
        })
    }

    fn swing_all(&self, moves: &[Move]) -> Result<()> {
        for group in moves.chunks(AT_ONCE) {
            let guard = epoch::pin()?;
            group.iter().for_each(|moved| self.index.prefetch(&guard, moved.hash));
            for moved in group {
                self.swing(&guard, moved)?;
            }
        }
        Ok(())
    }

    /// Points the index to the copy, unless a newer record has come meanwhile; or to nothing.
    fn swing(&self, guard: &Guard, moved: &Move) -> Result<()> {
        let is_it = |at| Ok(at == moved.from || is_taken!(CopyReplacesNewer));
        let entry = self.index.entry(guard, moved.hash, is_it)?;
        match (entry.location(), moved.to) {
            (Some(_), Some(to)) => entry.set(to),
            (_, None) => entry.remove(),
            (None, Some(to)) => {
                self.table.pinned(guard).of(to)?.add_dead(moved.len as usize, moved.class);
            }
        }
        Ok(())
    }

    /// Tombstones below this sequence are needed by no segment outside `victims`.
    fn droppable_below(&self, victims: &[Arc<Segment>]) -> Result<u64> {
        // With the writer held still, a segment without garbage holds no older record of a deleted
        // key.
        let writer = self.writer.lock();
        let manifest = self.manifest.lock();
        let firsts = writer.unsealed_firsts()?;
        let is_outside = |segment: &Segment| {
            let id = segment.header.id;
            let is_live = manifest.state().segments.contains_key(&id);
            is_live && segment.dead() > 0 && victims.iter().all(|v| v.header.id != id)
        };
        let mut below = writer.next_sequence;
        self.table.look_at_all(|segment| {
            if is_outside(segment) {
                below = below.min(needed_from(manifest.state(), &firsts, segment));
            }
        });
        Ok(below)
    }
}

/// The segment holds no record that a tombstone below this sequence is needed against, unless
/// nothing in it is dead: then it holds none at all.
fn needed_from(state: &State, unsealed_firsts: &[(u64, u64)], segment: &Segment) -> u64 {
    let id = segment.header.id;
    let unsealed = unsealed_firsts.iter().find(|(unsealed, _)| *unsealed == id);
    let first = unsealed.map(|&(_, first)| first).or_else(|| state.first_of(id));
    first.unwrap_or(segment.header.base_sequence).max(segment.header.horizon)
}

/// Bytes in dead records and in those that have expired at `cutoff`, as an estimate.
fn garbage_of(segment: &Segment, cutoff: u64) -> u64 {
    segment.dead().saturating_add(segment.expired(cutoff))
}

/// Bytes in the other records of a sealed segment.
fn live_of(segment: &Segment, cutoff: u64) -> u64 {
    record_bytes_of(segment).saturating_sub(garbage_of(segment, cutoff))
}

/// Whether the index points to records of a sealed segment.
fn is_in_index(segment: &Segment) -> bool {
    segment.dead() < record_bytes_of(segment)
}

/// Bytes of records in a sealed segment.
fn record_bytes_of(segment: &Segment) -> u64 {
    record_bytes(segment.len()).saturating_sub(SEAL_LEN as u64)
}

#[cfg(test)]
mod tests;
