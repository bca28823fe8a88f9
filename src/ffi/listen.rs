//! kv_options, continued: functions of the program that libkv tells what happens.

use super::options::{assign, change, kv_options};
use super::status::kv_status;
use super::{convert, guard};
use crate::notice::{Level, Listener, Notice};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Log level: something is lost or refused. Damage; the database refuses writes.
pub const KV_LOG_ERROR: i32 = 1;
/// Log level: something needs a look. A full disk, a torn end of the log, slowed writers.
pub const KV_LOG_WARN: i32 = 2;
/// Log level: what happens seldom. Opening, compaction, checkpoints, closing.
pub const KV_LOG_INFO: i32 = 3;
/// Log level: what happens often. Each segment, each hint.
pub const KV_LOG_DEBUG: i32 = 4;

/// Event: messages and events were dropped before this one, since the program's functions took too
/// long. count: how many.
pub const KV_EVENT_DROPPED: i32 = 1;
/// Event: the database is open. count: keys; bytes: of its segments; duration_ns: of kv_open().
pub const KV_EVENT_OPENED: i32 = 2;
/// Event: a crash had torn the end of the log, which was cut off. segment: where; bytes: what is
/// left of it.
pub const KV_EVENT_TAIL_CUT: i32 = 3;
/// Event: a full segment of the log is on the medium for good. segment; bytes: its length.
pub const KV_EVENT_SEALED: i32 = 4;
/// Event: compaction has put what was live of some segments in their place. segment: the first of
/// them; count: how many; bytes: what was won; duration_ns.
pub const KV_EVENT_COMPACTED: i32 = 5;
/// Event: damage was met. The message says in which file. segment: of it, or 0 if it is another
/// file; bytes: how many of the file lie before the damage. Each place is told once.
pub const KV_EVENT_DAMAGED: i32 = 6;
/// Event: writers were made to pause, since what is done behind them is behind. count: pauses;
/// duration_ns: of all of them.
pub const KV_EVENT_STALLED: i32 = 7;
/// Event: a write found no room on the disk, or within max_disk_bytes.
pub const KV_EVENT_DISK_FULL: i32 = 8;
/// Event: after that, a write has found room again.
pub const KV_EVENT_DISK_HAS_ROOM: i32 = 9;
/// Event: the database refuses writes from now on. The message says why.
pub const KV_EVENT_READ_ONLY: i32 = 10;
/// Event: the database is closed, and this is the last event. duration_ns: of kv_close().
pub const KV_EVENT_CLOSED: i32 = 11;

/// Something that happened to a database. A later libkv may add members at the end, and events.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_event_t {
    /// Bytes of this struct that libkv has filled.
    pub size: usize,
    /// What happened: one of the KV_EVENT_ constants, which say what the figures mean.
    pub kind: i32,
    /// How much it matters: one of the KV_LOG_ constants.
    pub level: i32,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The number of the segment it is about, which is in its file's name; 0: about none.
    pub segment: u64,
    /// How many; 0 where it counts nothing.
    pub count: u64,
    /// How many bytes; 0 where it has none.
    pub bytes: u64,
    /// How many nanoseconds it took; 0 where it took none.
    pub duration_ns: u64,
    /// The same in words, as the log has it.
    pub message: *const c_char,
}

/// Told what libkv has to say to people. See kv_options_set_log().
///
/// message is in UTF-8, has at most 511 bytes and a NUL, and is readable until the function
/// returns; context is what kv_options_set_log() was passed.
pub type kv_log_fn =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, context: *mut c_void)>;

/// Told what libkv has to say to programs. See kv_options_set_events().
///
/// *event and its message are readable until the function returns; context is what
/// kv_options_set_events() was passed.
pub type kv_event_fn = Option<unsafe extern "C" fn(event: *const kv_event_t, context: *mut c_void)>;

