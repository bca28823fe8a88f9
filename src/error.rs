//! Errors: one kind for each thing a caller can do about it, and a sentence for people.

use std::collections::TryReserveError;
use std::fmt;

/// What went wrong, as far as a program can react to it. Each kind has one status in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pointer that must not be NULL is NULL.
    NullArgument,
    /// A value that is no valid choice: an enum out of range, a path that is not one.
    InvalidArgument,
    /// The key has length 0.
    EmptyKey,
    /// The key is longer than [`crate::format::MAX_KEY_LEN`].
    KeyTooLong,
    /// The value is longer than [`crate::format::MAX_VALUE_LEN`].
    ValueTooLong,
    /// No option has this name.
    UnknownOption,
    /// The option exists; the value is malformed or out of range.
    InvalidOption,
    /// The path is a URL, or asks for something this build cannot do.
    Unsupported,
    /// There is no database at the path, and creating one was not allowed.
    DoesNotExist,
    /// There is a database at the path, and the caller wanted a new one.
    AlreadyExists,
    /// The path is a file (or a device, a socket …), not a directory.
    NotADirectory,
    /// The directory holds other things, and no database.
    NotADatabase,
    /// The database was written by a newer libkv.
    NewerFormat,
    /// This process has the database open already.
    AlreadyOpen,
    /// Another process has the database open.
    Locked,
    /// The handle was closed.
    Closed,
    /// The handle belongs to the parent of this process.
    Forked,
    /// The operating system does not permit it, or a file to be written has other names.
    PermissionDenied,
    /// The disk, a quota or a file-size limit is full. Nothing was written; it works again when
    /// there is room.
    NoSpace,
    /// Memory could not be had.
    OutOfMemory,
    /// The process or the system has no more file descriptors, maps, locks or threads.
    TooManyOpen,
    /// The operating system failed to read or write.
    Io,
    /// The database refuses writes, since an earlier failure or because it was opened so.
    ReadOnly,
    /// The write may or may not have happened, and may or may not be found again after a crash.
    UnknownOutcome,
    /// The call was ended by another one, or by its own progress function.
    Cancelled,
    /// The call cannot be made in the middle of another one on the same thread.
    Busy,
    /// The index has reached the memory that the options allow: no new keys.
    IndexFull,
    /// The value is no counter: it has not eight bytes.
    NotACounter,
    /// The counter would leave the range of its type.
    Overflow,
    /// The batch is longer than a segment can be.
    BatchTooLarge,
    /// Bytes on disk are not what was written.
    Corrupt,
    /// A bug in libkv.
    Internal,
}

/// A failure: its [`Kind`] and a sentence naming the file, the offset and the cause.
///
/// One word wide, so that results stay in registers on the paths where nothing fails.
#[derive(Clone, Debug)]
pub struct Error(Box<Detail>);

#[derive(Clone, Debug)]
struct Detail {
    kind: Kind,
    message: Box<str>,
    /// Where damage is: a file, and a byte of it.
    place: Option<(Box<str>, u64)>,
}

const _: () = assert!(size_of::<Result<()>>() == size_of::<usize>());

impl From<TryReserveError> for Error {
    #[cold]
    fn from(_: TryReserveError) -> Error {
        Error::new(Kind::OutOfMemory, "there is no memory for it")
    }
}

/// Of a failure that may be passed over: nothing, unless it is that there is no memory, which says
/// nothing of what was asked for.
pub fn passed_over<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() != Kind::OutOfMemory => Ok(None),
        other => other.map(Some),
    }
}

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`, explained by `message`.
    #[cold]
    pub fn new(kind: Kind, message: impl Into<Box<str>>) -> Error {
        Error(Box::new(Detail { kind, message: message.into(), place: None }))
    }

    /// Damage in `file` at byte `offset`.
    #[cold]
    pub fn corrupt(file: &str, offset: u64, what: impl fmt::Display) -> Error {
        let message = format!("{file} is damaged at byte {offset}: {what}").into();
        let place = Some((file.into(), offset));
        Error(Box::new(Detail { kind: Kind::Corrupt, message, place }))
    }

    /// The operating system refused `action` (a phrase such as "open /data/db/MANIFEST").
    #[cold]
    pub fn io(action: impl fmt::Display, cause: &std::io::Error) -> Error {
        Error::new(io_kind(cause), format!("cannot {action}: {cause}"))
    }

    /// What a program can react to.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The file that is damaged, and at which byte, as far as is known.
    pub fn place(&self) -> Option<(&str, u64)> {
        self.0.place.as_ref().map(|(file, offset)| (&**file, *offset))
    }

    /// Whether a file, or what is in the place of one, cannot be read, whoever tries.
    pub fn is_of_file(&self) -> bool {
        matches!(self.kind(), Kind::Io | Kind::Corrupt)
    }

    /// The same sentence under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }

    /// The sentence, with `prefix` and a colon before it.
    #[must_use]
    pub fn context(mut self, prefix: impl fmt::Display) -> Error {
        self.0.message = format!("{prefix}: {}", self.0.message).into();
        self
    }
}

/// The kind that an operating-system error is reported as.
fn io_kind(cause: &std::io::Error) -> Kind {
    use std::io::ErrorKind as Os;
    match cause.kind() {
        Os::PermissionDenied | Os::ReadOnlyFilesystem => Kind::PermissionDenied,
        Os::StorageFull | Os::QuotaExceeded | Os::FileTooLarge => Kind::NoSpace,
        Os::OutOfMemory => Kind::OutOfMemory,
        Os::NotADirectory => Kind::NotADirectory,
        Os::NotFound => Kind::DoesNotExist,
        _ if is_limit(cause) => Kind::TooManyOpen,
        _ => Kind::Io,
    }
}

/// EMFILE (24), ENFILE (23) and ENOLCK (37) have no stable name in the standard library.
fn is_limit(cause: &std::io::Error) -> bool {
    matches!(cause.raw_os_error(), Some(23 | 24 | 37))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operating_system_errors_keep_their_reaction() {
        let kind = |errno| io_kind(&std::io::Error::from_raw_os_error(errno));
        assert_eq!(kind(13), Kind::PermissionDenied, "EACCES");
        assert_eq!(kind(30), Kind::PermissionDenied, "EROFS");
        assert_eq!(kind(28), Kind::NoSpace, "ENOSPC");
        assert_eq!(kind(122), Kind::NoSpace, "EDQUOT");
        assert_eq!(kind(27), Kind::NoSpace, "EFBIG");
        assert_eq!(kind(24), Kind::TooManyOpen, "EMFILE");
        assert_eq!(kind(37), Kind::TooManyOpen, "ENOLCK");
        assert_eq!(kind(20), Kind::NotADirectory, "ENOTDIR");
        assert_eq!(kind(5), Kind::Io, "EIO");
    }

    #[test]
    fn damage_names_file_and_offset() {
        let error = Error::corrupt("00000001.seg", 4096, "checksum does not match");
        assert_eq!(error.kind(), Kind::Corrupt);
        assert_eq!(error.clone().context("met").place(), Some(("00000001.seg", 4096)));
        assert_eq!(
            error.to_string(),
            "00000001.seg is damaged at byte 4096: checksum does not match"
        );
    }
}
