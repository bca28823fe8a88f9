//! Calls that must be refused: handles of the wrong kind, handles that are no more, numbers that
//! are no handles, lengths that are none.

use std::ffi::{c_void, CString};
use std::ptr::{null, null_mut};

use kv::ffi::*;

use super::super::input::Input;
use super::{pick, World};

impl World {
    /// What is no open database: NULL, a number, a handle of another kind, one that was freed.
    fn wrong_handle(&self, input: &mut Input) -> *mut c_void {
        let freed = pick(input, self.freed.len()).map(|at| self.freed[at]);
        match input.u8() % 4 {
            0 => null_mut(),
            1 => (input.u64() as usize) as *mut c_void,
            _ => freed.unwrap_or(null_mut()),
        }
    }

    pub(super) fn misuse(&mut self, input: &mut Input) {
        match input.u8() % 8 {
            0 | 1 => self.use_wrong_handle(input),
            2 => self.use_wrong_kind(input),
            3 => self.free_twice(input),
            4 => self.pass_wrong_key(input),
            5 => self.pass_wrong_options(input),
            6 => self.pass_null(input),
            _ => set_options(input),
        }
    }

    /// Each call refuses a handle that is none.
    fn use_wrong_handle(&mut self, input: &mut Input) {
        let wrong = self.wrong_handle(input);
        // A number of the input's may be a handle by chance.
        let live = self.live_handles();
        if live.contains(&wrong) {
            return;
        }
        let (key, len) = (b"key".as_ptr().cast(), 3);
        let (mut value, mut value_len, mut view) = (null_mut(), 0, null_mut());
        let mut slice = null();
        let status = unsafe {
            match input.u8() % 20 {
                0 => kv_put(wrong.cast(), key, len, key, len),
                1 => kv_get(wrong.cast(), key, len, &mut value, &mut value_len),
                2 => kv_delete(wrong.cast(), key, len),
                3 => kv_view_get(wrong.cast(), key, len, &mut view, &mut slice, &mut value_len),
                4 => kv_compact(wrong.cast()),
                5 => kv_sync(wrong.cast()),
                6 => kv_batch_put(wrong.cast(), key, len, key, len),
                7 => kv_batch_clear(wrong.cast()),
                8 => kv_write(self.db, wrong.cast(), null()),
                9 => kv_put_commit(wrong.cast(), null_mut()),
                10 => kv_snapshot_get(wrong.cast(), key, len, &mut value, &mut value_len),
                11 => kv_snapshot_exists(wrong.cast(), key, len, null_mut()),
                12 => kv_iter_next(wrong.cast(), null_mut(), null_mut()),
                13 => kv_iter_key(wrong.cast(), &mut slice, &mut value_len),
                14 => kv_options_set_segment_size(wrong.cast(), 1 << 20),
                15 => kv_count(wrong.cast(), &mut 0),
                16 => kv_add(wrong.cast(), key, len, 1, null_mut()),
                17 => kv_snapshot_new(wrong.cast(), &mut null_mut()),
                18 => kv_iter_new(wrong.cast(), null_mut(), null(), 0, &mut null_mut()),
                _ => kv_compaction_pause(wrong.cast()),
            }
        };
        assert!(status < 0, "{wrong:?} is taken for a handle");
        assert_ne!(status, KV_INTERNAL);
    }

    fn live_handles(&self) -> Vec<*mut c_void> {
        let mut all: Vec<*mut c_void> = vec![self.db.cast()];
        all.extend(self.snapshots.iter().map(|held| held.handle.cast::<c_void>()));
        all.extend(self.iters.iter().map(|held| held.handle.cast::<c_void>()));
        all.extend(self.batches.iter().map(|held| held.handle.cast::<c_void>()));
        all.extend(self.views.iter().map(|held| held.handle.cast::<c_void>()));
        all.extend(self.rooms.iter().map(|held| held.handle.cast::<c_void>()));
        all
    }

    /// A handle of one kind is not taken for one of another.
    fn use_wrong_kind(&mut self, input: &mut Input) {
        let live = self.live_handles();
        let Some(at) = pick(input, live.len()) else { return };
        let (wrong, is_db) = (live[at], at == 0);
        let is = |handle: *mut c_void| wrong == handle;
        let (key, len) = (b"key".as_ptr().cast(), 3);
        let status = unsafe {
            match input.u8() % 5 {
                0 if !is_db => kv_put(wrong.cast(), key, len, key, len),
                1 if !self.batches.iter().any(|held| is(held.handle.cast())) => {
                    kv_batch_put(wrong.cast(), key, len, key, len)
                }
                2 if !self.snapshots.iter().any(|held| is(held.handle.cast())) => {
                    kv_snapshot_exists(wrong.cast(), key, len, null_mut())
                }
                3 if !self.iters.iter().any(|held| is(held.handle.cast())) => {
                    kv_iter_next(wrong.cast(), null_mut(), null_mut())
                }
                4 if !self.rooms.iter().any(|held| is(held.handle.cast())) => {
                    kv_put_commit(wrong.cast(), null_mut())
                }
                _ => return,
            }
        };
        assert_eq!(status, KV_INVALID_ARGUMENT);
    }

