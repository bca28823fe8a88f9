//! What is under a name in a directory: looked at before it is opened, and made with the very mode
//! that it is to have. A room of `unsafe`.
//!
//! Whoever may write to a database's directory can put anything under any name. Here nothing but a
//! regular file is opened, a link is never followed, and nothing waits: neither for the other end
//! of a pipe nor for a device.

#![allow(unsafe_code, reason = "openat, fstatat, mkdirat and readdir have no safe interface")]

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::posix::retry;
use crate::error::Error;
use crate::memory;

/// The bits of a mode that say who may read, write and execute.
const PERMISSIONS: u32 = 0o777;

/// Why a file could not be opened.
pub(super) enum Refused {
    /// Something else than a file is there, in words.
    NoFile(&'static str),
    /// The operating system said no.
    Os(io::Error),
}

impl Refused {
    /// The error of whoever wanted to do `action` with the file known as `shown`.
    pub fn into_error(self, action: &str, shown: &str) -> Error {
        match self {
            Refused::NoFile(what) => {
                Error::corrupt(shown, 0, format_args!("it is {what}, not a regular file"))
            }
            Refused::Os(cause) => Error::io(format_args!("{action} {shown}"), &cause),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(cause: io::Error) -> Refused {
        // It was exchanged after it had been looked at.
        match cause.raw_os_error() {
            Some(libc::ELOOP) => Refused::NoFile("a symbolic link"),
            Some(libc::EISDIR) => Refused::NoFile("a directory"),
            Some(libc::ENXIO) => Refused::NoFile("a pipe, a socket or a device"),
            _ => Refused::Os(cause),
        }
    }
}

/// The mode of a directory whose files have `file_mode`: who may read them may enter it.
pub(super) fn directory_mode(file_mode: u32) -> u32 {
    file_mode | (file_mode & 0o444) >> 2
}

/// Whether a file or directory has this mode.
pub(super) fn has_mode(data: &fs::Metadata, mode: u32) -> bool {
    data.mode() & PERMISSIONS == mode
}

/// Whether the file has more names than one. One that cannot be examined may have.
pub(super) fn has_other_names(file: &fs::File) -> bool {
    file.metadata().map_or(true, |data| data.nlink() > 1)
}

/// Creates a file that must not exist yet, with this mode, whatever the umask is.
pub(super) fn create(directory: &fs::File, name: &str, mode: u32) -> io::Result<fs::File> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let file = open_at(directory, &CString::new(name)?, flags, mode)?;
    if !has_mode(&file.metadata()?, mode) {
        // A file system that keeps no modes has none to give.
        let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    }
    Ok(file)
}

/// Opens an existing file for reading, and for writing too if `writable`.
pub(super) fn open(directory: &fs::File, name: &str, writable: bool) -> Result<fs::File, Refused> {
    let c_name = CString::new(name).map_err(io::Error::from)?;
    // Before it is opened: that alone has effects on devices and pipes.
    must_be_regular(look_at(directory, &c_name)?.st_mode)?;
    let access = if writable { libc::O_RDWR } else { libc::O_RDONLY };
    let file = open_at(directory, &c_name, access, 0)?;
    must_be_regular(file.metadata()?.mode())?;
    Ok(file)
}

/// Opens a file for reading and writing, or creates it.
pub(super) fn open_or_create(
    directory: &fs::File,
    name: &str,
    mode: u32,
) -> Result<fs::File, Refused> {
    // Others may create and remove it meanwhile, but hardly so often.
    for _ in 0..100 {
        match open(directory, name, true) {
            Err(Refused::Os(e)) if e.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match create(directory, name, mode) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            created => return Ok(created?),
        }
    }
    Err(Refused::Os(io::Error::other("it comes and goes")))
}

/// Makes a directory, whose name must not be there yet, with this mode, whatever the umask is.
pub(super) fn make_directory(directory: &fs::File, name: &CStr, mode: u32) -> io::Result<()> {
    let fd = directory.as_raw_fd();
    // SAFETY: the descriptor is open and the name is NUL-terminated for the whole call.
    retry(|| unsafe { libc::mkdirat(fd, name.as_ptr(), mode) })?;
    let made = look_at(directory, name)?.st_mode;
    if made & libc::S_IFMT == libc::S_IFDIR && made & PERMISSIONS != mode {
        // A file system that keeps no modes has none to give.
        // SAFETY: the descriptor is open and the name is NUL-terminated for the whole call.
        let _ = retry(|| unsafe { libc::fchmodat(fd, name.as_ptr(), mode, 0) });
    }
    Ok(())
}

/// The names of all that is in a directory.
pub(super) fn names(directory: &fs::File) -> io::Result<Vec<String>> {
    // A descriptor of its own, since the place up to which was read belongs to it.
    let own = open_at(directory, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut listing = Listing::of(own)?;
    let mut names = Vec::new();
    while let Some(name) = listing.next()? {
        if name != c"." && name != c".." {
            memory::push(&mut names, name.to_string_lossy().into_owned())
                .map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
    }
    Ok(names)
}

/// A directory that is being listed.
struct Listing(*mut libc::DIR);

impl Listing {
    fn of(directory: fs::File) -> io::Result<Listing> {
        // SAFETY: the descriptor is open; if this succeeds it belongs to the stream.
        let stream = unsafe { libc::fdopendir(directory.as_raw_fd()) };
        if stream.is_null() {
            return Err(io::Error::last_os_error());
        }
        std::mem::forget(directory);
        Ok(Listing(stream))
    }

    /// The next name, which stays until the one after it is asked for.
    fn next(&mut self) -> io::Result<Option<&CStr>> {
        // SAFETY: the number is this thread's own; the stream is open until it is dropped.
        let found = unsafe {
            *libc::__errno_location() = 0;
            libc::readdir(self.0)
        };
        if found.is_null() {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(0) { Ok(None) } else { Err(error) };
        }
        // SAFETY: readdir's entry stays until the next call, for which `self` must be free again;
        // its name is NUL-terminated. The entry may be shorter than its type, so no reference is
        // made to all of it.
        Ok(Some(unsafe { CStr::from_ptr((&raw const (*found).d_name).cast()) }))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        // SAFETY: the stream is open, and nobody uses it after this.
        unsafe { libc::closedir(self.0) };
    }
}

fn must_be_regular(mode: libc::mode_t) -> Result<(), Refused> {
    Err(Refused::NoFile(match mode & libc::S_IFMT {
        libc::S_IFREG => return Ok(()),
        libc::S_IFLNK => "a symbolic link",
        libc::S_IFDIR => "a directory",
        libc::S_IFIFO => "a pipe",
        libc::S_IFSOCK => "a socket",
        _ => "a device",
    }))
}

/// What is under a name; a link is itself.
fn look_at(directory: &fs::File, name: &CStr) -> io::Result<libc::stat> {
    // SAFETY: stat is plain data.
    let mut data: libc::stat = unsafe { std::mem::zeroed() };
    let (fd, flags) = (directory.as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
    // SAFETY: the descriptor is open, the name is NUL-terminated, and `data` is a live variable of
    // the type it writes.
    retry(|| unsafe { libc::fstatat(fd, name.as_ptr(), &mut data, flags) })?;
    Ok(data)
}

fn open_at(
    directory: &fs::File,
    name: &CStr,
    flags: libc::c_int,
    mode: u32,
) -> io::Result<fs::File> {
    let never = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    // SAFETY: the descriptor is open and the name is NUL-terminated for the whole call.
    let fd = retry(|| unsafe {
        libc::openat(directory.as_raw_fd(), name.as_ptr(), flags | never, mode)
    })?;
    // SAFETY: openat gave us this descriptor, and nobody else has it.
    Ok(unsafe { fs::File::from_raw_fd(fd) })
}
