//! The C interface of libkv, an embeddable key-value store. Link with -lkv.
//!
//! House rules, which every function keeps:
//!
//! 1. Every call that can fail returns kv_status. KV_OK is 0. Small positive numbers are
//!    answers (KV_NOT_FOUND, KV_BUFFER_TOO_SMALL), not failures; failures are negative. A number
//!    is never reused and never changed. kv_strerror() names a status, kv_status_class() says
//!    what a program can do about it.
//! 2. Detail for people (which file, which offset, what the system said) is kv_error_message().
//!    It belongs to the calling thread and holds until that thread's next call. Nobody frees it.
//! 3. Inputs come first, outputs last. Outputs are written only on success; the one exception is
//!    the length that KV_BUFFER_TOO_SMALL reports. Keys and values are bytes with a length: NULL
//!    with length 0 is the empty string, NULL with another length is KV_NULL_ARGUMENT, and an
//!    empty value is not a missing key.
//! 4. Handles are opaque: numbers that are checked on every call, never addresses. What new or
//!    open made, free or close takes back, and they take NULL quietly; free leaves alone what was
//!    freed before. In every other call a handle that was freed or closed answers KV_CLOSED,
//!    however many are made after it, and one of another type KV_INVALID_ARGUMENT. The bytes of a
//!    kv_view stay readable until it is released, also after kv_close(). A child of fork() gets
//!    KV_FORKED from every call on its parent's databases, and cannot open its own once the parent
//!    had opened one: fork first, or run another program with exec.
//! 5. One kv_db may be used by any number of threads at once. Every other handle belongs to one
//!    thread at a time; a second call meanwhile answers KV_BUSY, where it would do harm. A thread
//!    must not be cancelled, nor leave by longjmp(), inside a call.
//! 6. No function unwinds, aborts or exits, whatever it is passed that C can check: NULL, a
//!    length past the limits, a closed or freed handle, one of another type. A bug inside comes
//!    back as KV_INTERNAL, and the database refuses writes from then on (KV_READ_ONLY) until it is
//!    opened again.
//! 7. There are no structs by value, no bit fields and no enums in the interface, and functions
//!    of the program's are called only where it asks for it (kv_compact_with(), kv_backup_with(),
//!    kv_restore_with(), kv_verify_with(), kv_salvage_with(), kv_options_set_log(),
//!    kv_options_set_events()), never by a read or a write: the foreign-function layer of every
//!    language can call everything. Structs that the caller makes begin with their size.

// build.rs puts the lines above at the top of kv.h; the rest of this file is for the crate only.

#![allow(
    unsafe_code,
    reason = "the only room that C enters: raw pointers become references here and nowhere else"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the documentation is the C header's: it says there what a caller must hold to"
)]
#![allow(non_camel_case_types, reason = "the names are those of the C header")]

mod backup;
mod batch;
mod buffer;
mod compaction;
mod conditional;
mod convert;
mod db;
mod describe;
mod guard;
mod handle;
mod iter;
mod latency;
mod library;
mod limits;
mod listen;
mod many;
mod metrics;
mod object;
mod options;
mod presence;
mod reserve;
mod salvage;
mod slots;
mod snapshot;
mod stats;
mod status;
#[cfg(test)]
mod tests;
mod ttl;
mod verify;
mod view;
mod write_options;

pub use backup::*;
pub use batch::*;
pub use buffer::*;
pub use compaction::*;
pub use conditional::*;
pub use db::*;
pub use describe::*;
pub use iter::*;
pub use latency::*;
pub use library::*;
pub use limits::*;
pub use listen::*;
pub use many::*;
pub use metrics::*;
pub use options::*;
pub use reserve::*;
pub use salvage::*;
pub use snapshot::*;
pub use stats::*;
pub use status::*;
pub use ttl::*;
pub use verify::*;
pub use view::*;
pub use write_options::*;
