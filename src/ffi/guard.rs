//! The guard of every export: a closure runs, C gets a status, and no panic gets past.

use super::db::kv_db;
use super::handle;
use super::object::{Part, Table};
use super::status::{kv_status, report, set_message, KV_INTERNAL};
use crate::db::Db;
use crate::error::{Error, Kind, Result};
use crate::storage::process;
use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

/// Runs the body of an export that reports by status and needs no database.
pub(super) fn status(body: impl FnOnce() -> Result<kv_status>) -> kv_status {
    install_hook();
    catch(|| settle(body())).unwrap_or(KV_INTERNAL)
}

/// Runs the body of an export that works on an open database. Whatever it does, the handle is
/// checked first; a panic makes the database refuse writes, since the panic may have left what
/// only writers see half done.
#[inline]
pub(super) fn on_db(db: *mut kv_db, body: impl FnOnce(&Db) -> Result<kv_status>) -> kv_status {
    let run = || {
        let entered = match refuse_in_forked_child().and_then(|()| handle::enter(db)) {
            Ok(entered) => entered,
            Err(error) => return report(&error),
        };
        let body = || match body(&entered) {
            Ok(status) => status,
            Err(error) => met(&entered, &error),
        };
        panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|why| latch(&entered, why))
    };
    catch(run).unwrap_or(KV_INTERNAL)
}

/// Runs the body of an export that works on something of a database, such as a snapshot: it has
/// that for itself, and the database is open meanwhile. After kv_close() that fails.
#[inline]
pub(super) fn on_part<C, T: Send>(
    table: &Table<C, Part<T>>,
    handle: *mut C,
    body: impl FnOnce(&Db, &mut T) -> Result<kv_status>,
) -> kv_status {
    let run = || {
        let mut part = match table.hold(handle) {
            Ok(part) => part,
            Err(error) => return report(&error),
        };
        let db = part.db();
        on_db(db, |db| body(db, &mut part.value))
    };
    catch(run).unwrap_or(KV_INTERNAL)
}

/// The same for a body that only looks: any number of threads at once.
#[inline]
pub(super) fn on_shared_part<C, T: Send + Sync>(
    table: &Table<C, Part<T>>,
    handle: *const C,
    body: impl FnOnce(&Db, &T) -> Result<kv_status>,
) -> kv_status {
    let run = || match table.share(handle) {
        Ok(part) => on_db(part.db(), |db| body(db, &part.value)),
        Err(error) => report(&error),
    };
    catch(run).unwrap_or(KV_INTERNAL)
}

/// Frees something of a database, which cannot be closed meanwhile; it may have been before.
#[cfg(test)]
pub(super) fn free_part<C, T: Send>(table: &Table<C, Part<T>>, handle: *mut C) {
    value((), || {
        if let Some(part) = table.remove_quietly(handle) {
            let _inside = handle::enter(part.db());
            drop(part);
        }
    });
}

/// A call on a database failed: that is told, and its status answered.
#[cold]
fn met(db: &Db, error: &Error) -> kv_status {
    db.note_failure(error);
    report(error)
}

/// The status of an outcome. It is made where the outcome is, since moving an [`Error`] about
/// costs more than all the rest of a call that has none.
#[inline(always)]
fn settle(outcome: Result<kv_status>) -> kv_status {
    match outcome {
        Ok(status) => status,
        Err(error) => report(&error),
    }
}

/// Runs the body of an export that cannot fail; `fallback` is what C gets if it panics.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch(body).unwrap_or(fallback)
}

/// Fails in a process that was forked after the first database was opened.
pub(super) fn refuse_in_forked_child() -> Result<()> {
    if process::is_forked_child() {
        return Err(forked());
    }
    Ok(())
}

#[cold]
fn forked() -> Error {
    let text = "this process was forked after a database was opened; open databases after fork()";
    Error::new(Kind::Forked, text)
}

/// After a panic: no more writes.
#[cold]
fn latch(db: &Db, payload: Box<dyn Any + Send>) -> kv_status {
    discard(payload);
    let cause = "libkv met a bug in an earlier call and refuses writes until it is opened again";
    db.refuse_writes(Error::new(Kind::Internal, cause));
    KV_INTERNAL
}

/// A panic was caught; its message is the thread's error message.
struct Panicked;

