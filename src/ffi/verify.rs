//! Verifying as C sees it: kv_verify() and kv_verify_with(), and what they tell of problems.

use super::compaction::{kv_progress_fn, telling};
use super::status::{kv_status, KV_DAMAGED, KV_OK};
use super::{buffer, convert, guard};
use crate::db::{self, Form, Problem, Report};
use crate::error::Result;
use std::ffi::{c_char, c_void, CString};
use std::ops::ControlFlow;

/// A report as lines for people.
pub const KV_REPORT_TEXT: i32 = 0;
/// A report as one JSON object for programs. Its members are described in docs/RECOVERY.md.
pub const KV_REPORT_JSON: i32 = 1;

/// Severity: what a crash leaves, and the next open puts right.
pub const KV_SEVERITY_NOTE: i32 = 0;
/// Severity: bytes are not as they were written, but nothing is lost by it.
pub const KV_SEVERITY_WARNING: i32 = 1;
/// Severity: something that was written is lost, or wrong.
pub const KV_SEVERITY_DAMAGE: i32 = 2;

/// About the manifest.
pub const KV_ABOUT_MANIFEST: i32 = 1;
/// About a file that should be there.
pub const KV_ABOUT_MISSING: i32 = 2;
/// About the header page of a segment.
pub const KV_ABOUT_HEADER: i32 = 3;
/// About the length of a file.
pub const KV_ABOUT_LENGTH: i32 = 4;
/// About records: bytes in which none is as it was written.
pub const KV_ABOUT_RECORD: i32 = 5;
/// About a batch of which not all is there.
pub const KV_ABOUT_BATCH: i32 = 6;
/// About the order of writes: each has a number, which must be there once.
pub const KV_ABOUT_SEQUENCE: i32 = 7;
/// About the seal at the end of a segment.
pub const KV_ABOUT_SEAL: i32 = 8;
/// About the end of a log that was not closed.
pub const KV_ABOUT_TAIL: i32 = 9;
/// About what is known of values that expire.
pub const KV_ABOUT_EXPIRY: i32 = 10;
/// About the hint of a segment.
pub const KV_ABOUT_HINT: i32 = 11;
/// About the checkpoint of the index.
pub const KV_ABOUT_CHECKPOINT: i32 = 12;
/// About how much garbage is counted.
pub const KV_ABOUT_GARBAGE: i32 = 13;
/// About a file that belongs to no part of the database.
pub const KV_ABOUT_STRAY: i32 = 14;
/// About a value that kv_salvage() brought though a newer one is lost.
pub const KV_ABOUT_OLDER: i32 = 15;

/// Something that is wrong with a database. A later libkv may add members at the end, and numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_problem_t {
    /// Bytes of this struct that libkv has filled.
    pub size: usize,
    /// How bad it is: one of the KV_SEVERITY_ constants.
    pub severity: i32,
    /// What it is about: one of the KV_ABOUT_ constants.
    pub about: i32,
    /// The name of the file in the directory.
    pub file: *const c_char,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes of it are concerned; 0 if that is not known.
    pub length: u64,
    /// The key that is concerned, as far as it can be read: it may be damaged itself. NULL if none
    /// is known.
    pub key: *const c_void,
    /// Bytes of the key.
    pub key_len: usize,
    /// What is wrong, in words, in UTF-8.
    pub what: *const c_char,
}

/// Told of each problem when it is found, by kv_verify_with() and kv_salvage_with(), on the thread
/// that called them. It must return: no longjmp(), no exception of C++.
///
/// *problem and what it points to are readable until it returns; context is what the caller passed.
/// It returns 0 to go on, anything else to end the call, which returns KV_CANCELLED.
pub type kv_problem_fn =
    Option<unsafe extern "C" fn(problem: *const kv_problem_t, context: *mut c_void) -> i32>;

/// Verifies a database: every checksum, every structure, and each against the others. That is the
/// manifest, the segments with all their records, batches and seals, the order of writes, hints,
/// and the checkpoint of the index as the next open would believe it. It goes on behind whatever it
/// finds, and works as well where kv_open() does not. Not one byte is changed.
///
/// If nobody has the database open, nobody can open it until this returns: kv_open() says KV_LOCKED
/// then. If somebody has, also this process, it is read beside them, without any lock, and as far
/// as it is on the medium; the report says so. The checkpoint and the order of writes across
/// segments are left out then.
///
/// @param path    The directory, in the bytes of the file system, NUL-terminated. Not NULL.
/// @param form    KV_REPORT_TEXT or KV_REPORT_JSON.
/// @param report  Out: what was found, NUL-terminated, in UTF-8; or NULL for none.
/// @return
///   - KV_OK: nothing is damaged. *report, which may have notes and warnings, is set.
///   - KV_DAMAGED: there is damage; *report says where.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: path is NULL or empty, or form is none of the two.
///   - KV_UNSUPPORTED: path is a URL.
///   - KV_DOES_NOT_EXIST: there is no directory, or no database in it.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: path is something else.
///   - KV_NEWER_FORMAT: verify it with a newer libkv.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system refused; the
///     message says what. A file that cannot be read is no such failure but damage.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: path stays the caller's; the caller frees the report with kv_free().
/// Threads: any number at once.
/// Durability: nothing is written, not even to the file LOCK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_verify(
    path: *const c_char,
    form: i32,
    report: *mut *mut c_char,
) -> kv_status {
    // SAFETY: the caller passes what the function documents, which is the same.
    unsafe { kv_verify_with(path, form, None, None, std::ptr::null_mut(), report) }
}

