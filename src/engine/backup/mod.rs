//! Backups: another database that holds what this one held at one moment, made while it is used.
//!
//! The moment is chosen when the files begin to be brought. A sealed segment does not change, so a
//! backup gives its file a second name; of what is not sealed it copies as much as was written at
//! that moment. Compaction goes on meanwhile: what it drops stays until the backup has it
//! ([`held`]). The directory takes its place when all is on the medium ([`place`]).

pub mod held;
pub(in crate::engine) mod place;
pub mod restore;
mod transfer;
mod verify;

use std::ffi::OsStr;

use super::write::Writer;
use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::format::manifest::{SealedSegment, Tail};
use crate::format::name;
use crate::format::segment::{SegmentHeader, HEADER_PAGE};
use crate::format::Identity;
use crate::manifest::{LiveSegment, Manifest, State};
use crate::memory;
use crate::segment::full::write_mark;
use crate::storage::{Parent, Storage};
use crate::wrong_turn::{is_taken, unless};
use held::Hold;
use place::{Place, Present};
pub use transfer::Tell;
use transfer::{open_sealed, open_segment, path_of, sealed_bytes, Transfer};
use verify::verify;

/// How often a moment is chosen anew, because the log has gone on in a new segment meanwhile.
const MOST_TRIES: usize = 1000;

/// What the database held at the moment that was chosen.
struct Moment<'a> {
    identity: Identity,
    state: State,
    /// The segments that are not sealed and not empty, with their lengths then; oldest first.
    unsealed: Vec<(SegmentHeader, u64)>,
    next_sequence: u64,
    hold: Hold<'a>,
}

impl Engine {
    /// Makes the directory `name` a backup, in the place of the older one that is there, if one is.
    /// `tell` is told how far it is, with no lock held, and can end it.
    pub fn backup(&self, parent: &dyn Parent, name: &OsStr, tell: Tell) -> Result<()> {
        self.latch.check()?;
        let place = Place::new(parent, name);
        place.must_be_apart_from(&*self.storage)?;
        let present = place.older_backup(&self.uuid)?;
        let fresh = place.begin()?;
        let check = || match self.control.is_stopping() {
            true => Err(Error::new(Kind::Cancelled, "the database is being closed")),
            false => Ok(()),
        };
        let mut transfer = Transfer::new(&*fresh.storage, &check, tell);
        match self.fill(&mut transfer, present.as_ref()) {
            Ok(()) => fresh.take_place(present),
            Err(error) => {
                fresh.abandon();
                Err(error)
            }
        }
    }

    /// Brings what the database holds into the target, and puts it on the medium.
    fn fill(&self, transfer: &mut Transfer, present: Option<&Present>) -> Result<()> {
        // What is sealed need not be copied. If that cannot be had, it is copied.
        let _ = self.seal();
        self.latch.check()?;
        // Before the moment is chosen: a checkpoint must not know more than the log.
        transfer.link_if_there(&*self.storage, name::INDEX);
        let Moment { identity, mut state, unsealed, next_sequence, mut hold } = self.choose()?;
        state.segments.retain(|id, live| {
            live.sealed.is_some() || unsealed.iter().any(|(header, _)| header.id == *id)
        });
        let in_tail: u64 = unsealed.iter().map(|(_, len)| len).sum();
        let bytes = sealed_bytes(state.segments.values()) + in_tail;
        transfer.plan(state.segments.len() as u64, bytes)?;
        for (&id, live) in &state.segments {
            if let Some(sealed) = &live.sealed {
                self.bring(transfer, live, sealed, present)?;
                hold.let_go(id);
            }
        }
        let mut tail = Tail { id: 0, len: 0, next_sequence };
        let mut expected = None;
        for (header, len) in unsealed {
            let reached = self.copy_unsealed(transfer, &header, len, &mut expected)?;
            match state.segments.get_mut(&header.id) {
                Some(live) if reached.is_some() => live.sealed = reached,
                _ if tail.id == 0 => tail = Tail { id: header.id, len, next_sequence },
                _ => return Err(wrong_end()),
            }
            hold.let_go(header.id);
        }
        if expected.is_some_and(|expected| expected != next_sequence) {
            return Err(wrong_end());
        }
        state.next_sequence = next_sequence;
        state.closed = Some(tail);
        // Its last step puts all names on the medium.
        Manifest::write_anew(transfer.target, identity, state).map(|_| ())
    }

