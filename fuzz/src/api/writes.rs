//! Calls that write: single ones, conditional ones, batches, reservations.

use std::ptr::null_mut;
use std::time::Duration;

use kv::ffi::*;

use super::super::input::Input;
use super::held::{Batch, Room, Snapshot};
use super::{ok, pick, Value, World, MAX_HELD, MAX_WAITS};

const A_DAY: u64 = 86_400_000;

/// Options without anything.
fn no_options() -> kv_write_options_t {
    kv_write_options_t {
        size: size_of::<kv_write_options_t>(),
        ttl_ms: 0,
        if_version: 0,
        sync: KV_WRITE_SYNC_DEFAULT,
        if_absent: 0,
        skip_if_equal: 0,
        keep_ttl: 0,
    }
}

impl World {
    /// A key was written: it has a new version.
    fn wrote(&mut self, key: &[u8], bytes: Vec<u8>, ttl_ms: u64) {
        let mut version = 0;
        ok(unsafe { kv_get_version(self.db, key.as_ptr().cast(), key.len(), &mut version) });
        assert!(version > self.version, "version {version} comes after {}", self.version);
        self.version = version;
        self.model.insert(key.to_vec(), Value { bytes, ttl_ms, version });
    }

    pub(super) fn put(&mut self, input: &mut Input) {
        let (key, value) = (self.key(input), self.value(input));
        ok(unsafe {
            kv_put(self.db, key.as_ptr().cast(), key.len(), value.as_ptr().cast(), value.len())
        });
        self.wrote(&key, value, 0);
    }

    pub(super) fn delete(&mut self, input: &mut Input) {
        let key = self.key(input);
        let was_there = self.model.remove(&key).is_some();
        let status = unsafe { kv_delete(self.db, key.as_ptr().cast(), key.len()) };
        assert_eq!(status, if was_there { KV_OK } else { KV_NOT_FOUND });
    }

    /// Options of the input's choice.
    fn options(&mut self, input: &mut Input, key: &[u8]) -> kv_write_options_t {
        let how = input.u8();
        let version = self.model.get(key).map_or(1, |value| value.version);
        kv_write_options_t {
            ttl_ms: if how & 1 != 0 { A_DAY + u64::from(input.u16()) } else { 0 },
            if_version: match how >> 1 & 3 {
                0 | 1 => 0,
                2 => version,
                _ => version.wrapping_add(u64::from(input.u8())),
            },
            sync: i32::from(how >> 3) % 3,
            if_absent: i32::from(how >> 5 & 1),
            skip_if_equal: i32::from(how >> 6 & 1),
            keep_ttl: i32::from(how >> 7 & 1),
            ..no_options()
        }
    }

    /// What a conditional write must answer.
    fn outcome(&self, key: &[u8], options: &kv_write_options_t) -> kv_status {
        match self.model.get(key) {
            Some(_) if options.if_absent != 0 => KV_EXISTS,
            old if options.if_version != 0
                && old.is_none_or(|old| old.version != options.if_version) =>
            {
                KV_VERSION_MISMATCH
            }
            _ => KV_OK,
        }
    }

    /// The time to live that a value gets.
    fn ttl_of(&self, key: &[u8], options: &kv_write_options_t) -> u64 {
        let old = self.model.get(key).filter(|_| options.keep_ttl != 0);
        old.map_or(options.ttl_ms, |old| old.ttl_ms)
    }

    pub(super) fn put_with(&mut self, input: &mut Input) {
        let key = self.key(input);
        let options = self.options(input, &key);
        let is_old = input.u8() & 1 != 0;
        let old = self.model.get(&key).filter(|_| is_old).map(|old| old.bytes.clone());
        let value = old.unwrap_or_else(|| self.value(input));
        let mut version = 0;
        let status = unsafe {
            let (key, key_len) = (key.as_ptr().cast(), key.len());
            let (value, value_len) = (value.as_ptr().cast(), value.len());
            kv_put_with(self.db, key, key_len, value, value_len, &options, &mut version)
        };
        if options.if_absent != 0 && options.if_version != 0 && status == KV_INVALID_ARGUMENT {
            return;
        }
        let outcome = self.outcome(&key, &options);
        assert_eq!(status, outcome);
        if status != KV_OK {
            return assert_eq!(version, 0);
        }
        let old = self.model.get(&key).filter(|old| old.version == version);
        if let Some(old) = old {
            assert!(options.skip_if_equal != 0 && old.bytes == value);
        } else {
            let ttl_ms = self.ttl_of(&key, &options);
            self.wrote(&key, value, ttl_ms);
            assert_eq!(self.version, version);
        }
    }