/// Does what kv_verify() does, tells a function of each problem when it is found, and another now
/// and then how far it is. The report keeps the first 10,000 problems, the function hears of all.
///
/// @param path      The directory, as for kv_verify(). Not NULL.
/// @param form      KV_REPORT_TEXT or KV_REPORT_JSON.
/// @param problem   The function that is told of problems, or NULL for none.
/// @param progress  The function that is told how far it is, or NULL for none.
/// @param context   Passed to both functions.
/// @param report    Out: what was found, NUL-terminated, in UTF-8; or NULL for none.
/// @return
///   - KV_OK: nothing is damaged. *report, which may have notes and warnings, is set.
///   - KV_DAMAGED: there is damage; *report says where.
///   - KV_CANCELLED: one of the functions ended it. *report is not set.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT: path is NULL or empty, or form is none of the two.
///   - KV_UNSUPPORTED: path is a URL.
///   - KV_DOES_NOT_EXIST: there is no directory, or no database in it.
///   - KV_NOT_A_DIRECTORY, KV_NOT_A_DATABASE: path is something else.
///   - KV_NEWER_FORMAT: verify it with a newer libkv.
///   - KV_FORKED: the parent of this process had opened databases before fork().
///   - KV_OUT_OF_MEMORY, KV_TOO_MANY_OPEN, KV_PERMISSION_DENIED, KV_IO: the system refused; the
///     message says what. A file that cannot be read is no such failure but damage.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: path and the context stay the caller's; the caller frees the report with kv_free().
/// Threads: any number at once.
/// Durability: nothing is written, not even to the file LOCK.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_verify_with(
    path: *const c_char,
    form: i32,
    problem: kv_problem_fn,
    progress: kv_progress_fn,
    context: *mut c_void,
    report: *mut *mut c_char,
) -> kv_status {
    guard::status(|| {
        guard::refuse_in_forked_child()?;
        // SAFETY: the caller passes a string.
        let path = unsafe { convert::path(path) }?;
        let form = form_of(form)?;
        // SAFETY: the caller passes functions that take what they are called with, and return.
        let (tell, tell_problem) =
            unsafe { (telling(progress, context), telling_problems(problem, context)) };
        let found = db::verify_with(path, tell, tell_problem)?;
        // SAFETY: NULL, or the caller may write it.
        unsafe { give(&found, form, report) }
    })
}

/// The form with this number.
pub(super) fn form_of(number: i32) -> Result<Form> {
    convert::choice(number, "form", &[Form::Text, Form::Json])
}

/// Gives a report to C, and answers the status that goes with it.
///
/// # Safety
/// Unless NULL, `out` has room for a pointer that may be written.
pub(super) unsafe fn give(report: &Report, form: Form, out: *mut *mut c_char) -> Result<kv_status> {
    if !out.is_null() {
        let copy = buffer::Value::text(|out| report.write_to(out, form))?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { convert::write(out, copy.into_raw().cast()) };
    }
    Ok(if report.has_damage() { KV_DAMAGED } else { KV_OK })
}

/// What tells `tell` of problems, and whether the call is to go on.
///
/// # Safety
/// The function takes a problem and `context`, and returns, for as long as it is called.
pub(super) unsafe fn telling_problems(
    tell: kv_problem_fn,
    context: *mut c_void,
) -> impl FnMut(&Problem) -> ControlFlow<()> {
    move |problem| {
        let Some(tell) = tell else { return ControlFlow::Continue(()) };
        let (file, what) = (c_text(&problem.file), c_text(&problem.what));
        let key = problem.key.as_deref();
        let told = kv_problem_t {
            size: size_of::<kv_problem_t>(),
            severity: problem.severity as i32,
            about: problem.subject.number() as i32,
            file: file.as_ptr(),
            offset: problem.offset,
            length: problem.len,
            key: key.map_or(std::ptr::null(), |key| key.as_ptr().cast()),
            key_len: key.map_or(0, <[u8]>::len),
            what: what.as_ptr(),
        };
        // SAFETY: the caller's promise; the problem lives until the function returns.
        match unsafe { tell(&raw const told, context) } {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

/// A text as C has it: the name of a file cannot have a NUL in it, and no sentence has one.
fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Severity, SUBJECTS};

    #[test]
    fn numbers_for_c_are_those_of_the_report() {
        let severities = [KV_SEVERITY_NOTE, KV_SEVERITY_WARNING, KV_SEVERITY_DAMAGE];
        let kinds = [Severity::Note, Severity::Warning, Severity::Damage];
        assert_eq!(severities, kinds.map(|severity| severity as i32));
        let named = [
            (KV_ABOUT_MANIFEST, "manifest"),
            (KV_ABOUT_MISSING, "missing"),
            (KV_ABOUT_HEADER, "header"),
            (KV_ABOUT_LENGTH, "length"),
            (KV_ABOUT_RECORD, "record"),
            (KV_ABOUT_BATCH, "batch"),
            (KV_ABOUT_SEQUENCE, "sequence"),
            (KV_ABOUT_SEAL, "seal"),
            (KV_ABOUT_TAIL, "tail"),
            (KV_ABOUT_EXPIRY, "expiry"),
            (KV_ABOUT_HINT, "hint"),
            (KV_ABOUT_CHECKPOINT, "checkpoint"),
            (KV_ABOUT_GARBAGE, "garbage"),
            (KV_ABOUT_STRAY, "stray"),
            (KV_ABOUT_OLDER, "older"),
        ];
        assert_eq!(named.len(), SUBJECTS.len());
        for (number, name) in named {
            let (subject, known) = SUBJECTS[number as usize - 1];
            assert_eq!((subject.number(), known), (number as usize, name));
        }
    }
}
