//! Options: every setting of a database with its unit, default and range, by typed setter or by
//! text. [`SETTINGS`] is the one place that knows them all.

mod text;

use std::ffi::CStr;

use crate::clock::TimeSource;
use crate::error::Result;
use crate::notice::Listeners;
use text::invalid;

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
    /// The share of the log that may be garbage before compaction begins by itself, in percent; 0
    /// is what keeps all files below 1.5 times the newest records.
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
    /// Keep histograms of how long operations take.
    pub latency_histograms: bool,
    /// How often figures are published in the file `STATS`, if they have changed; 0 is never.
    pub publish_stats_ms: u64,
    /// The mode of files that are made, one of [`FILE_MODES`].
    pub file_mode: u32,
    /// Who is told what happens.
    pub listeners: Listeners,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The smallest `segment_size`.
pub const MIN_SEGMENT_SIZE: u64 = MIB;
/// The largest `segment_size`.
pub const MAX_SEGMENT_SIZE: u64 = 2 * GIB;
/// The longest `sync_interval_ms`: a day.
pub const MAX_SYNC_INTERVAL_MS: u64 = 86_400_000;
/// The shortest `publish_stats_ms` but 0.
const MIN_PUBLISH_STATS_MS: u64 = 100;
/// The longest: an hour.
const MAX_PUBLISH_STATS_MS: u64 = 3_600_000;
/// What `file_mode` may be: no one reads more than the group does, or writes what he cannot read.
const FILE_MODES: [u32; 6] = [0o600, 0o640, 0o660, 0o644, 0o664, 0o666];
/// The least `max_disk_bytes`, in segments.
const LEAST_SEGMENTS: u64 = 4;

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
            compaction_garbage_percent: 0,
            compaction_bytes_per_second: 0,
            max_disk_bytes: 0,
            max_index_bytes: 0,
            time: TimeSource::System,
            latency_histograms: false,
            publish_stats_ms: 0,
            file_mode: FILE_MODES[0],
            listeners: Listeners::default(),
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

    /// An error if options contradict each other.
    pub fn check(&self) -> Result<()> {
        if self.max_disk_bytes != 0 && self.max_disk_bytes / LEAST_SEGMENTS < self.segment_size {
            let segment = self.segment_size;
            let allowed = format!("0, or four segments of {segment} bytes and more");
            return Err(invalid("max_disk_bytes", &self.max_disk_bytes.to_string(), &allowed));
        }
        Ok(())
    }
}

/// All that text, messages, C's descriptions and the documents say of one option.
pub struct Setting {
    /// Its name in text, and after `kv_options_set_`.
    pub name: &'static CStr,
    /// The unit of its number; empty where it has none.
    pub unit: &'static CStr,
    /// What it is unless it is set.
    pub default: &'static CStr,
    /// What it may be.
    pub range: &'static CStr,
    /// What it is for.
    pub description: &'static CStr,
    form: Form,
    get: fn(&Options) -> u64,
    set: fn(&mut Options, u64),
}

/// What kind of value an option has. All are numbers inside.
enum Form {
    /// A number, or a size with a unit.
    Number { is_bytes: bool, least: u64, most: u64, zero: Zero },
    /// A yes or a no.
    Flag,
    /// One of these, counted from 0.
    Choice(&'static [&'static str]),
}

/// What 0 means where it is less than the least.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    /// It is out of range.
    Nothing,
    /// There is no limit.
    NoLimit,
    /// It is not done at all.
    Off,
    /// The database works it out.
    Automatic,
}

/// A number of bytes from `least` to `most`.
const fn bytes(least: u64, most: u64) -> Form {
    Form::Number { is_bytes: true, least, most, zero: Zero::Nothing }
}

/// A number of bytes that is `least` or more, or 0 for no limit.
const fn limit(least: u64) -> Form {
    Form::Number { is_bytes: true, least, most: u64::MAX, zero: Zero::NoLimit }
}

/// A number from `least` to `most`.
const fn number(least: u64, most: u64) -> Form {
    Form::Number { is_bytes: false, least, most, zero: Zero::Nothing }
}

