//! The systems that libkv is built for. A part of build.rs, not of the library.

/// Why libkv is not built for such a system. Said here, it is the one thing that is said; an error
/// of the compiler would be the first of hundreds.
pub fn refusal(os: &str, pointer_width: &str) -> Option<String> {
    if os != "linux" {
        return Some(format!(
            "libkv needs Linux, and this is {os}: it stands on mmap, renameat2, membarrier and \
             fallocate as Linux has them"
        ));
    }
    let narrow = pointer_width != "64";
    narrow.then(|| {
        format!(
            "libkv needs a 64-bit system, and this one has {pointer_width} bits: it maps segments \
             of up to 4 GiB, thousands at once"
        )
    })
}
