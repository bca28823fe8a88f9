//! Options: every setting of a database with its unit, default and range, by typed setter or by
//! text.

use crate::clock::TimeSource;
use crate::error::{Error, Kind, Result};

/// When an acknowledged write is on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncLevel {
    /// Never forced: the kernel writes back when it likes.
    None,
    /// In the background, at most [`Options::sync_interval_ms`] after it was acknowledged.
    Interval,
    /// Before it is acknowledged.
    Always,
}

/// How sealed segments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    /// Through a memory map: fastest; a media error under a page raises SIGBUS.
    Mmap,
    /// By `pread`: slower; a media error is an ordinary error.
    Pread,
}

/// Who compacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionMode {
    /// The database itself, in the background.
    Auto,
    /// Only those who call for it.
    Manual,
}

/// What `open` does with a database that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Refuse with [`Kind::Corrupt`], touching nothing.
    Fail,
    /// Open what is whole, for reading only.
    ReadOnly,
}

/// Everything that can be set before a database is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes after which the log goes on in a new segment.
    pub segment_size: u64,
    /// The durability of writes.
    pub sync: SyncLevel,
    /// The longest a write stays unsynced under [`SyncLevel::Interval`].
    pub sync_interval_ms: u64,
    /// Create the database when there is none.
    pub create_if_missing: bool,
    /// Refuse to open a database that exists.
    pub error_if_exists: bool,
    /// Check the record's checksum on every read.
    pub verify_checksums: bool,
    /// How sealed segments are read.
    pub read_mode: ReadMode,
    /// What to do with a damaged database.
    pub on_damage: OnDamage,
    /// Who compacts.
    pub compaction: CompactionMode,
    /// The share of the log that may be garbage before compaction begins by itself, in percent.
    pub compaction_garbage_percent: u64,
    /// Bytes that compaction may read and write in a second while there is room; 0 is no limit.
    pub compaction_bytes_per_second: u64,
    /// Bytes that all files may take together; 0 is what the disk has.
    pub max_disk_bytes: u64,
    /// Bytes of memory that the index may take; 0 is no limit.
    pub max_index_bytes: u64,
    /// Where time comes from, for tests.
    #[doc(hidden)]
    pub time: TimeSource,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The smallest `segment_size`.
pub const MIN_SEGMENT_SIZE: u64 = MIB;
/// The largest `segment_size`.
pub const MAX_SEGMENT_SIZE: u64 = 2 * GIB;
/// The range of `segment_size`, for messages.
const SEGMENT_SIZES: &str = "1MiB to 2GiB";
/// The longest `sync_interval_ms`: a day.
pub const MAX_SYNC_INTERVAL_MS: u64 = 86_400_000;

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_size: 64 * MIB,
            sync: SyncLevel::Interval,
            sync_interval_ms: 1000,
            create_if_missing: true,
            error_if_exists: false,
            verify_checksums: true,
            read_mode: ReadMode::Mmap,
            on_damage: OnDamage::Fail,
            compaction: CompactionMode::Auto,
            compaction_garbage_percent: 23,
            compaction_bytes_per_second: 0,
            max_disk_bytes: 0,
            max_index_bytes: 0,
            time: TimeSource::System,
        }
    }
}

impl Options {
    /// How many files of sealed segments may be open at once. A process may have some 65,000 maps,
    /// but few descriptors.
    pub fn open_segments(&self) -> usize {
        match self.read_mode {
            ReadMode::Mmap => 8192,
            ReadMode::Pread => 256,
        }
    }

    /// Sets the segment size in bytes.
    pub fn set_segment_size(&mut self, bytes: u64) -> Result<()> {
        let allowed = MIN_SEGMENT_SIZE..=MAX_SEGMENT_SIZE;
        if !allowed.contains(&bytes) {
            return Err(invalid("segment_size", &bytes.to_string(), SEGMENT_SIZES));
        }
        self.segment_size = bytes;
        Ok(())
    }

    /// Sets the sync interval in milliseconds.
    pub fn set_sync_interval_ms(&mut self, ms: u64) -> Result<()> {
        if !(1..=MAX_SYNC_INTERVAL_MS).contains(&ms) {
            return Err(invalid("sync_interval_ms", &ms.to_string(), "1 to 86400000"));
        }
        self.sync_interval_ms = ms;
        Ok(())
    }

    /// Sets the share of garbage in percent.
    pub fn set_compaction_garbage_percent(&mut self, percent: u64) -> Result<()> {
        if !(5..=90).contains(&percent) {
            let name = "compaction_garbage_percent";
            return Err(invalid(name, &percent.to_string(), GARBAGE_PERCENT));
        }
        self.compaction_garbage_percent = percent;
        Ok(())
    }

