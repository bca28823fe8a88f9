//! The atomics of the rooms that work without locks, in one place: a schedule explorer puts its own
//! here.

pub use std::sync::atomic::{fence, AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
