//! Compaction as C sees it: kv_compact() and its kin, and its course in the background.

use super::db::kv_db;
use super::guard;
use super::status::{kv_status, KV_OK};
use crate::db::Progress;
use std::ffi::c_void;
use std::ops::ControlFlow;

/// How far kv_compact_with(), kv_backup_with(), kv_restore_with(), kv_verify_with() or
/// kv_salvage_with() is. A later libkv may add members at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_progress_t {
    /// Bytes of this struct that libkv has filled.
    pub size: usize,
    /// Bytes of the segments that are to be compacted, backed up, restored, verified or salvaged.
    /// It can grow meanwhile.
    pub total_bytes: u64,
    /// Bytes of them that were read or linked, or need not be.
    pub done_bytes: u64,
    /// Segments that are to be compacted, backed up, restored, verified or salvaged. It can grow
    /// meanwhile.
    pub segments_total: u64,
    /// Segments of them that are done: compacted and gone, at their new place, or looked at.
    pub segments_done: u64,
}

/// Called now and then by kv_compact_with(), kv_backup_with(), kv_restore_with(), kv_verify_with()
/// and kv_salvage_with(), on the thread that called them: after every few hundred KiB, or after a
/// segment that was linked. It may use the database, with two exceptions that return KV_BUSY: to
/// close it, and to compact it in the midst of compacting it. It must return: no longjmp(), no
/// exception of C++.
///
/// *progress is readable until it returns; context is what the caller passed. It returns 0 to go
/// on, anything else to end the call, which returns KV_CANCELLED.
pub type kv_progress_fn =
    Option<unsafe extern "C" fn(progress: *const kv_progress_t, context: *mut c_void) -> i32>;

/// Rewrites the database until it holds no value that was replaced or deleted, and waits for it.
/// The database does this by itself, when there is too much garbage and not to the last byte,
/// unless the option "compaction" is "manual". It needs room for about one segment more meanwhile.
///
/// @param db  The database.
/// @return
///   - KV_OK: what was garbage when this was called is gone.
///   - KV_CANCELLED: kv_compact_cancel() or kv_close() ended it. What was done stays done.
///   - KV_BUSY: this is called from a progress function of db.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing is lost; try again when the
///     system has room.
///   - KV_PERMISSION_DENIED: nothing is lost; try again when it is permitted.
///   - KV_IO: nothing is lost; the message says what failed, and the database refuses writes now.
///   - KV_CORRUPT: a record is damaged; it is left where it is, and the message says where.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once; others read and write meanwhile. kv_close() ends it.
/// Durability: no acknowledged write is lost, whenever the process or the power fails.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_compact(db: *mut kv_db) -> kv_status {
    guard::on_db(db, |db| {
        db.compact()?;
        Ok(KV_OK)
    })
}

/// Does what kv_compact() does, and tells a function now and then how far it is.
///
/// @param db        The database.
/// @param progress  The function, or NULL for none.
/// @param context   Passed to the function.
/// @return
///   - KV_OK: what was garbage when this was called is gone.
///   - KV_CANCELLED: the function, kv_compact_cancel() or kv_close() ended it. What was done
///     stays done.
///   - KV_BUSY: this is called from a progress function of db.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing is lost; try again when the
///     system has room.
///   - KV_PERMISSION_DENIED: nothing is lost; try again when it is permitted.
///   - KV_IO: nothing is lost; the message says what failed, and the database refuses writes now.
///   - KV_CORRUPT: a record is damaged; it is left where it is, and the message says where.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the context stays the caller's.
/// Threads: any number at once; others read and write meanwhile. kv_close() ends it.
/// Durability: no acknowledged write is lost, whenever the process or the power fails.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_compact_with(
    db: *mut kv_db,
    progress: kv_progress_fn,
    context: *mut c_void,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a function that takes what it is called with, and returns.
        db.compact_with(unsafe { telling(progress, context) })?;
        Ok(KV_OK)
    })
}

/// What tells `progress` how far a call is, and whether that is to go on.
///
/// # Safety
/// The function takes a progress and `context`, and returns, for as long as it is called.
pub(super) unsafe fn telling(
    progress: kv_progress_fn,
    context: *mut c_void,
) -> impl FnMut(&Progress) -> ControlFlow<()> {
    move |now| {
        let Some(progress) = progress else { return ControlFlow::Continue(()) };
        let told = told(now);
        // SAFETY: the caller's promise.
        match unsafe { progress(&raw const told, context) } {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

fn told(now: &Progress) -> kv_progress_t {
    kv_progress_t {
        size: size_of::<kv_progress_t>(),
        total_bytes: now.total_bytes,
        done_bytes: now.done_bytes,
        segments_total: now.segments_total,
        segments_done: now.segments_done,
    }
}

/// Ends every kv_compact() and kv_compact_with() that is under way: they return KV_CANCELLED soon.
/// Those that are called later, and compaction in the background, go on.
///
/// @param db  The database.
/// @return
///   - KV_OK: they were told, or there were none.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once.
/// Durability: nothing is lost. What was compacted stays compacted.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_compact_cancel(db: *mut kv_db) -> kv_status {
    guard::on_db(db, |db| {
        db.cancel_compaction();
        Ok(KV_OK)
    })
}

/// Keeps the database from compacting by itself until kv_compaction_resume(), or until it is
/// closed. A compaction that it is in the middle of is given up. Pausing twice is as pausing
/// once. Garbage grows meanwhile, and kv_compact() works as ever.
///
/// @param db  The database.
/// @return
///   - KV_OK: it does not compact by itself any more.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once.
/// Durability: nothing is lost.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_compaction_pause(db: *mut kv_db) -> kv_status {
    guard::on_db(db, |db| {
        db.pause_compaction();
        Ok(KV_OK)
    })
}

/// Lets the database compact by itself again, however often it was paused.
///
/// @param db  The database.
/// @return
///   - KV_OK: it compacts when there is too much garbage.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once.
/// Durability: nothing is lost.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_compaction_resume(db: *mut kv_db) -> kv_status {
    guard::on_db(db, |db| {
        db.resume_compaction();
        Ok(KV_OK)
    })
}
