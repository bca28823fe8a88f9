//! What somebody else may put under the name of a file, and what lies outside that must stay as it
//! is.

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that is not the file that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A symbolic link to a file outside, which holds the same bytes.
    LinkToFile,
    /// One to a directory outside.
    LinkToDirectory,
    /// One to nothing: who follows it and creates, creates outside.
    LinkToNothing,
    /// A pipe, at whose other end nobody is.
    Pipe,
    Socket,
    Directory,
    /// One that gives zeros for ever.
    Device,
    /// The name of a file outside, which holds the same bytes.
    HardLink,
}

pub const THINGS: [Thing; 8] = [
    Thing::LinkToFile,
    Thing::LinkToDirectory,
    Thing::LinkToNothing,
    Thing::Pipe,
    Thing::Socket,
    Thing::Directory,
    Thing::Device,
    Thing::HardLink,
];

/// A directory outside, with a file and a directory.
pub struct Outside {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Its mode, and when it was changed.
    data: (u32, i64, i64),
}

impl Outside {
    /// The file holds what `original` does, if there is such a file.
    pub fn new(path: &Path, original: &Path) -> Outside {
        let _ = fs::remove_dir_all(path);
        fs::create_dir_all(path.join("directory")).unwrap();
        let bytes = fs::read(original).unwrap_or_else(|_| b"pid 1\nboot 2\na secret".to_vec());
        fs::write(path.join("file"), &bytes).unwrap();
        fs::write(path.join("directory/file"), &bytes).unwrap();
        let data = data_of(&path.join("file"));
        Outside { path: path.to_owned(), bytes, data }
    }

    /// Puts the thing under a name, in the place of what is there. Answers whether that can be done
    /// here.
    pub fn plant(&self, thing: Thing, at: &Path) -> bool {
        let _ = fs::remove_file(at);
        match thing {
            Thing::LinkToFile => symlink(self.path.join("file"), at).unwrap(),
            Thing::LinkToDirectory => symlink(self.path.join("directory"), at).unwrap(),
            Thing::LinkToNothing => symlink(self.path.join("nothing"), at).unwrap(),
            Thing::Pipe => return succeeds(Command::new("mkfifo").arg(at)),
            Thing::Socket => drop(UnixListener::bind(at).unwrap()),
            Thing::Directory => {
                fs::create_dir(at).unwrap();
                fs::write(at.join("file"), b"not empty").unwrap();
            }
            Thing::Device => {
                return succeeds(Command::new("mknod").arg(at).args(["c", "1", "5"]));
            }
            Thing::HardLink => fs::hard_link(self.path.join("file"), at).unwrap(),
        }
        true
    }

    pub fn must_be_as_it_was(&self, what: &str) {
        assert_eq!(fs::read(self.path.join("file")).unwrap(), self.bytes, "{what}");
        assert_eq!(data_of(&self.path.join("file")), self.data, "{what}: touched");
        assert_eq!(fs::read(self.path.join("directory/file")).unwrap(), self.bytes, "{what}");
        let count = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!((count(&self.path), count(&self.path.join("directory"))), (2, 1), "{what}");
    }
}

/// Mode and times that only a change of the bytes changes.
fn data_of(path: &Path) -> (u32, i64, i64) {
    let data = fs::metadata(path).unwrap();
    (data.mode(), data.mtime(), data.mtime_nsec())
}

fn succeeds(command: &mut Command) -> bool {
    command.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Exchanges two names, in one step.
#[allow(unsafe_code, reason = "renameat2 has no safe interface")]
pub fn exchange(one: &Path, other: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let [one, other] =
        [one, other].map(|path| std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap());
    // SAFETY: both names are NUL-terminated and live.
    let result = unsafe {
        let (here, flags) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
        libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), flags)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
