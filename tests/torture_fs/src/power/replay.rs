//! A disk in one of the states that a power cut may leave: mounted, looked at, and put back.
//!
//! Two sparse files in memory: `base` has all up to the last flush, `disk` is what is mounted.
//! After each state, what differs is put back.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use kv::db::Db;

use super::record::{start_image, Entry, Record};
use super::states::{Kind, State};
use crate::judge::Content;
use crate::machine::{self, Loop};
use crate::random;
use crate::worker::{self, LEVELS};

const SECTOR: usize = 512;
/// What is compared at once.
const PIECE: usize = 64 << 10;

pub struct Disk {
    base: File,
    disk: File,
    attached: Loop,
    mounted: PathBuf,
    len: u64,
}

impl Disk {
    pub fn new(record: &Record, job: u64) -> Result<Disk, String> {
        let directory = &record.directory;
        let [base, disk] = ["base", "disk"].map(|name| directory.join(format!("{name}-{job}.img")));
        let start = start_image(directory).to_string_lossy().into_owned();
        for copy in [&base, &disk] {
            machine::run("cp", &["--sparse=always", &start, &copy.to_string_lossy()])?;
        }
        let open = |path: &Path| {
            let opened = OpenOptions::new().read(true).write(true).open(path);
            opened.map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Disk {
            base: open(&base)?,
            disk: open(&disk)?,
            attached: Loop::attach(&disk).map_err(|error| format!("loop device: {error}"))?,
            mounted: directory.join(format!("mounted-{job}")),
            len: record.kernel.image_mib << 20,
        })
    }

    /// Goes on to behind a flush.
    pub fn advance(&self, entries: &[Entry]) -> Result<(), String> {
        for entry in entries {
            if let Entry::Write { offset, data } = entry {
                write(&self.base, data, *offset)?;
                write(&self.disk, data, *offset)?;
            }
        }
        Ok(())
    }

    /// Looks at one state. Answers whether that could be done: a superblock of which half a write
    /// is there is more than file systems promise to bear.
    pub fn examine(&self, record: &Record, state: &State) -> Result<bool, String> {
        self.put_on(&record.entries, state)?;
        let mount = match record.kernel.mount(&self.attached.device, &self.mounted) {
            Err(_) if state.kind == Kind::Torn => {
                self.put_back()?;
                return Ok(false);
            }
            mounted => mounted?,
        };
        let examined = self.examine_mounted(record, state);
        mount.end().map_err(|error| format!("umount: {error}"))?;
        self.put_back()?;
        examined.map(|()| true)
    }

    fn put_on(&self, entries: &[Entry], state: &State) -> Result<(), String> {
        for at in &state.kept {
            if let Entry::Write { offset, data } = &entries[*at] {
                write(&self.disk, data, *offset)?;
            }
        }
        let Some((at, mask)) = state.torn else { return Ok(()) };
        let Entry::Write { offset, data } = &entries[at] else { return Ok(()) };
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            if mask >> (number % 64) & 1 == 1 {
                write(&self.disk, sector, *offset + (number * SECTOR) as u64)?;
            }
        }
        Ok(())
    }

    /// Opens the database, judges what it holds, closes it, and looks again.
    fn examine_mounted(&self, record: &Record, state: &State) -> Result<(), String> {
        let mut random = random::of(&[record.seed, state.entries as u64, 6]);
        let level = LEVELS[random.below(LEVELS.len() as u64) as usize];
        let path = self.mounted.join("db");
        let open = |when: &str| {
            let opened = Db::open(&path, &worker::options(level));
            opened.map_err(|error| format!("{when}: open: {error}"))
        };
        let db = open("after the cut")?;
        let content = Content::read(&db, record.seed)?;
        record.history.judge(&content, state.entries as u64)?;
        if random.below(2) == 0 {
            db.compact().map_err(|error| format!("compact: {error}"))?;
        }
        db.close().map_err(|error| format!("close: {error}"))?;
        let db = open("once more")?;
        let again = Content::read(&db, record.seed)?;
        if !again.is_as(&content) {
            return Err("the second opening finds something else than the first".into());
        }
        db.close().map_err(|error| format!("close: {error}"))
    }

    /// Makes the disk what the base is.
    fn put_back(&self) -> Result<(), String> {
        let (mut old, mut new) = (vec![0; PIECE], vec![0; PIECE]);
        let mut at = 0;
        while let Some((start, end)) = self.next_data(at) {
            let mut offset = start / PIECE as u64 * PIECE as u64;
            while offset < end {
                let len = PIECE.min((self.len - offset) as usize);
                read(&self.base, &mut old[..len], offset)?;
                read(&self.disk, &mut new[..len], offset)?;
                if old[..len] != new[..len] {
                    write(&self.disk, &old[..len], offset)?;
                }
                offset += len as u64;
            }
            at = offset.max(end);
        }
        Ok(())
    }

    /// The next part of the disk that was ever written.
    fn next_data(&self, at: u64) -> Option<(u64, u64)> {
        let seek = |from: u64, whence| {
            // SAFETY: it only answers; nobody reads by the file's position.
            let found = unsafe { libc::lseek(self.disk.as_raw_fd(), from as i64, whence) };
            u64::try_from(found).ok()
        };
        if at >= self.len {
            return None;
        }
        let start = seek(at, libc::SEEK_DATA)?;
        Some((start, seek(start, libc::SEEK_HOLE).unwrap_or(self.len)))
    }
}

fn write(file: &File, bytes: &[u8], offset: u64) -> Result<(), String> {
    file.write_all_at(bytes, offset).map_err(|error| format!("image: {error}"))
}

fn read(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), String> {
    file.read_exact_at(bytes, offset).map_err(|error| format!("image: {error}"))
}
