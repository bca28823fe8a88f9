//! Statuses: every number, its name for people, its class, and the message of the last failure.

use super::guard;
use crate::error::{Error, Kind};
use std::cell::Cell;
use std::ffi::{c_char, CStr};
use std::fmt;

/// What a call returns: KV_OK, an answer (positive) or a failure (negative). The type is a
/// plain 32-bit integer; a later libkv may return numbers that this header does not name, so
/// a switch needs a default, where kv_status_class() says what to do.
pub type kv_status = i32;

/// Done.
pub const KV_OK: kv_status = 0;

/// Answer: the key is not in the database.
pub const KV_NOT_FOUND: kv_status = 1;
/// Answer: the value is longer than the buffer. Nothing was copied; the length is reported.
pub const KV_BUFFER_TOO_SMALL: kv_status = 2;
/// Answer: if_absent was asked for, and the key is in the database. Nothing was written.
pub const KV_EXISTS: kv_status = 3;
/// Answer: if_version was asked for, and the key has another version, or is not there. Nothing was
/// written.
pub const KV_VERSION_MISMATCH: kv_status = 4;

/// Answer: kv_verify() has found damage, or kv_salvage() has made a database of what was left. The
/// report says what is damaged, or lost.
pub const KV_DAMAGED: kv_status = 5;

/// A pointer that must not be NULL is NULL.
pub const KV_NULL_ARGUMENT: kv_status = -1;
/// A value that is no valid choice: a number out of a list, an empty path, a handle that no
/// function of libkv returned.
pub const KV_INVALID_ARGUMENT: kv_status = -2;
/// The key has length 0.
pub const KV_EMPTY_KEY: kv_status = -3;
/// The key is longer than KV_MAX_KEY_LEN.
pub const KV_KEY_TOO_LONG: kv_status = -4;
/// The value is longer than KV_MAX_VALUE_LEN.
pub const KV_VALUE_TOO_LONG: kv_status = -5;
/// No option has this name. The message lists those there are.
pub const KV_UNKNOWN_OPTION: kv_status = -6;
/// The option exists; the value is malformed or out of range. The message says what is allowed.
pub const KV_INVALID_OPTION: kv_status = -7;
/// The path is a URL, or asks for something this build cannot do.
pub const KV_UNSUPPORTED: kv_status = -8;
/// There is no database at the path, and creating one was not allowed.
pub const KV_DOES_NOT_EXIST: kv_status = -9;
/// There is a database at the path, and a new one was asked for.
pub const KV_ALREADY_EXISTS: kv_status = -10;
/// The path is a file, a device or a socket, not a directory.
pub const KV_NOT_A_DIRECTORY: kv_status = -11;
/// The directory holds other things, and no database.
pub const KV_NOT_A_DATABASE: kv_status = -12;
/// The database was written by a newer libkv.
pub const KV_NEWER_FORMAT: kv_status = -13;
/// This process has the database open already: use that kv_db, from any thread.
pub const KV_ALREADY_OPEN: kv_status = -14;
/// The handle was closed or freed, or the database that it belongs to was closed.
pub const KV_CLOSED: kv_status = -15;
/// The process is a child of the one that opened databases. It cannot use or open any.
pub const KV_FORKED: kv_status = -16;
/// The database refuses writes: after an earlier failure, which the message names, or because
/// it was opened so. Reads go on. To write again, close it, mend the cause and open it.
pub const KV_READ_ONLY: kv_status = -17;
/// The value is no counter: it has not eight bytes.
pub const KV_NOT_A_COUNTER: kv_status = -18;
/// The counter would leave the range of int64_t. It was not changed.
pub const KV_OVERFLOW: kv_status = -19;
/// The batch is longer than a file of the log can be. Nothing was written.
pub const KV_BATCH_TOO_LARGE: kv_status = -20;

/// Another process has the database open; the message names its pid. Try again later.
pub const KV_LOCKED: kv_status = -30;
/// The call was ended before its time: by kv_compact_cancel(), by kv_close(), or by its own
/// progress function. Nothing is lost; it can be made again.
pub const KV_CANCELLED: kv_status = -31;
/// The call cannot be made now: another thread is using the handle, or it is made from inside a
/// callback. It can be made afterwards.
pub const KV_BUSY: kv_status = -32;

/// The operating system does not permit it; or a file of the database has a second name elsewhere
/// (a hard link), and nothing is written to such a file.
pub const KV_PERMISSION_DENIED: kv_status = -40;
/// The disk, a quota or a file-size limit is full. Nothing was written, nothing is lost; it
/// works again when there is room.
pub const KV_NO_SPACE: kv_status = -41;
/// Memory could not be had.
pub const KV_OUT_OF_MEMORY: kv_status = -42;
/// The process or the system has no more file descriptors, maps, locks or threads, or the
/// process has 4096 databases open.
pub const KV_TOO_MANY_OPEN: kv_status = -43;
/// The operating system failed to read or write. The message names the file.
pub const KV_IO: kv_status = -44;
/// The write may or may not have happened, and may or may not be found again after a crash.
/// Read the key to learn what it is now.
pub const KV_UNKNOWN_OUTCOME: kv_status = -45;

