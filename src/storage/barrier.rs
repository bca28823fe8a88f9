//! A memory barrier of unequal halves: one thread pays for all, so that the others need not.
//!
//! Two threads that each write a flag of their own and then read the other's must not both miss
//! it; each needs a full barrier between the two. Where one of them does so at every call and
//! the other once in a program's life, the kernel can make the frequent half free: membarrier(2)
//! runs a full barrier on every processor that runs a thread of this process. What a thread did
//! before its [`light`] is then seen by the one that comes back from [`heavy`], or what that one
//! did before [`heavy`] is seen after the [`light`].

#![allow(unsafe_code, reason = "the standard library has no membarrier(2)")]

use std::sync::atomic::{compiler_fence, fence, AtomicBool, Ordering};

/// Whether [`light`] may leave the work to [`heavy`].
static KERNEL_HELPS: AtomicBool = AtomicBool::new(false);

/// Asks the kernel for its help. Without an answer both halves are full barriers.
pub fn prepare() {
    if !cfg!(miri) && !KERNEL_HELPS.load(Ordering::Relaxed) && kernel::register() {
        KERNEL_HELPS.store(true, Ordering::SeqCst);
    }
}

/// The half that is called often.
#[inline]
pub fn light() {
    if KERNEL_HELPS.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The half that is called seldom: some microseconds.
pub fn heavy() {
    fence(Ordering::SeqCst);
    if KERNEL_HELPS.load(Ordering::SeqCst) && !kernel::barrier_everywhere() {
        // The kernel helped before, so a sandbox was put up since. In this time every processor
        // has long finished the few instructions that it had under way.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    fence(Ordering::SeqCst);
}

#[cfg(target_os = "linux")]
mod kernel {
    pub(super) fn register() -> bool {
        call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
    }

    pub(super) fn barrier_everywhere() -> bool {
        call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }

    fn call(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes a command, flags and a processor, and touches no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier_everywhere() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::spin_loop;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    const ROUNDS: usize = 20_000;

    /// What one side writes and the other reads, on a cache line of its own.
    #[derive(Default)]
    #[repr(align(128))]
    struct Flag(AtomicUsize);

    /// Two threads meet again and again, each raising its flag of that round and then looking at
    /// the other's, a little sooner or later each time: never do both miss the other.
    #[test]
    fn one_side_always_sees_the_other() {
        prepare();
        let [often, seldom, round, saw, answered] = [const { Flag(AtomicUsize::new(0)) }; 5];
        let mut both_missed = 0;
        let await_value = |flag: &Flag, value| {
            for turn in 0_u64.. {
                if flag.0.load(Ordering::Acquire) == value {
                    return;
                }
                if turn % 1000 == 999 {
                    // The other may be waiting for this processor.
                    thread::yield_now();
                }
                spin_loop();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=ROUNDS {
                    await_value(&round, number);
                    often.0.store(number, Ordering::Relaxed);
                    light();
                    saw.0.store(seldom.0.load(Ordering::Relaxed), Ordering::Relaxed);
                    answered.0.store(number, Ordering::Release);
                }
            });
            for number in 1..=ROUNDS {
                round.0.store(number, Ordering::Release);
                (0..number % 64).for_each(|_| spin_loop());
                seldom.0.store(number, Ordering::Relaxed);
                heavy();
                let missed = often.0.load(Ordering::Relaxed) != number;
                await_value(&answered, number);
                if missed && saw.0.load(Ordering::Relaxed) != number {
                    both_missed += 1;
                }
            }
        });
        assert_eq!(both_missed, 0, "of {ROUNDS} rounds");
    }
}
