//! From C's pointers to Rust's slices, strings and paths, and back into C's outputs.

use super::library::{KV_MAX_KEY_LEN, KV_MAX_VALUE_LEN};
use crate::error::{Error, Kind, Result};
use std::ffi::{c_char, c_void, CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The key at `pointer`. Too long a key is refused here, so that no slice is ever built of a
/// length that the caller need not have.
///
/// # Safety
/// Unless NULL, `pointer` has `len` readable bytes that do not change during `'a`, if
/// `len` is at most [`KV_MAX_KEY_LEN`].
#[inline]
pub(super) unsafe fn key<'a>(pointer: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len > KV_MAX_KEY_LEN {
        return Err(too_long(Kind::KeyTooLong, "key", len, KV_MAX_KEY_LEN as u64));
    }
    // SAFETY: the caller's promise, and the length is within its condition.
    unsafe { bytes(pointer, len, "key") }
}

/// The value at `pointer`.
///
/// # Safety
/// As for [`key`], with [`KV_MAX_VALUE_LEN`].
#[inline]
pub(super) unsafe fn value<'a>(pointer: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len as u64 > KV_MAX_VALUE_LEN {
        return Err(too_long(Kind::ValueTooLong, "value", len, KV_MAX_VALUE_LEN));
    }
    // SAFETY: the caller's promise, and the length is within its condition.
    unsafe { bytes(pointer, len, "value") }
}

/// The bytes at `pointer`, which may be NULL if there are none.
///
/// # Safety
/// Unless NULL, `pointer` has `len` readable bytes that do not change during `'a`.
#[inline]
unsafe fn bytes<'a>(pointer: *const c_void, len: usize, what: &str) -> Result<&'a [u8]> {
    if pointer.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(null_with_length(what, len)) };
    }
    if len > isize::MAX as usize {
        return Err(invalid(format!("{what}_len is {len}, which is more than memory has")));
    }
    // SAFETY: not NULL, the length is within what a slice can have, and the bytes are there and
    // do not change by the caller's promise; bytes have no alignment and no invalid values.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), len) })
}

/// A buffer of the caller's that is to be written. It is not a slice: its bytes may be
/// uninitialised.
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    start: *mut u8,
    capacity: usize,
}

impl Buffer {
    /// The buffer at `start`, which may be NULL if its capacity is 0.
    pub(super) fn new(start: *mut c_void, capacity: usize) -> Result<Buffer> {
        if start.is_null() && capacity != 0 {
            return Err(null_with_length("buf", capacity));
        }
        if capacity > isize::MAX as usize {
            return Err(invalid(format!("cap is {capacity}, which is more than memory has")));
        }
        Ok(Buffer { start: start.cast(), capacity })
    }

    /// Fails if the buffer shares bytes with `input`, which would change while it is read.
    #[inline]
    pub(super) fn must_not_overlap(self, input: &[u8], what: &str) -> Result<()> {
        let (start, other) = (self.start.addr(), input.as_ptr().addr());
        let apart = start.saturating_add(self.capacity) <= other || other + input.len() <= start;
        if apart || self.capacity == 0 || input.is_empty() {
            return Ok(());
        }
        Err(invalid(format!("buf and {what} overlap")))
    }

    /// Copies `value` into the buffer if it fits, and says whether it did.
    ///
    /// # Safety
    /// The buffer has its capacity of writable bytes, none of which `value` has.
    #[inline]
    pub(super) unsafe fn fill(self, value: &[u8]) -> bool {
        if value.len() > self.capacity {
            return false;
        }
        if !value.is_empty() {
            // SAFETY: the capacity is not 0, so that the start is not NULL (`new`), and the
            // value fits; the rest is the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), self.start, value.len()) };
        }
        true
    }
}

/// The C string at `pointer`.
///
/// # Safety
/// Unless NULL, `pointer` is a NUL-terminated string that does not change during `'a`.
unsafe fn c_string<'a>(pointer: *const c_char, what: &str) -> Result<&'a CStr> {
    must_not_be_null(pointer, what)?;
    // SAFETY: not NULL, and the rest is the caller's promise.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// The text at `pointer`.
///
/// # Safety
/// As for [`c_string`].
pub(super) unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let text = unsafe { c_string(pointer, what) }?.to_str();
    text.map_err(|_| invalid(format!("{what} is not UTF-8")))
}

