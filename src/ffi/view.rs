//! kv_view: a value read in place, which keeps its bytes where they are.

use super::db::kv_db;
use super::object::{Table, Tag};
use super::status::{kv_status, KV_NOT_FOUND, KV_OK};
use super::{convert, guard};
use crate::db::{View, Views};
use crate::error::Result;
use std::ffi::c_void;

/// Values that are read where they lie, without a copy. It keeps files of the database mapped
/// and on disk: release it soon.
pub struct kv_view {
    _never_made: [u8; 0],
}

/// What keeps the values of a view where they are.
#[allow(dead_code, reason = "they are kept, and dropped")]
enum Kept {
    One(View),
    Many(Views),
}

static VIEWS: Table<kv_view, Kept> = Table::of_database(Tag::View, "view", "kv_view_get()");

/// Gives views to C. Values stay where they are.
pub(super) fn many_to_handle(views: Views) -> Result<*mut kv_view> {
    VIEWS.insert(Kept::Many(views))
}

/// Where C wants a view.
pub(super) struct Outputs {
    view: *mut *mut kv_view,
    value: *mut *const c_void,
    value_len: *mut usize,
}

impl Outputs {
    /// These, of which none may be NULL.
    pub(super) fn new(
        view: *mut *mut kv_view,
        value: *mut *const c_void,
        value_len: *mut usize,
    ) -> Result<Outputs> {
        convert::must_not_be_null(view, "view")?;
        convert::must_not_be_null(value, "value")?;
        convert::must_not_be_null(value_len, "value_len")?;
        Ok(Outputs { view, value, value_len })
    }

    /// Gives `found` to C.
    ///
    /// # Safety
    /// The outputs may be written.
    pub(super) unsafe fn give(self, found: View) -> Result<()> {
        // The bytes stay where they are when the view is moved.
        let bytes: *const [u8] = found.bytes();
        let handle = VIEWS.insert(Kept::One(found))?;
        // SAFETY: the outputs are not NULL (`new`), and the rest is the caller's promise.
        unsafe {
            convert::write(self.value, bytes.cast());
            convert::write(self.value_len, bytes.len());
            convert::write(self.view, handle);
        }
        Ok(())
    }
}

/// Finds the value of a key and shows it where it lies, without copying it. It does not change
/// while the view is held, whatever is put or deleted.
///
/// @param db         The database.
/// @param key        The key. NULL is KV_EMPTY_KEY if key_len is 0, else KV_NULL_ARGUMENT.
/// @param key_len    Its length in bytes, 1 to KV_MAX_KEY_LEN.
/// @param view       Out: the view. Not NULL.
/// @param value      Out: the value's first byte, never set to NULL, also if there is none; at
///   no particular alignment and not NUL-terminated. Not NULL.
/// @param value_len  Out: the value's length in bytes, 0 included. Not NULL.
/// @return
///   - KV_OK: all three outputs are set.
///   - KV_NOT_FOUND: the key is not there.
///   - KV_NULL_ARGUMENT, KV_EMPTY_KEY, KV_KEY_TOO_LONG: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_IO: the system refused; try again when it has
///     room, or report the message.
///   - KV_CORRUPT: the value on disk is damaged; other keys can be read.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller releases the view with kv_view_release(), before or after kv_close().
///   The value belongs to the view: read it until then, never write or free it.
/// Threads: any number at once. The view belongs to one thread at a time; its bytes may be read
///   by many.
/// Durability: the value may be one that is not on the medium yet; see kv_sync().
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_view_get(
    db: *mut kv_db,
    key: *const c_void,
    key_len: usize,
    view: *mut *mut kv_view,
    value: *mut *const c_void,
    value_len: *mut usize,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a key of this length.
        let key = unsafe { convert::key(key, key_len) }?;
        let outputs = Outputs::new(view, value, value_len)?;
        let Some(found) = db.view(key)? else { return Ok(KV_NOT_FOUND) };
        // SAFETY: the caller may write the outputs.
        unsafe { outputs.give(found) }?;
        Ok(KV_OK)
    })
}

/// Releases a view. The bytes that it showed cannot be read any more.
///
/// @param view  The view, or NULL, which does nothing. What is no view, or was released before, is
///   left alone, and kv_error_message() says so.
///
/// Ownership: takes the view back; release it once.
/// Threads: any, one at a time. In a child of fork() it does nothing: the view is its parent's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_view_release(view: *mut kv_view) {
    guard::value((), || VIEWS.free(view));
}