    /// Freeing what was freed before does nothing.
    fn free_twice(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.freed.len()) else { return };
        let wrong = self.freed[at];
        unsafe {
            match input.u8() % 6 {
                0 => kv_batch_free(wrong.cast()),
                1 => kv_snapshot_free(wrong.cast()),
                2 => kv_iter_free(wrong.cast()),
                3 => kv_view_release(wrong.cast()),
                4 => kv_put_abort(wrong.cast()),
                _ => assert!(kv_close(wrong.cast()) < 0),
            }
        }
    }

    /// Keys that are none change nothing.
    fn pass_wrong_key(&mut self, input: &mut Input) {
        let long = vec![0_u8; usize::from(u16::MAX) + 1 + usize::from(input.u8())];
        let (key, len, expected) = match input.u8() % 3 {
            0 => (null(), 0, KV_EMPTY_KEY),
            1 => (null(), 1 + usize::from(input.u16() % 1000), KV_NULL_ARGUMENT),
            _ => (long.as_ptr().cast(), long.len(), KV_KEY_TOO_LONG),
        };
        let (mut value, mut value_len) = (null_mut(), 0);
        let status = unsafe {
            match input.u8() % 6 {
                0 => kv_put(self.db, key, len, null(), 0),
                1 => kv_get(self.db, key, len, &mut value, &mut value_len),
                2 => kv_delete(self.db, key, len),
                3 => kv_exists(self.db, key, len, null_mut()),
                4 => kv_add(self.db, key, len, 1, null_mut()),
                _ => kv_ttl(self.db, key, len, &mut 0),
            }
        };
        assert_eq!(status, expected);
        assert!(value.is_null() && value_len == 0);
    }

    /// Options that are none change nothing.
    fn pass_wrong_options(&mut self, input: &mut Input) {
        let mut bytes = [0_u64; 16];
        bytes.iter_mut().for_each(|word| *word = input.u64());
        // No more bytes are looked at than there are.
        bytes[0] %= size_of_val(&bytes) as u64 + 1;
        let key = b"a key that nobody else has";
        let mut version = 0;
        let status = unsafe {
            let (key, len) = (key.as_ptr().cast(), key.len());
            kv_put_with(self.db, key, len, key, len, bytes.as_ptr().cast(), &mut version)
        };
        if status == KV_OK {
            assert!(version > self.version);
            self.version = version;
            let key = key.as_ptr().cast();
            let status = unsafe { kv_delete(self.db, key, 26) };
            assert!(status == KV_OK || status == KV_NOT_FOUND);
        } else {
            assert_eq!(version, 0);
        }
    }

    /// Where an output must be, NULL is refused.
    fn pass_null(&mut self, input: &mut Input) {
        let (key, len) = (b"key".as_ptr().cast(), 3);
        let status = unsafe {
            match input.u8() % 10 {
                0 => kv_get(self.db, key, len, null_mut(), null_mut()),
                1 => kv_get_into(self.db, key, len, null_mut(), 0, null_mut()),
                2 => kv_view_get(self.db, key, len, null_mut(), null_mut(), null_mut()),
                3 => kv_snapshot_new(self.db, null_mut()),
                4 => kv_iter_new(self.db, null_mut(), null(), 0, null_mut()),
                5 => kv_put_reserve(self.db, key, len, 3, null(), null_mut(), null_mut()),
                6 => kv_get_many(self.db, 1, null(), null_mut(), null_mut()),
                7 => kv_count(self.db, null_mut()),
                8 => kv_open(null(), null(), null_mut()),
                _ => kv_stats(self.db, null_mut()),
            }
        };
        assert_eq!(status, KV_NULL_ARGUMENT);
    }

    /// All handles are given back.
    pub(super) fn free_all(&mut self) {
        for view in self.views.drain(..) {
            view.is_readable();
            unsafe { kv_view_release(view.handle) };
        }
        for iter in self.iters.drain(..) {
            iter.is_readable();
            unsafe { kv_iter_free(iter.handle) };
        }
        for snapshot in self.snapshots.drain(..) {
            unsafe { kv_snapshot_free(snapshot.handle) };
        }
        for batch in self.batches.drain(..) {
            unsafe { kv_batch_free(batch.handle) };
        }
        for room in self.rooms.drain(..) {
            room.put();
            unsafe { kv_put_abort(room.handle) };
        }
    }
}

/// Options by text: what is refused leaves them as they were.
fn set_options(input: &mut Input) {
    let text = |input: &mut Input| {
        let len = usize::from(input.u8() % 32);
        let bytes: Vec<u8> = input.take(len).iter().copied().filter(|&byte| byte != 0).collect();
        CString::new(bytes).expect("there is no NUL")
    };
    let known = [c"segment_size", c"sync", c"max_disk_bytes", c"read_mode", c"sync_interval"];
    let name = match input.u8() % 8 {
        at @ 0..=4 => known[usize::from(at)].to_owned(),
        _ => text(input),
    };
    let value = text(input);
    let mut options = null_mut();
    let get = |options: *mut kv_options| {
        let (mut text, mut len) = ([0; 64], 0);
        let status = unsafe {
            kv_options_get(options, name.as_ptr(), text.as_mut_ptr(), text.len(), &mut len)
        };
        (status, text)
    };
    super::ok(unsafe { kv_options_new(&mut options) });
    let before = get(options);
    let status = unsafe { kv_options_set(options, name.as_ptr(), value.as_ptr()) };
    assert!(status <= 0 && status != KV_INTERNAL);
    assert!(if before.0 == KV_OK { status != KV_UNKNOWN_OPTION } else { status != KV_OK });
    assert!(status == KV_OK || before == get(options));
    unsafe { kv_options_free(options) };
}
