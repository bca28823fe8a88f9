//! watch: what can be seen of a database from outside, while another process has it open. Names and
//! sizes of files are read, and nothing else: no lock is taken and no file opened.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kv::format::name;
use serde_json::{json, Value};

use crate::args::{Shared, Watch};
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::output::{human, Out};
use crate::time::unix_ms;

/// The names of the columns are said again after so many lines.
pub const LINES: u64 = 20;
/// `st_blocks` counts these.
const BLOCK: u64 = 512;
/// How long nobody looks whether the command is to end.
const DEAF_FOR: Duration = Duration::from_millis(50);

/// The files of a database at one moment.
#[derive(Clone, Debug, Default)]
struct Sample {
    segments: u64,
    /// The highest id of a segment: how many there ever were, about.
    newest: u64,
    segment_bytes: u64,
    /// What all files take on the disk.
    disk_bytes: u64,
    hints: u64,
    hint_bytes: u64,
    index_bytes: u64,
    manifest_bytes: u64,
    has_manifest: bool,
}

impl Sample {
    /// Looks at the files in a directory.
    fn take(path: &Path) -> io::Result<Sample> {
        let mut sample = Sample::default();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let about = match fs::symlink_metadata(entry.path()) {
                Ok(about) if about.is_file() => about,
                Ok(_) => continue,
                // Compaction has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name::is_ours(name)) else { continue };
            sample.disk_bytes += about.blocks() * BLOCK;
            if let Some(id) = name::parse_segment(name) {
                sample.segments += 1;
                sample.newest = sample.newest.max(id);
                sample.segment_bytes += about.len();
            } else if name::parse_hint(name).is_some() {
                sample.hints += 1;
                sample.hint_bytes += about.len();
            } else if name == name::INDEX {
                sample.index_bytes = about.len();
            } else if name == name::MANIFEST {
                sample.has_manifest = true;
                sample.manifest_bytes = about.len();
            }
        }
        Ok(sample)
    }
}

/// Shows a line after each interval, until Ctrl-C.
pub fn watch(args: &Watch, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let failed = |error| Failure::io(&format!("look at {}", args.db.display()), &error);
    let look = || Sample::take(&args.db);
    let mut before = match look() {
        Ok(sample) if sample.has_manifest => sample,
        Ok(_) => return Err(Failure::missing(&args.db)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::missing(&args.db));
        }
        Err(error) => return Err(failed(error)),
    };
    let mut out = Out::new();
    let mut since = Instant::now();
    for line in 0..args.count.unwrap_or(u64::MAX) {
        if !sleep(args.interval, &cancel) {
            break;
        }
        let (now, at) = (look().map_err(failed)?, Instant::now());
        let seconds = at.duration_since(since).as_secs_f64().max(1e-3);
        if shared.json {
            out.json(&as_json(&before, &now, seconds))?;
        } else {
            if line.is_multiple_of(LINES) && !shared.quiet {
                out.line(HEADER)?;
            }
            out.line(&as_text(&before, &now, seconds))?;
        }
        out.flush()?;
        (before, since) = (now, at);
    }
    Ok(Outcome::Done)
}

/// Sleeps; answers `false` if the command is to end.
pub fn sleep(interval: Duration, cancel: &Cancel) -> bool {
    let end = Instant::now() + interval;
    loop {
        if cancel.is_asked() {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(DEAF_FOR));
    }
}

const HEADER: &str =
    "segments     made  removed  in segments      on disk     growth/s       hints  \
    checkpoint    manifest";

/// How many segments were made and removed between two samples, as far as their ids tell.
fn changes(before: &Sample, now: &Sample) -> (u64, u64) {
    let made = now.newest.saturating_sub(before.newest);
    (made, (before.segments + made).saturating_sub(now.segments))
}

fn growth(before: &Sample, now: &Sample, seconds: f64) -> f64 {
    (now.disk_bytes as f64 - before.disk_bytes as f64) / seconds
}

fn as_text(before: &Sample, now: &Sample, seconds: f64) -> String {
    let (made, removed) = changes(before, now);
    let growth = growth(before, now, seconds);
    let sign = if growth < 0.0 { "-" } else { "" };
    format!(
        "{:>8} {:>8} {:>8} {:>12} {:>12} {:>12} {:>11} {:>11} {:>11}",
        now.segments,
        made,
        removed,
        human(now.segment_bytes),
        human(now.disk_bytes),
        format!("{sign}{}", human(growth.abs() as u64)),
        human(now.hint_bytes),
        human(now.index_bytes),
        human(now.manifest_bytes),
    )
}

fn as_json(before: &Sample, now: &Sample, seconds: f64) -> Value {
    let (made, removed) = changes(before, now);
    json!({
        "unix_ms": unix_ms(),
        "seconds": seconds,
        "segments": now.segments,
        "segments_made": made,
        "segments_removed": removed,
        "newest_segment": now.newest,
        "segment_bytes": now.segment_bytes,
        "disk_bytes": now.disk_bytes,
        "growth_bytes_per_second": growth(before, now, seconds) as i64,
        "hints": now.hints,
        "hint_bytes": now.hint_bytes,
        "checkpoint_bytes": now.index_bytes,
        "manifest_bytes": now.manifest_bytes,
    })
}
