//! Figures of an open database: counters that whoever does the work adds to, and a snapshot of them
//! with what can be worked out when it is asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use super::herald::unix_ms;
use super::Engine;
use crate::error::Result;
use crate::format::record::SEAL_LEN;
use crate::format::segment::HEADER_PAGE;
use crate::segment::Segment;

/// What was done since the database was opened. Only figures: no decision rests on their order.
#[derive(Debug, Default)]
pub struct Counters {
    /// Record bytes in log segments that are full by now. What is in the active segment is added
    /// when it is full, so that a put counts nothing.
    pub bytes_in_full: AtomicU64,
    /// Record bytes that the first active segment held when the database was opened.
    pub bytes_resumed: AtomicU64,
    /// Bytes that compaction read.
    pub bytes_compaction_read: AtomicU64,
    /// Bytes that compaction wrote.
    pub bytes_compacted: AtomicU64,
    /// Compactions that came to their end.
    pub compactions: AtomicU64,
    /// Compactions in the background that failed.
    pub compaction_failures: AtomicU64,
    /// Segments that compaction removed.
    pub segments_removed: AtomicU64,
    /// Bytes of hints that were written.
    pub bytes_hints: AtomicU64,
    /// Bytes of checkpoints that were written.
    pub bytes_checkpoints: AtomicU64,
    /// The sequence of the first record since the database was opened.
    pub first_sequence: AtomicU64,
    /// When it was opened, in milliseconds since 1970.
    pub opened_unix_ms: AtomicU64,
    /// How often the log went on in a new segment.
    pub rolls: AtomicU64,
    /// How often the writer had to make that segment itself.
    pub rolls_without_spare: AtomicU64,
}

impl Counters {
    /// Those of a database that is being opened: its active segment holds `resumed` bytes of
    /// records, and the next one has this sequence.
    pub fn new(resumed: u64, next_sequence: u64) -> Counters {
        let counters = Counters::default();
        add(&counters.bytes_resumed, resumed);
        add(&counters.first_sequence, next_sequence);
        add(&counters.opened_unix_ms, unix_ms());
        counters
    }
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// What a counter says.
pub fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A snapshot. While others write, its figures are of slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys.
    pub keys: u64,
    /// Bytes of the keys' newest records.
    pub live_bytes: u64,
    /// Bytes of all other records: replaced ones, deleted ones, expired ones, tombstones.
    pub dead_bytes: u64,
    /// Bytes of those that have expired and were not replaced: an estimate, until all have.
    pub expired_bytes: u64,
    /// Bytes of the segments and the manifest, with what is allocated ahead.
    pub disk_bytes: u64,
    /// Segments, the active one included.
    pub segments: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Record bytes that puts and deletes appended since the database was opened.
    pub bytes_put: u64,
    /// Bytes that compaction read since then.
    pub bytes_compaction_read: u64,
    /// Bytes that compaction wrote since then.
    pub bytes_compacted: u64,
    /// Compactions that came to their end since then.
    pub compactions: u64,
    /// Compactions in the background that failed since then.
    pub compaction_failures: u64,
    /// Segments that compaction removed since then.
    pub segments_removed: u64,
    /// Whether a compaction is under way.
    pub is_compacting: bool,
    /// Whether compaction in the background is paused.
    pub is_compaction_paused: bool,
    /// Bytes of the segments that the present compaction reads.
    pub compaction_total: u64,
    /// Bytes of them that it has read.
    pub compaction_done: u64,
    /// Bytes of hints and checkpoints written since the database was opened.
    pub bytes_hints_and_checkpoints: u64,
    /// How often writers paused because something behind them was slower.
    pub pauses: u64,
    /// Nanoseconds that they paused, all together.
    pub paused_ns: u64,
    /// Full segments that are not yet on the medium.
    pub waiting_segments: u64,
    /// How often the log went on in a new segment.
    pub rolls: u64,
    /// How often the writer had to make that segment itself.
    pub rolls_without_spare: u64,
    /// Syncs that writers made, each for all who waited.
    pub syncs_led: u64,
    /// Waits for a sync that another made.
    pub syncs_followed: u64,
    /// Notices that no listener was told.
    pub events_dropped: u64,
    /// Records that puts and deletes appended since the database was opened.
    pub writes: u64,
    /// Those of them that delete.
    pub deletes: u64,
    /// Records that are not known to be on the medium.
    pub unsynced_writes: u64,
    /// Segments that are sealed.
    pub sealed_segments: u64,
    /// Segments whose files are open.
    pub open_files: u64,
    /// Snapshots that are open, those of iterators included.
    pub snapshots: u64,
    /// Bytes of memory for what only they see.
    pub snapshot_bytes: u64,
    /// When the database was opened, in milliseconds since 1970.
    pub opened_unix_ms: u64,
    /// Whether writes are refused.
    pub is_read_only: bool,
}