/// A number from `least` to `most`, or 0 for never.
const fn number_or_off(least: u64, most: u64) -> Form {
    Form::Number { is_bytes: false, least, most, zero: Zero::Off }
}

/// A number from `least` to `most`, or 0 for what the database works out.
const fn number_or_automatic(least: u64, most: u64) -> Form {
    Form::Number { is_bytes: false, least, most, zero: Zero::Automatic }
}

/// Every option.
pub static SETTINGS: [Setting; 16] = [
    Setting {
        name: c"segment_size",
        unit: c"bytes",
        default: c"64MiB",
        range: c"1MiB to 2GiB",
        description: c"where the log goes on in a new file",
        form: bytes(MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE),
        get: |options| options.segment_size,
        set: |options, to| options.segment_size = to,
    },
    Setting {
        name: c"sync",
        unit: c"",
        default: c"interval",
        range: c"none, interval, always",
        description: c"when a write is forced to the medium",
        form: Form::Choice(&["none", "interval", "always"]),
        get: |options| options.sync as u64,
        set: |options, to| {
            options.sync = [SyncLevel::None, SyncLevel::Interval, SyncLevel::Always][to as usize]
        },
    },
    Setting {
        name: c"sync_interval_ms",
        unit: c"milliseconds",
        default: c"1000",
        range: c"1 to 86400000",
        description: c"the interval of sync = interval",
        form: number(1, MAX_SYNC_INTERVAL_MS),
        get: |options| options.sync_interval_ms,
        set: |options, to| options.sync_interval_ms = to,
    },
    Setting {
        name: c"create_if_missing",
        unit: c"",
        default: c"true",
        range: c"true, false",
        description: c"make a database where there is none",
        form: Form::Flag,
        get: |options| options.create_if_missing as u64,
        set: |options, to| options.create_if_missing = to != 0,
    },
    Setting {
        name: c"error_if_exists",
        unit: c"",
        default: c"false",
        range: c"true, false",
        description: c"refuse a database that exists",
        form: Form::Flag,
        get: |options| options.error_if_exists as u64,
        set: |options, to| options.error_if_exists = to != 0,
    },
    Setting {
        name: c"verify_checksums",
        unit: c"",
        default: c"true",
        range: c"true, false",
        description: c"check the checksum on every read",
        form: Form::Flag,
        get: |options| options.verify_checksums as u64,
        set: |options, to| options.verify_checksums = to != 0,
    },
    Setting {
        name: c"read_mode",
        unit: c"",
        default: c"mmap",
        range: c"mmap, pread",
        description: c"how complete segments are read",
        form: Form::Choice(&["mmap", "pread"]),
        get: |options| options.read_mode as u64,
        set: |options, to| options.read_mode = [ReadMode::Mmap, ReadMode::Pread][to as usize],
    },
    Setting {
        name: c"on_damage",
        unit: c"",
        default: c"fail",
        range: c"fail, read_only",
        description: c"refuse a damaged database, or open the rest",
        form: Form::Choice(&["fail", "read_only"]),
        get: |options| options.on_damage as u64,
        set: |options, to| options.on_damage = [OnDamage::Fail, OnDamage::ReadOnly][to as usize],
    },
    Setting {
        name: c"compaction",
        unit: c"",
        default: c"auto",
        range: c"auto, manual",
        description: c"who compacts: the database, or its user only",
        form: Form::Choice(&["auto", "manual"]),
        get: |options| options.compaction as u64,
        set: |options, to| {
            options.compaction = [CompactionMode::Auto, CompactionMode::Manual][to as usize]
        },
    },
    Setting {
        name: c"compaction_garbage_percent",
        unit: c"percent",
        default: c"0",
        range: c"0 (automatic), or 5 to 90",
        description: c"garbage in the log before compaction",
        form: number_or_automatic(5, 90),
        get: |options| options.compaction_garbage_percent,
        set: |options, to| options.compaction_garbage_percent = to,
    },
    Setting {
        name: c"compaction_bytes_per_second",
        unit: c"bytes",
        default: c"0",
        range: c"0 (no limit), or 1 and more",
        description: c"its speed while there is room",
        form: limit(1),
        get: |options| options.compaction_bytes_per_second,
        set: |options, to| options.compaction_bytes_per_second = to,
    },
    Setting {
        name: c"max_disk_bytes",
        unit: c"bytes",
        default: c"0",
        range: c"0 (no limit), or 4MiB and more",
        description: c"what all files may take, four segments at least",
        form: limit(LEAST_SEGMENTS * MIN_SEGMENT_SIZE),
        get: |options| options.max_disk_bytes,
        set: |options, to| options.max_disk_bytes = to,
    },
    Setting {
        name: c"max_index_bytes",
        unit: c"bytes",
        default: c"0",
        range: c"0 (no limit), or 1MiB and more",
        description: c"what the index may take of memory",
        form: limit(MIB),
        get: |options| options.max_index_bytes,
        set: |options, to| options.max_index_bytes = to,
    },
    Setting {
        name: c"latency_histograms",
        unit: c"",
        default: c"false",
        range: c"true, false",
        description: c"keep histograms of how long operations take",
        form: Form::Flag,
        get: |options| options.latency_histograms as u64,
        set: |options, to| options.latency_histograms = to != 0,
    },
    Setting {
        name: c"publish_stats_ms",
        unit: c"milliseconds",
        default: c"0",
        range: c"0 (off), or 100 to 3600000",
        description: c"how often figures are written for kv top",
        form: number_or_off(MIN_PUBLISH_STATS_MS, MAX_PUBLISH_STATS_MS),
        get: |options| options.publish_stats_ms,
        set: |options, to| options.publish_stats_ms = to,
    },
    Setting {
        name: c"file_mode",
        unit: c"",
        default: c"0600",
        range: c"0600, 0640, 0660, 0644, 0664, 0666",
        description: c"who may read and write files that are made",
        form: Form::Choice(&["0600", "0640", "0660", "0644", "0664", "0666"]),
        get: |options| {
            FILE_MODES.iter().position(|&mode| mode == options.file_mode).unwrap_or(0) as u64
        },
        set: |options, to| options.file_mode = FILE_MODES[to as usize],
    },
];

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::error::Kind;

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
            ("latency_histograms", "true"),
            ("publish_stats_ms", "250"),
            ("file_mode", "0664"),
        ] {
            options.set_text(name, value).unwrap();
        }
        assert_eq!(options.segment_size, MIB);
        assert_eq!(options.sync, SyncLevel::Always);
        assert_eq!(options.sync_interval_ms, 50);
        assert!(!options.create_if_missing && options.error_if_exists);
        assert!(!options.verify_checksums && options.latency_histograms);
        assert_eq!(options.read_mode, ReadMode::Pread);
        assert_eq!(options.on_damage, OnDamage::ReadOnly);
        assert_eq!(options.compaction, CompactionMode::Manual);
        assert_eq!(options.compaction_garbage_percent, 40);
        assert_eq!(options.compaction_bytes_per_second, 8 * MIB);
        assert_eq!((options.max_disk_bytes, options.max_index_bytes), (GIB, 32 * MIB));
        assert_eq!((options.file_mode, options.publish_stats_ms), (0o664, 250));
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
        for percent in [1, 4, 91, 101, u64::MAX] {
            assert!(options.set_compaction_garbage_percent(percent).is_err(), "{percent}");
        }
        assert!(options.set_max_index_bytes(MIB - 1).is_err());
        assert!(options.set_max_disk_bytes(4 * MIB - 1).is_err());
        // One that its owner cannot read, one that runs, one that is no octal number, and 640.
        for mode in [0, 0o400, 0o700, 0o606, 640, 0o100600, u64::MAX] {
            let error = options.set_file_mode(mode).unwrap_err();
            assert!(error.to_string().contains("0600, 0640"), "{error}");
        }
        for ms in [1, 99, 3_600_001, u64::MAX] {
            let error = options.set_publish_stats_ms(ms).unwrap_err();
            assert!(error.to_string().contains("0 (off), or 100 to 3600000"), "{error}");
        }
        for ms in [100, 3_600_000, 0] {
            options.set_publish_stats_ms(ms).unwrap();
            assert_eq!(options.publish_stats_ms, ms);
        }
        options.set_file_mode(0o640).unwrap();
        assert_eq!(options.get_text("file_mode").unwrap(), "0640");
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