/// The index has grown to max_index_bytes: keys that are there can be overwritten and deleted,
/// new ones cannot be added. Delete some, or open the database with a larger limit.
pub const KV_INDEX_FULL: kv_status = -46;

/// Bytes on disk are not what was written. The message names the file and the offset.
pub const KV_CORRUPT: kv_status = -60;
/// A bug in libkv. The message says where; please report it.
pub const KV_INTERNAL: kv_status = -61;

/// Class of KV_OK.
pub const KV_CLASS_OK: i32 = 0;
/// Class of the positive statuses: the call did its work, and this is what it found.
pub const KV_CLASS_ANSWER: i32 = 1;
/// Class of what passes by itself: the same call can succeed later.
pub const KV_CLASS_RETRY: i32 = 2;
/// Class of the caller's mistakes: the same call fails again until the program is changed.
pub const KV_CLASS_CALLER: i32 = 3;
/// Class of what the machine lacks (room, memory, permission, a working disk): tell a person.
pub const KV_CLASS_ENVIRONMENT: i32 = 4;
/// Class of damage on disk: keep the files, look at the message.
pub const KV_CLASS_CORRUPT: i32 = 5;
/// Class of bugs in libkv.
pub const KV_CLASS_INTERNAL: i32 = 6;

/// Every status with its class and its name for people.
const STATUSES: [(kv_status, i32, &CStr); 38] = [
    (KV_OK, KV_CLASS_OK, c"ok"),
    (KV_NOT_FOUND, KV_CLASS_ANSWER, c"key not found"),
    (KV_BUFFER_TOO_SMALL, KV_CLASS_ANSWER, c"buffer too small for the value"),
    (KV_EXISTS, KV_CLASS_ANSWER, c"key exists already"),
    (KV_VERSION_MISMATCH, KV_CLASS_ANSWER, c"key has another version"),
    (KV_DAMAGED, KV_CLASS_ANSWER, c"damage was found"),
    (KV_NULL_ARGUMENT, KV_CLASS_CALLER, c"argument is NULL"),
    (KV_INVALID_ARGUMENT, KV_CLASS_CALLER, c"invalid argument"),
    (KV_EMPTY_KEY, KV_CLASS_CALLER, c"key is empty"),
    (KV_KEY_TOO_LONG, KV_CLASS_CALLER, c"key is too long"),
    (KV_VALUE_TOO_LONG, KV_CLASS_CALLER, c"value is too long"),
    (KV_UNKNOWN_OPTION, KV_CLASS_CALLER, c"unknown option"),
    (KV_INVALID_OPTION, KV_CLASS_CALLER, c"invalid value of an option"),
    (KV_UNSUPPORTED, KV_CLASS_CALLER, c"not supported"),
    (KV_DOES_NOT_EXIST, KV_CLASS_CALLER, c"no such database or directory"),
    (KV_ALREADY_EXISTS, KV_CLASS_CALLER, c"database exists already"),
    (KV_NOT_A_DIRECTORY, KV_CLASS_CALLER, c"not a directory"),
    (KV_NOT_A_DATABASE, KV_CLASS_CALLER, c"directory holds no database"),
    (KV_NEWER_FORMAT, KV_CLASS_CALLER, c"database has a newer format"),
    (KV_ALREADY_OPEN, KV_CLASS_CALLER, c"database is open in this process already"),
    (KV_CLOSED, KV_CLASS_CALLER, c"database handle is closed"),
    (KV_FORKED, KV_CLASS_CALLER, c"process was forked after a database was opened"),
    (KV_READ_ONLY, KV_CLASS_ENVIRONMENT, c"database is read-only"),
    (KV_NOT_A_COUNTER, KV_CLASS_CALLER, c"value is no counter"),
    (KV_OVERFLOW, KV_CLASS_CALLER, c"counter would overflow"),
    (KV_BATCH_TOO_LARGE, KV_CLASS_CALLER, c"batch is too large"),
    (KV_LOCKED, KV_CLASS_RETRY, c"database is open in another process"),
    (KV_CANCELLED, KV_CLASS_RETRY, c"cancelled"),
    (KV_BUSY, KV_CLASS_RETRY, c"busy: in use by another thread, or called from a callback"),
    (KV_PERMISSION_DENIED, KV_CLASS_ENVIRONMENT, c"permission denied"),
    (KV_NO_SPACE, KV_CLASS_ENVIRONMENT, c"no space left"),
    (KV_OUT_OF_MEMORY, KV_CLASS_ENVIRONMENT, c"out of memory"),
    (KV_TOO_MANY_OPEN, KV_CLASS_ENVIRONMENT, c"too many open files or databases"),
    (KV_IO, KV_CLASS_ENVIRONMENT, c"input/output error"),
    (KV_UNKNOWN_OUTCOME, KV_CLASS_ENVIRONMENT, c"outcome of the write is unknown"),
    (KV_INDEX_FULL, KV_CLASS_ENVIRONMENT, c"index is full"),
    (KV_CORRUPT, KV_CLASS_CORRUPT, c"database is corrupt"),
    (KV_INTERNAL, KV_CLASS_INTERNAL, c"internal error"),
];

