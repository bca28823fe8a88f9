//! kv_write_options_t: what comes with one write, and what it depends on.

use super::convert;
use crate::db::{WriteOptions, WriteSync};
use crate::error::{Error, Kind, Result};

/// The write is on the medium when the option "sync" of the database says. The default.
pub const KV_WRITE_SYNC_DEFAULT: i32 = 0;
/// The write is on the medium before it is acknowledged.
pub const KV_WRITE_SYNC_YES: i32 = 1;
/// Nobody waits for the medium.
pub const KV_WRITE_SYNC_NO: i32 = 2;

/// What comes with one write, and what it depends on. Set size to sizeof(kv_write_options_t) and
/// what is not asked for to 0, as in kv_write_options_t options = {.size = sizeof options}.
/// A later libkv may add members at the end.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct kv_write_options_t {
    /// Bytes of this struct.
    pub size: usize,
    /// The value expires so many milliseconds from now, at most KV_MAX_TTL_MS; 0: never.
    pub ttl_ms: u64,
    /// Write only if the key is there and has this version, as kv_get_version() tells it; 0: in
    /// any case.
    pub if_version: u64,
    /// KV_WRITE_SYNC_DEFAULT, KV_WRITE_SYNC_YES or KV_WRITE_SYNC_NO.
    pub sync: i32,
    /// 1: write only if the key is not there.
    pub if_absent: i32,
    /// 1: write nothing if the key has this very value, and would expire as it does.
    pub skip_if_equal: i32,
    /// 1: the value expires when the one before it would have; ttl_ms is for a key that is not
    /// there.
    pub keep_ttl: i32,
}

const _: () = assert!(size_of::<kv_write_options_t>() == 40, "no padding: it is read by bytes");

/// A struct that is longer than this has a size that nobody has set.
const MAX_SIZE: usize = 4096;

/// What the caller's options say, and the defaults for NULL.
///
/// # Safety
/// Unless NULL, `options` begin with a size, and have as many readable bytes if that is at most
/// [`MAX_SIZE`].
pub(super) unsafe fn read(options: *const kv_write_options_t) -> Result<WriteOptions> {
    if options.is_null() {
        return Ok(WriteOptions::default());
    }
    // SAFETY: the caller's promise.
    let size = unsafe { convert::size_of_struct(options.cast(), "options") }?;
    // An older program's struct ends with one of the members, a newer one's with others.
    let ends_with_a_member = size.is_multiple_of(8) || (size > 24 && size.is_multiple_of(4));
    if size > MAX_SIZE || !ends_with_a_member {
        let text = format!("options->size is {size}; set it to the size of the struct");
        return Err(Error::new(Kind::InvalidArgument, text));
    }
    // SAFETY: the caller's promise, and the size is within its condition.
    let bytes = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
    let known = size_of::<kv_write_options_t>();
    if bytes.iter().skip(known).any(|byte| *byte != 0) {
        let text = format!("options has more than the {known} bytes that this libkv knows");
        return Err(Error::new(Kind::Unsupported, text));
    }
    let mut own = kv_write_options_t::default();
    // SAFETY: `own` is integers without padding, which take any bytes, and has room for so many; it
    // is apart from the caller's.
    unsafe {
        let own = (&raw mut own).cast::<u8>();
        own.copy_from_nonoverlapping(bytes.as_ptr(), size.min(known));
    }
    checked(&own)
}

fn checked(options: &kv_write_options_t) -> Result<WriteOptions> {
    const SYNCS: [WriteSync; 3] = [WriteSync::AsOpened, WriteSync::Yes, WriteSync::No];
    let asked = WriteOptions {
        ttl_ms: options.ttl_ms,
        keep_ttl: convert::flag(options.keep_ttl, "options->keep_ttl")?,
        if_absent: convert::flag(options.if_absent, "options->if_absent")?,
        if_version: options.if_version,
        skip_if_equal: convert::flag(options.skip_if_equal, "options->skip_if_equal")?,
        sync: convert::choice(options.sync, "options->sync", &SYNCS)?,
    };
    if asked.if_absent && asked.if_version != 0 {
        let text = "options->if_absent and options->if_version cannot both hold";
        return Err(Error::new(Kind::InvalidArgument, text));
    }
    Ok(asked)
}

