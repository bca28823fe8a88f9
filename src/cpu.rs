//! What processors offer beyond the language: fetching a cache line before it is needed. A room of
//! `unsafe`.

#![allow(unsafe_code, reason = "prefetching has no safe interface")]

/// Begins to fetch the cache line at `address`, which may be any address at all.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn fetch<T>(address: *const T) {
    use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
    // SAFETY: prefetching reads nothing that the program can see, and never faults, whatever the
    // address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Other processors have no stable interface for it.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn fetch<T>(_address: *const T) {}
