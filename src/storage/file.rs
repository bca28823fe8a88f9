//! One file of the real disk. A room of `unsafe`.

#![allow(unsafe_code, reason = "fallocate and two others have no safe interface")]

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::map::{AppendMap, Map};
use super::posix::{failed_sync, retry};
use super::File;
use crate::error::{Error, Result};

/// A file, open.
pub(super) struct PosixFile {
    /// For messages.
    pub path: String,
    pub file: fs::File,
}

impl PosixFile {
    fn failed(&self, action: &str) -> impl FnOnce(io::Error) -> Error + '_ {
        let action = format!("{action} {}", self.path);
        move |cause| Error::io(action, &cause)
    }

    /// Nobody reads past the end of a file as it was: somebody has cut it meanwhile.
    #[cold]
    fn ends_early(&self, offset: u64) -> Error {
        let len = self.len().unwrap_or(offset);
        Error::corrupt(&self.path, len, "the file has become shorter while it was open")
    }
}

impl File for PosixFile {
    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|data| data.len()).map_err(self.failed("examine"))
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(out, offset).map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => self.ends_early(offset),
            _ => self.failed("read")(cause),
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(self.failed("write"))
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let fd = self.file.as_raw_fd();
        let old = self.len()?;
        if len <= old {
            return Ok(());
        }
        let (at, more) = (old as libc::off_t, (len - old) as libc::off_t);
        // SAFETY: fallocate takes integers; a bad descriptor is answered with an error.
        match retry(|| unsafe { libc::fallocate(fd, 0, at, more) }) {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                write_zeros(&self.file, old, len).map_err(self.failed("allocate space for"))
            }
            Err(e) => {
                // What a partial allocation added is given back, so that the length says what is
                // allocated.
                let _ = self.file.set_len(old);
                Err(self.failed("allocate space for")(e))
            }
        }
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(self.failed("cut"))
    }

    fn sync(&self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|e| failed_sync(format_args!("sync {}", self.path), &e))
    }

    #[cfg(target_os = "linux")]
    fn begin_sync(&self, offset: u64, len: u64) {
        let (fd, flags) = (self.file.as_raw_fd(), libc::SYNC_FILE_RANGE_WRITE);
        // SAFETY: sync_file_range takes integers; a bad descriptor is answered with an error. It
        // only begins: what fails is told by the sync.
        let _ = unsafe { libc::sync_file_range(fd, offset as i64, len as i64, flags) };
    }

    fn drop_cache(&self) -> Result<()> {
        // SAFETY: posix_fadvise takes integers; a bad descriptor is answered with an error.
        let errno =
            unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        match errno {
            0 => Ok(()),
            _ => Err(self.failed("reread")(io::Error::from_raw_os_error(errno))),
        }
    }

    fn map(&self, len: u64) -> Result<Map> {
        let map = MmapOptions::new().len(len as usize).map_raw_read_only(&self.file);
        let map = map.map_err(self.failed("map"))?;
        advise_random(&map);
        Ok(Map::new(Box::new(map)))
    }

    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        let map = MmapOptions::new().len(capacity as usize).map_raw(&self.file);
        let map = map.map_err(self.failed("map"))?;
        Ok(AppendMap::new(Box::new(map), start as usize))
    }
}

/// Reads come in no order: read-ahead would fetch what nobody asked for. Only advice, so errors do
/// not matter.
fn advise_random(map: &MmapRaw) {
    let _ = map.advise(Advice::Random);
}

/// Allocates by writing, where the file system has no other way.
fn write_zeros(file: &fs::File, from: u64, to: u64) -> io::Result<()> {
    // No variable: the caller's stack may have no more than this.
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let len = (to - at).min(ZEROS.len() as u64);
        if let Err(e) = file.write_all_at(&ZEROS[..len as usize], at) {
            let _ = file.set_len(from);
            return Err(e);
        }
        at += len;
    }
    Ok(())
}
