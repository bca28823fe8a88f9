//! kv_options: what can be set before a database is opened.

use super::object::{Table, Tag};
use super::status::{kv_status, KV_OK};
use super::{convert, guard};
use crate::error::Result;
use crate::options::{OnDamage, Options, ReadMode, SyncLevel};
use std::ffi::c_char;

/// Never force writes to the medium. They survive the death of the process at any instruction;
/// a power cut may lose the newest.
pub const KV_SYNC_NONE: i32 = 0;
/// Force writes in the background, at most the sync interval after they were acknowledged: a
/// power cut loses at most about that. The default.
pub const KV_SYNC_INTERVAL: i32 = 1;
/// Force every write before it is acknowledged: a power cut loses none.
pub const KV_SYNC_ALWAYS: i32 = 2;

/// Read through a memory map: fastest, but a disk that fails to read raises SIGBUS. The default.
pub const KV_READ_MMAP: i32 = 0;
/// Read by pread(): slower, and a disk that fails to read is KV_IO.
pub const KV_READ_PREAD: i32 = 1;

/// Refuse to open a damaged database with KV_CORRUPT, and touch nothing. The default.
pub const KV_ON_DAMAGE_FAIL: i32 = 0;
/// Open what is whole of a damaged database, for reading only.
pub const KV_ON_DAMAGE_READ_ONLY: i32 = 1;

/// The settings of a database, to be passed to kv_open().
pub struct kv_options {
    _never_made: [u8; 0],
}

static OPTIONS: Table<kv_options, Options> =
    Table::alone(Tag::Options, "options", "kv_options_new()");

/// Makes a set of options, all at their defaults.
///
/// @param options  Out: the options. Not NULL.
/// @return
///   - KV_OK: *options is set.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_OUT_OF_MEMORY: free some and try again.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the caller frees the options with kv_options_free().
/// Threads: any. The options belong to one thread at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_new(options: *mut *mut kv_options) -> kv_status {
    guard::status(|| {
        convert::must_not_be_null(options, "options")?;
        let made = OPTIONS.insert(Options::default())?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(options, made) };
        Ok(KV_OK)
    })
}

/// Frees options. Databases opened with them are not affected.
///
/// @param options  The options, or NULL, which does nothing. What are no options, or were freed
///   before, is left alone, and kv_error_message() says so.
///
/// Ownership: takes the options back; free them once.
/// Threads: any, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_free(options: *mut kv_options) {
    guard::value((), || OPTIONS.free(options));
}

/// Sets an option by its name from text, as a configuration file or a command line has it.
///
///     name                         allowed values                         default
///     segment_size                 1MiB to 2GiB                           64MiB
///     sync                         none, interval, always                 interval
///     sync_interval_ms             1 to 86400000                          1000
///     create_if_missing            true, false                            true
///     error_if_exists              true, false                            false
///     verify_checksums             true, false                            true
///     read_mode                    mmap, pread                            mmap
///     on_damage                    fail, read_only                        fail
///     compaction                   auto, manual                           auto
///     compaction_garbage_percent   0 (automatic), or 5 to 90              0
///     compaction_bytes_per_second  0 (no limit), or 1 and more            0
///     max_disk_bytes               0 (no limit), or 4MiB and more         0
///     max_index_bytes              0 (no limit), or 1MiB and more         0
///     latency_histograms           true, false                            false
///     publish_stats_ms             0 (off), or 100 to 3600000             0
///     file_mode                    0600, 0640, 0660, 0644, 0664, 0666     0600
///
/// Sizes may have a unit: 64MiB, 64 MB and 64m are the same. max_disk_bytes is four segments at
/// least, which kv_open() checks.
///
/// The typed functions below say what each one does; kv_option_describe() lists them all.
///
/// @param options  The options. Not NULL.
/// @param name     The option's name. Not NULL.
/// @param value    Its value. Not NULL.
/// @return
///   - KV_OK: the option is set.
///   - KV_UNKNOWN_OPTION: no option has this name; the message lists them.
///   - KV_INVALID_OPTION: it cannot have this value; the message says what it can have.
///   - KV_INVALID_ARGUMENT: the name or the value is not UTF-8, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the strings stay the caller's.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set(
    options: *mut kv_options,
    name: *const c_char,
    value: *const c_char,
) -> kv_status {
    guard::status(|| {
        // SAFETY: the caller passes strings.
        let (name, value) =
            unsafe { (convert::text(name, "name")?, convert::text(value, "value")?) };
        change(options, |settings| settings.set_text(name, value))
    })
}

/// Sets the size at which the log goes on in a new file.
///
/// @param options  The options. Not NULL.
/// @param bytes    Bytes, 1 MiB to 2 GiB; 64 MiB by default.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_OPTION: it is out of range.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_segment_size(
    options: *mut kv_options,
    bytes: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_segment_size(bytes)))
}

