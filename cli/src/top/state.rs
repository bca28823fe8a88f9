//! What a database publishes of itself: its file `STATS`, read (docs/FORMAT.md).

use std::collections::BTreeMap;
use std::path::Path;

use kv::db::SegmentStats;
use kv::error::Kind;
use kv::format::name;
use kv::storage::posix::PosixStorage;
use kv::storage::{process, Storage};

use crate::fail::Failure;
use crate::time::unix_ms;

/// How the file begins that this program can read.
const FIRST_LINE: &str = "# libkv figures 1";
/// How it ends, if it is whole.
const LAST_LINE: &str = "# EOF";
/// No database has figures that are longer.
const LONGEST: u64 = 1 << 30;

/// The figures of one moment. What counts, counts from when the database was opened.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// When it was published, in milliseconds since 1970.
    pub unix_ms: u64,
    /// How often that is done at most.
    pub interval_ms: u64,
    /// The process that has the database open.
    pub pid: u32,
    started: u64,
    boot: String,
    pids: String,
    /// Whether operations are timed.
    pub is_timed: bool,
    /// Sealed segments without a hint.
    pub hints_due: u64,
    /// Bytes of log that no checkpoint knows.
    pub log_since_checkpoint: u64,
    pub operations: Vec<Operation>,
    pub segments: Vec<SegmentStats>,
    figures: BTreeMap<String, f64>,
}

/// How long an operation takes.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    pub name: String,
    /// Of so many, one is timed.
    pub one_in: u64,
    pub longest_ns: u64,
    /// Times in nanoseconds, and how many took about so long.
    pub times: BTreeMap<u64, u64>,
}

/// What can be said of the process that wrote figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    Runs,
    IsGone,
    /// It counts its processes otherwise, as in a container.
    IsElsewhere,
}

