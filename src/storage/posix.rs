//! The real disk: a directory and its files through their descriptors. A room of `unsafe`.
//!
//! The directory is opened once; every name is then resolved against that descriptor, without
//! following symbolic links, so neither a renamed directory nor a planted link leads anywhere else.

#![allow(unsafe_code, reason = "openat, renameat, unlinkat and flock have no safe interface")]

use std::any::Any;
use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::file::PosixFile;
use super::{entry, parent, process, DirectoryId, File, FreeBytes, Lock, Storage};
use crate::error::{Error, Kind, Result};

/// The mode of files that are made, unless told otherwise.
pub const PRIVATE: u32 = 0o600;

/// A database directory on a real file system.
pub struct PosixStorage {
    path: String,
    directory: fs::File,
    /// The mode of files that are made in it.
    file_mode: u32,
}

impl PosixStorage {
    /// Opens the directory at `path`, or creates it (mode 0700) if `create`.
    pub fn open(path: &Path, create: bool) -> Result<PosixStorage> {
        PosixStorage::open_with_mode(path, create, PRIVATE)
    }

    /// The same; what is made has this mode, and a directory one that fits.
    pub fn open_with_mode(path: &Path, create: bool, file_mode: u32) -> Result<PosixStorage> {
        let shown = path.display().to_string();
        if create {
            create_directory(path, entry::directory_mode(file_mode))?;
        }
        let directory = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_CLOEXEC)
            .open(path)
            .map_err(|e| Error::io(format_args!("open the directory {shown}"), &e))?;
        Ok(PosixStorage::new(shown, directory, file_mode))
    }

    /// The directory that is open, and known as `path`.
    pub(super) fn new(path: String, directory: fs::File, file_mode: u32) -> PosixStorage {
        PosixStorage { path, directory, file_mode }
    }

    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn wrap(&self, name: &str, file: fs::File) -> Arc<dyn File> {
        Arc::new(PosixFile { path: self.shown(name), file })
    }
}

/// Creates the directory and makes its name durable, unless it is there already.
fn create_directory(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            undo_umask(path, mode);
            sync_parent(path)
        }
        // Whoever made it may have died before its name was on the medium.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_empty(path) => sync_parent(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io(format_args!("create the directory {}", path.display()), &e)),
    }
}

/// Gives a directory that was just made the mode that it was to have. A file system that keeps no
/// modes has none to give.
fn undo_umask(path: &Path, mode: u32) {
    let made = fs::symlink_metadata(path).ok().filter(|data| data.is_dir());
    if made.is_some_and(|data| !entry::has_mode(&data, mode)) {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    }
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes the directory for good, unless there is anything in it, which is then left alone.
pub fn remove_if_empty(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => sync_parent(path),
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(e) => Err(Error::io(format_args!("remove the directory {}", path.display()), &e)),
    }
}

/// Makes the creation or removal of `path` durable.
fn sync_parent(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| Error::io(format_args!("sync the directory {}", parent.display()), &e))
}

/// Repeats a system call that a signal interrupted, and turns -1 into the error it stands for.
pub(super) fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        let result = call();
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

impl Storage for PosixStorage {
    fn path(&self) -> &str {
        &self.path
    }

    fn list(&self) -> Result<Vec<String>> {
        // Through the descriptor, so that it is this very directory, wherever the path leads by
        // now.
        entry::names(&self.directory)
            .map_err(|e| Error::io(format_args!("list the directory {}", self.path), &e))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        entry::create(&self.directory, name, self.file_mode)
            .map(|file| self.wrap(name, file))
            .map_err(|e| Error::io(format_args!("create {}", self.shown(name)), &e))
    }

