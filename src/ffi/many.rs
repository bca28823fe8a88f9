//! kv_get_many() and kv_view_get_many(): many keys in one call.

use super::buffer::Arena;
use super::db::kv_db;
use super::status::{kv_status, report, KV_NOT_FOUND, KV_OK};
use super::view::{self, kv_view};
use super::{convert, guard};
use crate::error::{Error, Kind, Result};
use std::ffi::c_void;

/// Bytes with a length. NULL with length 0 is the empty string.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_slice_t {
    /// The first byte.
    pub data: *const c_void,
    /// How many there are.
    pub len: usize,
}

/// What became of one key of many.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_result_t {
    /// KV_OK, KV_NOT_FOUND, or why this key could not be read.
    pub status: kv_status,
    /// With KV_OK the value's first byte, never NULL, also if it has none; else NULL.
    pub value: *const c_void,
    /// With KV_OK the value's length in bytes, 0 included; else 0.
    pub value_len: usize,
}

/// Reads the values of many keys: faster than one by one, as the waits for memory overlap. All
/// values come in one piece of memory.
///
/// @param db       The database.
/// @param n        How many keys there are; none is fine.
/// @param keys     The keys, each 1 to KV_MAX_KEY_LEN bytes long. Not NULL unless n is 0. A key
///   may be there twice.
/// @param results  Out: what became of each key, in the order of the keys. Not NULL unless n
///   is 0.
/// @param arena    Out: the memory that the values are in, or NULL if there is none. Not NULL.
/// @return
///   - KV_OK: all of results and *arena are set. The status of each result is one of
///     - KV_OK: the value is there.
///     - KV_NOT_FOUND: the key is not there.
///     - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: this key is none.
///     - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused to read this one.
///     - KV_CORRUPT: this value is damaged on disk.
///
///     kv_error_message() is about the last key that failed.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or n is more than any memory has.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY: there is no memory for so many results.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller frees the arena with kv_free(), and all values with it. The keys stay
///   the caller's.
/// Threads: any number at once. Keys are read one after the other: others may write between two.
/// Durability: values may be some that are not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_get_many(
    db: *mut kv_db,
    n: usize,
    keys: *const kv_slice_t,
    results: *mut kv_result_t,
    arena: *mut *mut c_void,
) -> kv_status {
    guard::on_db(db, |db| {
        convert::must_not_be_null(arena, "arena")?;
        check_arrays(n, keys, results)?;
        let (mut outcomes, mut values) = (room_for(n)?, Arena::default());
        // SAFETY: the caller passes `n` keys.
        let key_at = |at| unsafe { key_at(keys, at) };
        db.get_many(n, key_at, |at, found| {
            let placed = found.and_then(|found| match found {
                Some(value) => Ok(Some((values.push(value)?, value.len()))),
                None => Ok(None),
            });
            outcomes[at] = settle(placed);
        })?;
        let memory = values.into_raw();
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let result = match outcome {
                // SAFETY: the value lies there in the arena.
                Ok((offset, len)) => found(unsafe { memory.cast::<u8>().add(offset) }, len),
                Err(status) => none(status),
            };
            // SAFETY: the caller may write `n` results.
            unsafe { convert::write(results.add(at), result) };
        }
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(arena, memory) };
        Ok(KV_OK)
    })
}

