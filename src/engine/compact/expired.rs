//! What expires by itself: segments that go without being read, and the one at the log's end that
//! goes nowhere as long as nobody writes.

use std::sync::Arc;

use super::{garbage_of, record_bytes_of};
use crate::engine::space::Purpose;
use crate::engine::stats::record_bytes;
use crate::engine::write::Writer;
use crate::engine::Engine;
use crate::epoch;
use crate::error::Result;
use crate::format::checkpoint::KnownSegment;
use crate::index::{Location, PIECES};
use crate::memory;
use crate::segment::active::ActiveSegment;
use crate::segment::table::page_of;
use crate::segment::Segment;

/// The active segment is not ended for fewer bytes than this that have expired.
const LEAST_WORTH_ENDING: u64 = 1 << 20;
/// It is ended when this part of a usual segment has expired in it.
const WORTH_ENDING: u64 = 4;

impl Engine {
    /// The time at which expiry is judged, and of each victim whether nothing in it is needed then.
    /// With the writer held still, since what is dead, and what of that would have expired, is
    /// counted one after the other.
    pub(super) fn are_spent(&self, victims: &[Arc<Segment>]) -> Result<(u64, Vec<bool>)> {
        let writer = self.writer.lock();
        let cutoff = self.expiry_cutoff(&writer);
        let is_spent =
            |victim: &Arc<Segment>| garbage_of(victim, cutoff) == record_bytes_of(victim);
        Ok((cutoff, memory::collect(victims.iter().map(is_spent))?))
    }

    /// Brings all pieces of the index, so that none comes later with entries that point into
    /// segments that are gone.
    pub(super) fn load_index(&self) -> Result<()> {
        (0..PIECES).try_for_each(|number| self.index.load(&epoch::pin()?, number))
    }

    /// The places of segments, in order.
    pub(super) fn places_of(&self, unread: &[Arc<Segment>]) -> Result<Vec<KnownSegment>> {
        let mut places = self.table.places()?;
        places.retain(|place| unread.iter().any(|segment| segment.header.id == place.id));
        places.sort_unstable_by_key(|place| place.first_page);
        Ok(places)
    }

    /// Removes the entries of the index that point into segments that went unread. All pieces were
    /// brought before.
    pub(super) fn sweep(&self, places: &[KnownSegment]) -> Result<()> {
        // By the places that they have: a segment may reach over more than its own, if all of its
        // records begin in its first.
        if places.is_empty() {
            return Ok(());
        }
        let keep = |location: Location| {
            let page = page_of(location);
            let behind = places.partition_point(|place| place.first_page <= page);
            let place = behind.checked_sub(1).map(|at| &places[at]);
            place.is_none_or(|place| place.first_page + place.pages <= page)
        };
        (0..PIECES).try_for_each(|number| self.index.retain(&epoch::pin()?, number, keep))
    }

    /// Ends the active segment if much of it has expired, and gives back what is allocated ahead:
    /// while nobody writes, nothing else would. Answers whether it did.
    pub(super) fn leave_expired_segment(&self) -> Result<bool> {
        if !self.is_active_expired(&self.writer.lock()) {
            return Ok(false);
        }
        // Before the writer is held.
        self.prepare_spare(false)?;
        let mut writer = self.writer.lock();
        if !self.is_active_expired(&writer) {
            return Ok(false);
        }
        self.make_room(&mut writer, 0, Purpose::Compaction)?;
        self.roll(&mut writer, 0).map_err(|error| self.latch.watch(error))?;
        // That it cannot be had is no failure.
        let _ = writer.active.as_mut().map(ActiveSegment::trim);
        Ok(true)
    }

    /// Whether it is worth while to end the active segment.
    fn is_active_expired(&self, writer: &Writer) -> bool {
        let Some(active) = writer.active.as_ref().filter(|_| writer.opened) else { return false };
        let bytes = record_bytes(active.len());
        let (segment, cutoff) = (active.segment(), self.expiry_cutoff(writer));
        let expired = segment.expired(cutoff);
        let part = self.options.segment_size / WORTH_ENDING;
        let is_all = expired > 0 && garbage_of(segment, cutoff) == bytes;
        expired >= part || is_all && bytes >= part.min(LEAST_WORTH_ENDING)
    }
}