/// Fails if `options` ask for more than `allowed` has: what a write has no use for is a mistake.
pub(super) fn only(options: &WriteOptions, allowed: &WriteOptions, what: &str) -> Result<()> {
    if options == allowed {
        return Ok(());
    }
    let text = format!("of options, this call takes {what} only; the others must be 0");
    Err(Error::new(Kind::InvalidArgument, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    /// Reads a struct of `size` bytes that begins with `known`, and has `rest` behind it.
    fn read_as(size: usize, known: kv_write_options_t, rest: u8) -> Result<WriteOptions> {
        #[repr(C)]
        struct Newer(kv_write_options_t, [u8; MAX_SIZE]);
        let newer = Newer(kv_write_options_t { size, ..known }, [rest; MAX_SIZE]);
        // SAFETY: it is longer than any size that is believed.
        unsafe { read((&raw const newer).cast()) }
    }

    fn kind<T>(outcome: Result<T>) -> Option<Kind> {
        outcome.err().map(|error| error.kind())
    }

    const FULL: usize = size_of::<kv_write_options_t>();
    const NONE: kv_write_options_t = kv_write_options_t {
        size: 0,
        ttl_ms: 0,
        if_version: 0,
        sync: 0,
        if_absent: 0,
        skip_if_equal: 0,
        keep_ttl: 0,
    };

    #[test]
    fn zeroes_and_null_are_the_defaults() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read(std::ptr::null()) }.unwrap(), WriteOptions::default());
        assert_eq!(read_as(FULL, NONE, 0xFF).unwrap(), WriteOptions::default());
    }

    #[test]
    fn every_member_is_read() {
        let asked = kv_write_options_t {
            ttl_ms: 5,
            if_version: 7,
            sync: KV_WRITE_SYNC_NO,
            skip_if_equal: 1,
            keep_ttl: 1,
            ..NONE
        };
        let expected = WriteOptions {
            ttl_ms: 5,
            keep_ttl: true,
            if_absent: false,
            if_version: 7,
            skip_if_equal: true,
            sync: WriteSync::No,
        };
        assert_eq!(read_as(FULL, asked, 0xFF).unwrap(), expected);
        let asked = kv_write_options_t { if_absent: 1, sync: KV_WRITE_SYNC_YES, ..NONE };
        let read = read_as(FULL, asked, 0xFF).unwrap();
        assert!(read.if_absent && read.sync == WriteSync::Yes);
    }

    #[test]
    fn older_and_newer_structs_are_read() {
        let asked = kv_write_options_t { ttl_ms: 5, if_version: 7, keep_ttl: 1, ..NONE };
        let read = |size| read_as(size, asked, 0).unwrap();
        assert_eq!(read(8), WriteOptions::default());
        assert_eq!(read(16), WriteOptions { ttl_ms: 5, ..WriteOptions::default() });
        assert_eq!(read(36), WriteOptions { ttl_ms: 5, if_version: 7, ..WriteOptions::default() });
        assert!(read(FULL).keep_ttl && read(FULL + 8).keep_ttl && read(MAX_SIZE).keep_ttl);
        assert_eq!(kind(read_as(FULL + 8, asked, 1)), Some(Kind::Unsupported));
        for size in [0, 4, 7, 9, 12, 20, 30, 39, MAX_SIZE + 8, usize::MAX] {
            assert_eq!(kind(read_as(size, asked, 0)), Some(Kind::InvalidArgument), "{size}");
        }
    }

    #[test]
    fn what_is_no_choice_is_refused() {
        let bad = [
            kv_write_options_t { sync: 3, ..NONE },
            kv_write_options_t { sync: -1, ..NONE },
            kv_write_options_t { if_absent: 2, ..NONE },
            kv_write_options_t { skip_if_equal: -1, ..NONE },
            kv_write_options_t { keep_ttl: i32::MAX, ..NONE },
            kv_write_options_t { if_absent: 1, if_version: 1, ..NONE },
        ];
        for bad in bad {
            assert_eq!(kind(read_as(FULL, bad, 0)), Some(Kind::InvalidArgument));
        }
    }
}