/// Finds the values of many keys and shows them where they lie, without copying them.
///
/// @param db       The database.
/// @param n        How many keys there are; none is fine.
/// @param keys     The keys, as for kv_get_many().
/// @param results  Out: what became of each key, as for kv_get_many(). Values are at no
///   particular alignment.
/// @param view     Out: one view that keeps all values. Not NULL.
/// @return
///   - KV_OK: all of results and *view are set, the statuses as for kv_get_many().
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or n is more than any memory has.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY: there is no memory for so many results.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller releases the view with kv_view_release(), before or after kv_close(),
///   also if no key was found. The values belong to the view.
/// Threads: any number at once. The view belongs to one thread at a time; its bytes may be read
///   by many. Keys are read one after the other: others may write between two.
/// Durability: values may be some that are not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_view_get_many(
    db: *mut kv_db,
    n: usize,
    keys: *const kv_slice_t,
    results: *mut kv_result_t,
    view: *mut *mut kv_view,
) -> kv_status {
    guard::on_db(db, |db| {
        convert::must_not_be_null(view, "view")?;
        check_arrays(n, keys, results)?;
        // SAFETY: the caller passes `n` keys.
        let views = db.view_many(n, |at| unsafe { key_at(keys, at) })?;
        let mut outcomes = room_for(n)?;
        for (at, outcome) in outcomes.iter_mut().enumerate() {
            *outcome = settle(views.value(at)).map(|value| (value.as_ptr(), value.len()));
        }
        let handle = view::many_to_handle(views)?;
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let result = outcome.map_or_else(none, |(value, len)| found(value, len));
            // SAFETY: the caller may write `n` results.
            unsafe { convert::write(results.add(at), result) };
        }
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(view, handle) };
        Ok(KV_OK)
    })
}

/// Fails unless there can be `n` keys and as many results at these addresses.
fn check_arrays(n: usize, keys: *const kv_slice_t, results: *const kv_result_t) -> Result<()> {
    const LARGER: usize = if size_of::<kv_slice_t>() > size_of::<kv_result_t>() {
        size_of::<kv_slice_t>()
    } else {
        size_of::<kv_result_t>()
    };
    if n > isize::MAX as usize / LARGER {
        let text = format!("n is {n}, which is more keys than memory has room for");
        return Err(Error::new(Kind::InvalidArgument, text));
    }
    if n > 0 {
        convert::must_not_be_null(keys, "keys")?;
        convert::must_not_be_null(results, "results")?;
    }
    Ok(())
}

/// Where a value is and how long, or why there is none.
type Outcome<P> = std::result::Result<(P, usize), kv_status>;

/// Room for `n` outcomes.
fn room_for<P: Clone>(n: usize) -> Result<Vec<Outcome<P>>> {
    let mut outcomes = Vec::new();
    outcomes
        .try_reserve_exact(n)
        .map_err(|_| convert::out_of_memory(n.saturating_mul(size_of::<kv_result_t>())))?;
    outcomes.resize(n, Err(KV_NOT_FOUND));
    Ok(outcomes)
}

/// The key number `at`.
///
/// # Safety
/// `keys` has more keys than that, and they do not change during `'a`.
unsafe fn key_at<'a>(keys: *const kv_slice_t, at: usize) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise; an address that C computed may be unaligned.
    let slice = unsafe { keys.add(at).read_unaligned() };
    // SAFETY: the same.
    unsafe { convert::key(slice.data, slice.len) }
}

/// What was found, or the status that says why nothing was.
fn settle<T>(outcome: Result<Option<T>>) -> std::result::Result<T, kv_status> {
    match outcome {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(KV_NOT_FOUND),
        Err(error) => Err(report(&error)),
    }
}

fn found(value: *const u8, value_len: usize) -> kv_result_t {
    kv_result_t { status: KV_OK, value: value.cast(), value_len }
}

