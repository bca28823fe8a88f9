//! How a command ends: the exit codes, and what is said of a failure, for people and programs.

use std::io::{self, Write};
use std::path::Path;

use kv::error::{Error, Kind};
use serde_json::{json, Value};

/// How a command ends that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done = 0,
    /// The answer is no: no such key, damage was found, something is lost.
    No = 1,
}

/// What went wrong, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// The answer is no: what was asked for is not there.
    No = 1,
    Usage = 2,
    NoDatabase = 3,
    InUse = 4,
    Damaged = 5,
    System = 6,
    Input = 7,
    Bug = 8,
    /// Interrupted by Ctrl-C, as shells count it.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
    /// Nobody reads the output any more: as if by SIGPIPE.
    Unread = 141,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub struct Failure {
    class: Class,
    /// In a word, for programs.
    kind: String,
    message: String,
    /// The file that it is about, and where in it: a byte of a database, or a line of an input.
    file: Option<String>,
    offset: Option<u64>,
    line: Option<u64>,
}

impl Failure {
    fn new(class: Class, kind: &str, message: impl Into<String>) -> Failure {
        let (kind, message) = (kind.to_owned(), message.into());
        Failure { class, kind, message, file: None, offset: None, line: None }
    }

    /// The command was called in a wrong way.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Class::Usage, "usage", message)
    }

    /// The operating system refused `action`, such as "read data.csv".
    pub fn io(action: &str, error: &io::Error) -> Failure {
        Failure::new(Class::System, "io", format!("cannot {action}: {error}"))
    }

    /// There is no database in a directory.
    pub fn missing(path: &Path) -> Failure {
        let message = format!("there is no database at {}", path.display());
        Failure::new(Class::NoDatabase, "does_not_exist", message)
    }

    /// What was asked for is not there; `kind` says why, in a word.
    pub fn no(kind: &str, message: String) -> Failure {
        Failure::new(Class::No, kind, message)
    }

    /// A bug of this program, or of the library.
    pub fn bug(message: &str) -> Failure {
        Failure::new(Class::Bug, "internal", message)
    }

    /// What was to be imported is not as it should be.
    pub fn input(file: &str, line: Option<u64>, offset: Option<u64>, message: String) -> Failure {
        let failure = Failure::new(Class::Input, "bad_input", message);
        Failure { file: Some(file.to_owned()), line, offset, ..failure }
    }

    /// A signal ended it; `left` says what that leaves.
    pub fn interrupted(is_terminated: bool, left: &str) -> Failure {
        let class = if is_terminated { Class::Terminated } else { Class::Interrupted };
        Failure::new(class, "interrupted", format!("interrupted; {left}"))
    }

    /// Standard output could not be written.
    pub fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Class::Unread, "unread", ""),
            _ => Failure::io("write standard output", error),
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.class as u8
    }

    /// Whether there is no database where one was looked for.
    pub fn is_missing(&self) -> bool {
        self.kind == "does_not_exist"
    }

    /// The same with more words.
    pub fn with_hint(mut self, hint: &str) -> Failure {
        self.message.push_str(hint);
        self
    }

    /// Says it on standard error, in one line.
    pub fn tell(&self, as_json: bool) {
        if self.class == Class::Unread {
            return;
        }
        let line = if as_json {
            json!({ "error": self.as_json() }).to_string()
        } else {
            format!("kv: {}", one_line(&self.message))
        };
        // Where not even that can be said, the exit code is left.
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn as_json(&self) -> Value {
        let mut error = json!({
            "kind": self.kind,
            "message": self.message,
            "exit_code": self.code(),
        });
        let places = [
            ("file", self.file.as_ref().map(|file| json!(file))),
            ("offset", self.offset.map(|offset| json!(offset))),
            ("line", self.line.map(|line| json!(line))),
        ];
        for (name, place) in places {
            if let Some(place) = place {
                error[name] = place;
            }
        }
        error
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = error.kind();
        let failure = Failure::new(class_of(kind), &name_of(kind), error.to_string());
        let (file, offset) = error.place().unzip();
        Failure { file: file.map(str::to_owned), offset, ..failure }
    }
}

fn class_of(kind: Kind) -> Class {
    match kind {
        Kind::NullArgument
        | Kind::InvalidArgument
        | Kind::EmptyKey
        | Kind::KeyTooLong
        | Kind::ValueTooLong
        | Kind::UnknownOption
        | Kind::InvalidOption
        | Kind::Unsupported
        | Kind::NotACounter
        | Kind::Overflow
        | Kind::BatchTooLarge => Class::Usage,
        Kind::DoesNotExist
        | Kind::AlreadyExists
        | Kind::NotADirectory
        | Kind::NotADatabase
        | Kind::NewerFormat => Class::NoDatabase,
        Kind::AlreadyOpen | Kind::Locked | Kind::Busy => Class::InUse,
        Kind::Corrupt => Class::Damaged,
        Kind::PermissionDenied
        | Kind::NoSpace
        | Kind::OutOfMemory
        | Kind::TooManyOpen
        | Kind::Io
        | Kind::ReadOnly
        | Kind::UnknownOutcome
        | Kind::IndexFull => Class::System,
        Kind::Cancelled => Class::Interrupted,
        Kind::Closed | Kind::Forked | Kind::Internal => Class::Bug,
    }
}

/// The name of a kind as programs read it: `DoesNotExist` is "does_not_exist".
fn name_of(kind: Kind) -> String {
    let mut name = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// A text without what would break its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_library_keeps_its_place_and_has_a_code() {
        let failure = Failure::from(Error::corrupt("00000001.seg", 4096, "a checksum\nis wrong"));
        assert_eq!(failure.code(), 5);
        let said = failure.as_json();
        assert_eq!((said["kind"].as_str(), said["offset"].as_u64()), (Some("corrupt"), Some(4096)));
        assert_eq!(said["file"].as_str(), Some("00000001.seg"));
        assert!(!one_line(&failure.message).contains('\n'));
        let failure = Failure::from(Error::new(Kind::DoesNotExist, "x"));
        assert_eq!((failure.code(), failure.kind.as_str()), (3, "does_not_exist"));
        assert!(failure.is_missing());
        assert_eq!(Failure::interrupted(false, "all is well").code(), 130);
        assert_eq!(Failure::output(&io::ErrorKind::BrokenPipe.into()).code(), 141);
    }
}