    /// Sets the most that all files may take together; 0 is no limit.
    pub fn set_max_disk_bytes(&mut self, bytes: u64) -> Result<()> {
        if bytes != 0 && bytes < LEAST_SEGMENTS * MIN_SEGMENT_SIZE {
            return Err(invalid("max_disk_bytes", &bytes.to_string(), DISK_BYTES));
        }
        self.max_disk_bytes = bytes;
        Ok(())
    }

    /// Sets the most memory that the index may take; 0 is no limit.
    pub fn set_max_index_bytes(&mut self, bytes: u64) -> Result<()> {
        if bytes != 0 && bytes < MIB {
            return Err(invalid("max_index_bytes", &bytes.to_string(), INDEX_BYTES));
        }
        self.max_index_bytes = bytes;
        Ok(())
    }

    /// An error if options contradict each other.
    pub fn check(&self) -> Result<()> {
        if self.max_disk_bytes != 0 && self.max_disk_bytes / LEAST_SEGMENTS < self.segment_size {
            let segment = self.segment_size;
            let allowed = format!("0, or four segments of {segment} bytes and more");
            return Err(invalid("max_disk_bytes", &self.max_disk_bytes.to_string(), &allowed));
        }
        Ok(())
    }

    /// Sets the option called `name` from text, as a configuration file or a command line has it.
    pub fn set_text(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "segment_size" => {
                let set = self.set_segment_size(parse_bytes(name, value)?);
                set.map_err(|_| invalid(name, value, SEGMENT_SIZES))
            }
            "sync" => parse_choice(name, value, &SYNC_LEVELS).map(|v| self.sync = v),
            "sync_interval_ms" => {
                let ms = value.parse().map_err(|_| invalid(name, value, "1 to 86400000"))?;
                self.set_sync_interval_ms(ms)
            }
            "create_if_missing" => parse_bool(name, value).map(|v| self.create_if_missing = v),
            "error_if_exists" => parse_bool(name, value).map(|v| self.error_if_exists = v),
            "verify_checksums" => parse_bool(name, value).map(|v| self.verify_checksums = v),
            "read_mode" => parse_choice(name, value, &READ_MODES).map(|v| self.read_mode = v),
            "compaction" => parse_choice(name, value, &COMPACTION).map(|v| self.compaction = v),
            "compaction_garbage_percent" => {
                let percent = value.parse().map_err(|_| invalid(name, value, GARBAGE_PERCENT))?;
                self.set_compaction_garbage_percent(percent)
            }
            "compaction_bytes_per_second" => {
                parse_bytes(name, value).map(|v| self.compaction_bytes_per_second = v)
            }
            "max_disk_bytes" => {
                let set = self.set_max_disk_bytes(parse_bytes(name, value)?);
                set.map_err(|_| invalid(name, value, DISK_BYTES))
            }
            "max_index_bytes" => {
                let set = self.set_max_index_bytes(parse_bytes(name, value)?);
                set.map_err(|_| invalid(name, value, INDEX_BYTES))
            }
            "on_damage" => parse_choice(name, value, &ON_DAMAGE).map(|v| self.on_damage = v),
            _ => Err(Error::new(
                Kind::UnknownOption,
                format!("there is no option \"{name}\"; the options are {NAMES}"),
            )),
        }
    }
}

/// Every option's name, for the message about an unknown one.
const NAMES: &str = "segment_size, sync, sync_interval_ms, create_if_missing, error_if_exists, \
                     verify_checksums, read_mode, on_damage, compaction, \
                     compaction_garbage_percent, compaction_bytes_per_second, max_disk_bytes, \
                     max_index_bytes";

/// The texts of [`SyncLevel`].
const SYNC_LEVELS: [(&str, SyncLevel); 3] =
    [("none", SyncLevel::None), ("interval", SyncLevel::Interval), ("always", SyncLevel::Always)];
/// The texts of [`ReadMode`].
const READ_MODES: [(&str, ReadMode); 2] = [("mmap", ReadMode::Mmap), ("pread", ReadMode::Pread)];
/// The least `max_disk_bytes`, in segments.
const LEAST_SEGMENTS: u64 = 4;
/// The range of `max_disk_bytes`, for messages.
const DISK_BYTES: &str = "0, or 4MiB and four segments at least";
/// The range of `max_index_bytes`, for messages.
const INDEX_BYTES: &str = "0, or 1MiB at least";
/// The range of `compaction_garbage_percent`, for messages.
const GARBAGE_PERCENT: &str = "5 to 90";
/// The texts of [`CompactionMode`].
const COMPACTION: [(&str, CompactionMode); 2] =
    [("auto", CompactionMode::Auto), ("manual", CompactionMode::Manual)];
