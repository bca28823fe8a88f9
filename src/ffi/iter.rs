//! kv_iter: a walk over all records; and how many there are.

use super::db::kv_db;
use super::many::kv_slice_t;
use super::object::{Part, Table, Tag};
use super::snapshot::{self, kv_snapshot};
use super::status::{kv_status, KV_NOT_FOUND, KV_OK};
use super::{convert, guard, handle};
use crate::db::Iter;
use crate::error::{Error, Kind, Result};
use std::ffi::c_void;

/// A walk over all keys and values, as they were at one moment, each once and in no order. The
/// pointer is a number that libkv checks on every call, not an address. As long as it is held, what
/// it sees is kept, as for a kv_snapshot. Free it soon.
pub struct kv_iter {
    _never_made: [u8; 0],
}

static ITERS: Table<kv_iter, Part<Iter>> = Table::of_database(Tag::Iter, "iter", "kv_iter_new()");

/// Makes an iterator, which stands before the first key.
///
/// @param db          The database.
/// @param snapshot    What it walks over: a snapshot of db; or NULL: the database as it is now.
/// @param prefix      Only keys that begin with these bytes are shown. NULL if prefix_len is 0,
///   else KV_NULL_ARGUMENT. Keys are in no order on disk, so that all of them are looked at,
///   however few are shown.
/// @param prefix_len  Their number; 0: all keys are shown.
/// @param iter        Out: the iterator. Not NULL.
/// @return
///   - KV_OK: *iter is set.
///   - KV_NULL_ARGUMENT, KV_KEY_TOO_LONG (the prefix is longer than any key): mend the call.
///   - KV_INVALID_ARGUMENT: db or snapshot is no handle, or the snapshot is of another database.
///   - KV_CLOSED, KV_FORKED: db or snapshot cannot be used any more, or not in this process.
///   - KV_BUSY: another thread is freeing the snapshot.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: free some and try again.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller frees the iterator with kv_iter_free(), before or after kv_close(). The
///   snapshot stays the caller's, and may be freed before the iterator.
/// Threads: any number at once. The iterator belongs to one thread at a time.
/// Durability: none: an iterator is gone when the database is closed or the process dies.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_iter_new(
    db: *mut kv_db,
    snapshot: *mut kv_snapshot,
    prefix: *const c_void,
    prefix_len: usize,
    iter: *mut *mut kv_iter,
) -> kv_status {
    guard::on_db(db, |open| {
        // SAFETY: the caller passes a prefix of this length.
        let prefix = unsafe { convert::key(prefix, prefix_len) }?;
        convert::must_not_be_null(iter, "iter")?;
        let begun = if snapshot.is_null() {
            open.open_iter(None, prefix)?
        } else {
            snapshot::of_database(snapshot, db, |at| open.open_iter(Some(at), prefix))?
        };
        let seen = begun.snapshot().clone();
        let made = ITERS.insert(Part::new(db, begun)).inspect_err(|_| open.close_snapshot(seen))?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(iter, made) };
        Ok(KV_OK)
    })
}

/// Goes to the next key and shows it and its value where they lie, without copying them. Each is
/// verified as by kv_get().
///
/// @param iter   The iterator.
/// @param key    Out: the key; or NULL.
/// @param value  Out: the value, whose first byte is never NULL, also if it has none; or NULL.
///   Neither is at any particular alignment or NUL-terminated.
/// @return
///   - KV_OK: there is one, and the outputs are set.
///   - KV_NOT_FOUND: there is none: that was all. It stays so.
///   - KV_INVALID_ARGUMENT: iter is no handle.
///   - KV_NULL_ARGUMENT: iter is NULL.
///   - KV_CLOSED, KV_FORKED: the iterator was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is using the iterator.
///   - KV_CORRUPT: a record is damaged; the message says where, in which file. The next call goes
///     on behind it, if it can be told where the next record begins; if not, as the message then
///     says, the rest of this file of the log is left out, and the next call goes on with the next
///     one.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; the next call tries again,
///     and nothing is left out.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: key and value belong to the iterator: read them until the next call with it or
///   kv_iter_free(), also after kv_close(); never write or free them.
/// Threads: any, one at a time.
/// Durability: keys may be some that are not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_iter_next(
    iter: *mut kv_iter,
    key: *mut kv_slice_t,
    value: *mut kv_slice_t,
) -> kv_status {
    guard::on_part(&ITERS, iter, |db, iter| {
        if !db.advance(iter)? {
            return Ok(KV_NOT_FOUND);
        }
        let (found_key, found_value) = iter.current().ok_or_else(nowhere)?;
        for (output, found) in [(key, found_key), (value, found_value)] {
            if !output.is_null() {
                let found = kv_slice_t { data: found.as_ptr().cast(), len: found.len() };
                // SAFETY: not NULL, and the caller may write it.
                unsafe { convert::write(output, found) };
            }
        }
        Ok(KV_OK)
    })
}

