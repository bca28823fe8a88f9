//! Backups as C sees them: kv_backup(), kv_restore() and their kin.

use super::compaction::{kv_progress_fn, telling};
use super::db::kv_db;
use super::status::{kv_status, KV_OK};
use super::{convert, guard};
use crate::db;
use std::ffi::{c_char, c_void};

/// Makes a directory a backup of the database: another database, which can be opened, holds what
/// this one held at one moment, and is on the medium when this returns. Others read, write and
/// compact meanwhile.
///
/// Complete segments are not copied but linked, where dir is on the same file system: the backup
/// takes little room and time then, and shares with the database what neither of them ever
/// changes. Across file systems they are copied. The rest of the log, about a segment, always is.
/// What compaction removes meanwhile takes room until the backup has it.
///
/// If dir holds an older backup of the same database, the new one takes its place in one step, and
/// of what both have nothing is copied. At each moment, also after a power cut, one of the two is
/// there. (Where a file system cannot exchange two names, as NFS, the older one is called dir.old
/// for a moment.) While it is made, the new one is called dir.partial; what a crash left under
/// that name the next call removes.
///
/// A backup that was opened and written to is a database of its own and never replaced.
///
/// @param db   The database.
/// @param dir  The directory, in the bytes of the file system, NUL-terminated: missing, empty, or
///   an older backup. The directory above it must be there. Not NULL.
/// @return
///   - KV_OK: the backup is on the medium.
///   - KV_CANCELLED: kv_close() ended it; dir is as it was.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle, dir is NULL or empty or does not
///     end in a name, or is the database's own directory, in it or around it.
///   - KV_UNSUPPORTED: dir is a URL.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_DOES_NOT_EXIST: the directory in which dir is to be is not there.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: dir is something else, such as a symbolic link, or
///     holds other files; it is not touched.
///   - KV_ALREADY_EXISTS: dir holds another database, or a backup that was written to since; or
///     dir.partial is in the way, which no backup has left. Nothing is touched.
///   - KV_ALREADY_OPEN, KV_LOCKED: the older backup is open in this process or in another one, or
///     a backup is being made there just now.
///   - KV_NEWER_FORMAT: dir was written by a newer libkv; it is not touched.
///   - KV_READ_ONLY: the database refuses writes, so that what is on its medium is not known; the
///     message says since when.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED: dir is as it was;
///     try again when the system has room, or permits it.
///   - KV_IO: the message says what failed. dir is the old backup or the new one.
///   - KV_CORRUPT: damage was met, in the database or in the older backup; the message says where.
///     dir is as it was.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: dir stays the caller's.
/// Threads: any number at once, each with a dir of its own. kv_close() ends it.
/// Durability: everything that was acknowledged before the call is in the backup on KV_OK, and the
///   backup survives a power cut, whatever the sync option is.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_backup(db: *mut kv_db, dir: *const c_char) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a string.
        let dir = unsafe { convert::named_path(dir, "dir") }?;
        db.backup(dir)?;
        Ok(KV_OK)
    })
}

