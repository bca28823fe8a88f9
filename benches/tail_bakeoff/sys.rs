//! The benchmark's only door to the operating system, and the only place with unsafe code.

#![allow(unsafe_code, reason = "mapped writes and a few system calls are what is measured here")]

use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// A shared, writable map of a file. It may reach past the file's end: the owner writes only
/// where blocks are allocated.
pub struct WriteMap {
    raw: MmapRaw,
}

impl WriteMap {
    pub fn new(file: &File, len: usize) -> io::Result<WriteMap> {
        Ok(WriteMap { raw: MmapOptions::new().len(len).map_raw(file)? })
    }

    /// Faults the pages in for writing, all in one call; full disk and bad medium are errors.
    pub fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        assert!(offset <= self.raw.len() && len <= self.raw.len() - offset);
        // SAFETY: the range lies in the map (just checked), and populating changes no bytes.
        check(unsafe {
            let start = self.raw.as_mut_ptr().add(offset);
            libc::madvise(start.cast(), len, libc::MADV_POPULATE_WRITE)
        })
    }

    /// One pwrite from the map to `file`; how many bytes it took.
    pub fn write_out(&self, from: usize, len: usize, file: &File, at: u64) -> io::Result<usize> {
        assert!(from <= self.raw.len() && len <= self.raw.len() - from);
        // SAFETY: the range lies in the map (just checked); the kernel only reads it.
        let written = unsafe {
            let start = self.raw.as_ptr().add(from);
            libc::pwrite(file.as_raw_fd(), start.cast(), len, at as libc::off_t)
        };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    }
}

/// Copies into bytes whose blocks exist and that no other thread writes: each contestant keeps
/// one writer (`&mut self`) and moves it only over what it has allocated.
pub fn copy_in_allocated(map: &WriteMap, offset: usize, bytes: &[u8]) {
    let len = map.raw.len();
    assert!(offset <= len && bytes.len() <= len - offset);
    // SAFETY: the range lies in the map (just checked) and `bytes` cannot overlap a map that no
    // reference is ever made to.
    unsafe {
        map.raw.as_mut_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
}

/// Allocates blocks and lets the file's length reach past them.
pub fn allocate(file: &File, offset: usize, len: usize) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::fallocate(file.as_raw_fd(), 0, offset as i64, len as i64) })
}

/// What this process has used so far, all threads together.
#[derive(Clone, Copy)]
pub struct Usage {
    pub cpu_ns: u64,
    pub faults: u64,
}

pub fn usage() -> Usage {
    // SAFETY: rusage is plain numbers, for which all zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live rusage.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    let ns = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1_000;
    Usage { cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime), faults: usage.ru_minflt as u64 }
}

pub fn file_system(dir: &Path) -> io::Result<String> {
    let dir = File::open(dir)?;
    // SAFETY: statfs is plain numbers, for which all zeros are a value.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live statfs.
    check(unsafe { libc::fstatfs(dir.as_raw_fd(), &mut stat) })?;
    Ok(match stat.f_type as u64 {
        0xef53 => "ext4".into(),
        0x0102_1994 => "tmpfs".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        other => format!("{other:#x}"),
    })
}

pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
