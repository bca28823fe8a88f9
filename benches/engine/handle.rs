//! A database as a C program uses it.

use std::ffi::{c_void, CString};
use std::path::Path;

use kv::ffi::{
    kv_close, kv_db, kv_delete, kv_free, kv_get_into, kv_get_many, kv_iter_free, kv_iter_new,
    kv_iter_next, kv_open, kv_options_free, kv_options_new, kv_options_set_sync, kv_put,
    kv_result_t, kv_slice_t, kv_status, kv_view_get_many, kv_view_release, KV_NOT_FOUND, KV_OK,
};

/// A database opened as a C program does.
pub struct Handle(pub *mut kv_db);

impl Handle {
    pub fn open(path: &Path) -> Handle {
        let path = CString::new(path.to_string_lossy().as_bytes()).expect("a path has no NUL");
        let mut handle = std::ptr::null_mut();
        // SAFETY: every pointer is to a live variable or string, as kv.h asks.
        unsafe {
            let mut options = std::ptr::null_mut();
            expect(kv_options_new(&mut options), KV_OK);
            expect(kv_options_set_sync(options, 0), KV_OK);
            expect(kv_open(path.as_ptr(), options, &mut handle), KV_OK);
            kv_options_free(options);
        }
        Handle(handle)
    }

    pub fn put(&self, key: &[u8; 16], value: &[u8]) {
        let (k, v) = (key.as_ptr().cast::<c_void>(), value.as_ptr().cast());
        // SAFETY: key and value are given with their lengths.
        expect(unsafe { kv_put(self.0, k, 16, v, value.len()) }, KV_OK);
    }

    pub fn get(&self, key: &[u8; 16], buffer: &mut [u8], expected: kv_status) -> usize {
        let (mut len, key) = (0, key.as_ptr().cast());
        let (buffer, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the buffer is given with its length.
        expect(unsafe { kv_get_into(self.0, key, 16, buffer, room, &mut len) }, expected);
        len
    }

    /// Reads these keys in one call, copied or in place, and hands their values to `check`.
    pub fn get_many(&self, keys: &[[u8; 16]], copied: bool, mut check: impl FnMut(usize, &[u8])) {
        let slice = |key: &[u8; 16]| kv_slice_t { data: key.as_ptr().cast(), len: 16 };
        let slices: Vec<kv_slice_t> = keys.iter().map(slice).collect();
        let none = kv_result_t { status: KV_NOT_FOUND, value: std::ptr::null(), value_len: 0 };
        let mut results = vec![none; keys.len()];
        let (n, out) = (keys.len(), results.as_mut_ptr());
        let (mut arena, mut view) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: there are as many keys and results as the call is told; values are read before
        // what keeps them is freed.
        unsafe {
            expect(
                match copied {
                    true => kv_get_many(self.0, n, slices.as_ptr(), out, &mut arena),
                    false => kv_view_get_many(self.0, n, slices.as_ptr(), out, &mut view),
                },
                KV_OK,
            );
            for (at, result) in results.iter().enumerate() {
                expect(result.status, KV_OK);
                let value = result.value.cast::<u8>();
                check(at, std::slice::from_raw_parts(value, result.value_len));
            }
            kv_free(arena);
            kv_view_release(view);
        }
    }

    /// Walks over all keys, of which there are so many, and looks at each value.
    pub fn scan(&self, keys: u64, value_len: usize) {
        let (mut iter, mut seen) = (std::ptr::null_mut(), 0);
        let nothing = kv_slice_t { data: std::ptr::null(), len: 0 };
        let (mut key, mut value) = (nothing, nothing);
        // SAFETY: every pointer is to a live variable; the value is read before the next call.
        unsafe {
            let (all, now) = (std::ptr::null(), std::ptr::null_mut());
            expect(kv_iter_new(self.0, now, all, 0, &mut iter), KV_OK);
            loop {
                match kv_iter_next(iter, &mut key, &mut value) {
                    KV_OK => seen += 1,
                    status => break expect(status, KV_NOT_FOUND),
                }
                let key = std::slice::from_raw_parts(key.data.cast::<u8>(), key.len);
                let value = std::slice::from_raw_parts(value.data.cast::<u8>(), value.len);
                assert_eq!(value.len(), value_len);
                if let (Some(number), Some(head)) = (key.last_chunk::<8>(), value.first_chunk()) {
                    assert_eq!(u64::from_be_bytes(*number), u64::from_le_bytes(*head));
                }
            }
            kv_iter_free(iter);
        }
        assert_eq!(seen, keys, "a key was passed over, or came twice");
    }

    pub fn delete(&self, key: &[u8; 16]) {
        // SAFETY: the key is given with its length.
        expect(unsafe { kv_delete(self.0, key.as_ptr().cast(), 16) }, KV_OK);
    }

    pub fn close(self) {
        // SAFETY: the handle was opened.
        expect(unsafe { kv_close(self.0) }, KV_OK);
    }
}

pub fn expect(status: kv_status, expected: kv_status) {
    assert_eq!(status, expected, "a call did not answer as it should");
}
