//! What the engine needs to know of its process: forks, the boot, threads that catch no signals. A
//! room of `unsafe`.

#![allow(unsafe_code, reason = "fork detection and signal masks have no safe interface")]

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::Once;

use crate::error::{Error, Kind, Result};

/// A word that the kernel sets to zero in every child of this process (MADV_WIPEONFORK).
static SENTINEL: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
static MARK: Once = Once::new();

/// Remembers that this process is not a child of a fork. Called before the first database is
/// opened.
pub fn watch_for_forks() {
    MARK.call_once(|| {
        const LEN: usize = 4096;
        // SAFETY: a fresh anonymous page, asked for with constants; the result is checked.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return;
        }
        // SAFETY: the page was just mapped, with this length.
        if unsafe { libc::madvise(page, LEN, libc::MADV_WIPEONFORK) } != 0 {
            return;
        }
        let word = page.cast::<AtomicU32>();
        // SAFETY: the page is mapped, aligned, zeroed and never unmapped.
        unsafe { (*word).store(1, Ordering::Relaxed) };
        SENTINEL.store(word, Ordering::Release);
    });
}

/// Whether this process was forked from one that had called [`watch_for_forks`].
#[inline]
pub fn is_forked_child() -> bool {
    let word = SENTINEL.load(Ordering::Acquire);
    if word.is_null() {
        return false;
    }
    // SAFETY: a word that is not NULL points to a page that stays mapped for ever.
    unsafe { (*word).load(Ordering::Relaxed) == 0 }
}

/// Tells this boot of the machine from every other; empty where the system does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// When a process began, in ticks since the boot: with its pid and the boot it tells the process
/// from every other. None if there is no such process (any more), or the system does not say.
pub fn started_at(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may have any character; the third is the
    // state, and this the 22nd.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // Dead, though nobody has asked yet how it ended.
    fields.next().filter(|state| !matches!(*state, "Z" | "X"))?;
    fields.nth(18)?.parse().ok()
}

/// Tells the pids of this process from those that mean other processes; empty where the system does
/// not say.
pub fn pid_namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid");
    link.map(|link| link.display().to_string()).unwrap_or_default()
}

/// Starts a thread that no signal of the program is delivered to.
pub fn spawn_quiet(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>> {
    let old = block_signals();
    let spawned =
        std::thread::Builder::new().name(name.to_owned()).stack_size(256 << 10).spawn(body);
    restore_signals(&old);
    spawned.map_err(|e| {
        let error = Error::io(format_args!("start the thread {name}"), &e);
        // What the system says where it has no more threads, or no room for a stack.
        let is_limit = e.raw_os_error() == Some(libc::EAGAIN);
        if is_limit {
            error.with_kind(Kind::TooManyOpen)
        } else {
            error
        }
    })
}

/// Lets threads that somebody waits for go before this one, where processors are few. Failing to
/// is no matter.
pub fn yield_to_others(niceness: i32) {
    // SAFETY: setpriority takes integers; 0 means the calling thread (Linux).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
}

/// Runs `body` on so many threads at once, this one among them, and answers what each returned.
/// The others get no signal of the program. The part of one that cannot be had is done by this one.
pub fn in_parallel<R: Send>(threads: usize, body: impl Fn(usize) -> R + Sync) -> Vec<R> {
    if threads <= 1 {
        return vec![body(0)];
    }
    let body = &body;
    std::thread::scope(|scope| {
        let old = block_signals();
        let spawn = |number| {
            let builder = std::thread::Builder::new().name("libkv-open".to_owned());
            builder.spawn_scoped(scope, move || body(number))
        };
        let others: Vec<_> = (1..threads).map(spawn).collect();
        restore_signals(&old);
        let mut results = vec![body(0)];
        for (number, other) in (1..).zip(others) {
            results.push(match other.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => body(number),
            });
        }
        results
    })
}

/// Blocks all signals on this thread, and answers which were blocked before. A new thread inherits
/// the mask.
fn block_signals() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data; sigfillset and pthread_sigmask write it, and get pointers to
    // live variables of that type.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut old: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut old);
        old
    }
}

fn restore_signals(old: &libc::sigset_t) {
    // SAFETY: `old` was filled by pthread_sigmask; the third argument may be NULL.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old, std::ptr::null_mut()) };
}
