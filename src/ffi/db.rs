//! kv_db: a database, from kv_open() to kv_close(), and kv_destroy().

use super::options::{self, kv_options};
use super::status::{kv_status, KV_BUFFER_TOO_SMALL, KV_NOT_FOUND, KV_OK};
use super::{buffer, convert, guard, handle};
use crate::db::{self, Db};
use std::ffi::{c_char, c_void};

/// An open database. The pointer is a number that libkv checks on every call, not an address:
/// compare it, copy it, pass it, and never look behind it.
pub struct kv_db {
    _never_made: [u8; 0],
}

/// Opens the database in a directory, or makes one there.
///
/// @param path     The directory, in the bytes of the file system, NUL-terminated. Not NULL.
/// @param options  The options, or NULL for the defaults. They are copied.
/// @param db       Out: the database. Not NULL.
/// @return
///   - KV_OK: *db is set.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (the path is empty, options is no handle): mend the
///     call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is changing it.
///   - KV_UNSUPPORTED: the path is a URL (scheme://...), which is kept for later.
///   - KV_DOES_NOT_EXIST: there is none, or no directory to make it in, and it may not be made.
///   - KV_ALREADY_EXISTS: there is one, and error_if_exists is set.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: something else is there; it is not touched.
///   - KV_NEWER_FORMAT: open it with a newer libkv.
///   - KV_ALREADY_OPEN: this process has it open; use that kv_db.
///   - KV_LOCKED: another process has it open, whose pid the message names; try again later.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_PERMISSION_DENIED, KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system
///     refused; mend what the message names and try again.
///   - KV_CORRUPT: the database is damaged; the message says where. KV_ON_DAMAGE_READ_ONLY opens
///     what is whole.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the caller closes the database with kv_close(). The path stays the caller's.
/// Threads: any. The database may be used by any number at once.
/// Durability: a database that was made is on the medium when this returns.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_open(
    path: *const c_char,
    options: *const kv_options,
    db: *mut *mut kv_db,
) -> kv_status {
    guard::status(|| {
        guard::refuse_in_forked_child()?;
        convert::must_not_be_null(db, "db")?;
        // SAFETY: the caller passes a string.
        let path = unsafe { convert::path(path) }?;
        let settings = options::settings(options)?;
        let handle = handle::insert(Db::open(path, &settings)?)?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(db, handle) };
        Ok(KV_OK)
    })
}

/// Closes a database. It ends compactions, waits for the calls that other threads have in it, and
/// frees what it holds, except the views that were not released.
///
/// @param db  The database, or NULL, which does nothing and is KV_OK.
/// @return  Whatever it returns but KV_BUSY, the database is closed, or was no open database to
///   begin with.
///   - KV_OK: closed.
///   - KV_CLOSED: it was closed before, or another thread is closing it.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_BUSY: this is called from a progress function of db, or a function that is told of
///     messages or events, and it stays open.
///   - KV_FORKED: it is the parent's, where it stays open.
///   - KV_PERMISSION_DENIED, KV_NO_SPACE, KV_TOO_MANY_OPEN, KV_OUT_OF_MEMORY: it could not be
///     closed tidily. Writes are as safe as after the death of the process.
///   - KV_IO: the medium failed; the last writes may not be on it.
///   - KV_READ_ONLY: an earlier failure, which the message names, had stopped writes; what was
///     written shortly before it may not be on the medium.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: takes the database back. Calls with it return KV_CLOSED from now on.
/// Threads: any, also while others use the database; one of several that close it does so.
/// Durability: everything acknowledged is on the medium on KV_OK, whatever the sync option is.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_close(db: *mut kv_db) -> kv_status {
    guard::status(|| {
        if db.is_null() {
            return Ok(KV_OK);
        }
        guard::refuse_in_forked_child()?;
        handle::remove(db)?.close()?;
        Ok(KV_OK)
    })
}

/// Stores a value under a key, in the place of the one that was there.
///
/// @param db         The database.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value      The value. NULL is the empty one if value_len is 0, else KV_NULL_ARGUMENT.
/// @param value_len  Its length in bytes, 0 to KV_MAX_VALUE_LEN.
/// @return
///   - KV_OK: every later read finds the value.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
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
/// Ownership: the key and the value stay the caller's and are copied.
/// Threads: any number at once.
/// Durability: the value survives the death of the process when this returns KV_OK, and a power
///   cut as the sync option says.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_put(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key and a value of these lengths.
        let (key, value) =
            unsafe { (convert::key(key, key_len)?, convert::value(value, value_len)?) };
        db.put(key, value)?;
        Ok(KV_OK)
    })
}