/// The status that C sees for `kind`.
pub(super) fn status_of(kind: Kind) -> kv_status {
    match kind {
        Kind::NullArgument => KV_NULL_ARGUMENT,
        Kind::InvalidArgument => KV_INVALID_ARGUMENT,
        Kind::EmptyKey => KV_EMPTY_KEY,
        Kind::KeyTooLong => KV_KEY_TOO_LONG,
        Kind::ValueTooLong => KV_VALUE_TOO_LONG,
        Kind::UnknownOption => KV_UNKNOWN_OPTION,
        Kind::InvalidOption => KV_INVALID_OPTION,
        Kind::Unsupported => KV_UNSUPPORTED,
        Kind::DoesNotExist => KV_DOES_NOT_EXIST,
        Kind::AlreadyExists => KV_ALREADY_EXISTS,
        Kind::NotADirectory => KV_NOT_A_DIRECTORY,
        Kind::NotADatabase => KV_NOT_A_DATABASE,
        Kind::NewerFormat => KV_NEWER_FORMAT,
        Kind::AlreadyOpen => KV_ALREADY_OPEN,
        Kind::Locked => KV_LOCKED,
        Kind::Closed => KV_CLOSED,
        Kind::Forked => KV_FORKED,
        Kind::PermissionDenied => KV_PERMISSION_DENIED,
        Kind::NoSpace => KV_NO_SPACE,
        Kind::OutOfMemory => KV_OUT_OF_MEMORY,
        Kind::TooManyOpen => KV_TOO_MANY_OPEN,
        Kind::Io => KV_IO,
        Kind::ReadOnly => KV_READ_ONLY,
        Kind::UnknownOutcome => KV_UNKNOWN_OUTCOME,
        Kind::Cancelled => KV_CANCELLED,
        Kind::Busy => KV_BUSY,
        Kind::IndexFull => KV_INDEX_FULL,
        Kind::NotACounter => KV_NOT_A_COUNTER,
        Kind::Overflow => KV_OVERFLOW,
        Kind::BatchTooLarge => KV_BATCH_TOO_LARGE,
        Kind::Corrupt => KV_CORRUPT,
        Kind::Internal => KV_INTERNAL,
    }
}

/// Names a status in a few words, for a log.
///
/// @param status  Any number, also one that is no status.
/// @return The name, never NULL; "unknown status" for a number that is no status of the loaded
///   library. It cannot fail and leaves kv_error_message() alone.
///
/// Ownership: static; do not free it.
/// Threads: any, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_strerror(status: kv_status) -> *const c_char {
    guard::value(c"unknown status".as_ptr(), || describe(status).1.as_ptr())
}

/// Says what a program can do about a status.
///
/// @param status  Any number, also one that is no status.
/// @return One of the KV_CLASS_ constants; KV_CLASS_CALLER for a number that is no status of
///   the loaded library. It cannot fail and leaves kv_error_message() alone.
///
/// Threads: any, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_status_class(status: kv_status) -> i32 {
    guard::value(KV_CLASS_INTERNAL, || describe(status).0)
}

/// Explains the last failure on the calling thread in a sentence: which file, which offset,
/// what the operating system said. Ask right after a call has returned a negative status: a
/// call that succeeds, or answers with a positive status, leaves the message as it was.
///
/// @return The message in UTF-8, at most 511 bytes and then cut at a whole character; empty
///   before the first failure; never NULL. It cannot fail.
///
/// Ownership: the thread's; do not free it. The bytes hold until the next call of any function
///   of libkv on this thread, and at most until the thread ends: copy what is to be kept.
/// Threads: any, at any time; each sees its own failures only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_error_message() -> *const c_char {
    guard::value(c"".as_ptr(), || MESSAGE.with(Message::as_ptr))
}

/// The class and the name of `status`.
fn describe(status: kv_status) -> (i32, &'static CStr) {
    let found = STATUSES.iter().find(|(number, _, _)| *number == status);
    found.map_or((KV_CLASS_CALLER, c"unknown status"), |(_, class, name)| (*class, name))
}

