//! kv_snapshot: a database as it was at one moment.

use super::db::kv_db;
use super::object::{Part, Table, Tag};
use super::status::{kv_status, KV_BUFFER_TOO_SMALL, KV_NOT_FOUND, KV_OK};
use super::view::{self, kv_view};
use super::{buffer, convert, guard, handle};
use crate::db::Snapshot;
use crate::error::{Error, Kind, Result};
use std::ffi::c_void;

/// A database as it was at one moment: what is written afterwards is not seen, and what expires
/// afterwards is there still. The pointer is a number that libkv checks on every call, not an
/// address. As long as it is held, what it sees is kept: in memory some hundred bytes for each key
/// that is written meanwhile, on disk what compaction would have removed. Free it soon.
pub struct kv_snapshot {
    _never_made: [u8; 0],
}

static SNAPSHOTS: Table<kv_snapshot, Part<Snapshot>> =
    Table::of_database(Tag::Snapshot, "snapshot", "kv_snapshot_new()");

/// Takes a snapshot of a database. It costs some microseconds, however large the database is, and
/// nobody waits for it.
///
/// @param db        The database.
/// @param snapshot  Out: the snapshot. Not NULL.
/// @return
///   - KV_OK: *snapshot is set. It sees every write that had returned before this was called, none
///     that is called after this has returned, and of those at the same time some: if it sees one,
///     then also those that the one came after. It sees no part of a kv_write() without the rest.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: free some and try again.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller frees the snapshot with kv_snapshot_free(), before or after kv_close().
/// Threads: any number at once.
/// Durability: none: a snapshot is gone when the database is closed or the process dies.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_snapshot_new(
    db: *mut kv_db,
    snapshot: *mut *mut kv_snapshot,
) -> kv_status {
    guard::on_db(db, |open| {
        convert::must_not_be_null(snapshot, "snapshot")?;
        let taken = open.open_snapshot()?;
        let again = taken.clone();
        let made =
            SNAPSHOTS.insert(Part::new(db, taken)).inspect_err(|_| open.close_snapshot(again))?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(snapshot, made) };
        Ok(KV_OK)
    })
}

/// Frees a snapshot. Iterators that were made of it go on.
///
/// @param snapshot  The snapshot, or NULL, which does nothing. What is no snapshot, was freed
///   before or is being read by another thread, is left alone, and kv_error_message() says so.
///
/// Ownership: takes the snapshot back; free it once.
/// Threads: any, when no other one uses it. In a child of fork() it does nothing: the snapshot is
///   its parent's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_snapshot_free(snapshot: *mut kv_snapshot) {
    guard::value((), || {
        if let Some(part) = SNAPSHOTS.remove_quietly(snapshot) {
            // If it was closed meanwhile it has forgotten its snapshots.
            if let Ok(db) = handle::enter(part.db()) {
                db.close_snapshot(part.value);
            }
        }
    });
}

/// Reads the value that a key had at the time of a snapshot into memory that the caller gets to
/// keep.
///
/// @param snapshot   The snapshot.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value      Out: the value, in memory of its own that begins at a multiple of 16 bytes;
///   never set to NULL, also if its length is 0. Not NULL.
/// @param value_len  Out: its length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: both outputs are set.
///   - KV_NOT_FOUND: the key was not there.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: snapshot is no handle.
///   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is freeing the snapshot.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller frees the value with kv_free(), an empty one too.
/// Threads: any number at once may read from one snapshot.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_snapshot_get(
    snapshot: *mut kv_snapshot,
    key: *const c_void,
    key_len: usize,
    value: *mut *mut c_void,
    value_len: *mut usize,
) -> kv_status {
    guard::on_shared_part(&SNAPSHOTS, snapshot, |db, snapshot| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        convert::must_not_be_null(value, "value")?;
        convert::must_not_be_null(value_len, "value_len")?;
        let copy = |bytes: &[u8]| buffer::Value::copy(bytes).map(|value| (value, bytes.len()));
        let Some((found, len)) = db.get_at(snapshot, key, copy)?.transpose()? else {
            return Ok(KV_NOT_FOUND);
        };
        // SAFETY: not NULL, and the caller may write them.
        unsafe {
            convert::write(value, found.into_raw());
            convert::write(value_len, len);
        }
        Ok(KV_OK)
    })
}

