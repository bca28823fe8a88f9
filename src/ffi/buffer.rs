//! The memory that C gets to keep: values of kv_get(), and kv_free() that takes them back.

use super::convert;
use super::guard;
use super::status::set_message;
use crate::error::Result;
use std::alloc::{self, Layout};
use std::ffi::c_void;
use std::ptr::NonNull;

/// What precedes a value: enough to free it, and to tell a pointer that is not one.
#[repr(C, align(16))]
struct Header {
    len: usize,
    seal: usize,
}

const HEADER: usize = size_of::<Header>();
/// Values start at a multiple of it, as those of malloc() do.
const ALIGN: usize = align_of::<Header>();
const _: () = assert!(HEADER == 16 && ALIGN == 16);

/// Mixed with the address, so that a copy of a header elsewhere is no header.
const LIVE: usize = 0x6B76_5F76_616C_7565;
const FREED: usize = 0;

/// A copy of a value, not yet given to C. Dropping it frees it.
pub(super) struct Value(NonNull<u8>);

impl Value {
    /// Copies `bytes` to memory of its own.
    pub(super) fn copy(bytes: &[u8]) -> Result<Value> {
        let layout = layout(bytes.len()).ok_or_else(|| convert::out_of_memory(bytes.len()))?;
        // SAFETY: the layout has at least the header's size.
        let memory = unsafe { alloc::alloc(layout) };
        if memory.is_null() {
            return Err(convert::out_of_memory(bytes.len()));
        }
        // SAFETY: the memory has room for the header, to which it is aligned, and the bytes
        // after it; being new, it overlaps nothing; and `memory + HEADER` is not NULL.
        unsafe {
            let value = memory.add(HEADER);
            let header = Header { len: bytes.len(), seal: LIVE ^ value.addr() };
            memory.cast::<Header>().write(header);
            value.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Ok(Value(NonNull::new_unchecked(value)))
        }
    }

    /// Gives the value to C, which gives it back to [`kv_free`].
    pub(super) fn into_raw(self) -> *mut c_void {
        let value = self.0.as_ptr().cast();
        std::mem::forget(self);
        value
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: `copy` made it, and it was not given to C: `into_raw` forgets it.
        unsafe { free(self.0.as_ptr()) };
    }
}

/// Frees a value that kv_get() returned. A pointer that is not one, or was freed before, is
/// left alone as far as that can be seen, and kv_error_message() says so; to pass one is a bug
/// in the program all the same.
///
/// @param value  The value, or NULL, which does nothing.
///
/// Ownership: takes the value back; do not touch it afterwards.
/// Threads: any thread may free what another one got, also after kv_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_free(value: *mut c_void) {
    guard::value((), || {
        if value.is_null() {
            return;
        }
        // SAFETY: the caller passes what kv_get() returned, or at least memory that was.
        if !unsafe { free(value.cast()) } {
            set_message(format_args!("kv_free() was passed no value of kv_get(), or one twice"));
        }
    });
}

/// Frees the value at `value` and returns whether it was one.
///
/// # Safety
/// The 16 bytes before `value`, if it is a multiple of 16, can be read.
unsafe fn free(value: *mut u8) -> bool {
    if !value.addr().is_multiple_of(ALIGN) {
        return false;
    }
    let header = value.wrapping_sub(HEADER).cast::<Header>();
    // SAFETY: readable by the caller's promise, and aligned, being 16 before a multiple of 16.
    let Header { len, seal } = unsafe { header.read() };
    let Some(layout) = layout(len).filter(|_| seal == LIVE ^ value.addr()) else { return false };
    // SAFETY: the seal is that of a live value at this address, so `copy` allocated it with this
    // layout. The write is volatile, as the compiler would drop it before the memory is freed.
    unsafe {
        (&raw mut (*header).seal).write_volatile(FREED);
        alloc::dealloc(header.cast(), layout);
    }
    true
}

/// The layout of a value of `len` bytes with its header; none if memory has no such length.
fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(HEADER.checked_add(len)?, ALIGN).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_whole_and_freed() {
        for len in [0, 1, 15, 16, 17, 100_000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let value = Value::copy(&bytes).unwrap().into_raw();
            assert!(!value.is_null() && value.addr().is_multiple_of(16));
            // SAFETY: the value has `len` bytes until it is freed, which happens once.
            unsafe {
                assert_eq!(std::slice::from_raw_parts(value.cast::<u8>(), len), bytes);
                assert!(free(value.cast()));
            }
        }
        drop(Value::copy(b"never given away").unwrap());
    }

    #[test]
    fn a_pointer_that_is_no_value_is_left_alone() {
        let mut memory = [0_u128; 4];
        let start = memory.as_mut_ptr().cast::<u8>();
        // SAFETY: the 16 bytes before each pointer are in `memory`.
        unsafe {
            assert!(!free(start.add(16)), "a foreign pointer");
            assert!(!free(start.add(17)), "an odd one");
            kv_free(start.add(32).cast());
            kv_free(std::ptr::null_mut());
        }
        let value = Value::copy(b"value").unwrap();
        // SAFETY: a header's size is copied from a live value to `memory`, which has room for it.
        unsafe {
            start.copy_from_nonoverlapping(value.0.as_ptr().sub(HEADER), HEADER);
            assert!(!free(start.add(HEADER)), "a copy of a header");
        }
    }

    #[test]
    fn impossible_lengths_have_no_layout() {
        assert!(layout(usize::MAX).is_none());
        assert!(layout(isize::MAX as usize).is_none());
    }
}
