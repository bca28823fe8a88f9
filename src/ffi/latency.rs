//! kv_latency: how long operations and background jobs take.

use super::db::kv_db;
use super::options::{assign, change, kv_options};
use super::status::{kv_status, KV_NOT_FOUND, KV_OK};
use super::{convert, guard};
use crate::db::Latency;
use std::ffi::c_char;

/// Latency of kv_get(), kv_get_into().
pub const KV_LATENCY_GET: i32 = 0;
/// Latency of kv_put(), kv_put_with(), kv_put_commit().
pub const KV_LATENCY_PUT: i32 = 1;
/// Latency of kv_delete(), kv_delete_with().
pub const KV_LATENCY_DELETE: i32 = 2;
/// Latency of kv_exists().
pub const KV_LATENCY_EXISTS: i32 = 3;
/// Latency of kv_view_get().
pub const KV_LATENCY_VIEW: i32 = 4;
/// Latency of kv_write().
pub const KV_LATENCY_WRITE: i32 = 5;
/// Latency of kv_add().
pub const KV_LATENCY_ADD: i32 = 6;
/// Latency of kv_touch().
pub const KV_LATENCY_TOUCH: i32 = 7;
/// Latency of kv_get_many(), kv_view_get_many().
pub const KV_LATENCY_GET_MANY: i32 = 8;
/// Latency of kv_iter_next().
pub const KV_LATENCY_ITERATE: i32 = 9;
/// Latency of kv_sync().
pub const KV_LATENCY_SYNC: i32 = 10;
/// Latency in the background, or shared: putting the log on the medium, for all who wait for it.
pub const KV_LATENCY_LOG_SYNC: i32 = 11;
/// Latency in the background: putting a full segment on the medium.
pub const KV_LATENCY_SEAL: i32 = 12;
/// Latency in the background, or of kv_compact(): compacting a group of segments.
pub const KV_LATENCY_COMPACTION: i32 = 13;
/// Latency in the background: writing the hint of a segment.
pub const KV_LATENCY_HINT: i32 = 14;
/// Latency in the background, and at closing: writing a checkpoint of the index.
pub const KV_LATENCY_CHECKPOINT: i32 = 15;

/// How long an operation takes. Set size to sizeof(kv_latency_t) before the call. A later libkv may
/// add members at the end; it leaves alone what is beyond the size that it is passed. The quantiles
/// are right to 1.6 %; times longer than 18 minutes count as that.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_latency_t {
    /// In: bytes of this struct. Out: bytes of it that libkv has filled.
    pub size: usize,
    /// How many were timed since kv_open(). 0: none, and all that follows but name is 0.
    pub count: u64,
    /// Of so many, one was timed, on average: 1 for what takes long, more for what is short.
    pub one_in: u64,
    /// How many nanoseconds those that were timed took together.
    pub sum_ns: u64,
    /// The shortest.
    pub min_ns: u64,
    /// Half of them did not take longer.
    pub p50_ns: u64,
    /// 90 % of them did not take longer.
    pub p90_ns: u64,
    /// 99 % of them did not take longer.
    pub p99_ns: u64,
    /// 99.9 % of them did not take longer.
    pub p999_ns: u64,
    /// The longest of those that were timed.
    pub max_ns: u64,
    /// The name of the operation, static: "get", "put", "log_sync".
    pub name: *const c_char,
}

/// Sets whether databases keep histograms of how long operations take, for kv_latency() and
/// kv_metrics(). They take up to 1.2 MiB. Of short operations one in 32 is timed, at random, which
/// costs puts and gets less than 3 %; so the longest of all may not be among those that were timed.
///
/// @param options  The options. Not NULL.
/// @param yes      1: they do. 0 (the default): they do not.
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
pub unsafe extern "C" fn kv_options_set_latency_histograms(
    options: *mut kv_options,
    yes: i32,
) -> kv_status {
    guard::status(|| {
        let yes = convert::flag(yes, "yes")?;
        change(options, |settings| assign(&mut settings.latency_histograms, yes))
    })
}

/// Tells how long an operation takes, from the call of the function to its end, failures and
/// answers such as KV_NOT_FOUND included.
///
/// @param db         The database.
/// @param operation  One of the KV_LATENCY_ constants, which count from 0 without a gap.
/// @param latency    In and out: its size is set by the caller, all else here. Not NULL.
/// @return
///   - KV_OK: the first latency->size bytes are filled. If the option latency_histograms was not
///     set when db was opened, the count is 0.
///   - KV_NOT_FOUND: there is no such operation, in this version of libkv.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle, or the size is less than that of its own member.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the struct stays the caller's; the name is static.
/// Threads: any number at once, each with a struct of its own.
/// Durability: nothing is read from the medium, or written.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_latency(
    db: *mut kv_db,
    operation: i32,
    latency: *mut kv_latency_t,
) -> kv_status {
    guard::on_db(db, |db| {
        // SAFETY: the caller passes a struct that begins with its size.
        let size = unsafe { convert::size_of_struct(latency.cast(), "latency") }?;
        let number = usize::try_from(operation).unwrap_or(usize::MAX);
        let Some(found) = db.latency(number) else { return Ok(KV_NOT_FOUND) };
        let filled = size.min(size_of::<kv_latency_t>());
        let told = told(&found, filled);
        // SAFETY: the caller may write as many bytes as its size says, and `told` has them.
        unsafe { convert::write_part(latency, &told, filled) };
        Ok(KV_OK)
    })
}

fn told(latency: &Latency, size: usize) -> kv_latency_t {
    let times = &latency.times;
    kv_latency_t {
        size,
        count: times.count,
        one_in: if times.count == 0 { 0 } else { latency.one_in },
        sum_ns: times.sum,
        min_ns: times.shortest(),
        p50_ns: times.quantile(500),
        p90_ns: times.quantile(900),
        p99_ns: times.quantile(990),
        p999_ns: times.quantile(999),
        max_ns: times.longest(),
        name: latency.name.as_ptr(),
    }
}
