//! One open file of a simulated disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::storage::map::{AppendMap, Map};
use kv::storage::File;
use parking_lot::MutexGuard;

use super::fault::Operation;
use super::memory::{FileMap, Region, Writing, FILE_LIMIT};
use super::{Inode, SimDisk, State, SECTOR};

/// Writes that are interrupted end with a page.
const PAGE: usize = 4096;

pub struct SimFile {
    pub disk: SimDisk,
    pub inode: usize,
    pub name: String,
    /// If it was opened for writing.
    pub writing: Option<Writing>,
}

impl SimFile {
    fn operate(&self, operation: Operation) -> Result<MutexGuard<'_, State>> {
        self.disk.begin(operation, &self.name, false).map_err(|(_, error)| error)
    }

    /// If a write is a short one, how many bytes it writes: up to the end of a page.
    fn first_part(&self, at: usize, len: usize) -> Option<usize> {
        let mut state = self.disk.shared.state.lock();
        let ends = (at / PAGE + 1..(at + len).div_ceil(PAGE)).map(|page| page * PAGE - at);
        let count = ends.len() as u64;
        if count == 0 || state.short_writes == 0 || state.random.below(256) >= state.short_writes {
            return None;
        }
        ends.clone().nth(state.random.below(count) as usize)
    }

    fn write_part(&self, at: usize, bytes: &[u8]) -> Result<()> {
        let grows = at + bytes.len() > self.len_now();
        match self.disk.begin(Operation::Write, &self.name, grows) {
            Ok(mut state) => {
                state.check_room(self.inode, at + bytes.len())?;
                self.writable(&mut state).write(at, bytes);
                Ok(())
            }
            Err((mut state, error)) => {
                // Any part of it may have been written before it failed.
                let may = if state.writes_a_part { bytes.len() as u64 } else { 1 };
                let part = state.random.below(may) as usize;
                self.writable(&mut state).write(at, &bytes[..part]);
                Err(error)
            }
        }
    }

    /// What the lock is held for is this file.
    fn file<'a>(&self, state: &'a mut State) -> &'a mut Inode {
        &mut state.inodes[self.inode]
    }

    /// The same, to be written to.
    fn writable<'a>(&self, state: &'a mut State) -> &'a mut Inode {
        assert!(self.writing.is_some(), "{} was opened for reading only", self.name);
        self.file(state)
    }

    fn len_now(&self) -> usize {
        self.disk.shared.state.lock().inodes[self.inode].len
    }

    fn map_memory(
        &self,
        operation: Operation,
        len: u64,
        writing: Option<Writing>,
    ) -> Result<Box<FileMap>> {
        let state = self.operate(operation)?;
        let len = len as usize;
        assert!(len <= FILE_LIMIT, "a map of {len} bytes is beyond the simulation");
        let region = Arc::clone(&state.inodes[self.inode].live);
        Ok(Box::new(FileMap { region, len, writing }))
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64> {
        Ok(self.len_now() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let state = self.operate(Operation::Read)?;
        let file = &state.inodes[self.inode];
        let offset = offset as usize;
        if offset + out.len() > file.len {
            return Err(Error::new(Kind::Io, format!("{} ends before", self.name)));
        }
        out.copy_from_slice(&file.live.bytes(file.len)[offset..offset + out.len()]);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        if self.name == name::INDEX_NEW {
            self.disk.have_interlude();
        }
        let at = offset as usize;
        match self.first_part(at, bytes.len()) {
            Some(part) => {
                self.write_part(at, &bytes[..part])?;
                self.write_part(at + part, &bytes[part..])
            }
            None => self.write_part(at, bytes),
        }
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let grows = len as usize > self.len_now();
        let begun = self.disk.begin(Operation::Allocate, &self.name, grows);
        let mut state = begun.map_err(|(_, error)| error)?;
        state.check_room(self.inode, len as usize)?;
        let file = self.writable(&mut state);
        file.set_len((len as usize).max(file.len));
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.writable(&mut *self.operate(Operation::Truncate)?).set_len(len as usize);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        match self.disk.begin(Operation::Sync, &self.name, false) {
            Ok(mut state) => {
                self.file(&mut state).sync();
                Ok(())
            }
            Err((mut state, error)) => {
                let seed = state.random.next();
                self.file(&mut state).fail_to_sync(seed);
                Err(error)
            }
        }
    }

    fn drop_cache(&self) -> Result<()> {
        self.file(&mut *self.operate(Operation::DropCache)?).drop_cache();
        Ok(())
    }

    fn map(&self, len: u64) -> Result<Map> {
        let memory = self.map_memory(Operation::Map, len, None)?;
        assert!(memory.len <= self.len_now(), "{} is mapped past its end", self.name);
        Ok(Map::new(memory))
    }

    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        let appending = {
            let state = &mut *self.disk.shared.state.lock();
            let file = self.writable(state);
            file.own();
            file.changed = true;
            Arc::clone(&file.appending)
        };
        let memory = self.map_memory(Operation::MapAppend, capacity, Some(appending))?;
        Ok(AppendMap::new(memory, start as usize))
    }
}

impl Inode {
    /// A file that is on the medium as it is.
    pub fn new(bytes: Arc<Region>, len: usize) -> Inode {
        Inode {
            live: Arc::clone(&bytes),
            len,
            medium: bytes,
            medium_len: len,
            dropped: BTreeMap::new(),
            owned: AtomicBool::new(false),
            changed: false,
            writing: Arc::default(),
            appending: Arc::default(),
        }
    }

