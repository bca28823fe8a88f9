//! The memory that C gets to keep: values of kv_get(), and kv_free() that takes them back.

use super::convert;
use super::guard;
use super::status::set_message;
use crate::error::{Error, Kind, Result};
use crate::memory;
use std::alloc::{self, Layout};
use std::ffi::c_void;
use std::fmt;
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

/// The room that an arena begins with.
const ARENA_LEAST: usize = 4096;

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

    /// The text that `write` writes, with a NUL behind it.
    pub(super) fn text(write: impl FnOnce(&mut memory::Text) -> fmt::Result) -> Result<Value> {
        let text = memory::c_text(write)
            .map_err(|_| Error::new(Kind::OutOfMemory, "there is no memory for the text"))?;
        Value::copy(text.as_bytes())
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

/// Values for C in one piece of memory, which grows. Dropping it frees them.
#[derive(Default)]
pub(super) struct Arena {
    /// The memory, with its header; nothing before the first value.
    memory: Option<NonNull<u8>>,
    /// Bytes for values in the memory, and how many of them are taken.
    room: usize,
    taken: usize,
}

impl Arena {
    /// Copies `value` and answers where it begins.
    pub(super) fn push(&mut self, value: &[u8]) -> Result<usize> {
        let offset = self.taken.next_multiple_of(ALIGN);
        let end = offset.checked_add(value.len());
        let end = end.ok_or_else(|| convert::out_of_memory(usize::MAX))?;
        if end > self.room || self.memory.is_none() {
            self.grow(end)?;
        }
        if let Some(memory) = self.memory {
            // SAFETY: the memory has a header and `room` bytes, of which `end` is no more; nobody
            // else knows it, so that the value does not lie in it.
            unsafe {
                let to = memory.add(HEADER + offset).as_ptr();
                to.copy_from_nonoverlapping(value.as_ptr(), value.len());
            }
        }
        self.taken = end;
        Ok(offset)
    }

    /// Makes room for `least` bytes, or for more if they can be had.
    #[cold]
    fn grow(&mut self, least: usize) -> Result<()> {
        let more = least.max(self.room.saturating_mul(2)).max(ARENA_LEAST);
        let room = if self.resize(more) { more } else { least };
        if room != more && !self.resize(room) {
            return Err(convert::out_of_memory(room));
        }
        self.room = room;
        Ok(())
    }

    /// Moves the values to memory with so much room, if it can be had.
    fn resize(&mut self, room: usize) -> bool {
        let Some(new) = layout(room) else { return false };
        let memory = match self.memory {
            // SAFETY: the layout has at least the header's size.
            None => unsafe { alloc::alloc(new) },
            Some(old) => {
                let Some(layout) = layout(self.room) else { return false };
                // SAFETY: the memory was allocated with this layout, and the new size is that of
                // a layout of the same alignment.
                unsafe { alloc::realloc(old.as_ptr(), layout, new.size()) }
            }
        };
        self.memory = NonNull::new(memory).or(self.memory);
        !memory.is_null()
    }

    /// Gives the values to C, which frees them with [`kv_free`]; NULL if there never were any.
    pub(super) fn into_raw(mut self) -> *mut c_void {
        let Some(memory) = self.memory.take() else { return std::ptr::null_mut() };
        // SAFETY: the memory has room for the header, to which it is aligned.
        unsafe {
            let values = memory.add(HEADER).as_ptr();
            let header = Header { len: self.room, seal: LIVE ^ values.addr() };
            memory.cast::<Header>().write(header);
            values.cast()
        }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let (Some(memory), Some(layout)) = (self.memory, layout(self.room)) {
            // SAFETY: `resize` allocated it with this layout, and it was not given to C, as
            // `into_raw` takes it out.
            unsafe { alloc::dealloc(memory.as_ptr(), layout) };
        }
    }
}

/// Frees a value of kv_get(), or all values of a kv_get_many(). A pointer that is neither, or was
/// freed before, is left alone as far as that can be seen, and kv_error_message() says so; to
/// pass one is a bug in the program all the same.
///
/// @param value  The value or the arena, or NULL, which does nothing.
///
/// Ownership: takes the value back; do not touch it afterwards.
/// Threads: any thread may free what another one got, also after kv_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_free(value: *mut c_void) {
    guard::value((), || {
        if value.is_null() {
            return;
        }
        // SAFETY: the caller passes what libkv allocated, or at least memory that was.
        if !unsafe { free(value.cast()) } {
            set_message(format_args!(
                "kv_free() was passed nothing that libkv allocated, or it twice"
            ));
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
    fn an_arena_keeps_its_values_while_it_grows() {
        let mut arena = Arena::default();
        let value = |number: usize| vec![number as u8; number * 37 % 1000];
        let places: Vec<usize> = (0..500).map(|at| arena.push(&value(at)).unwrap()).collect();
        let memory = arena.into_raw().cast::<u8>();
        for (number, offset) in places.into_iter().enumerate() {
            let (value, at) = (value(number), memory.wrapping_add(offset));
            assert!(at.addr().is_multiple_of(16));
            // SAFETY: the value was put there.
            assert_eq!(unsafe { std::slice::from_raw_parts(at, value.len()) }, value);
        }
        // SAFETY: the arena was given away, and is freed once.
        assert!(unsafe { free(memory) });
        assert!(Arena::default().into_raw().is_null());
        let mut dropped = Arena::default();
        assert_eq!(dropped.push(b"").unwrap(), 0, "an empty value has a place too");
    }

    #[test]
    fn impossible_lengths_have_no_layout() {
        assert!(layout(usize::MAX).is_none());
        assert!(layout(isize::MAX as usize).is_none());
    }
}
