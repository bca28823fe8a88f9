//! What the machine allows: a plain append to a mapped file, and a plain look-up in memory.

use std::cell::UnsafeCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::MmapMut;

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::workload::{mix, record_len};

/// A mapped file of a length that is allocated.
struct Mapped {
    file: File,
    start: *mut u8,
    len: usize,
    /// Keeps the bytes mapped.
    _map: MmapMut,
}

// SAFETY: every byte is written by one thread, and read by others only after they were started; of
// what is appended again and again nobody reads anything.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(setup: &Setup, len: usize) -> Result<Mapped, String> {
        let path = setup.path.join("data");
        let mut options = File::options();
        let file = options.create(true).truncate(true).read(true).write(true).open(path);
        let file = file.map_err(|e| e.to_string())?;
        // SAFETY: the descriptor is open.
        let failed = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len as libc::off_t) };
        if failed != 0 {
            return Err(std::io::Error::from_raw_os_error(failed).to_string());
        }
        // SAFETY: nobody else knows the file.
        let map = unsafe { MmapMut::map_mut(&file) };
        let mut map = map.map_err(|e| e.to_string())?;
        Ok(Mapped { file, start: map.as_mut_ptr(), len, _map: map })
    }

    #[inline]
    fn copy_to(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        // SAFETY: the bytes are within the map, and this thread alone has taken them.
        unsafe {
            let to = self.start.add(at);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    #[inline]
    fn slice(&self, at: usize, len: usize) -> &[u8] {
        assert!(at + len <= self.len);
        // SAFETY: the bytes are within the map, and nobody writes what was written before.
        unsafe { std::slice::from_raw_parts(self.start.add(at), len) }
    }
}

/// Appends records of libkv's length to a mapped file: each key three times to pages that are new;
/// after that it begins again.
pub struct Append {
    file: Mapped,
    end: AtomicUsize,
    is_durable: bool,
}

impl Engine for Append {
    type Session<'a> = Appender<'a>;

    fn open(setup: &Setup) -> Result<Append, String> {
        let len = 3 * setup.keys as usize * record_len(setup.value) as usize;
        let file = Mapped::new(setup, len.max(1 << 20) + record_len(setup.value) as usize)?;
        Ok(Append { file, end: AtomicUsize::new(0), is_durable: setup.durable })
    }

    fn session(&self) -> Appender<'_> {
        Appender(self)
    }

    fn close(self) {}
}

pub struct Appender<'a>(&'a Append);

/// As long as what libkv puts before each record.
const HEADER: [u8; 16] = [42; 16];

impl Appender<'_> {
    #[inline]
    fn append(&mut self, key: &Key, value: &[u8]) {
        let (e, len) = (self.0, record_len(value.len()) as usize);
        let at = e.end.fetch_add(len, Ordering::Relaxed) % (e.file.len - len);
        e.file.copy_to(at, &HEADER);
        e.file.copy_to(at + 16, key);
        e.file.copy_to(at + 32, value);
        if e.is_durable {
            // SAFETY: the descriptor is open.
            assert!(unsafe { libc::fdatasync(e.file.file.as_raw_fd()) } == 0);
        }
    }
}

impl Session for Appender<'_> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        self.append(key, value);
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        self.append(key, &[]);
    }

    fn get(&mut self, _key: &Key, _found: impl FnMut(&[u8])) -> bool {
        unreachable!("what was appended is not read")
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        records.iter().for_each(|(key, value)| self.append(key, value));
    }
}

/// A table of offsets, and a mapped array of the keys and values that they lead to.
pub struct Table {
    file: Mapped,
    slots: UnsafeCell<Vec<u64>>,
    end: AtomicUsize,
    value: usize,
}

// SAFETY: one thread puts everything before others are started, which only read.
unsafe impl Sync for Table {}

const TAG: u64 = !0 << 48;

impl Engine for Table {
    type Session<'a> = Finder<'a>;

    fn open(setup: &Setup) -> Result<Table, String> {
        let file = Mapped::new(setup, setup.keys as usize * (16 + setup.value))?;
        let slots = vec![0; (setup.keys * 2).next_power_of_two() as usize];
        Ok(Table {
            file,
            slots: UnsafeCell::new(slots),
            end: AtomicUsize::new(0),
            value: setup.value,
        })
    }

    fn session(&self) -> Finder<'_> {
        Finder { engine: self, buffer: vec![0; 64 << 10] }
    }

    fn close(self) {}
}

pub struct Finder<'a> {
    engine: &'a Table,
    buffer: Vec<u8>,
}

impl Finder<'_> {
    #[inline]
    fn slots(&self) -> &[u64] {
        // SAFETY: see `Sync` above.
        unsafe { &*self.engine.slots.get() }
    }

    #[inline]
    fn hash(key: &Key) -> u64 {
        let half = |at: usize| u64::from_le_bytes(key[at..at + 8].try_into().expect("8 bytes"));
        mix(half(0) ^ half(8).rotate_left(32))
    }
}

impl Session for Finder<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) {
        let (e, len) = (self.engine, 16 + value.len());
        let at = e.end.fetch_add(len, Ordering::Relaxed);
        e.file.copy_to(at, key);
        e.file.copy_to(at + 16, value);
        let hash = Self::hash(key);
        // SAFETY: see `Sync` above.
        let slots = unsafe { &mut *e.slots.get() };
        let mask = slots.len() - 1;
        let mut slot = hash as usize & mask;
        while slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        slots[slot] = (hash & TAG) | (at as u64 + 1);
    }

    fn delete(&mut self, _key: &Key) {
        unreachable!("nothing is taken out of the table")
    }

    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (e, hash) = (self.engine, Self::hash(key));
        let mask = self.slots().len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = self.slots()[slot];
            if entry == 0 {
                return false;
            }
            if (entry ^ hash) & TAG == 0 {
                let at = (entry & !TAG) as usize - 1;
                if e.file.slice(at, 16) == key {
                    let value = &mut self.buffer[..e.value];
                    value.copy_from_slice(e.file.slice(at + 16, e.value));
                    found(value);
                    return true;
                }
            }
            slot = (slot + 1) & mask;
        }
    }
}
