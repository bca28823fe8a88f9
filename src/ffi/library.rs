//! The library as a whole: its version and its limits.

use super::guard;
use std::ffi::{c_char, CStr};

/// The longest key in bytes. The shortest is 1 byte.
pub const KV_MAX_KEY_LEN: usize = 65535;
/// The longest value in bytes: 4 GiB - 1. The shortest is 0 bytes.
pub const KV_MAX_VALUE_LEN: u64 = 4294967295;

// Written out above, so that the header has numbers.
const _: () = assert!(KV_MAX_KEY_LEN == crate::format::MAX_KEY_LEN);
const _: () = assert!(KV_MAX_VALUE_LEN == crate::format::MAX_VALUE_LEN as u64);

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// Names the version of the library that is loaded, such as "1.2.3". It can differ from
/// KV_VERSION_STRING, which is the version the program was compiled with.
///
/// @return The version, never NULL. It cannot fail and leaves kv_error_message() alone.
///
/// Ownership: static; do not free it.
/// Threads: any, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_version() -> *const c_char {
    guard::value(VERSION.as_ptr(), || VERSION.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_crates() {
        assert_eq!(VERSION.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    }
}