/// Does what kv_backup() does, and tells a function now and then how far it is.
///
/// @param db        The database.
/// @param dir       The directory, as for kv_backup(). Not NULL.
/// @param progress  The function, or NULL for none.
/// @param context   Passed to the function.
/// @return
///   - KV_OK: the backup is on the medium.
///   - KV_CANCELLED: the function or kv_close() ended it; dir is as it was, and nothing is left of
///     the new backup.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: db is no handle, dir is NULL or empty or does not
///     end in a name, or is the database's own directory, in it or around it.
///   - KV_UNSUPPORTED: dir is a URL.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_DOES_NOT_EXIST: the directory in which dir is to be is not there.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: dir is something else, such as a symbolic link, or
///     holds other files; it is not touched.
///   - KV_ALREADY_EXISTS: dir holds another database, or a backup that was written to since; or
///     dir.partial is in the way, which no backup has left. Nothing is touched.
///   - KV_ALREADY_OPEN, KV_LOCKED: the older backup is open in this process or in another one, or
///     a backup is being made there just now.
///   - KV_NEWER_FORMAT: dir was written by a newer libkv; it is not touched.
///   - KV_READ_ONLY: the database refuses writes, so that what is on its medium is not known; the
///     message says since when.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED: dir is as it was;
///     try again when the system has room, or permits it.
///   - KV_IO: the message says what failed. dir is the old backup or the new one.
///   - KV_CORRUPT: damage was met, in the database or in the older backup; the message says where.
///     dir is as it was.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: dir and the context stay the caller's.
/// Threads: any number at once, each with a dir of its own. kv_close() ends it.
/// Durability: as kv_backup(). What the function writes is not in the backup, as a rule.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_backup_with(
    db: *mut kv_db,
    dir: *const c_char,
    progress: kv_progress_fn,
    context: *mut c_void,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a string.
        let dir = unsafe { convert::named_path(dir, "dir") }?;
        // SAFETY: the caller passes a function that takes what it is called with, and returns.
        db.backup_with(dir, unsafe { telling(progress, context) })?;
        Ok(KV_OK)
    })
}

/// Makes a directory a database that holds what a backup holds, after all of the backup was read
/// and every checksum verified. The backup stays as it is; complete segments are linked where both
/// are on one file system, and copied elsewhere. It works as well for a database that was closed,
/// or left by a crash.
///
/// @param from  The backup, which nobody has open. Not NULL.
/// @param to    The directory, which is missing or empty. Not NULL.
/// @return  Unless it is KV_OK, to is as it was.
///   - KV_OK: to can be opened, and is on the medium.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
///     name, or is from, in it or around it.
///   - KV_UNSUPPORTED: from or to is a URL.
///   - KV_DOES_NOT_EXIST: from is not there, or the directory in which to is to be.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or to is no directory.
///   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
///     left.
///   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_NEWER_FORMAT: restore it with a newer libkv.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
///     refused; the message says what.
///   - KV_CORRUPT: the backup is damaged; the message names the file and the offset.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: from and to stay the caller's.
/// Threads: any.
/// Durability: the database survives a power cut on KV_OK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_restore(from: *const c_char, to: *const c_char) -> kv_status {
    guard::status(|| {
        guard::refuse_in_forked_child()?;
        // SAFETY: the caller passes strings.
        let (from, to) =
            unsafe { (convert::named_path(from, "from")?, convert::named_path(to, "to")?) };
        db::restore(from, to)?;
        Ok(KV_OK)
    })
}

/// Does what kv_restore() does, and tells a function now and then how far it is.
///
/// @param from      The backup, which nobody has open. Not NULL.
/// @param to        The directory, which is missing or empty. Not NULL.
/// @param progress  The function, or NULL for none.
/// @param context   Passed to the function.
/// @return  Unless it is KV_OK, to is as it was.
///   - KV_OK: to can be opened, and is on the medium.
///   - KV_CANCELLED: the function ended it, and nothing is left of what it had brought.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
///     name, or is from, in it or around it.
///   - KV_UNSUPPORTED: from or to is a URL.
///   - KV_DOES_NOT_EXIST: from is not there, or the directory in which to is to be.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or to is no directory.
///   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
///     left.
///   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_NEWER_FORMAT: restore it with a newer libkv.
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
///     refused; the message says what.
///   - KV_CORRUPT: the backup is damaged; the message names the file and the offset.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: from, to and the context stay the caller's.
/// Threads: any.
/// Durability: the database survives a power cut on KV_OK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_restore_with(
    from: *const c_char,
    to: *const c_char,
    progress: kv_progress_fn,
    context: *mut c_void,
) -> kv_status {
    guard::status(|| {
        guard::refuse_in_forked_child()?;
        // SAFETY: the caller passes strings.
        let (from, to) =
            unsafe { (convert::named_path(from, "from")?, convert::named_path(to, "to")?) };
        // SAFETY: the caller passes a function that takes what it is called with, and returns.
        db::restore_with(from, to, unsafe { telling(progress, context) })?;
        Ok(KV_OK)
    })
}
