//! What the tests share: directories, processes, random bytes, databases made by the library.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kv::db::{Db, WriteBatch, WriteSync};
use kv::options::Options;
use serde_json::Value;

/// A directory that is removed at the end of a test.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kv-cli-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The error on standard error, as JSON.
    pub fn error(&self) -> Value {
        let said: Value =
            serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        said["error"].clone()
    }

    /// The same, if it ended with `code`.
    #[track_caller]
    pub fn with(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// The same, if it ended well and had nothing to say of it.
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self
    }

    /// The same, if it ended with `code` and one line on standard error.
    #[track_caller]
    pub fn failed(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.err.matches('\n').count(), 1, "{self:?}");
        assert!(self.err.starts_with("kv: ") || self.err.starts_with('{'), "{self:?}");
        self
    }
}

/// A command that is about to run.
pub fn command(args: &[OsString]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("COLUMNS");
    command
}

/// Runs kv with these arguments and this standard input.
pub fn run(args: &[OsString], input: &[u8]) -> Ran {
    finish(command(args).spawn().unwrap(), input)
}

/// Gives a process its input, and waits for its end.
pub fn finish(mut child: Child, input: &[u8]) -> Ran {
    let mut to = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A process that does not read its input ends all the same.
    let feeder = thread::spawn(move || {
        let _ = to.write_all(&input);
    });
    let ended = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    Ran { code: ended.status.code().unwrap_or(-1), out: ended.stdout, err }
}

/// Runs kv with arguments of any kind of string.
#[macro_export]
macro_rules! kv {
    ($($argument:expr),* $(,)?) => {
        $crate::common::run(&[$(std::ffi::OsString::from($argument)),*], b"")
    };
}

/// The same with standard input.
#[macro_export]
macro_rules! kv_fed {
    ($input:expr; $($argument:expr),* $(,)?) => {
        $crate::common::run(&[$(std::ffi::OsString::from($argument)),*], $input)
    };
}

/// Random numbers; a test that fails says which began.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    pub fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Options of a database that tests make.
pub fn small() -> Options {
    Options { segment_size: 1 << 20, ..Options::default() }
}

/// Everything in a database: keys, values, times of expiry; in the order of keys.
pub type All = Vec<(Vec<u8>, Vec<u8>, Option<u64>)>;

/// Makes a database of these records.
pub fn make(path: &Path, records: &All) {
    let db = Db::open(path, &small()).unwrap();
    for some in records.chunks(500) {
        let mut batch = WriteBatch::new();
        for (key, value, expiry) in some {
            match expiry {
                Some(expiry) => batch.put_until(key, value, *expiry).unwrap(),
                None => batch.put(key, value, 0).unwrap(),
            }
        }
        db.write(&batch, WriteSync::AsOpened).unwrap();
    }
    db.close().unwrap();
}

/// Reads a database.
pub fn read(path: &Path) -> All {
    let options = Options { create_if_missing: false, ..small() };
    let db = Db::open(path, &options).unwrap();
    let mut iter = db.open_iter(None, b"").unwrap();
    let mut all = All::new();
    while db.advance(&mut iter).unwrap() {
        let (key, value) = iter.current().unwrap();
        all.push((key.to_vec(), value.to_vec(), db.expires_at(key).unwrap().unwrap()));
    }
    db.close_iter(iter);
    db.close().unwrap();
    all.sort();
    all
}

/// Records of random bytes, and of what is hard on text; a third of them expire, in 2033 or later.
pub fn records(seed: u64, count: u64) -> All {
    let mut random = Random::new(seed);
    let hard: [&[u8]; 8] =
        [b"\0", b"\n", b"\r\n", b"\"", b",", b"\xff\xfe", "é\u{feff}".as_bytes(), b"\\x41\\"];
    let mut all = All::new();
    for number in 0..count {
        let mut key = number.to_be_bytes().to_vec();
        let len = random.below(20);
        key.extend(random.bytes(len));
        key.extend_from_slice(hard[number as usize % hard.len()]);
        let len = random.below(300);
        let mut value = random.bytes(len);
        if number % 2 == 0 {
            value = hard.concat();
        }
        let expiry = (number % 3 == 0).then(|| 2_000_000_000_000 + random.below(1 << 40));
        all.push((key, value, expiry));
    }
    all.push((b"empty".to_vec(), Vec::new(), None));
    all.sort();
    all
}

/// The files in a directory with their bytes, but for the lock, which says who had it last.
pub fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name != "LOCK")
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// Flips a bit of the byte at which `needle` begins in a segment. Answers its name and the offset.
pub fn damage(path: &Path, needle: &[u8]) -> (String, u64) {
    for (name, mut bytes) in files(path) {
        let found = bytes.windows(needle.len()).position(|window| window == needle);
        if let Some(at) = found.filter(|_| name.ends_with(".seg")) {
            bytes[at] ^= 1;
            fs::write(path.join(&name), bytes).unwrap();
            return (name, at as u64);
        }
    }
    panic!("it is in no segment");
}