    pub(super) fn delete_with(&mut self, input: &mut Input) {
        let key = self.key(input);
        let options = self.options(input, &key);
        let options = kv_write_options_t {
            if_version: options.if_version,
            sync: options.sync,
            ..no_options()
        };
        let status = unsafe { kv_delete_with(self.db, key.as_ptr().cast(), key.len(), &options) };
        let outcome = match self.model.contains_key(&key) {
            true => self.outcome(&key, &options),
            false => KV_NOT_FOUND,
        };
        assert_eq!(status, outcome);
        if status == KV_OK {
            self.model.remove(&key);
        }
    }

    pub(super) fn add(&mut self, input: &mut Input) {
        let key = self.key(input);
        let delta = if input.u8() & 1 != 0 { input.u64() as i64 } else { i64::from(input.u8()) };
        let mut result = 0;
        let status = unsafe { kv_add(self.db, key.as_ptr().cast(), key.len(), delta, &mut result) };
        let old = self.model.get(&key);
        let ttl_ms = old.map_or(0, |old| old.ttl_ms);
        let Ok(counter) = old.map_or(Ok([0; 8]), |old| old.bytes.as_slice().try_into()) else {
            return assert_eq!(status, KV_NOT_A_COUNTER);
        };
        match i64::from_le_bytes(counter).checked_add(delta) {
            None => assert_eq!(status, KV_OVERFLOW),
            Some(sum) => {
                ok(status);
                assert_eq!(result, sum);
                let mut version = 0;
                let key_at = key.as_ptr().cast();
                ok(unsafe { kv_get_version(self.db, key_at, key.len(), &mut version) });
                if self.model.get(&key).is_none_or(|old| old.version != version) {
                    self.wrote(&key, sum.to_le_bytes().to_vec(), ttl_ms);
                } else {
                    assert_eq!(delta, 0, "a counter has changed, and its version has not");
                }
            }
        }
    }

    pub(super) fn touch(&mut self, input: &mut Input) {
        let key = self.key(input);
        let (data, len) = (key.as_ptr().cast(), key.len());
        if input.u8() & 1 != 0 {
            let ttl_ms = if input.u8() & 1 != 0 { A_DAY } else { 0 };
            let status = unsafe { kv_touch(self.db, data, len, ttl_ms) };
            let Some(old) = self.model.get(&key).cloned() else {
                return assert_eq!(status, KV_NOT_FOUND);
            };
            ok(status);
            let mut version = 0;
            ok(unsafe { kv_get_version(self.db, data, len, &mut version) });
            if version != old.version {
                self.wrote(&key, old.bytes, ttl_ms);
            }
        }
        let mut ttl_ms = 0;
        let status = unsafe { kv_ttl(self.db, data, len, &mut ttl_ms) };
        match self.model.get(&key) {
            None => assert_eq!(status, KV_NOT_FOUND),
            Some(value) if value.ttl_ms == 0 => assert_eq!((status, ttl_ms), (KV_OK, KV_NO_TTL)),
            Some(value) => {
                ok(status);
                let gone = value.ttl_ms.checked_sub(ttl_ms);
                assert!(gone.is_some_and(|gone| gone < 600_000), "{ttl_ms} of {}", value.ttl_ms);
            }
        }
    }

    /// A value expires: it is gone then, and a snapshot that saw it sees it still.
    pub(super) fn expire(&mut self, input: &mut Input) {
        if self.waits == MAX_WAITS {
            return;
        }
        self.waits += 1;
        let (key, value) = (self.key(input), self.value(input));
        let ttl_ms = u64::from(input.u8() % 4) + 1;
        let (data, len) = (key.as_ptr().cast(), key.len());
        let options = kv_write_options_t { ttl_ms, ..no_options() };
        let mut version = 0;
        ok(unsafe {
            let (value, value_len) = (value.as_ptr().cast(), value.len());
            kv_put_with(self.db, data, len, value, value_len, &options, &mut version)
        });
        assert!(version > self.version);
        self.version = version;
        self.model.remove(&key);
        if input.u8() & 1 != 0 && self.snapshots.len() < MAX_HELD {
            let mut handle = null_mut();
            ok(unsafe { kv_snapshot_new(self.db, &mut handle) });
            let mut model = self.model.clone();
            if unsafe { kv_snapshot_exists(handle, data, len, null_mut()) } == KV_OK {
                model.insert(key.clone(), Value { bytes: value, ttl_ms, version });
            }
            self.snapshots.push(Snapshot { handle, model });
        }
        // Both clocks count whole milliseconds.
        std::thread::sleep(Duration::from_millis(ttl_ms + 2));
        assert_eq!(unsafe { kv_exists(self.db, data, len, null_mut()) }, KV_NOT_FOUND);
    }

