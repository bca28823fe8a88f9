//! What a disk does to bytes that it has taken: flips bits, loses writes, puts them elsewhere, and
//! worse.

use std::sync::Arc;

use super::memory::Region;
use super::{Inode, SimDisk, State, SECTOR};
use crate::common::Random;

/// Sectors that lie on one page.
const PAGE_SECTORS: usize = 8;

/// Something that is done to one file, or to two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    FlippedBit,
    ZeroedSectors,
    GarbledSector,
    ExchangedSectors,
    Cut,
    Lengthened,
    Removed,
    /// Another file's bytes in the place of this one's.
    Duplicated,
    Swapped,
    /// Sectors are what they were some time ago.
    LostWrite,
    /// The same, and what they should be is found elsewhere.
    MisdirectedWrite,
    /// The whole file is what it was some time ago.
    OldCopy,
}

/// All of them.
pub const HARMS: [Harm; 12] = [
    Harm::FlippedBit,
    Harm::ZeroedSectors,
    Harm::GarbledSector,
    Harm::ExchangedSectors,
    Harm::Cut,
    Harm::Lengthened,
    Harm::Removed,
    Harm::Duplicated,
    Harm::Swapped,
    Harm::LostWrite,
    Harm::MisdirectedWrite,
    Harm::OldCopy,
];

impl Harm {
    /// Whether it leaves bytes that were right once: what is found may be what was there then.
    pub fn is_old(self) -> bool {
        matches!(self, Harm::LostWrite | Harm::MisdirectedWrite | Harm::OldCopy)
    }
}

/// What was done.
pub struct Done {
    /// To which files.
    pub to: Vec<String>,
    /// In words.
    pub what: String,
}

impl Done {
    fn to(names: &[&String], what: String) -> Done {
        Done { to: names.iter().map(|name| (*name).clone()).collect(), what }
    }
}

/// The sectors of `bytes`, at least one.
fn sectors(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(SECTOR).max(1)
}

fn sector(bytes: &mut [u8], number: usize) -> &mut [u8] {
    let from = (number * SECTOR).min(bytes.len());
    let to = (from + SECTOR).min(bytes.len());
    &mut bytes[from..to]
}

/// Gives one sector what another has, as far as it goes.
fn overwrite(bytes: &mut [u8], number: usize, with: &[u8]) {
    let place = sector(bytes, number);
    let len = place.len().min(with.len());
    place[..len].copy_from_slice(&with[..len]);
}

impl State {
    /// The files of the database, but for its lock.
    fn files(&self) -> Vec<(String, usize)> {
        let names = self.directories[0].names.iter();
        let names = names.filter(|(name, _)| *name != kv::format::name::LOCK);
        names.map(|(name, &inode)| (name.clone(), inode)).collect()
    }

    fn bytes_of(&self, name: &str) -> Option<Vec<u8>> {
        let inode = *self.directories[0].names.get(name)?;
        Some(self.inodes[inode].live_bytes().to_vec())
    }

    fn put(&mut self, inode: usize, bytes: &[u8]) {
        self.inodes[inode] = Inode::new(Arc::new(Region::with(bytes)), bytes.len());
    }

    fn forget(&mut self, name: &str) {
        self.directories[0].names.remove(name);
        self.directories[0].medium_names.remove(name);
    }
}

