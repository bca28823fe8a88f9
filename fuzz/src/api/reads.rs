//! Calls that read: keys, snapshots, iterators, views.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use kv::ffi::*;

use super::super::input::Input;
use super::held::{Iter, Snapshot, View};
use super::{bytes, ok, pick, Model, World, MAX_HELD};

/// What a read must answer: the status, and the value if there is one.
fn expected<'m>(model: &'m Model, key: &[u8]) -> (kv_status, Option<&'m Vec<u8>>) {
    match model.get(key) {
        Some(value) => (KV_OK, Some(&value.bytes)),
        None => (KV_NOT_FOUND, None),
    }
}

impl World {
    pub(super) fn get(&mut self, input: &mut Input) {
        let key = self.key(input);
        let (status, value) = expected(&self.model, &key);
        let (mut found, mut len) = (null_mut(), 0);
        let answer =
            unsafe { kv_get(self.db, key.as_ptr().cast(), key.len(), &mut found, &mut len) };
        assert_eq!(answer, status);
        if let Some(value) = value {
            assert_eq!(found.addr() % 16, 0);
            assert!(unsafe { bytes(found, len) } == value);
        }
        unsafe { kv_free(found) };
        let mut version = 0;
        let answer =
            unsafe { kv_get_version(self.db, key.as_ptr().cast(), key.len(), &mut version) };
        assert_eq!(answer, status);
        assert_eq!(version, self.model.get(&key).map_or(0, |value| value.version));
    }

    pub(super) fn get_into(&mut self, input: &mut Input) {
        let key = self.key(input);
        let (status, value) = expected(&self.model, &key);
        let mut buffer = vec![0xee_u8; usize::from(input.u16() % 5000)];
        let mut len = 0;
        let answer = unsafe {
            let (key, key_len) = (key.as_ptr().cast(), key.len());
            kv_get_into(self.db, key, key_len, buffer.as_mut_ptr().cast(), buffer.len(), &mut len)
        };
        is_in_buffer(answer, status, value, &buffer, len);
    }

    pub(super) fn exists(&mut self, input: &mut Input) {
        let key = self.key(input);
        let (status, value) = expected(&self.model, &key);
        let mut len = usize::MAX;
        let answer = unsafe { kv_exists(self.db, key.as_ptr().cast(), key.len(), &mut len) };
        assert_eq!(answer, status);
        assert_eq!(len, value.map_or(usize::MAX, Vec::len));
    }

    pub(super) fn view(&mut self, input: &mut Input) {
        if self.views.len() == MAX_HELD {
            return;
        }
        let key = self.key(input);
        let (status, value) = expected(&self.model, &key);
        let (mut handle, mut found, mut len) = (null_mut(), null(), 0);
        let answer = unsafe {
            let (key, key_len) = (key.as_ptr().cast(), key.len());
            kv_view_get(self.db, key, key_len, &mut handle, &mut found, &mut len)
        };
        assert_eq!(answer, status);
        if let Some(value) = value {
            assert_eq!(len, value.len());
            self.views.push(View { handle, values: vec![(found, value.clone())] });
        }
    }