    fn open(&self, name: &str, writable: bool) -> Result<Arc<dyn File>> {
        let file = entry::open(&self.directory, name, writable)
            .map_err(|bad| bad.into_error("open", &self.shown(name)))?;
        if writable && entry::has_other_names(&file) {
            let shown = self.shown(name);
            let what = format!(
                "{shown} has another name elsewhere (a hard link): what is written to one is \
                 written to both. Copy the file, and put the copy in its place"
            );
            return Err(Error::new(Kind::PermissionDenied, what));
        }
        Ok(self.wrap(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let directory = self.directory.as_raw_fd();
        let renamed = CString::new(from).and_then(|f| Ok((f, CString::new(to)?))).map(|(f, t)| {
            // SAFETY: the descriptor is open and both names are NUL-terminated for the whole call.
            retry(|| unsafe { libc::renameat(directory, f.as_ptr(), directory, t.as_ptr()) })
        });
        renamed
            .map_err(io::Error::from)
            .and_then(|result| result)
            .map(|_| ())
            .map_err(|e| Error::io(format_args!("rename {} to {to}", self.shown(from)), &e))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let directory = self.directory.as_raw_fd();
        let removed = CString::new(name).map_err(io::Error::from).and_then(|n| {
            // SAFETY: the descriptor is open and the name is NUL-terminated for the whole call.
            retry(|| unsafe { libc::unlinkat(directory, n.as_ptr(), 0) })
        });
        removed.map(|_| ()).map_err(|e| Error::io(format_args!("remove {}", self.shown(name)), &e))
    }

    fn link_from(&self, from: &dyn Storage, name: &str) -> Result<bool> {
        let Some(from) = (from as &dyn Any).downcast_ref::<PosixStorage>() else {
            return Ok(false);
        };
        let (source, target) = (from.directory.as_raw_fd(), self.directory.as_raw_fd());
        let linked = CString::new(name).map_err(io::Error::from).and_then(|n| {
            // SAFETY: the descriptors are open and the name is NUL-terminated for the whole call.
            retry(|| unsafe { libc::linkat(source, n.as_ptr(), target, n.as_ptr(), 0) })
        });
        match linked {
            Ok(_) => Ok(true),
            Err(error) if refuses_links(&error) => Ok(false),
            Err(error) => Err(Error::io(format_args!("link {}", from.shown(name)), &error)),
        }
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        parent::lineage_of(&self.directory)
            .map_err(|e| Error::io(format_args!("examine {}", self.path), &e))
    }

    fn sync_directory(&self) -> Result<()> {
        self.directory
            .sync_all()
            .map_err(|e| failed_sync(format_args!("sync the directory {}", self.path), &e))
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let failed = |e| Error::io(format_args!("lock {}", self.shown(name)), &e);
        loop {
            let file = entry::open_or_create(&self.directory, name, self.file_mode)
                .map_err(|bad| bad.into_error("lock", &self.shown(name)))?;
            let held = DirectoryLock::register(&self.path, &file)?;
            if let Err(error) = retry(|| flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB)) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(failed(error));
                }
                let holder = holder_of(&file);
                return Err(Error::new(Kind::Locked, format!("{} is open in {holder}", self.path)));
            }
            // Who removes a database removes its lock: one that has no name any more keeps nobody
            // out.
            if file.metadata().map_err(failed)?.nlink() == 0 {
                continue;
            }
            // For messages only; that it cannot be written is no reason not to go on. Nor that it
            // may not, since it is some other file too.
            if !entry::has_other_names(&file) {
                let note = format!("pid {}\nboot {}\n", std::process::id(), process::boot_id());
                let _ = file.set_len(0).and_then(|()| (&file).write_all(note.as_bytes()));
            }
            return Ok(Box::new(PosixLock { file, _held: held }));
        }
    }

    fn lock_to_read(&self, name: &str) -> Result<Option<Box<dyn Lock>>> {
        let failed = |e| Error::io(format_args!("lock {}", self.shown(name)), &e);
        let file = match entry::open(&self.directory, name, false) {
            Ok(file) => file,
            Err(bad) => {
                let error = bad.into_error("lock", &self.shown(name));
                let out_of_reach = [Kind::DoesNotExist, Kind::PermissionDenied];
                return match out_of_reach.contains(&error.kind()) {
                    true => Ok(Some(Box::new(NoLock))),
                    false => Err(error),
                };
            }
        };
        match retry(|| flock(file.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB)) {
            Ok(_) => Ok(Some(Box::new(SharedLock { file }))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn free_bytes(&self) -> Result<FreeBytes> {
        // SAFETY: statvfs is plain data.
        let mut data: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and `data` is a live variable of the type it writes.
        retry(|| unsafe { libc::fstatvfs(self.directory.as_raw_fd(), &mut data) })
            .map_err(|e| Error::io(format_args!("examine the disk of {}", self.path), &e))?;
        let bytes = |blocks: u64| blocks.saturating_mul(data.f_frsize);
        Ok(FreeBytes { free: bytes(data.f_bavail), total: bytes(data.f_blocks) })
    }

    fn random(&self) -> Result<[u8; 16]> {
        let mut out = [0; 16];
        // SAFETY: `out` has 16 bytes; requests of up to 256 bytes are not cut short.
        let got = retry(|| unsafe { libc::getrandom(out.as_mut_ptr().cast(), 16, 0) as i32 });
        match got {
            Ok(16) => Ok(out),
            Ok(_) => Err(Error::new(Kind::Io, "cannot get random bytes: too few came")),
            Err(e) => Err(Error::io("get random bytes", &e)),
        }
    }

    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |time| time.as_millis() as u64)
    }
}