/// Sets when an acknowledged write is on the medium.
///
/// @param options  The options. Not NULL.
/// @param level    KV_SYNC_NONE, KV_SYNC_INTERVAL (the default) or KV_SYNC_ALWAYS.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_sync(options: *mut kv_options, level: i32) -> kv_status {
    const LEVELS: [SyncLevel; 3] = [SyncLevel::None, SyncLevel::Interval, SyncLevel::Always];
    guard::status(|| {
        let level = convert::choice(level, "level", &LEVELS)?;
        change(options, |settings| assign(&mut settings.sync, level))
    })
}

/// Sets how long a write may stay off the medium under KV_SYNC_INTERVAL.
///
/// @param options  The options. Not NULL.
/// @param ms       Milliseconds, 1 to 86400000 (a day); 1000 by default.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_OPTION: it is out of range.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_sync_interval_ms(
    options: *mut kv_options,
    ms: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_sync_interval_ms(ms)))
}

/// Sets whether kv_open() makes a database where there is none.
///
/// @param options  The options. Not NULL.
/// @param yes      1 (the default): it does. 0: it returns KV_DOES_NOT_EXIST.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_create_if_missing(
    options: *mut kv_options,
    yes: i32,
) -> kv_status {
    guard::status(|| {
        let yes = convert::flag(yes, "yes")?;
        change(options, |settings| assign(&mut settings.create_if_missing, yes))
    })
}

/// Sets whether kv_open() refuses a database that exists.
///
/// @param options  The options. Not NULL.
/// @param yes      1: it returns KV_ALREADY_EXISTS. 0 (the default): it opens it.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_error_if_exists(
    options: *mut kv_options,
    yes: i32,
) -> kv_status {
    guard::status(|| {
        let yes = convert::flag(yes, "yes")?;
        change(options, |settings| assign(&mut settings.error_if_exists, yes))
    })
}

/// Sets whether every read checks the checksum of what it reads.
///
/// @param options  The options. Not NULL.
/// @param yes      1 (the default): damage is KV_CORRUPT. 0: damage to a value goes unseen.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: yes is neither 0 nor 1, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_verify_checksums(
    options: *mut kv_options,
    yes: i32,
) -> kv_status {
    guard::status(|| {
        let yes = convert::flag(yes, "yes")?;
        change(options, |settings| assign(&mut settings.verify_checksums, yes))
    })
}

/// Sets how files that are complete are read.
///
/// @param options  The options. Not NULL.
/// @param mode     KV_READ_MMAP (the default) or KV_READ_PREAD.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_read_mode(
    options: *mut kv_options,
    mode: i32,
) -> kv_status {
    guard::status(|| {
        let mode = convert::choice(mode, "mode", &[ReadMode::Mmap, ReadMode::Pread])?;
        change(options, |settings| assign(&mut settings.read_mode, mode))
    })
}

/// Sets what kv_open() does with a damaged database.
///
/// @param options  The options. Not NULL.
/// @param action   KV_ON_DAMAGE_FAIL (the default) or KV_ON_DAMAGE_READ_ONLY.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: it is none of these, or options is no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_on_damage(
    options: *mut kv_options,
    action: i32,
) -> kv_status {
    guard::status(|| {
        let action = convert::choice(action, "action", &[OnDamage::Fail, OnDamage::ReadOnly])?;
        change(options, |settings| assign(&mut settings.on_damage, action))
    })
}

/// Sets how often the database publishes its figures, for those who cannot open it while this
/// process has it open, such as `kv top`: in the file STATS in its directory, which is replaced
/// when they have changed. docs/FORMAT.md says what is in it. A thread of libkv's does that; no
/// call waits for it, or fails since it failed, which the log is told once. kv_close() removes the
/// file; one that a killed process left is known as such, and the next kv_open() removes it.
///
/// @param options  The options. Not NULL.
/// @param ms       Milliseconds, 100 to 3600000 (an hour), or 0: never, the default.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_OPTION: it is out of range.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_publish_stats_ms(
    options: *mut kv_options,
    ms: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_publish_stats_ms(ms)))
}

/// Sets who may read and write the files that are made while the database is open, backups
/// included: their mode, whatever the umask is. A directory that is made gets the same mode, and
/// may be entered by those who may read. Directories and files that are there keep theirs, and the
/// mode is not stored: a database that several users share is opened with it each time. What
/// kv_restore() makes is for its owner alone.
///
/// @param options  The options. Not NULL.
/// @param mode     0600 (the default), 0640, 0660, 0644, 0664 or 0666: octal numbers.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_OPTION: it is none of these.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_file_mode(
    options: *mut kv_options,
    mode: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_file_mode(mode)))
}

/// The settings that C passes to kv_open(), or the defaults for NULL.
pub(super) fn settings(options: *const kv_options) -> Result<Options> {
    match options.is_null() {
        true => Ok(Options::default()),
        false => OPTIONS.share(options).map(|settings| settings.clone()),
    }
}

/// Applies `setter` to what `options` hold.
pub(super) fn change(
    options: *mut kv_options,
    setter: impl FnOnce(&mut Options) -> Result<()>,
) -> Result<kv_status> {
    setter(&mut *OPTIONS.hold(options)?)?;
    Ok(KV_OK)
}

/// Sets a field that takes every value of its type.
pub(super) fn assign<T>(field: &mut T, value: T) -> Result<()> {
    *field = value;
    Ok(())
}
