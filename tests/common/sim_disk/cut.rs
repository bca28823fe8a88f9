//! What a power cut, and what the death of the process leave of a simulated disk.
//!
//! Of the changes since the last sync, each may be on the medium or not, on its own: each 512-byte
//! sector, each file's length, each change to the directory as far as earlier ones to the same name
//! are. Independent draws alone would hardly ever meet the states at the edges, so these are drawn
//! too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::directory::{Directory, NameChange, Names};
use super::file::copy_sector;
use super::memory::Region;
use super::{Inode, SimDisk, State, SECTOR};
use crate::common::Random;

/// Which of the unsynced changes to one thing are on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Survivors {
    None,
    All,
    /// Each with the same chance.
    Some,
    /// From one of them on, none before.
    Later,
    /// Up to one of them, none after.
    Earlier,
    /// As `Some`, and one is written in part.
    Torn,
}

impl Survivors {
    fn draw(random: &mut Random) -> Survivors {
        use Survivors::{All, Earlier, Later, None, Some, Torn};
        [None, All, Some, Some, Later, Earlier, Torn][random.below(7) as usize]
    }

    /// Which of `count` changes survive.
    fn choose(self, count: usize, random: &mut Random) -> Vec<bool> {
        let edge = random.below(count as u64 + 1) as usize;
        let chance = 1 + random.below(7);
        let survives = |at: usize| match self {
            Survivors::None => false,
            Survivors::All => true,
            Survivors::Some | Survivors::Torn => random.below(8) < chance,
            Survivors::Later => at >= edge,
            Survivors::Earlier => at < edge,
        };
        (0..count).map(survives).collect()
    }
}

impl State {
    /// A disk as a power cut at this moment may leave it.
    pub fn cut(&self, random: &mut Random) -> SimDisk {
        let (mut inodes, mut directories) = (Vec::new(), vec![Directory::default()]);
        // A file with two names is one file.
        let mut moved = BTreeMap::new();
        let mut above = Names::new();
        for (name, directory) in self.above.cut(random) {
            let names = self.directories[directory].cut(random).into_iter().map(|(name, old)| {
                let inode = *moved.entry(old).or_insert_with(|| {
                    let (bytes, len) = self.inodes[old].cut(random);
                    inodes.push(Inode::new(bytes, len));
                    inodes.len() - 1
                });
                (name, inode)
            });
            let names: Names = names.collect();
            let cut = Directory { medium_names: names.clone(), names, ..Directory::default() };
            if directory == 0 {
                directories[0] = cut;
                above.insert(name, 0);
            } else {
                above.insert(name, directories.len());
                directories.push(cut);
            }
        }
        let above = Directory { medium_names: above.clone(), names: above, ..Directory::default() };
        self.successor(inodes, directories, above, random)
    }

    /// The disk as the death of the process at this moment leaves it. What is not on the medium is
    /// not there yet: a later power cut may still take it.
    pub fn kill(&self, random: &mut Random) -> SimDisk {
        let mut named: BTreeSet<usize> = BTreeSet::new();
        let mut directories = self.directories.clone();
        for directory in &mut directories {
            directory.locked = false;
            named.extend(directory.names.values());
            named.extend(directory.medium_names.values());
            named.extend(directory.pending.iter().filter_map(NameChange::target));
        }
        let copy = |(number, inode): (usize, &Inode)| match named.contains(&number) {
            true => inode.copy(),
            false => Inode::empty(),
        };
        let inodes = self.inodes.iter().enumerate().map(copy).collect();
        self.successor(inodes, directories, self.above.clone(), random)
    }

    fn successor(
        &self,
        inodes: Vec<Inode>,
        directories: Vec<Directory>,
        above: Directory,
        random: &mut Random,
    ) -> SimDisk {
        SimDisk::from_state(State {
            inodes,
            directories,
            above,
            exchanges: self.exchanges,
            capacity: self.capacity,
            operations: 0,
            random: Random(random.next()),
            fault: None,
            struck: 0,
            writes_a_part: false,
            writeback: self.writeback,
            short_writes: self.short_writes,
            watched: Some(std::thread::current().id()),
        })
    }

    /// Now and then, lets the kernel write back a part of what is dirty.
    pub(super) fn write_back_sometimes(&mut self) {
        if self.writeback == 0 || self.random.below(256) >= self.writeback {
            return;
        }
        let mut random = Random(self.random.next());
        let which = random.below(self.directories.len() as u64 + 1) as usize;
        let directory = self.directories.get_mut(which).unwrap_or(&mut self.above);
        if random.below(4) == 0 && !directory.pending.is_empty() {
            let first = directory.pending.remove(0);
            first.apply(&mut directory.medium_names);
        }
        let all = self.directories.iter().flat_map(|directory| directory.names.values());
        let files: Vec<usize> = all.copied().collect();
        if !files.is_empty() {
            let file = files[random.below(files.len() as u64) as usize];
            let file = &mut self.inodes[file];
            (file.medium, file.medium_len) = file.cut(&mut random);
        }
    }
}

impl Directory {
    /// The names that a power cut may leave.
    fn cut(&self, random: &mut Random) -> Names {
        let mut names = self.medium_names.clone();
        let survives = Survivors::draw(random).choose(self.pending.len(), random);
        let mut lost = BTreeSet::new();
        for (change, survives) in self.pending.iter().zip(survives) {
            if survives && change.names().iter().all(|name| !lost.contains(*name)) {
                change.apply(&mut names);
            } else {
                lost.extend(change.names().into_iter().cloned());
            }
        }
        names
    }
}

impl Inode {
    /// The file's bytes as a power cut may leave them, and how many there are.
    fn cut(&self, random: &mut Random) -> (Arc<Region>, usize) {
        let survivors = Survivors::draw(random);
        let new_len = match survivors {
            Survivors::None => false,
            Survivors::All => true,
            _ => random.below(2) == 0,
        };
        if self.is_clean() {
            // As many draws as for one that turns out to be clean.
            survivors.choose(0, random);
            return (Arc::clone(&self.medium), self.medium_len);
        }
        let live = self.live_bytes();
        let len = if new_len { self.len } else { self.medium_len };
        let bytes = self.medium_of_len(len);
        // Where the live file has ended, what is still there is what was there.
        let sectors = len.min(self.len).div_ceil(SECTOR);
        let is_dirty = |&sector: &usize| {
            Inode::sector(bytes.bytes(len), sector) != Inode::sector(live, sector)
                && self.dropped.get(&sector).is_none_or(|d| Inode::sector(live, sector) != d)
        };
        let dirty: Vec<usize> = (0..sectors).filter(is_dirty).collect();
        let survives = survivors.choose(dirty.len(), random);
        for (&sector, _) in dirty.iter().zip(survives).filter(|(_, survives)| *survives) {
            copy_sector(&bytes, len, live, sector);
        }
        if survivors == Survivors::Torn && !dirty.is_empty() {
            let sector = dirty[random.below(dirty.len() as u64) as usize];
            self.tear(&bytes, len, sector, random);
        }
        (Arc::new(bytes), len)
    }

    /// Writes a part of a sector, up to some byte or from there on.
    fn tear(&self, bytes: &Region, len: usize, sector: usize, random: &mut Random) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(len);
        let at = random.below((end - start) as u64) as usize;
        let mut halves = [self.medium_bytes(), self.live_bytes()].map(|from| {
            copy_sector(bytes, len, from, sector);
            bytes.bytes(len)[start..end].to_vec()
        });
        halves.rotate_left(random.below(2) as usize);
        bytes.write(start, &halves[0][..at]);
        bytes.write(start + at, &halves[1][at..]);
    }
}
