//! Hints: beside a sealed segment, what the next open needs to know of it. They are written in the
//! background, and whatever goes wrong with one costs the next open time and nothing else.

use super::latency::Operation;
use super::stats::add;
use super::sync::sealed;
use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::format::hint::Digest;
use crate::format::name;
use crate::manifest::LiveSegment;
use crate::notice::Level;
use crate::segment::digest::{self, End};
use crate::segment::full::FullSegment;
use crate::segment::scan::Scan;
use crate::wrong_turn::is_taken;

impl Engine {
    /// Returns when all segments that were sealed before the call have hints, or cannot have them.
    pub fn write_due_hints(&self) {
        while self.write_next_hint() {}
    }

    /// Writes the hint of one segment that has none. Answers whether there was one to be written
    /// and there was memory for it: if not, it is still due.
    pub(super) fn write_next_hint(&self) -> bool {
        let _writer = self.hint_writer.lock();
        let Some(id) = self.hints_due.lock().pop_front() else { return false };
        if let Some(live) = self.sealed_segment(id).filter(|_| self.is_worth_a_hint(id)) {
            let written = self.timed(Operation::Hint, || self.write_hint(&live));
            if written.is_err_and(|error| error.kind() == Kind::OutOfMemory) {
                let mut due = self.hints_due.lock();
                if due.try_reserve(1).is_ok() {
                    due.push_front(id);
                }
                return false;
            }
        }
        true
    }

    /// Whether a segment will stay long enough: one that is nearly dead is soon compacted.
    fn is_worth_a_hint(&self, id: u64) -> bool {
        let segment = self.table.find(id);
        segment.is_some_and(|segment| segment.dead() < segment.len() / 4 * 3)
    }

    /// Says that these segments, which are sealed, have no hints yet.
    pub(super) fn want_hints(&self, ids: impl Iterator<Item = u64>) {
        let mut due = self.hints_due.lock();
        for id in ids {
            // Without memory for the list there is no hint.
            if due.try_reserve(1).is_ok() {
                due.push_back(id);
            }
        }
    }

    /// The segment `id`, if it is live and sealed.
    pub(super) fn sealed_segment(&self, id: u64) -> Option<LiveSegment> {
        let live = self.manifest.lock().state().segments.get(&id).copied();
        live.filter(|live| live.sealed.is_some())
    }

    fn write_hint(&self, live: &LiveSegment) -> Result<()> {
        self.latch.check()?;
        match self.encode_hint(live)? {
            Some(bytes) => self.put_hint(live.header.id, &bytes),
            None => Ok(()),
        }
    }

    /// Writes the hint of a segment that compaction has made, and put into the manifest. Without it
    /// the next open walks through the segment.
    pub(super) fn write_hint_of(&self, full: &FullSegment, digest: Digest) {
        let _writer = self.hint_writer.lock();
        let (header, sealed) = (full.segment.header, sealed(full));
        let bytes = digest.encode(&self.uuid, &header, &sealed);
        let _ = self.timed(Operation::Hint, || self.put_hint(header.id, &bytes));
    }

    /// Writes these bytes as the hint of the segment `id`, if it is still there.
    fn put_hint(&self, id: u64, bytes: &[u8]) -> Result<()> {
        self.latch.check()?;
        let name = name::hint(id);
        // One that did not verify may be there.
        let _ = self.storage.remove(&name);
        let written = self.storage.create(&name).and_then(|file| file.write_at(bytes, 0));
        add(&self.counters.bytes_hints, bytes.len() as u64);
        // Compaction removes the hint after it has removed the segment from the manifest: either it
        // finds this one, or this finds the segment gone.
        if written.is_ok() {
            let words = format_args!("{name}: written, {} bytes", bytes.len());
            self.herald.log(Level::Debug, words);
        }
        if written.is_err() || self.sealed_segment(id).is_none() {
            let _ = self.storage.remove(&name);
        }
        Ok(())
    }

    /// The bytes of a segment's hint, unless the segment is damaged.
    fn encode_hint(&self, live: &LiveSegment) -> Result<Option<Vec<u8>>> {
        let Some(sealed) = live.sealed else { return Ok(None) };
        let file = self.storage.open(&name::segment(live.header.id), false)?;
        let mut scan = Scan::new(file, live.header, sealed.len);
        let hash = |key: &[u8]| self.hasher.hash(key);
        let walked = digest::of_scan(&mut scan, live.header.kind, hash)?;
        let is_whole = matches!(walked.end, End::Seal(_)) && scan.offset() == sealed.len;
        if !is_whole {
            let path = format!("{}/{}", self.storage.path(), name::segment(live.header.id));
            let damage = Error::corrupt(&path, scan.offset(), "the records end before the seal");
            self.herald.tell_damage(&damage);
        }
        let encode = |digest: Digest| digest.encode(&self.uuid, &live.header, &sealed);
        Ok(is_whole.then_some(walked.digest).map(encode))
    }

    /// Removes the files of a segment that the manifest does not know any more, or leaves that to
    /// the backup that wants them. If that fails, the next open removes them.
    pub(super) fn remove_segment_files(&self, id: u64) {
        if self.held.keeps(id) && !is_taken!(HeldFileRemoved) {
            return;
        }
        let _ = self.storage.remove(&name::segment(id));
        let _ = self.storage.remove(&name::hint(id));
    }
}
