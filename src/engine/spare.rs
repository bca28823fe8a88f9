//! The segment in which the log goes on: prepared while the one before fills, so that whoever comes
//! to the end of a segment has no file to make.
//!
//! A spare segment is in the manifest and holds no record. The log is the order of ids, so it is
//! the one that comes next, and nothing else may: a log would end at an empty segment in its
//! middle. Its base sequence is that of the moment at which it was made, a lower bound.

use super::space::Purpose;
use super::stats::{add, record_bytes};
use super::write::Writer;
use super::Engine;
use crate::error::{Kind, Result};
use crate::format::manifest::Edit;
use crate::format::name;
use crate::format::segment::SegmentKind;
use crate::notice::Level;
use crate::segment::active::{self, ActiveSegment};
use crate::wrong_turn::unless;

impl Engine {
    /// Prepares the next segment of the log if there is none. Its blocks are ready for the first
    /// records, and its pages if `populate`. That it cannot be had is no failure of the database,
    /// unless the disk's state is unknown then.
    pub fn prepare_spare(&self, populate: bool) -> Result<()> {
        let base_sequence = {
            let writer = self.writer.lock();
            if !writer.opened || writer.active.is_none() {
                return Ok(());
            }
            writer.next_sequence
        };
        // Who has no room meanwhile waits here, and finds it done.
        let mut spare = self.spare.lock();
        if spare.is_some() {
            return Ok(());
        }
        self.latch.check()?;
        // A spare one may not take what is kept for deletes and compaction.
        let Ok(allowed) = self.may_allocate(active::missing_of_new(0), Purpose::Ahead) else {
            return Ok(());
        };
        let added = self.add_segment(base_sequence, self.options.segment_size);
        let made = spare.insert(added.map_err(|error| self.latch.watch(error))?);
        if let Ok(Some(step)) = made.prepare_first_step(allowed) {
            if populate {
                step.populate();
            }
        }
        Ok(())
    }

    /// Goes on in a new segment, which has room for a record of `len` bytes.
    pub(super) fn roll(&self, writer: &mut Writer, len: usize) -> Result<()> {
        let capacity = active::capacity_for(self.options.segment_size, len);
        writer.pass_hole();
        if let Some(empty) = writer.active.as_mut().filter(|active| active.is_empty()) {
            // A seal says which sequence comes after the records before it.
            return empty.enlarge(&self.table, capacity);
        }
        let mut spare = self.spare.lock();
        let fresh = match &mut *spare {
            Some(ready) => {
                ready.enlarge(&self.table, capacity)?;
                spare.take()
            }
            None => {
                let made = self.add_segment(writer.next_sequence, capacity)?;
                add(&self.counters.rolls_without_spare, 1);
                let words = format_args!("no segment was ready: a writer has made one itself");
                self.herald.log(Level::Debug, words);
                Some(made)
            }
        };
        add(&self.counters.rolls, 1);
        if let Some(old) = std::mem::replace(&mut writer.active, fresh) {
            add(&self.counters.bytes_in_full, record_bytes(old.len()));
            writer.full.push_back(old.seal(writer.next_sequence));
            self.pacer.fill();
            self.sync_bell.ring();
        }
        Ok(())
    }

    /// Makes the next segment of the log, of `capacity` bytes.
    fn add_segment(&self, base_sequence: u64, capacity: u64) -> Result<ActiveSegment> {
        let header = self.new_header(SegmentKind::Log, base_sequence, 0)?;
        let file = active::create_file(&*self.storage, &header, &self.uuid)?;
        let named = unless!(SegmentNameNotSynced, self.storage.sync_directory());
        let begun = named.and_then(|()| {
            ActiveSegment::begin(&*self.storage, &self.table, file, header, capacity)
        });
        let remove = || drop(self.storage.remove(&name::segment(header.id)));
        let fresh = begun.inspect_err(|_| remove())?;
        // From here on the file is part of the database; before, it is removed at the next open.
        if let Err(error) = self.manifest.lock().append(&[Edit::Add(header)]) {
            self.table.discard(fresh.segment());
            if error.kind() == Kind::NoSpace {
                remove();
            }
            return Err(error);
        }
        Ok(fresh)
    }

    /// Takes the spare segment out of the database, with a manifest edit that is left to the
    /// caller: first the edit, then the file's name.
    pub(super) fn take_spare(&self) -> Option<ActiveSegment> {
        self.spare.lock().take()
    }
}
