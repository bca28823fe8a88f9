//! Salvaging as C sees it: kv_salvage() and kv_salvage_with().

use super::compaction::{kv_progress_fn, telling};
use super::status::kv_status;
use super::verify::{form_of, give, kv_problem_fn, telling_problems};
use super::{convert, guard};
use crate::db;
use std::ffi::{c_char, c_void};

/// Makes a new database of all that is whole in one that is damaged, and lists what is lost. The
/// damaged one is only read. It works without a manifest, with segments that are missing, cut,
/// exchanged or overwritten, with damaged headers, and on disks that fail to read parts of files.
///
/// A record is brought if it is as it was written, wherever it stands and whatever is wrong around
/// it: its checksum depends on the file and the offset, so that no value can pass for a record. Of
/// each key the newest record counts; if that is a deletion, the key is gone. Times to live and
/// versions stay. Of a batch that was written and of which a part is lost, the rest is brought; one
/// whose end cannot be seen, nor anything behind it, is not, for it may never have been written.
///
/// Where the newest record of a key is lost, an older one is brought if there is one; the report
/// says so where a hint still knows of the newer one (KV_ABOUT_OLDER). A deletion that is lost can
/// bring its key back the same way.
///
/// to gets its name when all is on the medium. It is called to.partial until then; what a crash
/// left under that name the next call removes. It is another database: a backup of the damaged one
/// is not replaced by its backups.
///
/// @param from    The damaged database, which nobody has open. Not NULL.
/// @param to      The directory, which is missing or empty. The one above it must be there. Not
///   NULL.
/// @param form    KV_REPORT_TEXT or KV_REPORT_JSON.
/// @param report  Out: what is lost, NUL-terminated, in UTF-8; or NULL for none.
/// @return
///   - KV_OK: nothing is lost. to can be opened, and is on the medium; *report is set.
///   - KV_DAMAGED: the same, but something is lost; *report says what.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
///     name, or is from, in it or around it; or form is none of the two.
///   - KV_UNSUPPORTED: from or to is a URL.
///   - KV_DOES_NOT_EXIST: from is not there or has no database in it, or the directory in which to
///     is to be is not there.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or nothing of it can be made
///     out; or to is no directory.
///   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
///     left.
///   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
///   - KV_NEWER_FORMAT: salvage it with a newer libkv.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
///     refused; the message says what, and how much room is needed. to is as it was. A part of a
///     file that cannot be read is no such failure but a loss.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: from and to stay the caller's; the caller frees the report with kv_free().
/// Threads: any.
/// Durability: the new database survives a power cut on KV_OK and KV_DAMAGED. Nothing of from is
///   written, not even the file LOCK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_salvage(
    from: *const c_char,
    to: *const c_char,
    form: i32,
    report: *mut *mut c_char,
) -> kv_status {
    // SAFETY: the caller passes what the function documents, which is the same.
    unsafe { kv_salvage_with(from, to, form, None, None, std::ptr::null_mut(), report) }
}

/// Does what kv_salvage() does, tells a function of each loss when it is found, and another now and
/// then how far it is. The report keeps the first 10,000 losses, the function hears of all.
///
/// @param from      The damaged database, as for kv_salvage(). Not NULL.
/// @param to        The directory, as for kv_salvage(). Not NULL.
/// @param form      KV_REPORT_TEXT or KV_REPORT_JSON.
/// @param problem   The function that is told of losses, or NULL for none.
/// @param progress  The function that is told how far it is, or NULL for none.
/// @param context   Passed to both functions.
/// @param report    Out: what is lost, NUL-terminated, in UTF-8; or NULL for none.
/// @return
///   - KV_OK: nothing is lost. to can be opened, and is on the medium; *report is set.
///   - KV_DAMAGED: the same, but something is lost; *report says what.
///   - KV_CANCELLED: one of the functions ended it. to is as it was; *report is not set.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: from or to is NULL or empty, or to does not end in a
///     name, or is from, in it or around it; or form is none of the two.
///   - KV_UNSUPPORTED: from or to is a URL.
///   - KV_DOES_NOT_EXIST: from is not there or has no database in it, or the directory in which to
///     is to be is not there.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: from is something else, or nothing of it can be made
///     out; or to is no directory.
///   - KV_ALREADY_EXISTS: to is not empty; or to.partial is in the way, which no earlier call has
///     left.
///   - KV_ALREADY_OPEN, KV_LOCKED: from is open in this process or in another one.
///   - KV_NEWER_FORMAT: salvage it with a newer libkv.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_NO_SPACE, KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system
///     refused; the message says what, and how much room is needed. to is as it was. A part of a
///     file that cannot be read is no such failure but a loss.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: from, to and the context stay the caller's; the caller frees the report with
///   kv_free().
/// Threads: any.
/// Durability: the new database survives a power cut on KV_OK and KV_DAMAGED. Nothing of from is
///   written, not even the file LOCK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_salvage_with(
    from: *const c_char,
    to: *const c_char,
    form: i32,
    problem: kv_problem_fn,
    progress: kv_progress_fn,
    context: *mut c_void,
    report: *mut *mut c_char,
) -> kv_status {
    guard::status(|| {
        guard::refuse_in_forked_child()?;
        // SAFETY: the caller passes strings.
        let (from, to) =
            unsafe { (convert::named_path(from, "from")?, convert::named_path(to, "to")?) };
        let form = form_of(form)?;
        // SAFETY: the caller passes functions that take what they are called with, and return.
        let (tell, tell_problem) =
            unsafe { (telling(progress, context), telling_problems(problem, context)) };
        let found = db::salvage_with(from, to, tell, tell_problem)?;
        // SAFETY: NULL, or the caller may write it.
        unsafe { give(&found, form, report) }
    })
}
