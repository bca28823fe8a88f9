//! kv_metrics: the figures of an open database as text.

use super::db::kv_db;
use super::status::{kv_status, KV_OK};
use super::{buffer, convert, guard};
use std::ffi::c_char;

/// Tells all figures of kv_stats() and kv_latency() as text in the format OpenMetrics 1.0, as an
/// HTTP server gives it to Prometheus and others, with the content type
/// "application/openmetrics-text; version=1.0.0; charset=utf-8". The names begin with "libkv_"; a
/// label has the directory of the database. Latencies are there if the option latency_histograms
/// was set when db was opened.
///
/// @param db    The database.
/// @param text  Out: the text in UTF-8, NUL-terminated, some kilobytes. Not NULL.
/// @return
///   - KV_OK: *text is set.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: db is no handle.
///   - KV_CLOSED, KV_FORKED: db cannot be used any more, or not in this process.
///   - KV_OUT_OF_MEMORY: free some and try again.
///   - KV_INTERNAL: a bug in libkv; report the message. The database refuses writes now.
///
/// Ownership: the caller frees the text with kv_free().
/// Threads: any number at once.
/// Durability: the figures are of what is written, on the medium or not.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_metrics(db: *mut kv_db, text: *mut *mut c_char) -> kv_status {
    guard::on_db(db, |db| {
        convert::must_not_be_null(text, "text")?;
        let copy = buffer::Value::text(|out| db.write_metrics(out))?;
        // SAFETY: not NULL, and the caller may write it.
        unsafe { convert::write(text, copy.into_raw().cast()) };
        Ok(KV_OK)
    })
}
