//! Durability: putting the log on the medium, in order, and knowing how far it is there.

use std::collections::LinkedList;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use super::group::Turn;
use super::herald::ns;
use super::latency::Operation;
use super::Engine;
use crate::error::Result;
use crate::format::manifest::{Edit, SealedSegment, Tail};
use crate::format::name;
use crate::memory;
use crate::notice::{Event, Figures, Level};
use crate::segment::full::{write_mark, FullSegment};
use crate::wrong_turn::{is_taken, twice, unless, when};

/// What the one who puts the log on the medium needs; holding its lock is being that one.
#[derive(Default)]
pub struct Syncer {
    /// Marks written, which decides where the next one goes.
    turn: u64,
    /// Notes of the time written, which decides where the next one goes.
    pub(super) time_turn: u64,
    /// Where the last mark was written: segment id and offset.
    marked: (u64, u64),
    /// Full segments that are on the medium, while the manifest does not know that they are sealed.
    /// Putting them back here takes no memory.
    synced: LinkedList<FullSegment>,
}

impl Engine {
    /// Returns when everything written before the call is on the medium.
    pub fn sync(&self) -> Result<()> {
        let next = self.writer.lock().next_sequence;
        self.sync_to(next)
    }

    /// Returns when all records below `sequence` are on the medium. Those who come while another
    /// syncs wait, and find in most cases that it has been done for them.
    pub(super) fn sync_to(&self, sequence: u64) -> Result<()> {
        let is_durable = || self.durable() >= sequence;
        if is_durable() {
            return Ok(());
        }
        match self.group.join(sequence, is_durable) {
            Turn::Over(result) => result,
            Turn::Lead(leader) => {
                let synced = self.latch.check().and_then(|()| {
                    leader.gather();
                    let mut syncer = self.syncer.lock();
                    let sync = || self.sync_log(&mut syncer, |end| leader.covers(end));
                    let synced = self.timed(Operation::LogSync, sync);
                    synced.map_err(|error| self.latch.watch(error))
                });
                leader.finish(synced)
            }
        }
    }

    /// Everything below this sequence is on the medium.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Puts the log on the medium, older segments before younger ones. Tells `covers` how far,
    /// before it begins.
    fn sync_log(&self, syncer: &mut Syncer, covers: impl FnOnce(u64)) -> Result<()> {
        // First what is to be synced, then the sync: what comes meanwhile waits for the next one.
        let (full, active, next_sequence) = {
            let writer = self.writer.lock();
            let active = writer.active.as_ref();
            let active = active.map(|a| (Arc::clone(a.segment()), Arc::clone(a.file()), a.len()));
            (writer.full.len(), active, writer.next_sequence)
        };
        covers(next_sequence);
        unless!(LaterSegmentSyncedFirst, self.sync_full_segments(syncer, full))?;
        if let Some((segment, file, len)) = active {
            self.keep_time(syncer, &segment, &*file)?;
            when!(MarkBeforeSync, write_mark(&*file, segment.header.salt, len, syncer.turn)?);
            unless!(AcknowledgedBeforeSync, twice!(SyncTriedAgain, file.sync()))?;
            if syncer.marked != (segment.header.id, len) {
                write_mark(&*file, segment.header.salt, len, syncer.turn)?;
                syncer.turn += 1;
                syncer.marked = (segment.header.id, len);
            }
        }
        when!(LaterSegmentSyncedFirst, self.sync_full_segments(syncer, full)?);
        let covers_later = is_taken!(SyncCoversLaterWrites);
        let next_sequence =
            if covers_later { self.writer.lock().next_sequence } else { next_sequence };
        self.durable.fetch_max(next_sequence, Ordering::AcqRel);
        Ok(())
    }

    /// Returns when all segments that were full before the call are sealed.
    pub(super) fn seal(&self) -> Result<()> {
        let count = self.writer.lock().full.len();
        self.seal_some(count)
    }

    /// Seals one of the segments that the writer has left behind. Answers whether there are more.
    /// Only one, so that those who wait for a sync or a compaction get their turn.
    pub fn seal_in_background(&self) -> bool {
        // What the latch does not keep, a full disk for one, is tried again with the next segment.
        self.seal_some(1).is_ok() && !self.writer.lock().full.is_empty()
    }

    /// Puts the `count` oldest full segments on the medium, and notes all that are there in the
    /// manifest.
    fn seal_some(&self, count: usize) -> Result<()> {
        let _one_at_a_time = self.sealing.lock();
        let sealed = self.latch.check().and_then(|()| {
            let synced = {
                let mut syncer = self.syncer.lock();
                self.sync_full_segments(&mut syncer, count)?;
                std::mem::take(&mut syncer.synced)
            };
            // Without the syncer's lock: nobody waits for the medium because of the manifest.
            self.note_sealed(synced)
        });
        sealed.map_err(|error| self.latch.watch(error))
    }