/// Whether a file that cannot be linked may be copied: it is on another file system, or on one
/// without links, has too many of them, or is protected by the system.
fn refuses_links(error: &io::Error) -> bool {
    let refusals = [libc::EXDEV, libc::EMLINK, libc::EPERM, libc::EOPNOTSUPP, libc::ENOSYS];
    error.raw_os_error().is_some_and(|number| refusals.contains(&number))
}

fn flock(fd: RawFd, operation: libc::c_int) -> libc::c_int {
    // SAFETY: flock takes two integers; a bad descriptor is answered with an error.
    unsafe { libc::flock(fd, operation) }
}

/// Who wrote the lock file, in words.
fn holder_of(file: &fs::File) -> String {
    let mut text = [0; 128];
    let len = file.read_at(&mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..len]);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    match field("pid ") {
        Some(pid) if field("boot ") == Some(&process::boot_id()) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

/// Directories that this process has open, by lock file: `flock` alone cannot tell this process
/// from others.
static HELD: Mutex<Vec<(u64, u64, u32)>> = Mutex::new(Vec::new());

/// An entry of [`HELD`].
struct DirectoryLock {
    entry: (u64, u64, u32),
}

impl DirectoryLock {
    fn register(path: &str, file: &fs::File) -> Result<DirectoryLock> {
        let data = file.metadata().map_err(|e| Error::io(format_args!("examine {path}"), &e))?;
        // The pid: what a child of fork inherits of this list is its parent's.
        let entry = (data.dev(), data.ino(), std::process::id());
        let mut held = HELD.lock();
        if held.contains(&entry) {
            return Err(Error::new(
                Kind::AlreadyOpen,
                format!("{path} is already open in this process"),
            ));
        }
        held.push(entry);
        Ok(DirectoryLock { entry })
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        HELD.lock().retain(|entry| *entry != self.entry);
    }
}

struct PosixLock {
    /// Goes before the file is closed: then another file may get its inode.
    _held: DirectoryLock,
    file: fs::File,
}

impl Lock for PosixLock {}

impl Drop for PosixLock {
    fn drop(&mut self) {
        // Explicitly: a forked child has the same lock, and would hold it for as long as it lives.
        flock(self.file.as_raw_fd(), libc::LOCK_UN);
    }
}

/// A lock of one who reads.
struct SharedLock {
    file: fs::File,
}

impl Lock for SharedLock {}

impl Drop for SharedLock {
    fn drop(&mut self) {
        flock(self.file.as_raw_fd(), libc::LOCK_UN);
    }
}

/// The lock of a database that nobody can have open.
struct NoLock;

impl Lock for NoLock {}

/// A failed sync has lost something, whatever the reason it gives: a disk that was full only then
/// (delayed allocation, quotas) is no exception.
pub(super) fn failed_sync(action: impl std::fmt::Display, cause: &io::Error) -> Error {
    Error::io(action, cause).with_kind(Kind::Io)
}
