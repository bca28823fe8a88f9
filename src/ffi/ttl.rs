//! Values that expire: kv_touch() and kv_ttl().

use super::db::kv_db;
use super::status::{kv_status, KV_NOT_FOUND, KV_OK};
use super::{convert, guard};
use std::ffi::c_void;

/// The longest time to live, in milliseconds: some 30,000 years.
pub const KV_MAX_TTL_MS: u64 = 1000000000000000;
/// What kv_ttl() tells of a value that never expires.
pub const KV_NO_TTL: u64 = 0xFFFF_FFFF_FFFF_FFFF_u64;

// Written out above, so that the header has numbers.
const _: () = assert!(KV_MAX_TTL_MS == crate::db::MAX_TTL_MS);
const _: () = assert!(KV_NO_TTL == u64::MAX);

/// Sets anew when the value of a key expires. The value is written anew for it.
///
/// @param db       The database.
/// @param key      The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len  Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param ttl_ms   Milliseconds from now, at most KV_MAX_TTL_MS; 0: never.
/// @return
///   - KV_OK: the value is there, and expires then. The key has a new version, unless nothing had
///     to be changed.
///   - KV_NOT_FOUND: the key is not there, or has expired, and nothing was written.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or ttl_ms is too long.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_NO_SPACE: nothing was written; it works again when there is room.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN: nothing was written; it works again when the system
///     has more.
///   - KV_PERMISSION_DENIED: nothing was written; it works again when it is permitted.
///   - KV_IO: nothing was written, and the database refuses writes now.
///   - KV_UNKNOWN_OUTCOME: it may have been changed or not, and the database refuses writes now;
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
pub unsafe extern "C" fn kv_touch(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    ttl_ms: u64,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        Ok(if db.touch(key, ttl_ms)? { KV_OK } else { KV_NOT_FOUND })
    })
}

/// Tells how long the value of a key will still be there. Time goes on while the database is
/// closed, and does not go back when the system's clock is set back.
///
/// @param db            The database.
/// @param key           The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len       Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param remaining_ms  Out: milliseconds, at least 1; or KV_NO_TTL: it never expires. Not NULL.
/// @return
///   - KV_OK: *remaining_ms is set.
///   - KV_NOT_FOUND: the key is not there, or has expired.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the record on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Threads: any number at once.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_ttl(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    remaining_ms: *mut u64,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        convert::must_not_be_null(remaining_ms, "remaining_ms")?;
        let Some(remaining) = db.ttl(key)? else { return Ok(KV_NOT_FOUND) };
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(remaining_ms, remaining.unwrap_or(KV_NO_TTL)) };
        Ok(KV_OK)
    })
}