impl State {
    /// Reads what the database in a directory publishes; none if it does not.
    pub fn read(path: &Path) -> Result<Option<State>, Failure> {
        let storage = PosixStorage::open(path, false)?;
        let file = match storage.open(name::STATS, false) {
            Ok(file) => file,
            Err(error) if error.kind() == Kind::DoesNotExist => {
                return match storage.list()?.iter().any(|name| name == name::MANIFEST) {
                    true => Ok(None),
                    false => Err(Failure::missing(path)),
                };
            }
            // A link, or another thing that is no file.
            Err(error) if error.kind() == Kind::Corrupt => {
                return Err(Failure::no("unreadable", error.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let mut bytes = vec![0; file.len()?.min(LONGEST) as usize];
        file.read_at(&mut bytes, 0)?;
        match State::parse(&String::from_utf8_lossy(&bytes)) {
            Some(state) => Ok(Some(state)),
            None => {
                let text = "it is torn by a crash, or of another version of libkv";
                Err(Failure::no(
                    "unreadable",
                    format!("{}/{}: {text}", path.display(), name::STATS),
                ))
            }
        }
    }

    fn parse(text: &str) -> Option<State> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) || text.lines().next_back() != Some(LAST_LINE) {
            return None;
        }
        let mut state = State::default();
        for line in lines {
            match line.strip_prefix("# ") {
                Some(line) => state.take(line)?,
                None => {
                    // What has labels is told by lines of its own.
                    if let Some((name, value)) =
                        line.split_once(' ').filter(|_| !line.contains('{'))
                    {
                        let name = name.strip_prefix("libkv_").unwrap_or(name);
                        state.figures.insert(name.to_owned(), value.parse().ok()?);
                    }
                }
            }
        }
        Some(state)
    }

    /// Takes what follows the "# " of a line; nothing, if it is wrong.
    fn take(&mut self, line: &str) -> Option<()> {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "time" => self.unix_ms = rest.parse().ok()?,
            "interval" => self.interval_ms = rest.parse().ok()?,
            "pid" => self.pid = rest.parse().ok()?,
            "started" => self.started = rest.parse().ok()?,
            "boot" => self.boot = rest.to_owned(),
            "pids" => self.pids = rest.to_owned(),
            "histograms" => self.is_timed = rest == "on",
            "pending" => {
                let (hints, log) = rest.split_once(' ')?;
                (self.hints_due, self.log_since_checkpoint) =
                    (hints.parse().ok()?, log.parse().ok()?);
            }
            "latency" => self.operations.push(Operation::parse(rest)?),
            "segment" => self.segments.push(segment(rest)?),
            // A line of OpenMetrics, or of a newer libkv.
            _ => (),
        }
        Some(())
    }

    /// What counted was this when the database was opened.
    pub fn at_opening(&self) -> State {
        let unix_ms = (self.get("opened_timestamp_seconds") * 1000.0) as u64;
        State { unix_ms, pid: self.pid, started: self.started, ..State::default() }
    }

    /// A figure by its name, without the "libkv_" before it; 0 if there is none.
    pub fn get(&self, name: &str) -> f64 {
        self.figures.get(name).copied().unwrap_or_default()
    }

    /// The same, of what is counted in whole numbers.
    pub fn count(&self, name: &str) -> u64 {
        self.get(name) as u64
    }

    /// Whether both are of one database that has not been closed in between.
    pub fn is_of_the_same_open(&self, other: &State) -> bool {
        let opened = |state: &State| state.count("opened_timestamp_seconds");
        (self.pid, self.started) == (other.pid, other.started) && opened(self) == opened(other)
    }

    /// What became of the process that wrote it.
    pub fn writer(&self) -> Writer {
        let (boot, pids) = (process::boot_id(), process::pid_namespace());
        let differ = |one: &str, other: &str| !one.is_empty() && !other.is_empty() && one != other;
        if differ(&boot, &self.boot) {
            return Writer::IsGone;
        }
        let is_seen = process::started_at(std::process::id()).is_some() && self.started > 0;
        if differ(&pids, &self.pids) || !is_seen {
            return Writer::IsElsewhere;
        }
        match process::started_at(self.pid) == Some(self.started) {
            true => Writer::Runs,
            false => Writer::IsGone,
        }
    }

    /// How long ago it was published, in milliseconds.
    pub fn age_ms(&self) -> u64 {
        unix_ms().saturating_sub(self.unix_ms)
    }
}

impl Operation {
    /// Reads "NAME ONE_IN LONGEST TIME:COUNT ...".
    fn parse(text: &str) -> Option<Operation> {
        let mut words = text.split(' ');
        let name = words.next()?.to_owned();
        let (one_in, longest_ns) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let mut times = BTreeMap::new();
        for word in words {
            let (time, count) = word.split_once(':')?;
            times.insert(time.parse().ok()?, count.parse().ok()?);
        }
        Some(Operation { name, one_in, longest_ns, times })
    }
}

/// Reads "ID BYTES LIVE DEAD STATE".
fn segment(text: &str) -> Option<SegmentStats> {
    let words: Vec<&str> = text.split(' ').collect();
    let [id, disk, live, dead, state, ..] = words[..] else { return None };
    Some(SegmentStats {
        id: id.parse().ok()?,
        disk_bytes: disk.parse().ok()?,
        live_bytes: live.parse().ok()?,
        dead_bytes: dead.parse().ok()?,
        is_sealed: state == "sealed",
        is_active: state == "active",
        ..SegmentStats::default()
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Figures of a database that was opened at 1,000,000 ms.
    pub fn text(unix_ms: u64, writes: u64, puts: &str) -> String {
        format!(
            "{FIRST_LINE}\n# time {unix_ms}\n# interval 1000\n# pid 7\n# started 8\n# boot b\n\
             # pids pid:[1]\n# histograms on\n# pending 2 4096\n# new thing\n\
             # latency put 32 900{puts}\n# segment 3 2097152 1048576 524288 active\n\
             # TYPE libkv_writes counter\nlibkv_info{{path=\"a b\"}} 1\nlibkv_keys 5\n\
             libkv_opened_timestamp_seconds 1000.0\nlibkv_writes_total {writes}\n\
             libkv_deletes_total 0\nlibkv_written_bytes_total {}\n{LAST_LINE}\n",
            writes * 100
        )
    }

    pub fn state(unix_ms: u64, writes: u64, puts: &str) -> State {
        State::parse(&text(unix_ms, writes, puts)).unwrap_or_default()
    }

    #[test]
    fn all_lines_are_read_and_unknown_ones_passed_over() {
        let state = state(1_002_000, 50, " 100:3 200:1");
        assert_eq!((state.unix_ms, state.interval_ms, state.pid), (1_002_000, 1000, 7));
        assert_eq!((state.hints_due, state.log_since_checkpoint, state.is_timed), (2, 4096, true));
        assert_eq!((state.count("keys"), state.count("writes_total")), (5, 50));
        assert_eq!(state.segments.len(), 1);
        assert!(state.segments[0].is_active && state.segments[0].dead_bytes == 524_288);
        let put = &state.operations[0];
        assert_eq!((put.name.as_str(), put.one_in, put.longest_ns), ("put", 32, 900));
        assert_eq!(put.times.values().sum::<u64>(), 4);
        assert_eq!(state.at_opening().unix_ms, 1_000_000);
        // Another boot, whatever runs under that pid.
        assert_eq!(state.writer(), Writer::IsGone);
    }

    #[test]
    fn what_is_torn_is_not_read() {
        let whole = text(1, 1, "");
        assert!(State::parse(&whole).is_some());
        for len in 0..whole.len() - 1 {
            assert!(State::parse(&whole[..len]).is_none(), "{len}");
        }
        assert!(State::parse(&whole.replace("figures 1", "figures 2")).is_none());
        assert!(State::parse(&whole.replace("# time 1", "# time x")).is_none());
        assert!(State::parse("\0\0\0").is_none());
    }
}