/// What one segment is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Its id, by which its file is named.
    pub id: u64,
    /// Bytes of its file, with what is allocated ahead.
    pub disk_bytes: u64,
    /// Bytes of records that are their keys' newest.
    pub live_bytes: u64,
    /// Bytes of all other records, those that have expired included.
    pub dead_bytes: u64,
    /// Bytes of those that have expired and were not replaced, as far as is known.
    pub expired_bytes: u64,
    /// Whether it is sealed.
    pub is_sealed: bool,
    /// Whether the log goes on in it.
    pub is_active: bool,
}

/// Record bytes in the first `len` bytes of a segment that has no seal.
pub fn record_bytes(len: u64) -> u64 {
    len.saturating_sub(HEADER_PAGE as u64)
}

impl Engine {
    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        let (active, in_active, next_sequence, deletes) = {
            let writer = self.writer.lock();
            let active = writer.active.as_ref();
            let in_active = active.map_or(0, |a| record_bytes(a.len()));
            let active = active.map(|a| a.segment().header.id);
            (active, in_active, writer.next_sequence, writer.tombstones)
        };
        let counters = &self.counters;
        let (snapshots, snapshot_bytes) = self.snapshots();
        let (pauses, paused_ns) = self.pacer.counts();
        let (syncs_led, syncs_followed) = self.group.counts();
        let mut stats = Stats {
            keys: self.len() as u64,
            index_bytes: self.index_memory() as u64,
            bytes_put: (read(&counters.bytes_in_full) + in_active)
                .saturating_sub(read(&counters.bytes_resumed)),
            bytes_compaction_read: read(&counters.bytes_compaction_read),
            bytes_compacted: read(&counters.bytes_compacted),
            compactions: read(&counters.compactions),
            compaction_failures: read(&counters.compaction_failures),
            segments_removed: read(&counters.segments_removed),
            is_compacting: self.control.is_running(),
            is_compaction_paused: self.control.is_paused(),
            compaction_total: read(&self.control.total),
            compaction_done: read(&self.control.done),
            bytes_hints_and_checkpoints: read(&counters.bytes_hints)
                + read(&counters.bytes_checkpoints),
            pauses,
            paused_ns,
            waiting_segments: self.pacer.waiting(),
            rolls: read(&counters.rolls),
            rolls_without_spare: read(&counters.rolls_without_spare),
            syncs_led,
            syncs_followed,
            events_dropped: self.herald.dropped(),
            writes: next_sequence.saturating_sub(read(&counters.first_sequence)),
            deletes,
            unsynced_writes: next_sequence.saturating_sub(self.durable()),
            open_files: self.open_segments() as u64,
            snapshots: snapshots as u64,
            snapshot_bytes: snapshot_bytes as u64,
            opened_unix_ms: read(&counters.opened_unix_ms),
            is_read_only: self.latch.cause().is_some(),
            ..Stats::default()
        };
        let now = self.clock.now_ms();
        let manifest = self.manifest.lock();
        stats.disk_bytes = manifest.file_len();
        self.table.look_at_all(|segment| {
            stats.disk_bytes += segment.disk_bytes();
            // What compaction writes counts once it is in the place of what it was copied from.
            let Some(live) = manifest.state().segments.get(&segment.header.id) else { return };
            let of_segment = stats_of(segment, live.sealed.is_some(), active, now);
            stats.segments += 1;
            stats.sealed_segments += u64::from(of_segment.is_sealed);
            stats.dead_bytes += of_segment.dead_bytes;
            stats.expired_bytes += of_segment.expired_bytes;
            stats.live_bytes += of_segment.live_bytes;
        });
        stats
    }

    /// What each segment is used for, in the order of their ids.
    pub fn segment_stats(&self) -> Result<Vec<SegmentStats>> {
        let active = self.writer.lock().active.as_ref().map(|a| a.segment().header.id);
        let now = self.clock.now_ms();
        let segments = self.table.all()?;
        let mut all = Vec::new();
        all.try_reserve_exact(segments.len())?;
        let manifest = self.manifest.lock();
        for segment in segments {
            let Some(live) = manifest.state().segments.get(&segment.header.id) else { continue };
            all.push(stats_of(&segment, live.sealed.is_some(), active, now));
        }
        drop(manifest);
        all.sort_unstable_by_key(|of_segment| of_segment.id);
        Ok(all)
    }
}

/// What a segment is used for, when the log goes on in the segment `active`.
fn stats_of(segment: &Segment, is_sealed: bool, active: Option<u64>, now_ms: u64) -> SegmentStats {
    let id = segment.header.id;
    let is_active = Some(id) == active;
    let seal = if is_active { 0 } else { SEAL_LEN as u64 };
    let records = record_bytes(segment.len()).saturating_sub(seal);
    let dead = segment.dead().min(records);
    let expired_bytes = segment.expired(now_ms).min(records - dead);
    SegmentStats {
        id,
        disk_bytes: segment.disk_bytes(),
        live_bytes: records - dead - expired_bytes,
        dead_bytes: dead + expired_bytes,
        expired_bytes,
        is_sealed,
        is_active,
    }
}