fn none(status: kv_status) -> kv_result_t {
    kv_result_t { status, value: std::ptr::null(), value_len: 0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::super::status::*;
    use super::super::{kv_close, kv_free, kv_put, kv_view_release};
    use super::*;
    use crate::ffi::tests::Place;
    use std::ptr;

    fn slice(bytes: &[u8]) -> kv_slice_t {
        kv_slice_t { data: bytes.as_ptr().cast(), len: bytes.len() }
    }

    const UNSET: kv_result_t = kv_result_t { status: 77, value: ptr::null(), value_len: 5 };

    fn value_of(result: &kv_result_t) -> Option<Vec<u8>> {
        // SAFETY: the value has that many bytes while what keeps it is there.
        (result.status == KV_OK).then(|| unsafe {
            std::slice::from_raw_parts(result.value.cast::<u8>(), result.value_len).to_vec()
        })
    }

    #[test]
    fn each_key_has_a_result_of_its_own() {
        let place = Place::new("ffi-many");
        let db = place.open();
        let null = kv_slice_t { data: ptr::null(), len: 3 };
        let none = kv_slice_t { data: ptr::null(), len: 0 };
        let long = kv_slice_t { data: b"x".as_ptr().cast(), len: usize::MAX };
        let keys = [slice(b"one"), null, none, slice(b"gone"), long, slice(b"empty")];
        let statuses =
            [KV_OK, KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_NOT_FOUND, KV_KEY_TOO_LONG, KV_OK];
        let (mut arena, mut view) = (ptr::null_mut(), ptr::null_mut());
        let (mut copied, mut viewed) = ([UNSET; 6], [UNSET; 6]);
        // SAFETY: as many keys and results as are told, and outputs that may be written.
        unsafe {
            assert_eq!(kv_put(db, b"one".as_ptr().cast(), 3, b"1".as_ptr().cast(), 1), KV_OK);
            assert_eq!(kv_put(db, b"empty".as_ptr().cast(), 5, ptr::null(), 0), KV_OK);
            let out = copied.as_mut_ptr();
            assert_eq!(kv_get_many(db, 6, keys.as_ptr(), out, &mut arena), KV_OK);
            let out = viewed.as_mut_ptr();
            assert_eq!(kv_view_get_many(db, 6, keys.as_ptr(), out, &mut view), KV_OK);
            assert_eq!(kv_close(db), KV_OK);
        }
        for results in [copied, viewed] {
            assert_eq!(results.map(|result| result.status), statuses);
            assert_eq!(value_of(&results[0]).as_deref(), Some(&b"1"[..]));
            assert_eq!(value_of(&results[5]).as_deref(), Some(&b""[..]));
            assert!(!results[5].value.is_null(), "an empty value is somewhere too");
            assert!(results[3].value.is_null() && results[3].value_len == 0);
        }
        // SAFETY: each is freed once.
        unsafe {
            kv_free(arena);
            kv_view_release(view);
        }
    }

    #[test]
    fn impossible_calls_are_refused_and_empty_ones_are_fine() {
        let place = Place::new("ffi-many-none");
        let db = place.open();
        let (mut arena, mut view) = (ptr::dangling_mut::<c_void>(), ptr::null_mut());
        let (key, mut result) = (slice(b"key"), UNSET);
        let (no_keys, no_results) = (ptr::null(), ptr::null_mut());
        // SAFETY: keys and results as told, where they are looked at.
        unsafe {
            for n in [usize::MAX, usize::MAX / 24, isize::MAX as usize / 24 + 1] {
                let status = kv_get_many(db, n, &key, &mut result, &mut arena);
                assert_eq!(status, KV_INVALID_ARGUMENT, "{n}");
                let status = kv_view_get_many(db, n, &key, &mut result, &mut view);
                assert_eq!(status, KV_INVALID_ARGUMENT, "{n}");
            }
            let n = isize::MAX as usize / 24;
            let status = kv_get_many(db, n, &key, &mut result, &mut arena);
            assert_eq!(status, KV_OUT_OF_MEMORY);
            let status = kv_get_many(db, 1, no_keys, &mut result, &mut arena);
            assert_eq!(status, KV_NULL_ARGUMENT);
            let status = kv_get_many(db, 1, &key, no_results, &mut arena);
            assert_eq!(status, KV_NULL_ARGUMENT);
            let status = kv_get_many(db, 1, &key, &mut result, ptr::null_mut());
            assert_eq!(status, KV_NULL_ARGUMENT);
            let status = kv_view_get_many(db, 1, &key, &mut result, ptr::null_mut());
            assert_eq!(status, KV_NULL_ARGUMENT);
            assert_eq!(result.status, 77, "an output was written without KV_OK");
            assert_eq!(arena, ptr::dangling_mut(), "an output was written without KV_OK");
            assert_eq!(kv_get_many(db, 0, no_keys, no_results, &mut arena), KV_OK);
            assert!(arena.is_null());
            assert_eq!(kv_view_get_many(db, 0, no_keys, no_results, &mut view), KV_OK);
            kv_view_release(view);
            assert_eq!(kv_close(db), KV_OK);
            assert_eq!(kv_get_many(db, 1, &key, &mut result, &mut arena), KV_CLOSED);
        }
    }
}
