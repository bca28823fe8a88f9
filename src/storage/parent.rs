//! The directory above a database's, on the real disk: what makes a directory take another's place.
//! A room of `unsafe`.

#![allow(unsafe_code, reason = "renameat2 and unlinkat have no safe interface")]

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::posix::{failed_sync, retry, PosixStorage, PRIVATE};
use super::{entry, DirectoryId, Parent, Storage};
use crate::error::{Error, Kind, Result};

/// A directory in which directories are.
pub struct PosixParent {
    path: String,
    directory: fs::File,
    /// The mode of files that are made in directories in it.
    file_mode: u32,
}

impl PosixParent {
    /// Opens the directory in which `path` is, or may come to be; answers it with the last name of
    /// `path`.
    pub fn of(path: &Path) -> Result<(PosixParent, OsString)> {
        let name = path.file_name().ok_or_else(|| {
            let message = format!("{} does not end in the name of a directory", path.display());
            Error::new(Kind::InvalidArgument, message)
        })?;
        let above = match path.parent() {
            Some(above) if above != Path::new("") => above,
            _ => Path::new("."),
        };
        let shown = above.display().to_string();
        let directory = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
            .open(above)
            .map_err(|e| Error::io(format_args!("open the directory {shown}"), &e))?;
        Ok((PosixParent { path: shown, directory, file_mode: PRIVATE }, name.to_owned()))
    }

    /// Directories and files that are made from now on have this mode, or one that fits.
    #[must_use]
    pub fn with_file_mode(self, file_mode: u32) -> PosixParent {
        PosixParent { file_mode, ..self }
    }

    fn shown(&self, name: &OsStr) -> String {
        format!("{}/{}", self.path, name.display())
    }

    fn rename_with(&self, from: &OsStr, to: &OsStr, flags: libc::c_uint) -> io::Result<()> {
        let (from, to) = (CString::new(from.as_bytes())?, CString::new(to.as_bytes())?);
        let directory = self.directory.as_raw_fd();
        // SAFETY: the descriptor is open and both names are NUL-terminated for the whole call. By
        // its number, since not every C library has a function for it.
        retry(|| unsafe {
            let (from, to) = (from.as_ptr(), to.as_ptr());
            libc::syscall(libc::SYS_renameat2, directory, from, directory, to, flags) as libc::c_int
        })
        .map(|_| ())
    }
}

impl Parent for PosixParent {
    fn path(&self) -> &str {
        &self.path
    }

    fn open(&self, name: &OsStr) -> Result<Option<Arc<dyn Storage>>> {
        match open_at(&self.directory, name, libc::O_RDONLY | libc::O_NOFOLLOW) {
            Ok(directory) => {
                let shown = self.shown(name);
                Ok(Some(Arc::new(PosixStorage::new(shown, directory, self.file_mode))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(Error::io(format_args!("open the directory {}", self.shown(name)), &error))
            }
        }
    }

    fn create(&self, name: &OsStr) -> Result<()> {
        let mode = entry::directory_mode(self.file_mode);
        let made = CString::new(name.as_bytes())
            .map_err(io::Error::from)
            .and_then(|name| entry::make_directory(&self.directory, &name, mode));
        made.map_err(|e| Error::io(format_args!("create the directory {}", self.shown(name)), &e))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        self.rename_with(from, to, 0).map_err(|e| {
            Error::io(format_args!("rename {} to {}", self.shown(from), to.display()), &e)
        })
    }

    fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<bool> {
        match self.rename_with(one, other, libc::RENAME_EXCHANGE) {
            Ok(()) => Ok(true),
            // An old kernel, or a file system that cannot.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(false),
            Err(e) => {
                let (one, other) = (self.shown(one), other.display());
                Err(Error::io(format_args!("exchange {one} and {other}"), &e))
            }
        }
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        let directory = self.directory.as_raw_fd();
        let removed = CString::new(name.as_bytes()).map_err(io::Error::from).and_then(|n| {
            // SAFETY: the descriptor is open and the name is NUL-terminated for the whole call.
            retry(|| unsafe { libc::unlinkat(directory, n.as_ptr(), libc::AT_REMOVEDIR) })
        });
        removed
            .map(|_| ())
            .map_err(|e| Error::io(format_args!("remove the directory {}", self.shown(name)), &e))
    }

    fn sync(&self) -> Result<()> {
        let synced = self.directory.sync_all();
        synced.map_err(|e| failed_sync(format_args!("sync the directory {}", self.path), &e))
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        lineage_of(&self.directory)
            .map_err(|e| Error::io(format_args!("examine {}", self.path), &e))
    }
}

/// Opens the directory `name` in `directory`.
fn open_at(directory: &fs::File, name: &OsStr, flags: libc::c_int) -> io::Result<fs::File> {
    let name = CString::new(name.as_bytes())?;
    let flags = flags | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the descriptor is open and the name is NUL-terminated for the whole call.
    let fd = retry(|| unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags) })?;
    // SAFETY: openat gave us this descriptor, and nobody else has it.
    Ok(unsafe { fs::File::from_raw_fd(fd) })
}

/// The ids of a directory and of those above it, up to the root or to one that may not be searched.
pub(super) fn lineage_of(directory: &fs::File) -> io::Result<Vec<DirectoryId>> {
    let id = |data: fs::Metadata| (data.dev(), data.ino());
    let mut ids = vec![id(directory.metadata()?)];
    let mut here = directory.try_clone()?;
    // Not to be read, only passed through.
    while let Ok(above) = open_at(&here, OsStr::new(".."), libc::O_PATH) {
        let next = id(above.metadata()?);
        if ids.last() == Some(&next) {
            break;
        }
        ids.push(next);
        here = above;
    }
    Ok(ids)
}