/// Shows the key that an iterator is at once more.
///
/// @param iter     The iterator.
/// @param key      Out: the key. Not NULL.
/// @param key_len  Out: its length in bytes. Not NULL.
/// @return
///   - KV_OK: both outputs are set.
///   - KV_NOT_FOUND: it is at none: before the first, behind the last, or kv_iter_next() failed.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: iter is no handle.
///   - KV_CLOSED, KV_FORKED: the iterator was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is using the iterator.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the key belongs to the iterator, as for kv_iter_next().
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_iter_key(
    iter: *mut kv_iter,
    key: *mut *const c_void,
    key_len: *mut usize,
) -> kv_status {
    guard::on_part(&ITERS, iter, |_, iter| {
        // SAFETY: the caller may write the outputs.
        unsafe { show(iter.current().map(|(key, _)| key), (key, "key"), (key_len, "key_len")) }
    })
}

/// Shows the value that an iterator is at once more.
///
/// @param iter       The iterator.
/// @param value      Out: the value, never set to NULL. Not NULL.
/// @param value_len  Out: its length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: both outputs are set.
///   - KV_NOT_FOUND: it is at none: before the first, behind the last, or kv_iter_next() failed.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: iter is no handle.
///   - KV_CLOSED, KV_FORKED: the iterator was freed or its database closed, or it cannot be used
///     in this process.
///   - KV_BUSY: another thread is using the iterator.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the value belongs to the iterator, as for kv_iter_next().
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_iter_value(
    iter: *mut kv_iter,
    value: *mut *const c_void,
    value_len: *mut usize,
) -> kv_status {
    guard::on_part(&ITERS, iter, |_, iter| {
        let found = iter.current().map(|(_, value)| value);
        // SAFETY: the caller may write the outputs.
        unsafe { show(found, (value, "value"), (value_len, "value_len")) }
    })
}

/// Frees an iterator. What it showed last cannot be read any more.
///
/// @param iter  The iterator, or NULL, which does nothing. What is no iterator, was freed before
///   or is in use by another thread, is left alone, and kv_error_message() says so.
///
/// Ownership: takes the iterator back; free it once.
/// Threads: any, one at a time. In a child of fork() it does nothing: the iterator is its parent's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_iter_free(iter: *mut kv_iter) {
    guard::value((), || {
        if let Some(part) = ITERS.remove_quietly(iter) {
            // If it was closed meanwhile it has forgotten its snapshots.
            if let Ok(db) = handle::enter(part.db()) {
                db.close_iter(part.value);
            }
        }
    });
}

/// Counts the keys of a database. It is known at once. A key whose value has expired counts until
/// libkv has removed it.
///
/// @param db     The database.
/// @param count  Out: how many keys there are. Not NULL.
/// @return
///   - KV_OK: *count is set.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once. While others write it is a number between those before and after.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_count(db: *mut kv_db, count: *mut u64) -> kv_status {
    guard::on_db(db, |db| {
        convert::must_not_be_null(count, "count")?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(count, db.count()) };
        Ok(KV_OK)
    })
}

/// Tells about how many bytes the keys and values of a database take on disk, with what libkv adds
/// to each, and without what compaction would remove. It is known at once.
///
/// @param db    The database.
/// @param live  Out: how many bytes. Not NULL.
/// @return
///   - KV_OK: *live is set.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_approximate_bytes(db: *mut kv_db, live: *mut u64) -> kv_status {
    guard::on_db(db, |db| {
        convert::must_not_be_null(live, "live")?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(live, db.stats().live_bytes) };
        Ok(KV_OK)
    })
}

/// Writes where `found` is to two outputs, with their names.
///
/// # Safety
/// The outputs may be written, unless they are NULL.
unsafe fn show(
    found: Option<&[u8]>,
    start: (*mut *const c_void, &str),
    len: (*mut usize, &str),
) -> Result<kv_status> {
    convert::must_not_be_null(start.0, start.1)?;
    convert::must_not_be_null(len.0, len.1)?;
    let Some(found) = found else { return Ok(KV_NOT_FOUND) };
    // SAFETY: not NULL, and the rest is the caller's promise.
    unsafe {
        convert::write(start.0, found.as_ptr().cast());
        convert::write(len.0, found.len());
    }
    Ok(KV_OK)
}

#[cold]
fn nowhere() -> Error {
    Error::new(Kind::Internal, "an iterator has lost the record that it is at")
}
