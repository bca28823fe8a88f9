//! kv_batch: writes that are collected, and then all happen or none, and kv_write().

use super::db::kv_db;
use super::object::{Table, Tag};
use super::status::{kv_status, KV_OK};
use super::write_options::{self, kv_write_options_t};
use super::{convert, guard};
use crate::db::{WriteBatch, WriteOptions};
use crate::error::Result;
use std::ffi::c_void;

/// Writes that are to happen together. The pointer is a number that libkv checks on every call,
/// not an address. A batch belongs to no database.
pub struct kv_batch {
    _never_made: [u8; 0],
}

static BATCHES: Table<kv_batch, WriteBatch> = Table::alone(Tag::Batch, "batch", "kv_batch_new()");

/// As many bytes of memory kv_batch_clear() keeps for the next writes.
const KEPT: usize = 4 << 20;

/// Makes a batch without writes.
///
/// @param batch  Out: the batch. Not NULL.
/// @return
///   - KV_OK: *batch is set.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: free some and try again.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the caller frees the batch with kv_batch_free(), before or after databases are
///   closed.
/// Threads: any. The batch belongs to one thread at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_new(batch: *mut *mut kv_batch) -> kv_status {
    guard::status(|| {
        convert::must_not_be_null(batch, "batch")?;
        let made = BATCHES.insert(WriteBatch::new())?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(batch, made) };
        Ok(KV_OK)
    })
}

/// Frees a batch. What was written with it stays written.
///
/// @param batch  The batch, or NULL, which does nothing. What is no batch, or was freed before, is
///   left alone, and kv_error_message() says so.
///
/// Ownership: takes the batch back; free it once.
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_free(batch: *mut kv_batch) {
    guard::value((), || BATCHES.free(batch));
}

/// Forgets all writes of a batch, which can then be filled anew. It keeps memory for that, up to a
/// few MiB.
///
/// @param batch  The batch.
/// @return
///   - KV_OK: it has no writes.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: batch is no handle.
///   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_clear(batch: *mut kv_batch) -> kv_status {
    change(batch, |batch| {
        match batch.memory() > KEPT {
            true => *batch = WriteBatch::new(),
            false => batch.clear(),
        }
        Ok(())
    })
}

/// Adds to a batch that a value is stored under a key. Of several writes to one key, the last one
/// counts.
///
/// @param batch      The batch.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
/// @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
/// @return
///   - KV_OK: it is in the batch. No database is changed before kv_write().
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: batch is no handle.
///   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
///   - KV_OUT_OF_MEMORY: the batch is as it was before the call.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the key and the value stay the caller's and are copied.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_put(
    batch: *mut kv_batch,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
) -> kv_status {
    change(batch, |batch| {
        // SAFETY: the caller passes a key and a value of these lengths.
        let (key, value) =
            unsafe { (convert::key(key, key_len)?, convert::value(value, value_len)?) };
        batch.put(key, value, 0)
    })
}

/// The same for a value that expires.
///
/// @param batch      The batch.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
/// @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
/// @param ttl_ms     Milliseconds from kv_write() on, at most KV_MAX_TTL_MS; 0: it never expires.
/// @return
///   - KV_OK: it is in the batch. No database is changed before kv_write().
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: batch is no handle, or ttl_ms is too long.
///   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
///   - KV_OUT_OF_MEMORY: the batch is as it was before the call.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the key and the value stay the caller's and are copied.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_put_ttl(
    batch: *mut kv_batch,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    ttl_ms: u64,
) -> kv_status {
    change(batch, |batch| {
        // SAFETY: the caller passes a key and a value of these lengths.
        let (key, value) =
            unsafe { (convert::key(key, key_len)?, convert::value(value, value_len)?) };
        batch.put(key, value, ttl_ms)
    })
}

/// Adds to a batch that a key is deleted. If it is not there when the batch is written, that is no
/// failure.
///
/// @param batch    The batch.
/// @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @return
///   - KV_OK: it is in the batch. No database is changed before kv_write().
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: batch is no handle.
///   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is using it.
///   - KV_OUT_OF_MEMORY: the batch is as it was before the call.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the key stays the caller's and is copied.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_delete(
    batch: *mut kv_batch,
    key: *const c_void,
    key_len: usize,
) -> kv_status {
    change(batch, |batch| {
        // SAFETY: the caller passes a key of this length.
        batch.delete(unsafe { convert::key(key, key_len) }?)
    })
}

/// Tells how many writes a batch has. Several to one key are counted each.
///
/// @param batch  The batch.
/// @param count  Out: how many. Not NULL.
/// @return
///   - KV_OK: *count is set.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: mend the call; the message names the argument.
///   - KV_CLOSED, KV_BUSY: batch was freed, or another thread is changing it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any number at once, while none changes the batch.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_batch_count(batch: *mut kv_batch, count: *mut usize) -> kv_status {
    guard::status(|| {
        let batch = BATCHES.share(batch)?;
        convert::must_not_be_null(count, "count")?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(count, batch.len()) };
        Ok(KV_OK)
    })
}

/// Does all writes of a batch, or none of them: also after a crash, and whoever reads meanwhile
/// finds all of them or none. The batch keeps them; clear it to fill it anew, or write it again,
/// to this database or to another one.
///
/// @param db       The database.
/// @param batch    The batch. One without writes does nothing.
/// @param options  sync; the other members must be 0. NULL is the default.
/// @return
///   - KV_OK: every later read finds what the batch wrote.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db or batch is no handle, or a member of options is no choice or may
///     not be set; the message names it.
///   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
///   - KV_CLOSED, KV_FORKED: db or batch cannot be used any more, or db not in this process.
///   - KV_BUSY: another thread is changing the batch.
///   - KV_BATCH_TOO_LARGE: it has more bytes than one file can have; nothing was written.
///   - KV_NO_SPACE: nothing was written; it works again when there is room.
///   - KV_INDEX_FULL: a key is new, and the index may not grow; nothing was written.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
///     has more.
///   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
///   - KV_IO: nothing was written, and the database refuses writes now.
///   - KV_UNKNOWN_OUTCOME: all of it may be there or nothing, and the database refuses writes now;
///     open it again and read.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the batch and the options stay the caller's.
/// Threads: any number at once, also with the same batch, while none changes it.
/// Durability: as kv_put(), for all writes together, unless options->sync says otherwise.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_write(
    db: *mut kv_db,
    batch: *mut kv_batch,
    options: *const kv_write_options_t,
) -> kv_status {
    guard::on_db(db, |db| {
        let batch = BATCHES.share(batch)?;
        // SAFETY: the caller passes options that begin with their size, or NULL.
        let options = unsafe { write_options::read(options) }?;
        let allowed = WriteOptions { sync: options.sync, ..WriteOptions::default() };
        write_options::only(&options, &allowed, "sync")?;
        db.write(&batch, options.sync)?;
        Ok(KV_OK)
    })
}

/// Applies `change` to what is behind `batch`.
fn change(batch: *mut kv_batch, change: impl FnOnce(&mut WriteBatch) -> Result<()>) -> kv_status {
    guard::status(|| {
        change(&mut *BATCHES.hold(batch)?)?;
        Ok(KV_OK)
    })
}