/// Reads the value that a key had at the time of a snapshot into a buffer of the caller's. Nothing
/// is allocated, unless the key was written since.
///
/// @param snapshot   The snapshot.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param buf        Out: the value. It must not overlap the key. NULL if cap is 0, else
///   KV_NULL_ARGUMENT.
/// @param cap        The buffer's size in bytes.
/// @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: the first *value_len bytes of buf are the value; the rest is as it was.
///   - KV_NOT_FOUND: the key was not there.
///   - KV_BUFFER_TOO_SMALL: *value_len is the size needed, and buf is as it was.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: snapshot is no handle, buf and key overlap, or cap is more than any
///     memory has.
///   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is freeing the snapshot.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the key and the buffer stay the caller's.
/// Threads: any number at once may read from one snapshot, each with a buffer of its own.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_snapshot_get_into(
    snapshot: *mut kv_snapshot,
    key: *const c_void,
    key_len: usize,
    buf: *mut c_void,
    cap: usize,
    value_len: *mut usize,
) -> kv_status {
    guard::on_shared_part(&SNAPSHOTS, snapshot, |db, snapshot| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let target = convert::Buffer::new(buf, cap)?;
        target.must_not_overlap(key, "key")?;
        convert::must_not_be_null(value_len, "value_len")?;
        // SAFETY: the caller may write all of the buffer; the value is the database's own.
        let copy = |bytes: &[u8]| (unsafe { target.fill(bytes) }, bytes.len());
        let Some((fits, len)) = db.get_at(snapshot, key, copy)? else {
            return Ok(KV_NOT_FOUND);
        };
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(value_len, len) };
        Ok(if fits { KV_OK } else { KV_BUFFER_TOO_SMALL })
    })
}

/// Finds out whether a key was there at the time of a snapshot, and how long its value was.
///
/// @param snapshot   The snapshot.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value_len  Out: the value's length in bytes, 0 included; or NULL.
/// @return
///   - KV_OK: the key was there, and *value_len is set.
///   - KV_NOT_FOUND: it was not.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: snapshot is no handle.
///   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is freeing the snapshot.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once may read from one snapshot.
/// Durability: the key may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_snapshot_exists(
    snapshot: *mut kv_snapshot,
    key: *const c_void,
    key_len: usize,
    value_len: *mut usize,
) -> kv_status {
    guard::on_shared_part(&SNAPSHOTS, snapshot, |db, snapshot| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let Some(len) = db.value_len_at(snapshot, key)? else { return Ok(KV_NOT_FOUND) };
        if !value_len.is_null() {
            // SAFETY: not NULL, and the caller may write it.
            unsafe { convert::write(value_len, len) };
        }
        Ok(KV_OK)
    })
}

/// Finds the value that a key had at the time of a snapshot and shows it where it lies, without
/// copying it.
///
/// @param snapshot   The snapshot.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param view       Out: the view. Not NULL.
/// @param value      Out: the value's first byte, never set to NULL, also if there is none; at
///   no particular alignment and not NUL-terminated. Not NULL.
/// @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: all three outputs are set.
///   - KV_NOT_FOUND: the key was not there.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: snapshot is no handle.
///   - KV_CLOSED, KV_FORKED: the snapshot was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is freeing the snapshot.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller releases the view with kv_view_release(), before or after the snapshot is
///   freed and the database closed. The value belongs to the view.
/// Threads: any number at once may read from one snapshot. The view belongs to one thread at a
///   time; its bytes may be read by many.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_snapshot_view_get(
    snapshot: *mut kv_snapshot,
    key: *const c_void,
    key_len: usize,
    view: *mut *mut kv_view,
    value: *mut *const c_void,
    value_len: *mut usize,
) -> kv_status {
    guard::on_shared_part(&SNAPSHOTS, snapshot, |db, snapshot| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let outputs = view::Outputs::new(view, value, value_len)?;
        let Some(found) = db.view_at(snapshot, key)? else { return Ok(KV_NOT_FOUND) };
        // SAFETY: the caller may write the outputs.
        unsafe { outputs.give(found) }?;
        Ok(KV_OK)
    })
}

/// Hands the snapshot that `handle` names to `body`, if it is one of the database `db`.
pub(super) fn of_database<R>(
    handle: *const kv_snapshot,
    db: *mut kv_db,
    body: impl FnOnce(&Snapshot) -> Result<R>,
) -> Result<R> {
    let part = SNAPSHOTS.share(handle)?;
    if part.db() != db {
        return Err(Error::new(Kind::InvalidArgument, "the snapshot is of another database"));
    }
    body(&part.value)
}