impl SimDisk {
    /// Does harm to the database, which nobody has open. `older` is what it was some time ago.
    /// Answers what was done, or nothing if there was nothing to do it to.
    pub fn harm(&self, harm: Harm, older: Option<&SimDisk>, random: &mut Random) -> Option<Done> {
        let mut state = self.shared.state.lock();
        let files = state.files();
        let pick = |random: &mut Random| files[random.below(files.len() as u64) as usize].clone();
        if files.is_empty() {
            return None;
        }
        let ((name, inode), (other, other_inode)) = (pick(random), pick(random));
        let mut bytes = state.inodes[inode].live_bytes().to_vec();
        let others = state.inodes[other_inode].live_bytes().to_vec();
        let old = || older?.shared.state.lock().bytes_of(&name);
        let what = match harm {
            Harm::Removed => {
                state.forget(&name);
                return Some(Done::to(&[&name], format!("{name} removed")));
            }
            Harm::Duplicated | Harm::Swapped if bytes == others => return None,
            Harm::Duplicated => {
                state.put(inode, &others);
                return Some(Done::to(&[&name], format!("{name} replaced by {other}")));
            }
            Harm::Swapped => {
                state.put(inode, &others);
                state.put(other_inode, &bytes);
                return Some(Done::to(&[&name, &other], format!("{name}, {other} swapped")));
            }
            Harm::OldCopy => {
                let old = old().filter(|old| *old != bytes)?;
                bytes = old;
                format!("{name} is an old copy")
            }
            Harm::LostWrite | Harm::MisdirectedWrite => {
                let (what, right) = lose_write(&mut bytes, &old().unwrap_or_default(), random)?;
                if harm == Harm::MisdirectedWrite {
                    let mut others = if inode == other_inode { bytes.clone() } else { others };
                    let number = random.below(sectors(&others) as u64) as usize;
                    overwrite(&mut others, number, &right);
                    state.put(inode, &bytes);
                    state.put(other_inode, &others);
                    let what = format!("{what} of {name} landed in sector {number} of {other}");
                    return Some(Done::to(&[&name, &other], what));
                }
                format!("{what} of {name} lost")
            }
            _ => change(harm, &mut bytes, random)? + " of " + &name,
        };
        state.put(inode, &bytes);
        Some(Done::to(&[&name], what))
    }
}

/// Takes a write back: a few sectors have the bytes they had before. Answers where, and what the
/// first of them should have.
fn lose_write(bytes: &mut [u8], old: &[u8], random: &mut Random) -> Option<(String, Vec<u8>)> {
    let differs = |number: &usize| Inode::sector(bytes, *number) != Inode::sector(old, *number);
    let changed: Vec<usize> = (0..sectors(bytes)).filter(differs).collect();
    let first = *changed.get(random.below(changed.len().max(1) as u64) as usize)?;
    let right = Inode::sector(bytes, first).to_vec();
    let count = 1 + random.below(8) as usize;
    for number in first..first + count {
        let before = Inode::sector(old, number).to_vec();
        let place = sector(bytes, number);
        place.fill(0);
        overwrite(bytes, number, &before);
    }
    Some((format!("{count} sectors from sector {first} on"), right))
}

/// Changes the bytes of one file. Answers how.
fn change(harm: Harm, bytes: &mut Vec<u8>, random: &mut Random) -> Option<String> {
    if bytes.is_empty() && harm != Harm::Lengthened {
        return None;
    }
    let (len, count) = (bytes.len(), sectors(bytes));
    let mut draw = |bound: usize| random.below(bound.max(1) as u64) as usize;
    let number = draw(count);
    Some(match harm {
        Harm::FlippedBit => {
            let bit = draw(len * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            format!("bit {} of byte {}", bit % 8, bit / 8)
        }
        Harm::ZeroedSectors => {
            // Within a page: none of its header page takes the log with it.
            let until = number + 1 + draw(PAGE_SECTORS - number % PAGE_SECTORS);
            (number..until).for_each(|number| sector(bytes, number).fill(0));
            format!("sectors {number} to {until} zeroed")
        }
        Harm::GarbledSector => {
            let garbage = random.bytes(SECTOR);
            overwrite(bytes, number, &garbage);
            format!("sector {number} garbled")
        }
        Harm::ExchangedSectors => {
            // Not one of the header page with one of the log: that is damage to both.
            let log = count.saturating_sub(PAGE_SECTORS);
            let (number, other) = (PAGE_SECTORS + draw(log), PAGE_SECTORS + draw(log));
            let both = [number, other].map(|number| Inode::sector(bytes, number).to_vec());
            if both[0] == both[1] {
                return None;
            }
            overwrite(bytes, number, &both[1]);
            overwrite(bytes, other, &both[0]);
            format!("sectors {number} and {other}")
        }
        Harm::Cut => {
            let to = draw(len);
            bytes.truncate(to);
            format!("all from byte {to} on")
        }
        _ => {
            let more = 1 + draw(3000);
            let is_zero = draw(2) == 0;
            let tail = if is_zero { vec![0; more] } else { random.bytes(more) };
            bytes.extend(tail);
            format!("{more} bytes behind the end")
        }
    })
}
