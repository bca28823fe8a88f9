//! kv_stats: figures of an open database.

use super::db::kv_db;
use super::status::{kv_status, KV_OK};
use super::{convert, guard};
use crate::db::Stats;

/// Figures of an open database. Set size to sizeof(kv_stats_t) before the call. A later libkv
/// may add members at the end; it leaves alone what is beyond the size that it is passed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_stats_t {
    /// In: bytes of this struct. Out: bytes of it that libkv has filled.
    pub size: usize,
    /// Keys.
    pub keys: u64,
    /// Bytes of the keys' newest records: keys, values and what libkv adds to them.
    pub live_bytes: u64,
    /// Bytes of all other records: replaced, deleted and expired values (of the last an estimate),
    /// and notes of deletions.
    pub dead_bytes: u64,
    /// Bytes of the files of the log, with what is allocated ahead of the writes. Hints and the
    /// checkpoint of the index, which can be removed without a loss, are not counted.
    pub disk_bytes: u64,
    /// Files that hold records.
    pub segments: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Record bytes that kv_put() and kv_delete() have written since kv_open().
    pub bytes_put: u64,
    /// Bytes that compaction has read since then.
    pub bytes_compaction_read: u64,
    /// Bytes that compaction has written since then.
    pub bytes_compacted: u64,
    /// Compactions that have come to their end since then.
    pub compactions: u64,
    /// Compactions in the background that have failed since then; each is tried again.
    pub compaction_failures: u64,
    /// Files that compaction has removed since then.
    pub segments_removed: u64,
    /// 1: a compaction is under way; 0: none is.
    pub compaction_running: u64,
    /// 1: kv_compaction_pause() was called; 0: it was not, or kv_compaction_resume() after it.
    pub compaction_paused: u64,
    /// Bytes of the files that the present compaction reads.
    pub compaction_total_bytes: u64,
    /// Bytes of them that it has read.
    pub compaction_done_bytes: u64,
    /// Bytes of hints and checkpoints, for opening fast, written since kv_open().
    pub bytes_hints_and_checkpoints: u64,
    /// How often writers were made to pause since kv_open(), because the medium or compaction
    /// was behind.
    pub writer_pauses: u64,
    /// Nanoseconds of these pauses, all together.
    pub writer_paused_ns: u64,
    /// Full files of the log that are not yet on the medium.
    pub waiting_segments: u64,
    /// How often the log has gone on in a new file since kv_open().
    pub rolls: u64,
    /// How often a writer had to make that file itself, since none was ready.
    pub rolls_unprepared: u64,
    /// Syncs that writes waited for and made, under KV_SYNC_ALWAYS or by kv_sync().
    pub syncs_led: u64,
    /// Waits that ended because another's sync had done it.
    pub syncs_shared: u64,
    /// Messages and events that were dropped, since the program's functions took too long.
    pub events_dropped: u64,
    /// Records that puts, deletes and batches have written since kv_open().
    pub writes: u64,
    /// Those of them that delete.
    pub deletes: u64,
    /// Records that a power cut could lose now, since they may not be on the medium yet.
    pub unsynced_writes: u64,
    /// Files of the log that are complete and on the medium for good.
    pub sealed_segments: u64,
    /// Files of the log that are mapped or open for reading.
    pub open_files: u64,
    /// Snapshots that are open, those of iterators included.
    pub snapshots: u64,
    /// Bytes of memory for what only they see.
    pub snapshot_bytes: u64,
    /// When kv_open() was called, in milliseconds since 1970.
    pub opened_unix_ms: u64,
    /// 1: the database refuses writes, since a failure or because it was opened so; 0: it does not.
    pub read_only: u64,
    /// Bytes of expired records that are not yet removed; dead_bytes has them too. About.
    pub expired_bytes: u64,
}

/// Tells figures of this moment. While others write, they are of slightly different moments.
///
/// @param db     The database.
/// @param stats  In and out: its size is set by the caller, all else here. Not NULL.
/// @return
///   - KV_OK: the first stats->size bytes are filled. If the library is older than the header,
///     that is less than it was.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or the size is less than that of its own member.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the struct stays the caller's.
/// Threads: any number at once, each with a struct of its own.
/// Durability: the figures are of what is written, on the medium or not.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_stats(db: *mut kv_db, stats: *mut kv_stats_t) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a struct that begins with its size.
        let size = unsafe { convert::size_of_struct(stats.cast(), "stats") }?;
        let filled = size.min(size_of::<kv_stats_t>());
        let told = told(&db.stats(), filled);
        // SAFETY: the caller may write as many bytes as its size says, and `told` has them.
        unsafe { convert::write_part(stats, &told, filled) };
        Ok(KV_OK)
    })
}

fn told(stats: &Stats, size: usize) -> kv_stats_t {
    kv_stats_t {
        size,
        keys: stats.keys,
        live_bytes: stats.live_bytes,
        dead_bytes: stats.dead_bytes,
        disk_bytes: stats.disk_bytes,
        segments: stats.segments,
        index_bytes: stats.index_bytes,
        bytes_put: stats.bytes_put,
        bytes_compaction_read: stats.bytes_compaction_read,
        bytes_compacted: stats.bytes_compacted,
        compactions: stats.compactions,
        compaction_failures: stats.compaction_failures,
        segments_removed: stats.segments_removed,
        compaction_running: u64::from(stats.is_compacting),
        compaction_paused: u64::from(stats.is_compaction_paused),
        compaction_total_bytes: stats.compaction_total,
        compaction_done_bytes: stats.compaction_done,
        bytes_hints_and_checkpoints: stats.bytes_hints_and_checkpoints,
        writer_pauses: stats.pauses,
        writer_paused_ns: stats.paused_ns,
        waiting_segments: stats.waiting_segments,
        rolls: stats.rolls,
        rolls_unprepared: stats.rolls_without_spare,
        syncs_led: stats.syncs_led,
        syncs_shared: stats.syncs_followed,
        events_dropped: stats.events_dropped,
        writes: stats.writes,
        deletes: stats.deletes,
        unsynced_writes: stats.unsynced_writes,
        sealed_segments: stats.sealed_segments,
        open_files: stats.open_files,
        snapshots: stats.snapshots,
        snapshot_bytes: stats.snapshot_bytes,
        opened_unix_ms: stats.opened_unix_ms,
        read_only: u64::from(stats.is_read_only),
        expired_bytes: stats.expired_bytes,
    }
}