/// Keeps `error`'s sentence for [`kv_error_message`] and returns its status.
#[cold]
pub(super) fn report(error: &Error) -> kv_status {
    set_message(format_args!("{error}"));
    status_of(error.kind())
}

/// Makes `text` what [`kv_error_message`] returns on this thread. It allocates nothing.
#[cold]
pub(super) fn set_message(text: fmt::Arguments<'_>) {
    MESSAGE.with(|message| message.set(text));
}

/// Bytes of a message, with its NUL.
const MESSAGE_SIZE: usize = 512;

/// A C string of bounded length. It is made of cells, so that a panic while one message is
/// being written can write the next; and it has nothing to drop, so that a thread's last calls
/// can still report.
struct Message {
    bytes: [Cell<u8>; MESSAGE_SIZE],
    len: Cell<usize>,
}

thread_local! {
    static MESSAGE: Message = const {
        Message { bytes: [const { Cell::new(0) }; MESSAGE_SIZE], len: Cell::new(0) }
    };
}

const _: () = assert!(!std::mem::needs_drop::<Message>());

impl Message {
    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    fn set(&self, text: fmt::Arguments<'_>) {
        self.len.set(0);
        self.bytes[0].set(0);
        // An error here means that the text was cut, or that its own formatting failed.
        let _ = fmt::write(&mut Writer(self), text);
    }

    /// Appends what fits of `text` and reports whether that was all.
    fn append(&self, text: &str) -> bool {
        let room = MESSAGE_SIZE - 1 - self.len.get();
        let mut fits = text.len().min(room);
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        let start = self.len.get();
        for (cell, byte) in self.bytes[start..].iter().zip(text[..fits].bytes()) {
            cell.set(byte);
        }
        self.len.set(start + fits);
        self.bytes[start + fits].set(0);
        fits == text.len()
    }
}

struct Writer<'a>(&'a Message);

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.append(text) {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn message() -> String {
        // SAFETY: the function returns a NUL-terminated string that outlives the borrow.
        unsafe { CStr::from_ptr(kv_error_message()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn numbers_are_unique_and_every_one_has_a_name_and_the_class_of_its_range() {
        let numbers: HashSet<_> = STATUSES.iter().map(|(number, _, _)| *number).collect();
        assert_eq!(numbers.len(), STATUSES.len());
        let names: HashSet<_> = STATUSES.iter().map(|(_, _, name)| *name).collect();
        assert_eq!(names.len(), STATUSES.len());
        for (number, class, name) in STATUSES {
            let expected = match number {
                KV_READ_ONLY => KV_CLASS_ENVIRONMENT,
                0 => KV_CLASS_OK,
                1.. => KV_CLASS_ANSWER,
                -29..=-1 => KV_CLASS_CALLER,
                -39..=-30 => KV_CLASS_RETRY,
                -59..=-40 => KV_CLASS_ENVIRONMENT,
                -60 => KV_CLASS_CORRUPT,
                _ => KV_CLASS_INTERNAL,
            };
            assert_eq!(class, expected, "{name:?}");
        }
    }

    #[test]
    fn strerror_knows_every_status_and_says_so_of_others() {
        for (number, class, name) in STATUSES {
            // SAFETY: these functions take any number and return static strings.
            let (text, answer) =
                unsafe { (CStr::from_ptr(kv_strerror(number)), kv_status_class(number)) };
            assert_eq!((text, answer), (name, class));
            assert!(!text.is_empty());
        }
        for number in [i32::MIN, -62, -21, 6, i32::MAX] {
            // SAFETY: as above.
            let (text, answer) =
                unsafe { (CStr::from_ptr(kv_strerror(number)), kv_status_class(number)) };
            assert_eq!((text, answer), (c"unknown status", KV_CLASS_CALLER));
        }
    }

    #[test]
    fn a_message_replaces_the_last_and_belongs_to_its_thread() {
        set_message(format_args!("first, and longer"));
        let status = report(&Error::new(Kind::Corrupt, "second"));
        assert_eq!((status, message().as_str()), (KV_CORRUPT, "second"));
        let other = std::thread::spawn(message).join();
        assert_eq!(other.ok().as_deref(), Some(""));
    }

    #[test]
    fn a_long_message_is_cut_at_a_whole_character() {
        set_message(format_args!("{}", "x".repeat(511)));
        assert_eq!(message().len(), 511);
        set_message(format_args!("{}{}", "x".repeat(510), "é"));
        assert_eq!(message(), "x".repeat(510));
        set_message(format_args!("x{}", "é".repeat(400)));
        assert_eq!(message(), format!("x{}", "é".repeat(255)));
    }
}