    pub(super) fn release_view(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.views.len()) else { return };
        let view = self.views.remove(at);
        view.is_readable();
        unsafe { kv_view_release(view.handle) };
        self.freed.push(view.handle.cast());
    }

    pub(super) fn get_many(&mut self, input: &mut Input) {
        let as_view = input.u8() & 1 != 0 && self.views.len() < MAX_HELD;
        let keys: Vec<Vec<u8>> = (0..input.u8() % 40).map(|_| self.key(input)).collect();
        let slices: Vec<kv_slice_t> = keys
            .iter()
            .map(|key| kv_slice_t { data: key.as_ptr().cast(), len: key.len() })
            .collect();
        let empty = |_| kv_result_t { status: -1000, value: null(), value_len: 0 };
        let mut results: Vec<kv_result_t> = (0..keys.len()).map(empty).collect();
        let (mut arena, mut view) = (null_mut(), null_mut());
        ok(unsafe {
            let (n, slices, results) = (keys.len(), slices.as_ptr(), results.as_mut_ptr());
            match as_view {
                true => kv_view_get_many(self.db, n, slices, results, &mut view),
                false => kv_get_many(self.db, n, slices, results, &mut arena),
            }
        });
        let mut values: Vec<(*const c_void, Vec<u8>)> = Vec::new();
        for (key, result) in keys.iter().zip(&results) {
            let (status, value) = expected(&self.model, key);
            assert_eq!(result.status, status);
            if let Some(value) = value {
                assert!(unsafe { bytes(result.value, result.value_len) } == value);
                values.push((result.value, value.clone()));
            }
        }
        if as_view {
            self.views.push(View { handle: view, values });
        } else {
            unsafe { kv_free(arena) };
        }
    }

    pub(super) fn new_snapshot(&mut self) {
        if self.snapshots.len() < MAX_HELD {
            let mut handle = null_mut();
            ok(unsafe { kv_snapshot_new(self.db, &mut handle) });
            self.snapshots.push(Snapshot { handle, model: self.model.clone() });
        }
    }

    pub(super) fn read_snapshot(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.snapshots.len()) else { return };
        let how = input.u8();
        let key = self.key(input);
        let snapshot = &self.snapshots[at];
        let (status, value) = expected(&snapshot.model, &key);
        let (data, key_len, handle) = (key.as_ptr().cast(), key.len(), snapshot.handle);
        // Of a database that is closed there is nothing to read.
        let answer = unsafe { kv_snapshot_exists(handle, data, key_len, null_mut()) };
        if answer == KV_CLOSED {
            return;
        }
        assert_eq!(answer, status);
        let mut len = 0;
        match how % 3 {
            0 => {
                let mut found = null_mut();
                let answer =
                    unsafe { kv_snapshot_get(handle, data, key_len, &mut found, &mut len) };
                assert_eq!(answer, status);
                if let Some(value) = value {
                    assert!(unsafe { bytes(found, len) } == value);
                }
                unsafe { kv_free(found) };
            }
            1 => {
                let mut buffer = vec![0xee_u8; usize::from(input.u16() % 5000)];
                let (start, cap) = (buffer.as_mut_ptr().cast(), buffer.len());
                let answer =
                    unsafe { kv_snapshot_get_into(handle, data, key_len, start, cap, &mut len) };
                is_in_buffer(answer, status, value, &buffer, len);
            }
            _ => {
                let (mut view, mut found) = (null_mut(), null());
                let answer = unsafe {
                    kv_snapshot_view_get(handle, data, key_len, &mut view, &mut found, &mut len)
                };
                assert_eq!(answer, status);
                if let Some(value) = value {
                    let view = View { handle: view, values: vec![(found, value.clone())] };
                    view.is_readable();
                    self.views.push(view);
                }
            }
        }
    }

    pub(super) fn free_snapshot(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.snapshots.len()) else { return };
        let snapshot = self.snapshots.remove(at);
        unsafe { kv_snapshot_free(snapshot.handle) };
        self.freed.push(snapshot.handle.cast());
    }

    pub(super) fn new_iter(&mut self, input: &mut Input) {
        if self.iters.len() == MAX_HELD {
            return;
        }
        let prefix = self.key(input);
        let prefix = &prefix[..usize::from(input.u8() % 3).min(prefix.len())];
        let at = pick(input, self.snapshots.len()).filter(|_| prefix.len() < 2);
        let (snapshot, model) = match at.and_then(|at| self.snapshots.get(at)) {
            Some(snapshot) => (snapshot.handle, snapshot.model.clone()),
            None => (null_mut(), self.model.clone()),
        };
        let mut handle = null_mut();
        let status = unsafe {
            kv_iter_new(self.db, snapshot, prefix.as_ptr().cast(), prefix.len(), &mut handle)
        };
        if status == KV_CLOSED || status == KV_INVALID_ARGUMENT {
            // It is one of before the database was opened again.
            let (key, len) = (b"key".as_ptr().cast(), 3);
            let answer = unsafe { kv_snapshot_exists(snapshot, key, len, null_mut()) };
            return assert_eq!(answer, KV_CLOSED);
        }
        ok(status);
        self.iters.push(Iter::new(handle, model, prefix));
    }

    pub(super) fn advance(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.iters.len()) else { return };
        let iter = &mut self.iters[at];
        let (mut key, mut len) = (null(), 0);
        if unsafe { kv_iter_key(iter.handle, &mut key, &mut len) } == KV_CLOSED {
            return iter.is_closed();
        }
        for _ in 0..=input.u8() % 16 {
            iter.next();
        }
    }

    pub(super) fn free_iter(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.iters.len()) else { return };
        let iter = self.iters.remove(at);
        iter.is_readable();
        unsafe { kv_iter_free(iter.handle) };
        self.freed.push(iter.handle.cast());
    }
}

/// A read into a buffer answers as the buffer's size allows, and writes nothing behind the value.
fn is_in_buffer(
    answer: kv_status,
    status: kv_status,
    value: Option<&Vec<u8>>,
    buffer: &[u8],
    len: usize,
) {
    let Some(value) = value else { return assert_eq!(answer, status) };
    assert_eq!(len, value.len());
    let rest = if value.len() <= buffer.len() {
        assert_eq!(answer, KV_OK);
        assert!(buffer[..len] == value[..]);
        &buffer[len..]
    } else {
        assert_eq!(answer, KV_BUFFER_TOO_SMALL);
        buffer
    };
    assert!(rest.iter().all(|&byte| byte == 0xee));
}
