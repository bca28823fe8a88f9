//! Durability: putting the log on the medium, in order, and knowing how far it is there.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::Engine;
use crate::error::{Kind, Result};
use crate::format::manifest::{Edit, SealedSegment, Tail};
use crate::segment::active::{self, FullSegment};

/// How many segments the background thread seals before it lets others sync.
const SEALED_AT_ONCE: usize = 8;

/// What the one who syncs needs; holding its lock is being the one who syncs.
#[derive(Default)]
pub struct Syncer {
    /// Marks written, which decides where the next one goes.
    turn: u64,
    /// Where the last mark was written: segment id and offset.
    marked: (u64, u64),
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
        if self.durable.load(Ordering::Acquire) >= sequence {
            return Ok(());
        }
        let mut syncer = self.syncer.lock();
        if self.durable.load(Ordering::Acquire) >= sequence {
            return Ok(());
        }
        self.latch.check()?;
        self.sync_log(&mut syncer).map_err(|error| self.latch.watch(error))
    }

    /// Puts the log on the medium, older segments before younger ones.
    fn sync_log(&self, syncer: &mut Syncer) -> Result<()> {
        // First what is to be synced, then the sync: what comes meanwhile waits for the next one.
        let (full, active, next_sequence) = {
            let writer = self.writer.lock();
            let active = writer.active.as_ref();
            let active = active.map(|a| (Arc::clone(a.segment()), Arc::clone(a.file()), a.len()));
            (writer.full.len(), active, writer.next_sequence)
        };
        let full = self.sync_full_segments(full)?;
        match self.note_sealed(full) {
            // They are on the medium. That the manifest does not know it costs the next open time.
            Err(error) if error.kind() == Kind::NoSpace => {}
            noted => noted?,
        }
        if let Some((segment, file, len)) = active {
            file.sync()?;
            if syncer.marked != (segment.header.id, len) {
                active::write_mark(&*file, segment.header.salt, len, syncer.turn)?;
                syncer.turn += 1;
                syncer.marked = (segment.header.id, len);
            }
        }
        self.durable.fetch_max(next_sequence, Ordering::AcqRel);
        Ok(())
    }

    /// Returns when all segments that were full before the call are sealed.
    pub(super) fn seal(&self) -> Result<()> {
        let _syncer = self.syncer.lock();
        self.latch.check()?;
        let count = self.writer.lock().full.len();
        let sealed = self.sync_full_segments(count).and_then(|full| self.note_sealed(full));
        sealed.map_err(|error| self.latch.watch(error))
    }

    /// Seals some of the segments that the writer has left behind. Answers whether there are more.
    /// Not all at once, so that those who wait for a sync or a compaction get their turn.
    pub(super) fn seal_in_background(&self) -> bool {
        let _syncer = self.syncer.lock();
        if self.latch.check().is_err() {
            return false;
        }
        let synced = self.sync_full_segments(SEALED_AT_ONCE);
        // What the latch does not keep, a full disk for one, is tried again with the next sync.
        let sealed = synced.and_then(|full| self.note_sealed(full));
        let sealed = sealed.map_err(|error| self.latch.watch(error));
        sealed.is_ok() && !self.writer.lock().full.is_empty()
    }

    /// Puts the `count` oldest full segments on the medium and takes them out of the writer's
    /// queue. The caller holds the syncer's lock, so nobody else takes any.
    fn sync_full_segments(&self, count: usize) -> Result<Vec<FullSegment>> {
        let mut full: Vec<FullSegment> = {
            let mut writer = self.writer.lock();
            let count = count.min(writer.full.len());
            writer.full.drain(..count).collect()
        };
        match self.settle(&mut full) {
            Ok(()) => Ok(full),
            Err(error) => {
                self.keep_for_later(full);
                Err(error)
            }
        }
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
    fn note_sealed(&self, full: Vec<FullSegment>) -> Result<()> {
        let edits: Vec<Edit> = full.iter().map(|full| Edit::Seal(sealed(full))).collect();
        if edits.is_empty() {
            return Ok(());
        }
        let ids: Vec<u64> = full.iter().map(|full| full.segment.header.id).collect();
        self.manifest.lock().append(&edits).inspect_err(|_| self.keep_for_later(full))?;
        self.want_hints(ids.into_iter());
        self.compact_bell.ring();
        Ok(())
    }

    /// Puts segments that could not be sealed back in front of the queue.
    fn keep_for_later(&self, full: Vec<FullSegment>) {
        let mut writer = self.writer.lock();
        full.into_iter().rev().for_each(|full| writer.full.push_front(full));
    }

    /// Puts everything on the medium and notes that the database was closed. The engine is not used
    /// after it.
    pub fn shut_down(&self) -> Result<()> {
        if !self.writer.lock().opened {
            return Ok(());
        }
        self.latch.check()?;
        let next = {
            let mut syncer = self.syncer.lock();
            self.sync_log(&mut syncer).map_err(|error| self.latch.watch(error))?;
            self.writer.lock().next_sequence
        };
        // A sync lets pass that the manifest has no room for a seal. `Closed` must not: it says
        // that nothing but the tail is unsealed.
        self.seal()?;
        let tail = match self.writer.lock().active.take() {
            Some(active) => {
                let (id, len) = (active.segment().header.id, active.len());
                active.file().truncate(len)?;
                active.file().sync()?;
                Tail { id, len, next_sequence: next }
            }
            None => Tail { id: 0, len: 0, next_sequence: next },
        };
        self.manifest.lock().append(&[Edit::Closed(tail)])
    }
}

/// What the manifest keeps of a full segment.
pub(super) fn sealed(full: &FullSegment) -> SealedSegment {
    SealedSegment {
        id: full.segment.header.id,
        len: full.len,
        records: full.seal.records,
        next_sequence: full.seal.next_sequence,
    }
}