    /// Puts the `count` oldest full segments on the medium.
    fn sync_full_segments(&self, syncer: &mut Syncer, count: usize) -> Result<()> {
        for _ in 0..count {
            let Some(mut full) = self.writer.lock().full.pop_front() else { break };
            let settle = || self.settle(std::slice::from_mut(&mut full));
            if let Err(error) = self.timed(Operation::Seal, settle) {
                self.writer.lock().full.push_front(full);
                return Err(error);
            }
            syncer.synced.push_back(full);
            self.pacer.settle();
        }
        Ok(())
    }

    /// Puts full segments on the medium, and reads them from now on as sealed ones.
    pub(super) fn settle(&self, full: &mut [FullSegment]) -> Result<()> {
        full.iter_mut().try_for_each(|full| {
            full.settle(&self.opener)?;
            self.table.replace(&full.segment);
            full.sync()
        })
    }

    /// Notes in the manifest that these segments, which are on the medium, are sealed.
    fn note_sealed(&self, mut synced: LinkedList<FullSegment>) -> Result<()> {
        if synced.is_empty() {
            return Ok(());
        }
        self.append_seals(&synced).inspect_err(|_| {
            let mut syncer = self.syncer.lock();
            // Those that came meanwhile are younger.
            synced.append(&mut syncer.synced);
            syncer.synced = std::mem::take(&mut synced);
        })?;
        for full in &synced {
            let (segment, bytes) = (full.segment.header.id, full.len);
            let figures = Figures { segment, bytes, ..Figures::default() };
            let words = format_args!("{}: sealed, {bytes} bytes", name::segment(segment));
            self.herald.tell(Level::Debug, Event::Sealed, figures, words);
        }
        self.want_hints(synced.iter().map(|full| full.segment.header.id));
        self.compact_bell.ring();
        Ok(())
    }

    fn append_seals(&self, synced: &LinkedList<FullSegment>) -> Result<()> {
        let mut edits = memory::collect(synced.iter().map(|full| Edit::Seal(sealed(full))))?;
        memory::extend(&mut edits, self.time_edit())?;
        // By itself: the manifest is free again before the syncer is locked, which comes first.
        self.manifest.lock().append(&edits)
    }

    /// Puts everything on the medium and notes that the database was closed. The engine is not used
    /// after it.
    pub fn shut_down(&self) -> Result<()> {
        let began = Instant::now();
        let result = self.close_log();
        self.withdraw();
        let (path, took) = (self.storage.path(), began.elapsed());
        let figures = Figures { duration_ns: ns(took), ..Figures::default() };
        match &result {
            Ok(()) => {
                let words = format_args!("{path}: closed in {took:.1?}");
                self.herald.tell(Level::Info, Event::Closed, figures, words);
            }
            Err(error) => {
                let words = format_args!("{path}: closed, but not tidily: {error}");
                self.herald.tell(Level::Error, Event::Closed, figures, words);
            }
        }
        result
    }

    fn close_log(&self) -> Result<()> {
        if !self.writer.lock().opened {
            return self.keep_time_of_reading();
        }
        // Whoever fills it may go on: the file is not cut off in front of it, and the log does not
        // go on there when it is opened again, whether writes are refused or not.
        self.writer.lock().pass_hole();
        self.latch.check()?;
        let next = {
            let mut syncer = self.syncer.lock();
            let synced = self.sync_log(&mut syncer, |_| ());
            synced.map_err(|error| self.latch.watch(error))?;
            self.writer.lock().next_sequence
        };
        // `Closed` says that nothing but the tail is unsealed.
        self.seal()?;
        self.checkpoint_at_close();
        self.latch.check()?;
        let tail = match self.writer.lock().active.take() {
            Some(active) => {
                let (id, len) = (active.segment().header.id, active.len());
                active.file().truncate(len)?;
                unless!(ClosedBeforeSync, active.file().sync())?;
                Tail { id, len, next_sequence: next }
            }
            None => Tail { id: 0, len: 0, next_sequence: next },
        };
        // A closed database has no segment but the tail that is not sealed.
        let spare = self.take_spare().map(|spare| spare.segment().header.id);
        let mut edits: Vec<Edit> = spare.iter().map(|&id| Edit::Remove { id }).collect();
        edits.extend(self.time_edit());
        edits.push(Edit::Closed(tail));
        if let Some(id) = spare.filter(|_| is_taken!(SpareNameRemovedFirst)) {
            self.storage.remove(&name::segment(id))?;
        }
        self.manifest.lock().append(&edits)?;
        if let Some(id) = spare {
            // The manifest does not know it any more: if this fails, the next open removes it.
            let _ = self.storage.remove(&name::segment(id));
        }
        Ok(())
    }
}

impl Engine {
    /// Notes how far the clock has been while the database was only read, if anything has expired
    /// meanwhile.
    fn keep_time_of_reading(&self) -> Result<()> {
        match self.time_edit() {
            Some(edit) if self.latch.check().is_ok() && self.has_expired_unnoted() => {
                self.manifest.lock().append(&[edit])
            }
            _ => Ok(()),
        }
    }
}

/// What the manifest keeps of a full segment.
pub(super) fn sealed(full: &FullSegment) -> SealedSegment {
    SealedSegment {
        id: full.segment.header.id,
        len: full.len,
        records: full.seal.records,
        next_sequence: full.seal.next_sequence,
        expiring: full.segment.expiring(),
    }
}