/// Has a function told, line by line, what databases do that are opened with these options: how
/// they were opened and recovered, compactions, slowed writers, full disks, damage.
///
/// The function is called on a thread of libkv's, never from inside another call, and by one
/// database once at a time: opening two with the same options has it called by two threads. It may
/// use the database, but not close it: kv_close() of a database that tells a function anything
/// returns KV_BUSY in it. If it is slow, nothing but the messages waits for it: up to 256 are kept,
/// and those that come then are dropped, counted and told of (KV_EVENT_DROPPED). kv_close() returns
/// when it has been told everything, so it must not wait for a thread that closes its database. It
/// must return: no longjmp(), no exception of C++.
///
/// @param options  The options. Not NULL.
/// @param log      The function, or NULL (the default) for none.
/// @param context  Passed to the function. It must stay usable until the databases are closed, and
///   may be used by threads of libkv's.
/// @param level    The least important level it is told of: KV_LOG_ERROR, KV_LOG_WARN, KV_LOG_INFO
///   or KV_LOG_DEBUG.
/// @return
///   - KV_OK: the option is set.
///   - KV_INVALID_ARGUMENT: the level is none of these.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the context stays the caller's.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_log(
    options: *mut kv_options,
    log: kv_log_fn,
    context: *mut c_void,
    level: i32,
) -> kv_status {
    const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];
    guard::status(|| {
        // They count from 1.
        let level = convert::choice_from(KV_LOG_ERROR, level, "level", &LEVELS)?;
        let context = Context(context);
        let listener = log.map(|log| -> Listener {
            Arc::new(move |notice: &Notice| {
                let context = context.get();
                let message = notice.text.as_c_str().as_ptr();
                // SAFETY: the caller passes a function that takes these and returns, and may be
                // called by any thread with this context.
                call(|| unsafe { log(notice.level as i32, message, context) });
            })
        });
        let listener = listener.map(|listener| (level, listener));
        change(options, |settings| assign(&mut settings.listeners.log, listener))
    })
}

/// Has a function told of events of databases that are opened with these options, with figures
/// that a program can use. All that is said of kv_options_set_log() holds of it too.
///
/// @param options  The options. Not NULL.
/// @param events   The function, or NULL (the default) for none.
/// @param context  Passed to the function. It must stay usable until the databases are closed, and
///   may be used by threads of libkv's.
/// @return
///   - KV_OK: the option is set.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the context stays the caller's.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_set_events(
    options: *mut kv_options,
    events: kv_event_fn,
    context: *mut c_void,
) -> kv_status {
    guard::status(|| {
        let context = Context(context);
        let listener = events.map(|events| -> Listener {
            Arc::new(move |notice: &Notice| {
                let context = context.get();
                let told = told(notice);
                // SAFETY: as in kv_options_set_log().
                call(|| unsafe { events(&raw const told, context) });
            })
        });
        change(options, |settings| assign(&mut settings.listeners.events, listener))
    })
}

fn told(notice: &Notice) -> kv_event_t {
    kv_event_t {
        size: size_of::<kv_event_t>(),
        kind: notice.event.map_or(0, |event| event as i32),
        level: notice.level as i32,
        unix_ms: notice.unix_ms,
        segment: notice.figures.segment,
        count: notice.figures.count,
        bytes: notice.figures.bytes,
        duration_ns: notice.figures.duration_ns,
        message: notice.text.as_c_str().as_ptr(),
    }
}

/// What C wants to be passed.
#[derive(Clone, Copy)]
struct Context(*mut c_void);

// SAFETY: it is passed back and never looked behind; C promises that any thread may use it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    fn get(self) -> *mut c_void {
        self.0
    }
}

thread_local! {
    /// Whether this thread is inside a function that is told.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

fn call(function: impl FnOnce()) {
    TELLING.with(|telling| {
        telling.set(true);
        function();
        telling.set(false);
    });
}

/// Whether this thread is inside a function that is told: then the thread that closes a database
/// would wait for itself.
pub(super) fn is_telling() -> bool {
    TELLING.with(Cell::get)
}
