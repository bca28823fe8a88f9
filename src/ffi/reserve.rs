//! kv_reservation: a value that the caller puts together in the log itself, without a copy.

use super::conditional::answer;
use super::db::kv_db;
use super::object::{Part, Table, Tag};
use super::status::{kv_status, KV_OK};
use super::write_options::{self, kv_write_options_t};
use super::{convert, guard, handle};
use crate::db::{Reservation, WriteOptions, Written};
use std::ffi::c_void;

/// Room for a value, in the log of a database. What is put there becomes the value of a key with
/// kv_put_commit(), and is as if it had never been with kv_put_abort().
pub struct kv_reservation {
    _never_made: [u8; 0],
}

static RESERVATIONS: Table<kv_reservation, Part<Reservation>> =
    Table::of_database(Tag::Reservation, "reservation", "kv_put_reserve()");

/// Makes room for a value in the log of the database, to be filled in place: by read(), or by a
/// program that puts a message together. It is for values that are long, or come in parts; for
/// short ones kv_put() is as fast.
///
/// Others can write meanwhile, and wait for nothing. If nobody has when the value is committed, it
/// stays where it was put; else it is copied once, and its room is won back by compaction.
///
/// @param db           The database.
/// @param key          The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len      Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param value_len    The value's length in bytes; with key_len at most KV_MAX_VALUE_LEN - 16.
/// @param options      What the write depends on and what comes with it, looked at when it is
///   committed, but for skip_if_equal, which must be 0; NULL is as kv_put().
/// @param reservation  Out: the reservation. Not NULL.
/// @param value        Out: where the value goes, value_len bytes at no particular alignment,
///   whatever is in them. Never set to NULL. Not NULL.
/// @return
///   - KV_OK: both outputs are set. For others nothing has changed.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG, KV_VALUE_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or a member of options is no choice; the message
///     names it.
///   - KV_UNSUPPORTED: options has a member that is newer than this libkv.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED: there is no room
///     now; try again when there is.
///   - KV_IO, KV_READ_ONLY: the database refuses writes; the message says why.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller ends the reservation with kv_put_commit() or kv_put_abort(). The room is
///   the caller's to write until then, and must not be touched afterwards, nor freed. kv_close()
///   aborts it: the room stays writable until kv_put_abort(), and nothing comes of it.
/// Threads: any number at once. The reservation belongs to one thread at a time.
/// Durability: none before kv_put_commit().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_put_reserve(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    value_len: usize,
    options: *const kv_write_options_t,
    reservation: *mut *mut kv_reservation,
    value: *mut *mut c_void,
) -> kv_status {
    guard::on_db(db, |open| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        // SAFETY: the caller passes options that begin with their size, or NULL.
        let options = unsafe { write_options::read(options) }?;
        let allowed = WriteOptions { skip_if_equal: false, ..options };
        write_options::only(&options, &allowed, "all but skip_if_equal")?;
        convert::must_not_be_null(reservation, "reservation")?;
        convert::must_not_be_null(value, "value")?;
        let made = open.reserve(key, value_len, &options)?;
        let start = made.start();
        let handle = RESERVATIONS.insert(Part::new(db, made))?;
        // SAFETY: the outputs are not NULL, and the caller may write them.
        unsafe {
            convert::write(value, start.cast());
            convert::write(reservation, handle);
        }
        Ok(KV_OK)
    })
}

/// Stores the value that was put into a reservation, if the key is as its options say. The
/// reservation is over, whatever is answered.
///
/// @param reservation  The reservation.
/// @param version      Out: the key's version now; or NULL.
/// @return
///   - KV_OK: every later read finds the value. *version is set.
///   - KV_EXISTS: the key is there, against if_absent; nothing was written.
///   - KV_VERSION_MISMATCH: the key has another version than if_version, or is not there; nothing
///     was written.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_FORKED: the reservation is over, its database was closed, or it is its
///     parent's.
///   - KV_BUSY: another thread is using the reservation, which goes on.
///   - KV_NO_SPACE, KV_INDEX_FULL, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED:
///     nothing was written; it works again when there is room.
///   - KV_IO: nothing was written, and the database refuses writes now.
///   - KV_UNKNOWN_OUTCOME: the value may be there or not, and the database refuses writes now;
///     open it again and read.
///   - KV_READ_ONLY: the database refuses writes; the message says since when.
///   - KV_CORRUPT: damage was met; the message says where. Nothing was written.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: takes the reservation back. Do not write to its room any more: it is the value now.
/// Threads: any, one at a time.
/// Durability: as kv_put(), unless options->sync said otherwise.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_put_commit(
    reservation: *mut kv_reservation,
    version: *mut u64,
) -> kv_status {
    guard::status(|| {
        let part = RESERVATIONS.remove(reservation)?;
        Ok(guard::on_db(part.db(), |db| {
            let written = db.commit(part.value)?;
            if let Written::Done(made) | Written::Unchanged(made) = written {
                if !version.is_null() {
                    // SAFETY: not NULL, and the caller may write it.
                    unsafe { convert::write(version, made) };
                }
            }
            Ok(answer(written))
        }))
    })
}

/// Ends a reservation. Nothing was written.
///
/// @param reservation  The reservation, or NULL, which does nothing.
///
/// Ownership: takes the reservation and its room back; end it once.
/// Threads: any, one at a time. In a child of fork() it does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_put_abort(reservation: *mut kv_reservation) {
    guard::value((), || {
        if let Some(part) = RESERVATIONS.remove_quietly(reservation) {
            // If it was closed meanwhile there is nothing to give back.
            if let Ok(db) = handle::enter(part.db()) {
                db.abort(part.value);
            }
        }
    });
}
