//! Handles that are held, and what they must show.

use std::ffi::c_void;
use std::ptr::null_mut;

use kv::ffi::*;

use super::{bytes, ok, Model};

/// A snapshot, and what there was.
pub struct Snapshot {
    pub handle: *mut kv_snapshot,
    pub model: Model,
}

/// An iterator, and what it has not shown yet.
pub struct Iter {
    pub handle: *mut kv_iter,
    rest: Model,
    prefix: Vec<u8>,
    /// What it showed last.
    current: Option<(kv_slice_t, kv_slice_t, Vec<u8>, Vec<u8>)>,
}

impl Iter {
    pub fn new(handle: *mut kv_iter, model: Model, prefix: &[u8]) -> Iter {
        let rest = model.into_iter().filter(|(key, _)| key.starts_with(prefix)).collect();
        Iter { handle, rest, prefix: prefix.to_vec(), current: None }
    }

    /// Goes to the next key; answers whether there is one.
    pub fn next(&mut self) -> bool {
        let empty = || kv_slice_t { data: std::ptr::null(), len: 0 };
        let (mut key, mut value) = (empty(), empty());
        let status = unsafe { kv_iter_next(self.handle, &mut key, &mut value) };
        self.current = None;
        if status == KV_NOT_FOUND {
            assert!(self.rest.is_empty(), "{} keys are not shown", self.rest.len());
            return false;
        }
        ok(status);
        let shown = unsafe { (bytes(key.data, key.len), bytes(value.data, value.len)) };
        assert!(shown.0.starts_with(&self.prefix));
        let expected = self.rest.remove(shown.0);
        assert!(expected.is_some_and(|expected| expected.bytes == shown.1));
        let (mut again, mut len) = (std::ptr::null(), 0);
        ok(unsafe { kv_iter_key(self.handle, &mut again, &mut len) });
        assert_eq!((again, len), (key.data, key.len));
        ok(unsafe { kv_iter_value(self.handle, &mut again, &mut len) });
        assert_eq!((again, len), (value.data, value.len));
        self.current = Some((key, value, shown.0.to_vec(), shown.1.to_vec()));
        true
    }

    /// What it showed last can be read also when its database is closed.
    pub fn is_readable(&self) {
        if let Some((key, value, expected_key, expected_value)) = &self.current {
            assert!(unsafe { bytes(key.data, key.len) } == expected_key);
            assert!(unsafe { bytes(value.data, value.len) } == expected_value);
        }
    }

    /// Its database is closed: it says so.
    pub fn is_closed(&mut self) {
        let status = unsafe { kv_iter_next(self.handle, null_mut(), null_mut()) };
        assert_eq!(status, KV_CLOSED);
        self.is_readable();
    }
}

/// A key, and the value that it gets, with its time to live; or none.
type Write = (Vec<u8>, Option<(Vec<u8>, u64)>);

/// Writes that are collected.
pub struct Batch {
    pub handle: *mut kv_batch,
    pub writes: Vec<Write>,
}

/// A value that is seen where it lies.
pub struct View {
    pub handle: *mut kv_view,
    /// Several, if it is a view of many.
    pub values: Vec<(*const c_void, Vec<u8>)>,
}

impl View {
    pub fn is_readable(&self) {
        for (data, expected) in &self.values {
            assert!(unsafe { bytes(*data, expected.len()) } == expected, "a view has changed");
        }
    }
}

/// A reservation.
pub struct Room {
    pub handle: *mut kv_reservation,
    pub key: Vec<u8>,
    pub at: *mut u8,
    pub value: Vec<u8>,
    pub options: kv_write_options_t,
}

impl Room {
    /// Writes to all of it.
    pub fn fill(&mut self, byte: u8) {
        self.value.fill(byte);
        self.put();
    }

    /// Puts the value where it goes.
    pub fn put(&self) {
        unsafe { std::ptr::copy_nonoverlapping(self.value.as_ptr(), self.at, self.value.len()) };
    }
}