    pub(super) fn new_batch(&mut self, input: &mut Input) {
        if self.batches.len() < MAX_HELD && input.u8() & 3 != 0 {
            let mut handle = null_mut();
            ok(unsafe { kv_batch_new(&mut handle) });
            self.batches.push(Batch { handle, writes: Vec::new() });
        } else if let Some(at) = pick(input, self.batches.len()) {
            let batch = self.batches.remove(at);
            unsafe { kv_batch_free(batch.handle) };
            self.freed.push(batch.handle.cast());
        }
    }

    pub(super) fn fill_batch(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.batches.len()) else { return };
        let handle = self.batches[at].handle;
        for _ in 0..=input.u8() % 8 {
            let (how, key) = (input.u8(), self.key(input));
            let (data, len) = (key.as_ptr().cast(), key.len());
            let written = match how % 8 {
                0 | 1 => {
                    ok(unsafe { kv_batch_delete(handle, data, len) });
                    None
                }
                2 => {
                    ok(unsafe { kv_batch_clear(handle) });
                    self.batches[at].writes.clear();
                    continue;
                }
                _ => {
                    let value = self.value(input);
                    let (start, count) = (value.as_ptr().cast(), value.len());
                    let ttl_ms = if how & 8 != 0 { A_DAY } else { 0 };
                    ok(unsafe {
                        match ttl_ms {
                            0 => kv_batch_put(handle, data, len, start, count),
                            _ => kv_batch_put_ttl(handle, data, len, start, count, ttl_ms),
                        }
                    });
                    Some((value, ttl_ms))
                }
            };
            self.batches[at].writes.push((key, written));
        }
        let mut count = 0;
        ok(unsafe { kv_batch_count(handle, &mut count) });
        assert_eq!(count, self.batches[at].writes.len());
    }

    pub(super) fn write_batch(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.batches.len()) else { return };
        let bytes = self.batches[at].writes.iter().filter_map(|(_, value)| value.as_ref());
        self.written += bytes.map(|(value, _)| value.len()).sum::<usize>();
        if self.written > super::MAX_BYTES {
            return;
        }
        let options = kv_write_options_t { sync: i32::from(input.u8() % 3), ..no_options() };
        ok(unsafe { kv_write(self.db, self.batches[at].handle, &options) });
        let before = self.version;
        // The last write to a key counts.
        let writes = self.batches[at].writes.clone();
        let last: std::collections::BTreeMap<_, _> = writes.into_iter().collect();
        let mut highest = before;
        for (key, written) in last {
            match written {
                None => drop(self.model.remove(&key)),
                Some((value, ttl_ms)) => {
                    // Within a batch versions come in the order of its records.
                    self.version = before;
                    self.wrote(&key, value, ttl_ms);
                    highest = highest.max(self.version);
                }
            }
        }
        self.version = highest;
    }

    pub(super) fn reserve(&mut self, input: &mut Input) {
        if self.rooms.len() == MAX_HELD {
            return;
        }
        let key = self.key(input);
        let options = self.options(input, &key);
        let options = kv_write_options_t { skip_if_equal: 0, ..options };
        let value = self.value(input);
        let (mut handle, mut at) = (null_mut(), null_mut());
        let status = unsafe {
            let (key, len) = (key.as_ptr().cast(), key.len());
            kv_put_reserve(self.db, key, len, value.len(), &options, &mut handle, &mut at)
        };
        if options.if_absent != 0 && options.if_version != 0 && status == KV_INVALID_ARGUMENT {
            return;
        }
        ok(status);
        let room = Room { handle, key, at: at.cast(), value, options };
        room.put();
        self.rooms.push(room);
    }

    pub(super) fn end_reservation(&mut self, input: &mut Input) {
        let Some(at) = pick(input, self.rooms.len()) else { return };
        let mut room = self.rooms.remove(at);
        let how = input.u8();
        if how & 2 != 0 {
            room.fill(how);
        }
        self.freed.push(room.handle.cast());
        if how & 1 != 0 {
            return unsafe { kv_put_abort(room.handle) };
        }
        let mut version = 0;
        let status = unsafe { kv_put_commit(room.handle, &mut version) };
        // Its database may have been closed.
        if status == KV_CLOSED {
            return;
        }
        assert_eq!(status, self.outcome(&room.key, &room.options));
        if status == KV_OK {
            let ttl_ms = self.ttl_of(&room.key, &room.options);
            self.wrote(&room.key, room.value, ttl_ms);
            assert_eq!(self.version, version);
        }
    }
}