thread_local! {
    /// Whether this thread is inside a call from C, where the hook below keeps quiet.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, and turns a panic into a value.
///
/// What `body` shares can be seen after a panic: the databases stop writing then ([`latch`]),
/// and C's outputs are written last, in one piece. That is why `AssertUnwindSafe` is true.
#[inline]
fn catch<T>(body: impl FnOnce() -> T) -> std::result::Result<T, Panicked> {
    INSIDE.with(|inside| {
        let before = inside.replace(true);
        let outcome = panic::catch_unwind(AssertUnwindSafe(body)).map_err(discard);
        inside.set(before);
        outcome
    })
}

/// Drops what a panic carried. Its destructor can panic in turn: that one's payload is leaked,
/// since there is no end to it otherwise.
#[cold]
fn discard(payload: Box<dyn Any + Send>) -> Panicked {
    if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    Panicked
}

/// Makes panics inside calls from C silent: a library does not write to its host's stderr. The
/// message goes to kv_error_message(). All other panics go where they went before.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    // The standard library does not let a panicking thread change the hook.
    if INSTALLED.is_completed() || std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| panic::set_hook(quiet_inside(panic::take_hook())));
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

fn quiet_inside(previous: Hook) -> Hook {
    Box::new(move |info| {
        if INSIDE.with(Cell::get) {
            keep_message(info);
        } else {
            previous(info);
        }
    })
}

fn keep_message(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    let text = formatted.or(payload.downcast_ref::<&str>().copied()).unwrap_or("panic");
    match info.location() {
        Some(place) => set_message(format_args!(
            "a bug in libkv, at {}:{}: {text}",
            place.file(),
            place.line()
        )),
        None => set_message(format_args!("a bug in libkv: {text}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::super::status::{kv_error_message, KV_INVALID_ARGUMENT, KV_OK, KV_READ_ONLY};
    use super::*;
    use crate::options::Options;
    use std::ffi::CStr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::thread;

    fn message() -> String {
        // SAFETY: the function returns a NUL-terminated string that outlives the borrow.
        unsafe { CStr::from_ptr(kv_error_message()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_comes_back_as_a_status_with_its_message() {
        let text = String::from("seven");
        assert_eq!(status(|| panic!("no {text} of nine")), KV_INTERNAL);
        assert!(!INSIDE.with(Cell::get));
        assert!(message().contains("no seven of nine"), "{}", message());
        assert!(message().contains("guard.rs:"), "{}", message());
        assert_eq!(value(7, || panic!("again")), 7);
        assert!(message().contains("again"), "{}", message());
    }

    #[test]
    fn only_panics_inside_a_call_are_silent() {
        let heard = Arc::new(AtomicUsize::new(0));
        let (count, this) = (Arc::clone(&heard), thread::current().id());
        let before = panic::take_hook();
        panic::set_hook(quiet_inside(Box::new(move |info| {
            if thread::current().id() == this {
                count.fetch_add(1, Ordering::SeqCst);
            } else {
                before(info);
            }
        })));
        assert_eq!(status(|| panic!("inside")), KV_INTERNAL);
        assert_eq!(heard.load(Ordering::SeqCst), 0);
        assert!(panic::catch_unwind(|| panic!("outside")).is_err());
        assert_eq!(heard.load(Ordering::SeqCst), 1);
        assert!(message().contains("inside"), "{}", message());
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic::panic_any(Bomb);
            }
        }
        assert_eq!(status(|| panic::panic_any(Bomb)), KV_INTERNAL);
        assert!(!INSIDE.with(Cell::get));
    }

    #[test]
    fn a_panic_on_a_database_stops_its_writes_and_not_its_reads() {
        let place = crate::ffi::tests::Place::new("guard-latch");
        let db = handle::insert(Db::open(place.path(), &Options::default()).unwrap()).unwrap();
        assert_eq!(on_db(db, |db| db.put(b"key", b"value").map(|()| KV_OK)), KV_OK);
        assert_eq!(on_db(db, |_| panic!("half way")), KV_INTERNAL);
        assert!(message().contains("half way"), "{}", message());
        assert_eq!(on_db(db, |db| db.put(b"key", b"other").map(|()| KV_OK)), KV_READ_ONLY);
        let read = on_db(db, |db| {
            assert_eq!(db.get(b"key", <[u8]>::to_vec)?.as_deref(), Some(&b"value"[..]));
            Ok(KV_OK)
        });
        assert_eq!(read, KV_OK);
        drop(handle::remove(db).unwrap());
    }

    #[test]
    fn a_failure_comes_back_as_its_status() {
        let outcome = status(|| Err(Error::new(Kind::InvalidArgument, "level 9 is none")));
        assert_eq!(outcome, KV_INVALID_ARGUMENT);
        assert_eq!(message(), "level 9 is none");
    }
}
