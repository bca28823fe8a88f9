//! Writes that depend on what is there: versions, compare-and-swap, counters.

use super::db::kv_db;
use super::status::{kv_status, KV_EXISTS, KV_NOT_FOUND, KV_OK, KV_VERSION_MISMATCH};
use super::write_options::{self, kv_write_options_t};
use super::{convert, guard};
use crate::db::{WriteOptions, Written};
use std::ffi::c_void;

/// Stores a value under a key, if the key is as the options say. To check and to write is one
/// step: no other write comes in between.
///
/// @param db         The database.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
/// @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
/// @param options    What the write depends on and what comes with it; NULL is as kv_put().
/// @param version    Out: the key's version now; or NULL.
/// @return
///   - KV_OK: every later read finds the value; or it was there, and skip_if_equal is set. *version
///     is set.
///   - KV_EXISTS: the key is there, against if_absent; nothing was written.
///   - KV_VERSION_MISMATCH: the key has another version than if_version, or is not there; nothing
///     was written. Read it again to go on.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or a member of options is no choice; the message
///     names it.
///   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_NO_SPACE: nothing was written; it works again when there is room.
///   - KV_INDEX_FULL: the key is new, and the index may not grow; nothing was written.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
///     has more.
///   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
///   - KV_IO: nothing was written, and the database refuses writes now.
///   - KV_UNKNOWN_OUTCOME: the value may be there or not, and the database refuses writes now;
///     open it again and read.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the key, the value and the options stay the caller's; the first two are copied.
/// Threads: any number at once; of several that write with the same if_version, one does.
/// Durability: as kv_put(), unless options->sync says otherwise.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_put_with(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    options: *const kv_write_options_t,
    version: *mut u64,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key and a value of these lengths.
        let (key, value) =
            unsafe { (convert::key(key, key_len)?, convert::value(value, value_len)?) };
        // SAFETY: the caller passes options that begin with their size, or NULL.
        let options = unsafe { write_options::read(options) }?;
        let written = db.put_with(key, value, &options)?;
        let (Written::Done(now) | Written::Unchanged(now)) = written else {
            return Ok(answer(written));
        };
        if !version.is_null() {
            // SAFETY: not NULL, and the caller may write it.
            unsafe { convert::write(version, now) };
        }
        Ok(KV_OK)
    })
}

/// Deletes a key and its value, if the key is as the options say.
///
/// @param db       The database.
/// @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param options  if_version and sync; the other members must be 0. NULL is as kv_delete().
/// @return
///   - KV_OK: the key was there and is gone.
///   - KV_NOT_FOUND: it was not there, whatever if_version is, and nothing was written.
///   - KV_VERSION_MISMATCH: it has another version than if_version; nothing was written.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, a member of options is no choice, or another is set.
///   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_NO_SPACE: nothing was written; it works again when there is room.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
///     has more.
///   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
///   - KV_IO: nothing was written, and the database refuses writes now.
///   - KV_UNKNOWN_OUTCOME: the key may be there or not, and the database refuses writes now;
///     open it again and read.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the key and the options stay the caller's.
/// Threads: any number at once.
/// Durability: as kv_put(), unless options->sync says otherwise.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_delete_with(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    options: *const kv_write_options_t,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        // SAFETY: the caller passes options that begin with their size, or NULL.
        let options = unsafe { write_options::read(options) }?;
        let WriteOptions { if_version, sync, .. } = options;
        let allowed = WriteOptions { if_version, sync, ..WriteOptions::default() };
        write_options::only(&options, &allowed, "if_version and sync")?;
        Ok(answer(db.delete_with(key, &options)?))
    })
}

/// Tells the version of a key: a number that is another after each write to the key, also if it
/// was deleted in between, and stays what it is otherwise. It is never 0.
///
/// @param db       The database.
/// @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param version  Out: its version. Not NULL.
/// @return
///   - KV_OK: *version is set.
///   - KV_NOT_FOUND: the key is not there.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once. Get the version before the value that a write shall depend on:
///   then the write is refused if the value has changed since.
/// Durability: the write that made this version may not be on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_get_version(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    version: *mut u64,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        convert::must_not_be_null(version, "version")?;
        let Some(found) = db.version(key)? else { return Ok(KV_NOT_FOUND) };
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(version, found) };
        Ok(KV_OK)
    })
}

/// Adds to a counter, in one step: no addition of another thread is lost. A counter is a value of
/// eight bytes, a signed number, the lowest byte first; a key that is not there counts as 0. When
/// it expires stays as it was.
///
/// @param db       The database.
/// @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param delta    What to add, or less than 0 to subtract.
/// @param result   Out: what the counter is now; or NULL.
/// @return
///   - KV_OK: *result is set.
///   - KV_NOT_A_COUNTER: the value has not eight bytes; nothing was written.
///   - KV_OVERFLOW: the sum is no int64_t; nothing was written.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_NO_SPACE: nothing was written; it works again when there is room.
///   - KV_INDEX_FULL: the key is new, and the index may not grow; nothing was written.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
///     has more.
///   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
///   - KV_IO: nothing was written, and the database refuses writes now.
///   - KV_UNKNOWN_OUTCOME: it may have been added or not, and the database refuses writes now;
///     open it again and read.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the key stays the caller's.
/// Threads: any number at once.
/// Durability: as kv_put().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_add(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    delta: i64,
    result: *mut i64,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let sum = db.add(key, delta)?;
        if !result.is_null() {
            // SAFETY: not NULL, and the caller may write it.
            unsafe { convert::write(result, sum) };
        }
        Ok(KV_OK)
    })
}

/// The status of what became of a write.
pub(super) fn answer(written: Written) -> kv_status {
    match written {
        Written::Done(_) | Written::Unchanged(_) => KV_OK,
        Written::Exists => KV_EXISTS,
        Written::OtherVersion => KV_VERSION_MISMATCH,
        Written::NotFound => KV_NOT_FOUND,
    }
}
