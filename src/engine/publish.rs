//! Figures for those outside, who cannot open the database: text in the file `STATS`, replaced when
//! the figures have changed. docs/FORMAT.md has its lines.
//!
//! It is no data: nothing is synced, nobody waits for it, and what fails is tried again later.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::herald::unix_ms;
use super::latency::OPERATIONS;
use super::maintenance::Bell;
use super::stats::SegmentStats;
use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::memory::Text;
use crate::notice::Level;
use crate::storage::process;

/// Publishes the figures of one database.
pub(super) struct Publisher {
    /// None where nothing is published.
    interval: Option<Duration>,
    bell: Bell,
    /// Held while figures are written or removed.
    published: Mutex<Published>,
}

#[derive(Default)]
struct Published {
    /// What the figures hash to that are in the file.
    hash: Option<u64>,
    /// Whether the last try has failed, which was told.
    is_failing: bool,
}

impl Publisher {
    /// One that publishes every so often, unless that is 0 or it may not: a damaged database is
    /// left as it is.
    pub fn new(interval_ms: u64, may: bool) -> Publisher {
        let interval = (may && interval_ms > 0).then(|| Duration::from_millis(interval_ms));
        Publisher { interval, bell: Bell::default(), published: Mutex::default() }
    }

    /// Says that nothing more is to be published.
    pub fn stop(&self) {
        self.bell.stop();
    }
}

impl Engine {
    /// Whether figures are published.
    pub(super) fn publishes(&self) -> bool {
        self.publisher.interval.is_some()
    }

    /// Publishes figures until that is to end.
    pub(super) fn publish_now_and_then(&self) {
        let Some(interval) = self.publisher.interval else { return };
        self.publish();
        while self.publisher.bell.wait(Some(Instant::now() + interval)) {
            self.publish();
        }
    }

    /// Publishes figures, if they have changed. A failure is told when it is the first.
    pub fn publish(&self) {
        let mut published = self.publisher.published.lock();
        let result = self.publish_changed(&mut published);
        let was_failing = std::mem::replace(&mut published.is_failing, result.is_err());
        if let Err(error) = result {
            if !was_failing {
                let words = format_args!("figures cannot be published, for now: {error}");
                self.herald.log(Level::Warn, words);
            }
        }
    }

    /// Removes what was published, since the database is closed.
    pub(super) fn withdraw(&self) {
        if self.publishes() {
            let mut published = self.publisher.published.lock();
            published.hash = None;
            // What stays is known as that of a process that is gone, and the next open removes it.
            let _ = self.storage.remove_if_there(name::STATS);
        }
    }

    fn publish_changed(&self, published: &mut Published) -> Result<()> {
        let no_memory = |_| Error::new(Kind::OutOfMemory, "there is no memory for the figures");
        let segments = self.segment_stats()?;
        let mut figures = Text::default();
        self.write_figures(&mut figures, &segments).map_err(no_memory)?;
        let mut hasher = DefaultHasher::new();
        figures.as_str().hash(&mut hasher);
        let hash = Some(hasher.finish());
        if hash == published.hash {
            return Ok(());
        }
        let mut head = Text::default();
        self.write_head(&mut head).map_err(no_memory)?;
        let replaced = self.replace_stats(&[head.as_str(), figures.as_str()]);
        if replaced.is_err() {
            // It would take room that may be scarce.
            let _ = self.storage.remove_if_there(name::STATS_NEW);
        }
        replaced?;
        published.hash = hash;
        Ok(())
    }

    fn replace_stats(&self, parts: &[&str]) -> Result<()> {
        self.storage.remove_if_there(name::STATS_NEW)?;
        let file = self.storage.create(name::STATS_NEW)?;
        let mut at = 0;
        for part in parts {
            file.write_at(part.as_bytes(), at)?;
            at += part.len() as u64;
        }
        drop(file);
        self.storage.rename(name::STATS_NEW, name::STATS)
    }

    /// Writes when the figures were taken, and by whom.
    fn write_head(&self, out: &mut Text) -> fmt::Result {
        let pid = std::process::id();
        let interval = self.publisher.interval.unwrap_or_default().as_millis();
        writeln!(out, "# libkv figures 1")?;
        writeln!(out, "# time {}", unix_ms())?;
        writeln!(out, "# interval {interval}")?;
        writeln!(out, "# pid {pid}")?;
        writeln!(out, "# started {}", process::started_at(pid).unwrap_or(0))?;
        writeln!(out, "# boot {}", process::boot_id())?;
        writeln!(out, "# pids {}", process::pid_namespace())
    }

    /// Writes all that is compared with what was published before.
    fn write_figures(&self, out: &mut Text, segments: &[SegmentStats]) -> fmt::Result {
        let histograms = if self.latency.is_on() { "on" } else { "off" };
        writeln!(out, "# histograms {histograms}")?;
        let hints = self.hints_due.lock().len();
        writeln!(out, "# pending {hints} {}", self.log_since_checkpoint())?;
        for latency in (0..OPERATIONS.len()).filter_map(|number| self.latency(number)) {
            if latency.times.count > 0 {
                let name = latency.name.to_str().unwrap_or_default();
                write!(out, "# latency {name} {} {}", latency.one_in, latency.times.longest())?;
                for (time, count) in latency.times.coarse() {
                    write!(out, " {time}:{count}")?;
                }
                writeln!(out)?;
            }
        }
        for segment in segments {
            let state = match (segment.is_active, segment.is_sealed) {
                (true, _) => "active",
                (_, true) => "sealed",
                _ => "waiting",
            };
            let SegmentStats { id, disk_bytes, live_bytes, dead_bytes, .. } = segment;
            writeln!(out, "# segment {id} {disk_bytes} {live_bytes} {dead_bytes} {state}")?;
        }
        self.write_metrics(out)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_others() {
        let me = std::process::id();
        let began = process::started_at(me).unwrap();
        assert!(began > 0);
        assert_eq!(process::started_at(me), Some(began));
        // Pids end at 4,194,304 (Linux).
        assert_eq!(process::started_at(u32::MAX), None);
        assert!(process::pid_namespace().starts_with("pid:"));
        // Nobody has waited for this one: it is there, and dead.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        while process::started_at(child.id()).is_some() {
            assert!(Instant::now() < patience);
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
    }
}
