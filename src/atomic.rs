//! The atomics of the rooms that work without locks, in one place: the schedule explorer
//! (`tests/loom/`) puts its own here.

pub use std::hint::spin_loop;
pub use std::sync::atomic::{fence, AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
pub use std::sync::Arc;