/// The texts of [`OnDamage`].
const ON_DAMAGE: [(&str, OnDamage); 2] =
    [("fail", OnDamage::Fail), ("read_only", OnDamage::ReadOnly)];

#[cold]
fn invalid(name: &str, value: &str, allowed: &str) -> Error {
    Error::new(
        Kind::InvalidOption,
        format!("option \"{name}\" cannot be \"{value}\"; allowed: {allowed}"),
    )
}

/// A size such as "67108864", "64MiB" or "64 MB". KB, MB and GB are powers of 1024 as well.
fn parse_bytes(name: &str, value: &str) -> Result<u64> {
    let text = value.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(KIB),
        "m" | "mb" | "mib" => Some(MIB),
        "g" | "gb" | "gib" => Some(GIB),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| invalid(name, value, "a number of bytes, KiB, MiB or GiB, such as 64MiB"))
}

fn parse_bool(name: &str, value: &str) -> Result<bool> {
    match value.trim() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(invalid(name, value, "true or false")),
    }
}

fn parse_choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(text, _)| *text == value.trim());
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let texts: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
        invalid(name, value, &texts.join(", "))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("1048576", MIB),
            ("64MiB", 64 * MIB),
            ("64 MB", 64 * MIB),
            ("2g", 2 * GIB),
            (" 2048k ", 2 * MIB),
        ] {
            assert_eq!(parse_bytes("segment_size", text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "64TiB", "99999999999999999999", "20000000000g"] {
            let error = parse_bytes("segment_size", text).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidOption, "{text}");
        }
    }

    #[test]
    fn every_option_is_set_by_text() {
        let mut options = Options::default();
        for (name, value) in [
            ("segment_size", "1MiB"),
            ("sync", "always"),
            ("sync_interval_ms", "50"),
            ("create_if_missing", "false"),
            ("error_if_exists", "true"),
            ("verify_checksums", "off"),
            ("read_mode", "pread"),
            ("on_damage", "read_only"),
            ("compaction", "manual"),
            ("compaction_garbage_percent", "40"),
            ("compaction_bytes_per_second", "8MiB"),
            ("max_disk_bytes", "1GiB"),
            ("max_index_bytes", "32MiB"),
        ] {
            options.set_text(name, value).unwrap();
            assert!(NAMES.contains(name), "{name} is not in the list shown to users");
        }
        assert_eq!(options.segment_size, MIB);
        assert_eq!(options.sync, SyncLevel::Always);
        assert_eq!(options.sync_interval_ms, 50);
        assert!(!options.create_if_missing && options.error_if_exists);
        assert!(!options.verify_checksums);
        assert_eq!(options.read_mode, ReadMode::Pread);
        assert_eq!(options.on_damage, OnDamage::ReadOnly);
        assert_eq!(options.compaction, CompactionMode::Manual);
        assert_eq!(options.compaction_garbage_percent, 40);
        assert_eq!(options.compaction_bytes_per_second, 8 * MIB);
        assert_eq!((options.max_disk_bytes, options.max_index_bytes), (GIB, 32 * MIB));
    }

    #[test]
    fn a_bad_option_says_what_is_allowed() {
        let mut options = Options::default();
        let error = options.set_text("segment_siez", "1MiB").unwrap_err();
        assert_eq!(error.kind(), Kind::UnknownOption);
        assert!(error.to_string().contains("segment_size"), "{error}");
        let error = options.set_text("segment_size", "3GiB").unwrap_err();
        assert!(error.to_string().contains("\"3GiB\""), "as the user wrote it: {error}");
        assert!(error.to_string().contains("1MiB to 2GiB"), "{error}");
        let error = options.set_text("sync", "sometimes").unwrap_err();
        assert!(error.to_string().contains("none, interval, always"), "{error}");
        assert!(options.set_sync_interval_ms(0).is_err());
        for percent in [0, 4, 91, 101, u64::MAX] {
            assert!(options.set_compaction_garbage_percent(percent).is_err(), "{percent}");
        }
        assert!(options.set_max_index_bytes(MIB - 1).is_err());
        assert!(options.set_max_disk_bytes(4 * MIB - 1).is_err());
    }

    #[test]
    fn four_segments_must_fit_into_the_disk_that_is_allowed() {
        let mut options = Options::default();
        assert!(options.check().is_ok());
        options.set_max_disk_bytes(256 * MIB - 1).unwrap();
        assert_eq!(options.check().unwrap_err().kind(), Kind::InvalidOption);
        options.set_max_disk_bytes(256 * MIB).unwrap();
        assert!(options.check().is_ok());
    }
}
