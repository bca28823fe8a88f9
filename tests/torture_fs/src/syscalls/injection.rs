//! Which system call fails, how, and which one of its kind.

use std::collections::BTreeMap;

use super::script::Promise;

/// What is injected, by call; others get EIO. A call that is not here at all is one that does not
/// fail, or whose failure nobody looks at.
const ERRORS: [(&str, &[&str]); 22] = [
    ("openat", &["EIO", "EMFILE", "ENOSPC", "EACCES", "EINTR", "ENOMEM"]),
    ("openat2", &["EIO", "EMFILE", "ENOSPC", "EACCES", "EINTR", "ENOMEM"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("write", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
    ("pwrite64", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC", "EINTR"]),
    ("ftruncate", &["EIO", "ENOSPC", "EINTR"]),
    ("fallocate", &["EIO", "ENOSPC", "EFBIG", "EINTR", "EOPNOTSUPP"]),
    ("mmap", &["ENOMEM", "EACCES"]),
    ("mremap", &["ENOMEM"]),
    ("renameat", &["EIO", "ENOSPC", "EACCES"]),
    ("renameat2", &["EIO", "ENOSPC", "EINVAL"]),
    ("unlinkat", &["EIO", "EACCES", "EROFS"]),
    ("linkat", &["EIO", "EMLINK", "EPERM", "EXDEV", "ENOSPC"]),
    ("mkdirat", &["EIO", "ENOSPC", "EACCES"]),
    ("mkdir", &["EIO", "ENOSPC", "EACCES"]),
    ("flock", &["EINTR", "ENOLCK"]),
    ("getdents64", &["EIO"]),
    ("copy_file_range", &["EIO", "ENOSPC", "EXDEV", "EINTR"]),
    ("fchmod", &["EPERM"]),
];
/// In place of an error: the process is killed there.
pub const KILL: &str = "SIGKILL";
/// Left out: nobody can do anything about these.
const HARMLESS: [&str; 4] = ["close", "munmap", "execve", "exit_group"];
/// After one of these has failed, nobody knows what is on the medium.
const SYNCING: [&str; 2] = ["fdatasync", "fsync"];
/// If these fail, reads may.
const READING: [&str; 11] = [
    "openat",
    "openat2",
    "read",
    "pread64",
    "mmap",
    "mremap",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "madvise",
];

#[derive(Clone, Debug)]
pub struct Injection {
    pub call: String,
    pub error: &'static str,
    /// Counted by thread, so that it may strike in several.
    pub when: u64,
}

impl Injection {
    /// What the library promises all the same.
    pub fn promise(&self) -> Promise {
        Promise {
            reads_may_fail: READING.contains(&&*self.call),
            latches: SYNCING.contains(&&*self.call),
        }
    }

    /// Whether the call is made again, and nobody notices.
    pub fn is_interruption(&self) -> bool {
        self.error == "EINTR"
    }
}

/// Everything that can fail, by what strace wrote of a run without failures.
pub fn all(log: &str) -> Vec<Injection> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if call.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            *counts.entry((call, thread)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    for ((call, _), count) in counts {
        let most = most.entry(call).or_default();
        *most = (*most).max(count);
    }
    let mut injections = Vec::new();
    for (call, count) in most.into_iter().filter(|(call, _)| !HARMLESS.contains(call)) {
        let known = ERRORS.iter().find(|(name, _)| *name == call);
        let errors = known.map_or(&["EIO"][..], |(_, errors)| errors);
        for error in errors.iter().copied().chain([KILL]) {
            let one = |when| Injection { call: call.into(), error, when };
            injections.extend((1..=count).map(one));
        }
    }
    injections
}
