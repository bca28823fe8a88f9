//! kv_options, continued: compaction, and what a database may take of disk and memory.

use super::options::{assign, change, kv_options};
use super::status::kv_status;
use super::{convert, guard};
use crate::options::CompactionMode;

/// The database compacts by itself, in the background. The default.
pub const KV_COMPACTION_AUTO: i32 = 0;
/// The database is compacted by kv_compact() only.
pub const KV_COMPACTION_MANUAL: i32 = 1;

/// Sets who compacts.
///
/// @param options  The options. Not NULL.
/// @param mode     KV_COMPACTION_AUTO (the default) or KV_COMPACTION_MANUAL.
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
pub unsafe extern "C" fn kv_options_set_compaction(
    options: *mut kv_options,
    mode: i32,
) -> kv_status {
    guard::status(|| {
        let modes = [CompactionMode::Auto, CompactionMode::Manual];
        let mode = convert::choice(mode, "mode", &modes)?;
        change(options, |settings| assign(&mut settings.compaction, mode))
    })
}

/// Sets how much of the log may be garbage before the database compacts by itself. Less takes less
/// space, and more writing: overwriting all keys at random, compaction writes about 1.4 bytes for
/// each byte put at 23 percent, half as much at 40.
///
/// The default is what keeps all files together below 1.5 times the newest records, and two
/// segments: 23 percent where these have 136 bytes on average (a key of 16 and a value of 100), up
/// to 33 where they have thousands, since the files that make opening fast take about 21 bytes for
/// each record, however long it is. With shorter records it is 23 percent too, and all files take
/// more than that.
///
/// @param options  The options. Not NULL.
/// @param percent  5 to 90; 0 (the default): automatic.
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
pub unsafe extern "C" fn kv_options_set_compaction_garbage_percent(
    options: *mut kv_options,
    percent: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_compaction_garbage_percent(percent)))
}

/// Sets how fast compaction goes in the background, in bytes read and written. The limit is raised
/// when there is more garbage than is to be, and lifted when there is too much: the bound on space
/// comes first. There is no limit by default, since compaction rests by itself as long as there
/// is no hurry.
///
/// @param options  The options. Not NULL.
/// @param bytes    Bytes in a second; 0 (the default): no limit.
/// @return
///   - KV_OK: the option is set.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_compaction_bytes_per_second(
    options: *mut kv_options,
    bytes: u64,
) -> kv_status {
    guard::status(|| {
        change(options, |settings| assign(&mut settings.compaction_bytes_per_second, bytes))
    })
}

/// Sets how much disk the database may take, all files together. kv_put() returns KV_NO_SPACE
/// before that is exceeded. One and a half segments of it are kept for kv_delete() and compaction,
/// so that room can always be won back; near the limit, compaction takes also what garbage it
/// leaves else.
///
/// @param options  The options. Not NULL.
/// @param bytes    Bytes, at least four segments; 0 (the default): what the disk has.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_OPTION: it is less than 4 MiB. What four segments are is known at kv_open(),
///     which returns this too.
///   - KV_NULL_ARGUMENT, KV_INVALID_ARGUMENT (options is no handle): mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_max_disk_bytes(
    options: *mut kv_options,
    bytes: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_max_disk_bytes(bytes)))
}

/// Sets how much memory the index may take: about 11 bytes for each key. Past it, kv_put() of a key
/// that is not there returns KV_INDEX_FULL when the index would have to grow for it. Other keys
/// are overwritten, read and deleted as ever, and deleting makes room. kv_open() loads a database
/// whatever it takes.
///
/// @param options  The options. Not NULL.
/// @param bytes    Bytes, at least 1 MiB; 0 (the default): no limit.
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
pub unsafe extern "C" fn kv_options_set_max_index_bytes(
    options: *mut kv_options,
    bytes: u64,
) -> kv_status {
    guard::status(|| change(options, |settings| settings.set_max_index_bytes(bytes)))
}