/// The path at `pointer`, in the bytes of the file system.
///
/// # Safety
/// As for [`c_string`].
pub(super) unsafe fn path<'a>(pointer: *const c_char) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    unsafe { named_path(pointer, "path") }
}

/// The same for a path that C knows as `what`.
///
/// # Safety
/// As for [`c_string`].
pub(super) unsafe fn named_path<'a>(pointer: *const c_char, what: &str) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { c_string(pointer, what) }?.to_bytes();
    if bytes.is_empty() {
        return Err(invalid(format!("{what} is empty")));
    }
    Ok(Path::new(OsStr::from_bytes(bytes)))
}

/// A yes or a no, which C passes as 1 or 0.
pub(super) fn flag(number: i32, what: &str) -> Result<bool> {
    choice(number, what, &[false, true])
}

/// The choice that C passes as its number, from 0.
pub(super) fn choice<T: Copy>(number: i32, what: &str, choices: &[T]) -> Result<T> {
    choice_from(0, number, what, choices)
}

/// The choice that C passes as its number, from `first`.
pub(super) fn choice_from<T: Copy>(
    first: i32,
    number: i32,
    what: &str,
    choices: &[T],
) -> Result<T> {
    let index = i64::from(number) - i64::from(first);
    let found = usize::try_from(index).ok().and_then(|index| choices.get(index));
    found.copied().ok_or_else(|| {
        let last = first as usize + choices.len() - 1;
        invalid(format!("{what} cannot be {number}; allowed: {first} to {last}"))
    })
}

/// Fails if `pointer` is NULL.
#[inline]
pub(super) fn must_not_be_null<T>(pointer: *const T, what: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(null(what));
    }
    Ok(())
}

/// Writes an output of the caller's, wherever it lies.
///
/// # Safety
/// `pointer` has room for a `T` that may be written.
#[inline]
pub(super) unsafe fn write<T>(pointer: *mut T, value: T) {
    // SAFETY: the caller's promise; an address that C computed may be unaligned.
    unsafe { pointer.write_unaligned(value) };
}

/// The size that a struct of the caller's says it has, in its first member.
///
/// # Safety
/// Unless NULL, `pointer` has a size at its beginning.
pub(super) unsafe fn size_of_struct(pointer: *const usize, what: &str) -> Result<usize> {
    must_not_be_null(pointer, what)?;
    // SAFETY: not NULL, and the rest is the caller's promise; it may be unaligned.
    let size = unsafe { pointer.read_unaligned() };
    if size < size_of::<usize>() {
        return Err(invalid(format!("{what}->size is {size}; set it to the size of the struct")));
    }
    Ok(size)
}

/// Writes the first `len` bytes of `value`, which has them, to a struct of the caller's. `T` has
/// no padding.
///
/// # Safety
/// `pointer` has room for `len` bytes that may be written.
pub(super) unsafe fn write_part<T: Copy>(pointer: *mut T, value: &T, len: usize) {
    let len = len.min(size_of::<T>());
    // SAFETY: the source has `len` bytes, the target too by the caller's promise, and they are
    // apart, since the source is this library's own; bytes have no alignment.
    unsafe { std::ptr::copy_nonoverlapping((&raw const *value).cast::<u8>(), pointer.cast(), len) };
}

/// There is no memory for `size` bytes.
#[cold]
pub(super) fn out_of_memory(size: usize) -> Error {
    Error::new(Kind::OutOfMemory, format!("cannot allocate {size} bytes"))
}

#[cold]
fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidArgument, message)
}

#[cold]
fn null(what: &str) -> Error {
    Error::new(Kind::NullArgument, format!("{what} is NULL"))
}

#[cold]
fn null_with_length(what: &str, len: usize) -> Error {
    Error::new(Kind::NullArgument, format!("{what} is NULL, but its length is {len}"))
}