/// Reads the value of a key into memory that the caller gets to keep.
///
/// @param db         The database.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value      Out: a copy of the value at a multiple of 16 bytes, not NUL-terminated;
///   never set to NULL, also if its length is 0. Not NULL.
/// @param value_len  Out: its length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: both outputs are set.
///   - KV_NOT_FOUND: the key is not there.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller frees the value with kv_free(), an empty one too.
/// Threads: any number at once.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_get(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    value: *mut *mut c_void,
    value_len: *mut usize,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        convert::must_not_be_null(value, "value")?;
        convert::must_not_be_null(value_len, "value_len")?;
        let copy = |bytes: &[u8]| buffer::Value::copy(bytes).map(|value| (value, bytes.len()));
        let Some((found, len)) = db.get(key, copy)?.transpose()? else {
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

/// Reads the value of a key into a buffer of the caller's. Nothing is allocated.
///
/// @param db         The database.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param buf        Out: the value. It must not overlap the key. NULL if cap is 0, else
///   KV_NULL_ARGUMENT.
/// @param cap        The buffer's size in bytes.
/// @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: the first *value_len bytes of buf are the value; the rest is as it was.
///   - KV_NOT_FOUND: the key is not there.
///   - KV_BUFFER_TOO_SMALL: *value_len is the size needed, and buf is as it was. Try again with
///     as much; the value may have grown meanwhile.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, buf and key overlap, or cap is more than any
///     memory has.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the key and the buffer stay the caller's.
/// Threads: any number at once, each with a buffer of its own.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_get_into(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    buf: *mut c_void,
    cap: usize,
    value_len: *mut usize,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let target = convert::Buffer::new(buf, cap)?;
        target.must_not_overlap(key, "key")?;
        convert::must_not_be_null(value_len, "value_len")?;
        // SAFETY: the caller may write all of the buffer; the value is the database's own.
        let copy = |bytes: &[u8]| (unsafe { target.fill(bytes) }, bytes.len());
        let Some((fits, len)) = db.get(key, copy)? else { return Ok(KV_NOT_FOUND) };
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(value_len, len) };
        Ok(if fits { KV_OK } else { KV_BUFFER_TOO_SMALL })
    })
}

/// Finds out whether a key is there, and how long its value is.
///
/// @param db         The database.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value_len  Out: the value's length in bytes, 0 included; or NULL.
/// @return
///   - KV_OK: the key is there, and *value_len is set.
///   - KV_NOT_FOUND: it is not.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once.
/// Durability: the key may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_exists(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    value_len: *mut usize,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let Some(len) = db.value_len(key)? else { return Ok(KV_NOT_FOUND) };
        if !value_len.is_null() {
            // SAFETY: not NULL, and the caller may write it.
            unsafe { convert::write(value_len, len) };
        }
        Ok(KV_OK)
    })
}

/// Deletes a key and its value.
///
/// @param db       The database.
/// @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @return
///   - KV_OK: the key was there and is gone.
///   - KV_NOT_FOUND: it was not there, and nothing was written.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
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
/// Ownership: the key stays the caller's.
/// Threads: any number at once.
/// Durability: as kv_put(): a key that was deleted does not come back.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_delete(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        Ok(if db.delete(key)? { KV_OK } else { KV_NOT_FOUND })
    })
}

/// Forces every write that was acknowledged before this call to the medium, and waits for it.
///
/// @param db  The database.
/// @return
///   - KV_OK: they survive a power cut.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing is lost; try again when the
///     system has room.
///   - KV_PERMISSION_DENIED: nothing is lost; try again when it is permitted.
///   - KV_IO: the medium failed; they may survive a power cut or not, and the database refuses
///     writes now.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once; they share the work.
/// Durability: this is what makes it so, whatever the sync option is.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_sync(db: *mut kv_db) -> kv_status {
    guard::on_db(db, |db| {
        db.sync()?;
        Ok(KV_OK)
    })
}

/// Removes the database in a directory with all that it holds. Files that are not the
/// database's are left, and then the directory too.
///
/// @param path  The directory, as for kv_open(). Not NULL.
/// @return
///   - KV_OK: it is gone.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (the path is empty): mend the call.
///   - KV_UNSUPPORTED: the path is a URL.
///   - KV_DOES_NOT_EXIST, KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: there is none; nothing is
///     touched.
///   - KV_ALREADY_OPEN: close it first.
///   - KV_LOCKED: another process has it open, whose pid the message names; try again later.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_NEWER_FORMAT: a newer libkv wrote it, and must remove it; nothing is touched. (A damaged
///     database is removed as any other.)
///   - KV_PERMISSION_DENIED, KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system
///     refused; part of it may be gone. Mend what the message names and try again.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the path stays the caller's.
/// Threads: any.
/// Durability: it stays gone after a power cut when this returns KV_OK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_destroy(path: *const c_char) -> kv_status {
    guard::status(|| {
        guard::refuse_in_forked_child()?;
        // SAFETY: the caller passes a string.
        let path = unsafe { convert::path(path) }?;
        db::destroy(path)?;
        Ok(KV_OK)
    })
}
