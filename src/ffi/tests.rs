//! Tests of the C functions together, called as C calls them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use std::ffi::{c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr;

/// A directory for one test, removed before and after.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(name: &str) -> Place {
        let place = Place(std::env::temp_dir().join(format!("kv-{}-{name}", std::process::id())));
        place.clear();
        place
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn c_path(&self) -> CString {
        CString::new(self.0.to_str().unwrap()).unwrap()
    }

    /// Opens the database with the default options.
    pub(super) fn open(&self) -> *mut kv_db {
        let mut db = ptr::null_mut();
        // SAFETY: a string, NULL, and an output that may be written.
        assert_eq!(unsafe { kv_open(self.c_path().as_ptr(), ptr::null(), &mut db) }, KV_OK);
        assert!(!db.is_null());
        db
    }

    fn clear(&self) {
        // It may not exist.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}

fn message() -> String {
    // SAFETY: the function returns a NUL-terminated string that outlives the borrow.
    unsafe { CStr::from_ptr(kv_error_message()) }.to_str().unwrap().to_owned()
}

fn put(db: *mut kv_db, key: &[u8], value: &[u8]) -> kv_status {
    // SAFETY: the pointers and the lengths are those of slices.
    unsafe { kv_put(db, key.as_ptr().cast(), key.len(), value.as_ptr().cast(), value.len()) }
}

fn get(db: *mut kv_db, key: &[u8]) -> (kv_status, Vec<u8>) {
    let (mut value, mut len) = (ptr::null_mut(), 0);
    // SAFETY: a slice's pointer and length, and outputs that may be written; the value is read
    // before it is freed.
    unsafe {
        let status = kv_get(db, key.as_ptr().cast(), key.len(), &mut value, &mut len);
        if status != KV_OK {
            assert!(value.is_null() && len == 0, "an output was written without KV_OK");
            return (status, Vec::new());
        }
        let copy = std::slice::from_raw_parts(value.cast::<u8>(), len).to_vec();
        kv_free(value);
        (status, copy)
    }
}

#[test]
fn values_are_stored_read_and_deleted() {
    let place = Place::new("ffi-basics");
    let db = place.open();
    assert_eq!(get(db, b"key").0, KV_NOT_FOUND);
    assert_eq!(put(db, b"key", b"value"), KV_OK);
    assert_eq!(get(db, b"key"), (KV_OK, b"value".to_vec()));
    assert_eq!(put(db, b"key", b""), KV_OK);
    assert_eq!(get(db, b"key"), (KV_OK, Vec::new()));
    let key = b"key".as_ptr().cast();
    // SAFETY: keys of the lengths given, an output that may be written or NULL, an open database.
    unsafe {
        let mut len = 9;
        assert_eq!(kv_exists(db, key, 3, &mut len), KV_OK);
        assert_eq!(len, 0);
        assert_eq!(kv_exists(db, key, 3, ptr::null_mut()), KV_OK);
        assert_eq!(kv_sync(db), KV_OK);
        assert_eq!(kv_compact(db), KV_OK);
        assert_eq!(kv_delete(db, key, 3), KV_OK);
        assert_eq!(kv_delete(db, key, 3), KV_NOT_FOUND);
        len = 9;
        assert_eq!(kv_exists(db, key, 3, &mut len), KV_NOT_FOUND);
        assert_eq!(len, 9);
        assert_eq!(kv_close(db), KV_OK);
    }
}

#[test]
fn a_buffer_is_filled_or_its_size_is_told() {
    let place = Place::new("ffi-get-into");
    let db = place.open();
    assert_eq!(put(db, b"key", b"value"), KV_OK);
    assert_eq!(put(db, b"empty", b""), KV_OK);
    let read = |key: &[u8], buf: *mut c_void, cap: usize, len: *mut usize| {
        // SAFETY: a slice's pointer and length; the tests below pass buffers of their own.
        unsafe { kv_get_into(db, key.as_ptr().cast(), key.len(), buf, cap, len) }
    };
    let mut memory = *b"........";
    let buf = memory.as_mut_ptr().cast();
    let mut len = 77;
    assert_eq!(read(b"none", buf, 8, &mut len), KV_NOT_FOUND);
    assert_eq!(len, 77);
    assert_eq!(read(b"key", buf, 4, &mut len), KV_BUFFER_TOO_SMALL);
    assert_eq!((len, &memory), (5, b"........"));
    assert_eq!(read(b"key", buf, 5, &mut len), KV_OK);
    assert_eq!((len, &memory), (5, b"value..."));
    assert_eq!(read(b"key", ptr::null_mut(), 0, &mut len), KV_BUFFER_TOO_SMALL);
    assert_eq!(read(b"empty", ptr::null_mut(), 0, &mut len), KV_OK);
    assert_eq!(len, 0);
    assert_eq!(read(b"key", ptr::null_mut(), 1, &mut len), KV_NULL_ARGUMENT);
    assert_eq!(read(b"key", buf, 8, ptr::null_mut()), KV_NULL_ARGUMENT);
    assert_eq!(read(b"key", buf, usize::MAX, &mut len), KV_INVALID_ARGUMENT);
    // SAFETY: the key and the buffer are the same 8 bytes, which is what is tested.
    let overlap = unsafe { kv_get_into(db, buf, 3, buf, 8, &mut len) };
    assert_eq!(overlap, KV_INVALID_ARGUMENT);
    assert!(message().contains("overlap"), "{}", message());
    // SAFETY: open, and closed once.
    assert_eq!(unsafe { kv_close(db) }, KV_OK);
}

#[test]
fn a_view_outlives_its_value_and_its_database() {
    let place = Place::new("ffi-view");
    let db = place.open();
    assert_eq!(put(db, b"key", b"value"), KV_OK);
    let key = b"key".as_ptr().cast();
    let (mut view, mut value, mut len) = (ptr::null_mut(), ptr::null(), 9);
    // SAFETY: keys of the lengths given, outputs that may be written; the value is read before
    // its view is released, once.
    unsafe {
        let missing = kv_view_get(db, b"none".as_ptr().cast(), 4, &mut view, &mut value, &mut len);
        assert_eq!(missing, KV_NOT_FOUND);
        assert!(view.is_null() && value.is_null() && len == 9);
        let null = kv_view_get(db, key, 3, ptr::null_mut(), &mut value, &mut len);
        assert_eq!(null, KV_NULL_ARGUMENT);
        assert_eq!(kv_view_get(db, key, 3, &mut view, &mut value, &mut len), KV_OK);
        assert_eq!(kv_delete(db, key, 3), KV_OK);
        assert_eq!(kv_close(db), KV_OK);
        assert_eq!(std::slice::from_raw_parts(value.cast::<u8>(), len), b"value");
        kv_view_release(view);
        kv_view_release(ptr::null_mut());
    }
}

#[test]
fn what_c_can_check_is_answered() {
    let place = Place::new("ffi-misuse");
    let db = place.open();
    let (key, mut len) = (b"key".as_ptr().cast(), 7);
    let no_key: *const c_void = ptr::null();
    // SAFETY: every pointer is NULL, has its length, or has a length past the limits.
    unsafe {
        assert_eq!(kv_put(ptr::null_mut(), key, 3, key, 3), KV_NULL_ARGUMENT);
        assert_eq!(kv_put(db, no_key, 0, key, 3), KV_EMPTY_KEY);
        assert_eq!(kv_put(db, key, 0, key, 3), KV_EMPTY_KEY);
        assert_eq!(kv_put(db, no_key, 3, key, 3), KV_NULL_ARGUMENT);
        assert_eq!(message(), "key is NULL, but its length is 3");
        assert_eq!(kv_put(db, key, 3, ptr::null(), 1), KV_NULL_ARGUMENT);
        assert_eq!(kv_put(db, key, 3, ptr::null(), 0), KV_OK);
        assert_eq!(kv_put(db, key, 65_536, key, 3), KV_KEY_TOO_LONG);
        assert_eq!(kv_put(db, key, usize::MAX, key, 3), KV_KEY_TOO_LONG);
        assert_eq!(kv_put(db, key, 3, key, 1 << 32), KV_VALUE_TOO_LONG);
        assert_eq!(kv_get(db, key, 3, ptr::null_mut(), &mut len), KV_NULL_ARGUMENT);
        assert_eq!(kv_exists(db, no_key, 0, &mut len), KV_EMPTY_KEY);
        assert_eq!(len, 7);
        assert_eq!(kv_close(ptr::null_mut()), KV_OK);
        assert_eq!(kv_close(key.cast_mut().cast()), KV_INVALID_ARGUMENT);
        assert_eq!(kv_close(db), KV_OK);
        assert_eq!(kv_close(db), KV_CLOSED);
        assert_eq!(kv_put(db, key, 3, key, 3), KV_CLOSED);
        assert_eq!(kv_sync(db), KV_CLOSED);
        let mut none = ptr::null_mut();
        assert_eq!(kv_open(ptr::null(), ptr::null(), &mut none), KV_NULL_ARGUMENT);
        assert_eq!(kv_open(c"".as_ptr(), ptr::null(), &mut none), KV_INVALID_ARGUMENT);
        assert_eq!(kv_open(c"kv://host/db".as_ptr(), ptr::null(), &mut none), KV_UNSUPPORTED);
        let path = place.c_path();
        assert_eq!(kv_open(path.as_ptr(), ptr::null(), ptr::null_mut()), KV_NULL_ARGUMENT);
        assert!(none.is_null());
        assert_eq!(kv_destroy(ptr::null()), KV_NULL_ARGUMENT);
    }
}

/// The limit that C is told is the one that the database keeps.
#[test]
fn the_longest_key_is_as_long_as_the_header_says() {
    let place = Place::new("ffi-longest-key");
    let db = place.open();
    let key = vec![b'k'; KV_MAX_KEY_LEN];
    assert_eq!(put(db, &key, b"value"), KV_OK);
    assert_eq!(get(db, &key), (KV_OK, b"value".to_vec()));
    // SAFETY: open, and closed once.
    assert_eq!(unsafe { kv_close(db) }, KV_OK);
}

#[test]
fn options_are_set_by_text_and_by_type() {
    let mut options = ptr::null_mut();
    // SAFETY: NULL or options of their own, strings, and an output that may be written.
    unsafe {
        assert_eq!(kv_options_new(ptr::null_mut()), KV_NULL_ARGUMENT);
        assert_eq!(kv_options_new(&mut options), KV_OK);
        assert_eq!(kv_options_set(options, c"segment_size".as_ptr(), c"1MiB".as_ptr()), KV_OK);
        assert_eq!(kv_options_set(options, c"size".as_ptr(), c"1".as_ptr()), KV_UNKNOWN_OPTION);
        assert_eq!(kv_options_set(options, c"sync".as_ptr(), c"1".as_ptr()), KV_INVALID_OPTION);
        assert_eq!(kv_options_set(options, ptr::null(), c"1".as_ptr()), KV_NULL_ARGUMENT);
        assert_eq!(kv_options_set(ptr::null_mut(), c"a".as_ptr(), c"".as_ptr()), KV_NULL_ARGUMENT);
        assert_eq!(kv_options_set_segment_size(options, 2 << 20), KV_OK);
        assert_eq!(kv_options_set_segment_size(options, 0), KV_INVALID_OPTION);
        assert_eq!(kv_options_set_segment_size(ptr::null_mut(), 2 << 20), KV_NULL_ARGUMENT);
        assert_eq!(kv_options_set_sync_interval_ms(options, 20), KV_OK);
        assert_eq!(kv_options_set_sync_interval_ms(options, 0), KV_INVALID_OPTION);
        type Setter = unsafe extern "C" fn(*mut kv_options, i32) -> kv_status;
        let setters: [(Setter, i32); 6] = [
            (kv_options_set_sync, KV_SYNC_ALWAYS),
            (kv_options_set_create_if_missing, 1),
            (kv_options_set_error_if_exists, 1),
            (kv_options_set_verify_checksums, 1),
            (kv_options_set_read_mode, KV_READ_PREAD),
            (kv_options_set_on_damage, KV_ON_DAMAGE_READ_ONLY),
        ];
        for (set, last) in setters {
            assert_eq!(set(options, last + 1), KV_INVALID_ARGUMENT);
            assert_eq!(set(options, -1), KV_INVALID_ARGUMENT);
            assert_eq!(set(ptr::null_mut(), last), KV_NULL_ARGUMENT);
            assert_eq!(set(options, last), KV_OK);
        }
        let set = options::settings(options).unwrap();
        assert_eq!((set.segment_size, set.sync_interval_ms), (2 << 20, 20));
        assert_eq!(set.sync, crate::options::SyncLevel::Always);
        assert_eq!(set.read_mode, crate::options::ReadMode::Pread);
        assert_eq!(set.on_damage, crate::options::OnDamage::ReadOnly);
        assert!(set.create_if_missing && set.error_if_exists && set.verify_checksums);
        kv_options_free(options);
        kv_options_free(ptr::null_mut());
    }
}