    /// The same file on another disk, live as it is here, which is the same on the medium.
    pub fn copy(&self) -> Inode {
        if Arc::strong_count(&self.writing) + Arc::strong_count(&self.appending) == 2 {
            // Nobody writes to it any more: who begins to takes a copy.
            self.owned.store(false, Ordering::Relaxed);
        }
        let live = match self.owned.load(Ordering::Relaxed) {
            true => Arc::new(Region::with(self.live_bytes())),
            false => Arc::clone(&self.live),
        };
        Inode {
            live,
            len: self.len,
            medium: Arc::clone(&self.medium),
            medium_len: self.medium_len,
            dropped: self.dropped.clone(),
            owned: AtomicBool::new(false),
            changed: self.changed,
            writing: Arc::default(),
            appending: Arc::default(),
        }
    }

    /// Gives the file live bytes of its own, before it is written to. Maps of it are made later:
    /// what is written is opened for that first.
    pub fn own(&mut self) {
        if !self.owned.swap(true, Ordering::Relaxed) {
            self.live = Arc::new(Region::with(self.live_bytes()));
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if at + bytes.len() > self.len {
            self.set_len(at + bytes.len());
        }
        self.own();
        self.live.write(at, bytes);
        self.changed = true;
    }

    pub fn set_len(&mut self, len: usize) {
        assert!(len <= FILE_LIMIT, "a file of {len} bytes is beyond the simulation");
        if len == self.len {
            return;
        }
        self.own();
        if len < self.len {
            self.live.zero(len, self.len);
        }
        self.live.reach(len);
        self.len = len;
        self.changed = true;
    }

    pub fn live_bytes(&self) -> &[u8] {
        self.live.bytes(self.len)
    }

    pub fn medium_bytes(&self) -> &[u8] {
        self.medium.bytes(self.medium_len)
    }

    /// Whether the live file is certainly as on the medium.
    pub fn is_clean(&self) -> bool {
        !self.changed && self.dropped.is_empty()
    }

    /// The bytes of a sector, of those the file has.
    pub fn sector(bytes: &[u8], sector: usize) -> &[u8] {
        let from = (sector * SECTOR).min(bytes.len());
        &bytes[from..(from + SECTOR).min(bytes.len())]
    }

    /// Says what is on the medium.
    pub fn set_medium(&mut self, medium: Region, len: usize) {
        (self.medium, self.medium_len) = (Arc::new(medium), len);
    }

    /// A copy of what is on the medium, `len` bytes long.
    pub fn medium_of_len(&self, len: usize) -> Region {
        let medium = Region::with(self.medium.bytes(self.medium_len.min(len)));
        medium.reach(len);
        medium
    }

    fn sync(&mut self) {
        if self.is_clean() {
            return;
        }
        // What is appended through a map is seen nowhere else.
        self.changed = Arc::strong_count(&self.appending) > 1;
        if self.medium_bytes() == self.live_bytes() {
            return;
        }
        let medium = Region::with(self.live_bytes());
        // Sectors that were dropped are clean until they are written again.
        let live = self.live.bytes(self.len);
        self.dropped.retain(|&sector, bytes| Inode::sector(live, sector) == bytes.as_slice());
        for &sector in self.dropped.keys() {
            copy_sector(&medium, self.len, self.medium_bytes(), sector);
        }
        self.changed |= !self.dropped.is_empty();
        self.set_medium(medium, self.len);
    }

    /// Some sectors reach the medium, some stay dirty, some are dropped and pass for clean.
    fn fail_to_sync(&mut self, seed: u64) {
        let mut random = super::Random(seed);
        let grows = random.below(2) == 0;
        let len = if grows { self.len } else { self.medium_len };
        let medium = self.medium_of_len(len);
        let live = self.live.bytes(self.len);
        for sector in 0..self.len.div_ceil(SECTOR) {
            let bytes = Inode::sector(live, sector);
            if Inode::sector(medium.bytes(len), sector) == bytes {
                continue;
            }
            match random.below(4) {
                0 => copy_sector(&medium, len, live, sector),
                1 => {}
                _ => {
                    self.dropped.insert(sector, bytes.to_vec());
                }
            }
        }
        self.set_medium(medium, len);
        self.changed = true;
    }

    /// Clean sectors are read again from the medium.
    fn drop_cache(&mut self) {
        for (sector, bytes) in std::mem::take(&mut self.dropped) {
            let is_clean = Inode::sector(self.live_bytes(), sector) == bytes.as_slice();
            if is_clean {
                let mut old = Inode::sector(self.medium_bytes(), sector).to_vec();
                old.resize(bytes.len(), 0);
                self.own();
                self.live.write(sector * SECTOR, &old);
            }
        }
    }
}

/// Gives `to`, a file of `len` bytes, the bytes that `from` has in a sector, zeros past the end of
/// `from`. No length changes.
pub fn copy_sector(to: &Region, len: usize, from: &[u8], sector: usize) {
    let start = (sector * SECTOR).min(len);
    let end = (start + SECTOR).min(len);
    let source = Inode::sector(from, sector);
    let both = source.len().min(end - start);
    to.write(start, &source[..both]);
    to.zero(start + both, end);
}
