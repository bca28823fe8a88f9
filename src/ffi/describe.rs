//! kv_options, read back: the text of an option, and what there is to know of each.

use super::options::{self, kv_options};
use super::status::{kv_status, KV_BUFFER_TOO_SMALL, KV_NOT_FOUND, KV_OK};
use super::{convert, guard};
use crate::options::{Setting, SETTINGS};
use std::ffi::c_char;

/// What there is to know of an option. Set size to sizeof(kv_option_info_t) before the call. A
/// later libkv may add members at the end; it leaves alone what is beyond the size that it is
/// passed. All texts are static, in UTF-8 and never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_option_info_t {
    /// In: bytes of this struct. Out: bytes of it that libkv has filled.
    pub size: usize,
    /// Its name, for kv_options_set() and kv_options_get().
    pub name: *const c_char,
    /// "bytes" (a size such as 64MiB), "number", "flag" (true or false) or "choice".
    pub type_name: *const c_char,
    /// The unit of its number; empty where it has none.
    pub unit: *const c_char,
    /// What it is unless it is set.
    pub default_value: *const c_char,
    /// What it may be: the choices, or the least and the greatest number.
    pub range: *const c_char,
    /// What it is for, in a few words.
    pub description: *const c_char,
}

/// Reads an option back as text that kv_options_set() takes: "64MiB", "interval", "true".
///
/// @param options  The options. Not NULL.
/// @param name     The option's name. Not NULL.
/// @param buf      Out: the text, NUL-terminated. NULL if cap is 0, else KV_NULL_ARGUMENT.
/// @param cap      The buffer's size in bytes. 32 are enough for every option.
/// @param len      Out: the length of the text without its NUL. Not NULL.
/// @return
///   - KV_OK: the text is in buf, with its NUL.
///   - KV_BUFFER_TOO_SMALL: *len is set; the text takes one byte more. buf is as it was.
///   - KV_UNKNOWN_OPTION: no option has this name; the message lists them.
///   - KV_INVALID_ARGUMENT: the name is not UTF-8, cap is more than any memory has, or options is
///     no handle.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_CLOSED, KV_BUSY: options was freed, or another thread is using it.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the name and the buffer stay the caller's.
/// Threads: any, one at a time.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_options_get(
    options: *const kv_options,
    name: *const c_char,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> kv_status {
    guard::status(|| {
        convert::must_not_be_null(options, "options")?;
        // SAFETY: the caller passes a string.
        let name = unsafe { convert::text(name, "name") }?;
        let target = convert::Buffer::new(buf.cast(), cap)?;
        convert::must_not_be_null(len, "len")?;
        let text = options::settings(options)?.get_text(name)?;
        let with_nul = text.clone() + "\0";
        // SAFETY: the caller may write all of the buffer, and the length; the text is our own.
        unsafe {
            let fits = target.fill(with_nul.as_bytes());
            convert::write(len, text.len());
            Ok(if fits { KV_OK } else { KV_BUFFER_TOO_SMALL })
        }
    })
}

/// Describes an option. Those that there are have the indexes from 0 on, without a gap.
///
/// @param index  Which one.
/// @param info   In and out: its size is set by the caller, all else here. Not NULL.
/// @return
///   - KV_OK: the first info->size bytes are filled. If the library is older than the header,
///     that is less than it was.
///   - KV_NOT_FOUND: there are no more than index options.
///   - KV_NULL_ARGUMENT: mend the call.
///   - KV_INVALID_ARGUMENT: the size is less than that of its own member.
///   - KV_INTERNAL: a bug in libkv; report the message.
///
/// Ownership: the struct stays the caller's; the texts are static.
/// Threads: any, each with a struct of its own.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kv_option_describe(
    index: usize,
    info: *mut kv_option_info_t,
) -> kv_status {
    guard::status(|| {
        // SAFETY: the caller passes a struct that begins with its size.
        let size = unsafe { convert::size_of_struct(info.cast(), "info") }?;
        let Some(setting) = SETTINGS.get(index) else { return Ok(KV_NOT_FOUND) };
        let filled = size.min(size_of::<kv_option_info_t>());
        let told = told(setting, filled);
        // SAFETY: the caller may write as many bytes as its size says, and `told` has them.
        unsafe { convert::write_part(info, &told, filled) };
        Ok(KV_OK)
    })
}

fn told(setting: &Setting, size: usize) -> kv_option_info_t {
    kv_option_info_t {
        size,
        name: setting.name.as_ptr(),
        type_name: setting.type_name().as_ptr(),
        unit: setting.unit.as_ptr(),
        default_value: setting.default.as_ptr(),
        range: setting.range.as_ptr(),
        description: setting.description.as_ptr(),
    }
}
