//! One open file of a simulated disk.

use std::sync::Arc;

use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::storage::map::{AppendMap, Map};
use kv::storage::File;
use parking_lot::MutexGuard;

use super::fault::Operation;
use super::memory::{FileMap, FILE_LIMIT};
use super::{Inode, SimDisk, State, SECTOR};

pub struct SimFile {
    pub disk: SimDisk,
    pub inode: usize,
    pub name: String,
}

impl SimFile {
    fn operate(&self, operation: Operation) -> Result<MutexGuard<'_, State>> {
        self.disk.begin(operation, &self.name, false).map_err(|(_, error)| error)
    }

    /// What the lock is held for is this file.
    fn file<'a>(&self, state: &'a mut State) -> &'a mut Inode {
        &mut state.inodes[self.inode]
    }

    fn len_now(&self) -> usize {
        self.disk.shared.state.lock().inodes[self.inode].len
    }

    fn map_memory(&self, operation: Operation, len: u64) -> Result<Box<FileMap>> {
        let state = self.operate(operation)?;
        let len = len as usize;
        assert!(len <= FILE_LIMIT, "a map of {len} bytes is beyond the simulation");
        Ok(Box::new(FileMap { region: Arc::clone(&state.inodes[self.inode].live), len }))
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
        let grows = at + bytes.len() > self.len_now();
        match self.disk.begin(Operation::Write, &self.name, grows) {
            Ok(mut state) => {
                state.check_room(self.inode, at + bytes.len())?;
                self.file(&mut state).write(at, bytes);
                Ok(())
            }
            Err((mut state, error)) => {
                // Any part of it may have been written before it failed.
                let part = state.random.below(bytes.len() as u64) as usize;
                self.file(&mut state).write(at, &bytes[..part]);
                Err(error)
            }
        }
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let grows = len as usize > self.len_now();
        let begun = self.disk.begin(Operation::Allocate, &self.name, grows);
        let mut state = begun.map_err(|(_, error)| error)?;
        state.check_room(self.inode, len as usize)?;
        let file = self.file(&mut state);
        file.set_len((len as usize).max(file.len));
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file(&mut *self.operate(Operation::Truncate)?).set_len(len as usize);
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
        let memory = self.map_memory(Operation::Map, len)?;
        assert!(memory.len <= self.len_now(), "{} is mapped past its end", self.name);
        Ok(Map::new(memory))
    }

    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        Ok(AppendMap::new(self.map_memory(Operation::MapAppend, capacity)?, start as usize))
    }
}

impl Inode {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if at + bytes.len() > self.len {
            self.set_len(at + bytes.len());
        }
        self.live.write(at, bytes);
    }

    pub fn set_len(&mut self, len: usize) {
        assert!(len <= FILE_LIMIT, "a file of {len} bytes is beyond the simulation");
        if len < self.len {
            self.live.zero(len, self.len);
        }
        self.live.reach(len);
        self.len = len;
    }

    pub fn live_bytes(&self) -> &[u8] {
        self.live.bytes(self.len)
    }

    /// The bytes of a sector, of those the file has.
    pub fn sector(bytes: &[u8], sector: usize) -> &[u8] {
        let from = (sector * SECTOR).min(bytes.len());
        &bytes[from..(from + SECTOR).min(bytes.len())]
    }

    fn sync(&mut self) {
        let live = self.live.bytes(self.len);
        if self.medium.as_slice() == live {
            return;
        }
        let mut medium = live.to_vec();
        let old = std::mem::take(&mut self.medium);
        // Sectors that were dropped are clean until they are written again.
        self.dropped.retain(|&sector, bytes| Inode::sector(live, sector) == bytes.as_slice());
        for &sector in self.dropped.keys() {
            copy_sector(&mut medium, &old, sector);
        }
        self.medium = Arc::new(medium);
    }

    /// Some sectors reach the medium, some stay dirty, some are dropped and pass for clean.
    fn fail_to_sync(&mut self, seed: u64) {
        let mut random = super::Random(seed);
        let live = self.live.bytes(self.len);
        let mut medium = self.medium.to_vec();
        if random.below(2) == 0 {
            medium.resize(self.len, 0);
        }
        for sector in 0..self.len.div_ceil(SECTOR) {
            let bytes = Inode::sector(live, sector);
            if Inode::sector(&medium, sector) == bytes {
                continue;
            }
            match random.below(4) {
                0 => copy_sector(&mut medium, live, sector),
                1 => {}
                _ => {
                    self.dropped.insert(sector, bytes.to_vec());
                }
            }
        }
        self.medium = Arc::new(medium);
    }

    /// Clean sectors are read again from the medium.
    fn drop_cache(&mut self) {
        for (sector, bytes) in std::mem::take(&mut self.dropped) {
            let is_clean = Inode::sector(self.live_bytes(), sector) == bytes.as_slice();
            if is_clean {
                let mut old = Inode::sector(&self.medium, sector).to_vec();
                old.resize(bytes.len(), 0);
                self.live.write(sector * SECTOR, &old);
            }
        }
    }
}

/// Gives `to` the bytes that `from` has in a sector, zeros past the end of `from`. No length
/// changes.
pub fn copy_sector(to: &mut [u8], from: &[u8], sector: usize) {
    let start = (sector * SECTOR).min(to.len());
    let end = (start + SECTOR).min(to.len());
    let source = Inode::sector(from, sector);
    let both = source.len().min(end - start);
    to[start..start + both].copy_from_slice(&source[..both]);
    to[start + both..end].fill(0);
}