    /// Chooses the moment: everything that was acknowledged before is in it, and nothing without
    /// what came before it.
    fn choose(&self) -> Result<Moment<'_>> {
        for _ in 0..MOST_TRIES {
            let (identity, state, hold) = {
                let manifest = self.manifest.lock();
                let state = manifest.state().clone();
                // While the manifest is locked: what it has is not dropped.
                let hold = Hold::new(self, state.segments.keys().copied());
                (*manifest.identity(), state, hold)
            };
            let unsealed = state.segments.values().filter(|live| live.sealed.is_none());
            let unsealed = memory::collect(unsealed.map(|live| live.header))?;
            // The manifest may have gone on since, but not far: the log is longer or in another
            // segment, and segments are compacted that are held.
            let writer = self.writer.lock();
            let next_sequence = writer.next_sequence;
            if let Some(unsealed) = self.lengths(&unsealed, &writer) {
                return Ok(Moment { identity, state, unsealed, next_sequence, hold });
            }
        }
        Err(Error::new(Kind::Internal, "the log goes on faster than it can be looked at"))
    }

    /// The segments that are not sealed and not empty, with their lengths now; nothing if the log
    /// has gone on in another, or they are not there any more.
    fn lengths(
        &self,
        unsealed: &[SegmentHeader],
        writer: &Writer,
    ) -> Option<Vec<(SegmentHeader, u64)>> {
        let is_known = |id: u64| unsealed.iter().any(|header| header.id == id);
        if !writer.active.as_ref().is_none_or(|active| is_known(active.segment().header.id)) {
            return None;
        }
        let mut lengths = Vec::new();
        for header in unsealed {
            let len = self.table.find(header.id)?.len();
            if len > HEADER_PAGE as u64 {
                lengths.push((*header, len));
            }
        }
        Some(lengths)
    }

    /// Brings a sealed segment, with its hint: from the database, or, where it cannot be linked,
    /// from the older backup.
    fn bring(
        &self,
        transfer: &mut Transfer,
        live: &LiveSegment,
        sealed: &SealedSegment,
        present: Option<&Present>,
    ) -> Result<()> {
        let (own, header) = (&*self.storage, &live.header);
        let (name, hint) = (name::segment(header.id), name::hint(header.id));
        let file = open_sealed(own, &self.uuid, header, sealed)?;
        if transfer.link(own, &name)? {
            transfer.link_if_there(own, &hint);
            transfer.advance(sealed.len)?;
        } else if let Some(older) = self.in_older(transfer, live, sealed, present)? {
            if !transfer.link_if_there(older, &hint) {
                transfer.copy_hint(own, header.id);
            }
            transfer.advance(sealed.len)?;
        } else {
            let copy = transfer.copy(&*file, &name, sealed.len, true)?;
            unless!(BackupNotSynced, copy.sync())?;
            transfer.copy_hint(own, header.id);
        }
        transfer.segment_done();
        Ok(())
    }

    /// Links a segment from the older backup, which is answered if it has that very segment.
    fn in_older<'a>(
        &self,
        transfer: &Transfer,
        live: &LiveSegment,
        sealed: &SealedSegment,
        present: Option<&'a Present>,
    ) -> Result<Option<&'a dyn Storage>> {
        let Some(Present { storage, state: Some(state), .. }) = present else { return Ok(None) };
        let has_it = state.segments.get(&live.header.id) == Some(live)
            && open_sealed(&**storage, &self.uuid, &live.header, sealed).is_ok();
        let has_one = || state.segments.contains_key(&live.header.id);
        let has_it = has_it || is_taken!(ChangedSegmentReused) && has_one();
        let is_linked = has_it && transfer.link(&**storage, &name::segment(live.header.id))?;
        Ok(is_linked.then_some(&**storage))
    }

    /// Copies the first `len` bytes of a segment that is not sealed, and verifies them. Answers
    /// what its seal says, if it ends with one.
    fn copy_unsealed(
        &self,
        transfer: &mut Transfer,
        header: &SegmentHeader,
        len: u64,
        expected: &mut Option<u64>,
    ) -> Result<Option<SealedSegment>> {
        let source = open_segment(&*self.storage, &self.uuid, header)?;
        let copy = transfer.copy(&*source, &name::segment(header.id), len, true)?;
        // Sync marks may be newer than what was copied. These are true when the backup is there.
        write_mark(&*copy, header.salt, len, 0)?;
        write_mark(&*copy, header.salt, len, 1)?;
        unless!(BackupNotSynced, copy.sync())?;
        let found = verify(copy, header, len, *expected, &mut |_| Ok(()))?;
        transfer.segment_done();
        if found.end != len {
            let path = path_of(&*self.storage, header.id);
            return Err(Error::corrupt(&path, found.end, found.why));
        }
        *expected = Some(found.next_sequence);
        Ok(found.seal)
    }
}

#[cold]
fn wrong_end() -> Error {
    Error::new(Kind::Internal, "the log does not end where it was written to")
}