#[cold]
fn too_long(kind: Kind, what: &str, len: usize, limit: u64) -> Error {
    Error::new(kind, format!("the {what} has {len} bytes; the limit is {limit}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::ptr;

    fn kind<T>(outcome: Result<T>) -> Option<Kind> {
        outcome.err().map(|error| error.kind())
    }

    #[test]
    fn null_is_the_empty_string_only_with_length_0() {
        // SAFETY: NULL is allowed, and the one real pointer has its byte.
        unsafe {
            assert_eq!(key(ptr::null(), 0).unwrap(), b"");
            assert_eq!(value(ptr::null(), 0).unwrap(), b"");
            assert_eq!(kind(key(ptr::null(), 1)), Some(Kind::NullArgument));
            assert_eq!(kind(value(ptr::null(), 9)), Some(Kind::NullArgument));
            assert_eq!(key(b"k".as_ptr().cast(), 1).unwrap(), b"k");
            assert_eq!(key(b"k".as_ptr().cast(), 0).unwrap(), b"");
        }
    }

    #[test]
    fn lengths_past_the_limits_are_refused_before_memory_is_touched() {
        let byte = b"k".as_ptr().cast();
        // SAFETY: the lengths are past the limits, so that the bytes need not be there.
        unsafe {
            assert_eq!(kind(key(byte, KV_MAX_KEY_LEN + 1)), Some(Kind::KeyTooLong));
            assert_eq!(kind(key(byte, usize::MAX)), Some(Kind::KeyTooLong));
            assert_eq!(kind(value(byte, 1 << 32)), Some(Kind::ValueTooLong));
            assert_eq!(kind(value(byte, usize::MAX)), Some(Kind::ValueTooLong));
            assert_eq!(kind(bytes(byte, usize::MAX, "x")), Some(Kind::InvalidArgument));
        }
        let start = ptr::dangling_mut::<c_void>();
        assert_eq!(kind(Buffer::new(start, usize::MAX)), Some(Kind::InvalidArgument));
    }

    #[test]
    fn a_buffer_takes_what_fits_and_nothing_else() {
        let mut memory = *b"....";
        let buffer = Buffer::new(memory.as_mut_ptr().cast(), 3).unwrap();
        // SAFETY: the buffer has 3 bytes, which the values do not have.
        unsafe {
            assert!(!buffer.fill(b"four"));
            assert!(buffer.fill(b"abc"));
            assert!(buffer.fill(b""));
        }
        assert_eq!(&memory, b"abc.");
        assert_eq!(kind(Buffer::new(ptr::null_mut(), 1)), Some(Kind::NullArgument));
        // SAFETY: a buffer without bytes is given none.
        assert!(unsafe { Buffer::new(ptr::null_mut(), 0).unwrap().fill(b"") });
    }

    #[test]
    fn a_buffer_that_overlaps_an_input_is_refused() {
        let mut memory = [0_u8; 8];
        let start = memory.as_mut_ptr();
        let overlaps = |offset: usize, capacity: usize, key: &[u8]| {
            let buffer = Buffer::new(start.wrapping_add(offset).cast(), capacity).unwrap();
            buffer.must_not_overlap(key, "key").is_err()
        };
        assert!(overlaps(0, 8, &memory[2..4]));
        assert!(overlaps(3, 1, &memory[2..4]));
        assert!(!overlaps(0, 2, &memory[2..4]));
        assert!(!overlaps(4, 4, &memory[2..4]));
        assert!(!overlaps(3, 0, &memory[2..4]));
        assert!(!overlaps(0, 8, &memory[2..2]));
    }

    #[test]
    fn strings_must_be_there_and_make_sense() {
        // SAFETY: NULL is allowed, and the others are NUL-terminated.
        unsafe {
            assert_eq!(kind(text(ptr::null(), "name")), Some(Kind::NullArgument));
            assert_eq!(kind(text(c"\xff".as_ptr(), "name")), Some(Kind::InvalidArgument));
            assert_eq!(text(c"sync".as_ptr(), "name").unwrap(), "sync");
            assert_eq!(kind(path(ptr::null())), Some(Kind::NullArgument));
            assert_eq!(kind(path(c"".as_ptr())), Some(Kind::InvalidArgument));
            assert_eq!(path(c"\xff".as_ptr()).unwrap().as_os_str().as_bytes(), b"\xff");
        }
    }

    #[test]
    fn flags_are_0_or_1() {
        assert_eq!((flag(0, "f").unwrap(), flag(1, "f").unwrap()), (false, true));
        for number in [-1, 2, i32::MIN, i32::MAX] {
            assert_eq!(kind(flag(number, "f")), Some(Kind::InvalidArgument));
        }
    }
}
