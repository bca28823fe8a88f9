//! The parent's part: a child for each engine and round, whose figures are collected.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::engine::Class;
use crate::engines::Entry;
use crate::metrics::{self, means, Metric, KEPT, METRICS};
use crate::settings::{child_arguments, Settings};
use crate::{footprint, stats};

/// One engine's figures of one metric, a value for each round.
pub struct Measured {
    pub engine: &'static Entry,
    pub metric: &'static Metric,
    pub values: Vec<f64>,
}

impl Measured {
    pub fn median(&self) -> f64 {
        stats::median(&self.values)
    }
}

/// All rounds with one number of keys and one length of values.
pub struct Run {
    pub keys: u64,
    pub value: usize,
    pub measured: Vec<Measured>,
}

impl Run {
    pub fn of(&self, engine: &str, metric: &str) -> Option<&Measured> {
        let is_it = |m: &&Measured| m.engine.name == engine && m.metric.name == metric;
        self.measured.iter().find(is_it)
    }

    /// The figures of a metric, in the order of engines.
    pub fn all<'r>(&'r self, metric: &'r Metric) -> impl Iterator<Item = &'r Measured> {
        self.measured.iter().filter(|measured| measured.metric.name == metric.name)
    }

    /// What an engine says of itself, or what was seen if that is less.
    pub fn class(&self, engine: &Entry) -> Class {
        match self.of(engine.name, KEPT) {
            Some(kept) if stats::least(&kept.values) < 100.0 => Class::LosesAtKill,
            _ => engine.class,
        }
    }

    fn add(&mut self, engine: &'static Entry, metric: &'static Metric, value: f64) {
        let same = |m: &&mut Measured| m.engine.name == engine.name && m.metric.name == metric.name;
        match self.measured.iter_mut().find(same) {
            Some(measured) => measured.values.push(value),
            None => self.measured.push(Measured { engine, metric, values: vec![value] }),
        }
    }
}

/// What a line of a child's says, if it is a figure.
pub fn parse(line: &str) -> Option<(&'static Metric, f64)> {
    let mut parts = line.strip_prefix("result\t")?.split('\t');
    let metric = metrics::find(parts.next()?)?;
    let value: f64 = parts.next()?.parse().ok()?;
    (value.is_finite() && parts.next().is_none()).then_some((metric, value))
}

/// What writes to a filled database.
const REWRITING: [&str; 4] = ["overwrit", "ycsb", "put", "delete"];

/// Bytes of disk that one engine may need: for what it takes to fill a database, and, if that is
/// written again, for old versions, which some never give back.
fn needed(workloads: &[String], keys: u64, value: usize) -> u64 {
    let rewrites = METRICS.iter().map(|metric| metric.name).any(|name| {
        let is_wanted = workloads.is_empty() || workloads.iter().any(|wanted| means(wanted, name));
        is_wanted && REWRITING.iter().any(|rewriting| name.contains(rewriting))
    });
    let versions = if rewrites { 8 } else { 2 };
    keys * (value as u64 + 64) * versions + (1 << 30)
}

/// Runs every round; failures are told and collected.
pub fn run(
    settings: &Settings,
    engines: &[&'static Entry],
    keys: u64,
    value: usize,
    failures: &mut Vec<String>,
) -> Result<Run, String> {
    let free = footprint::free(&settings.directory)?;
    let needed = needed(&settings.workloads, keys, value);
    if free < needed {
        let place = settings.directory.display();
        return Err(format!(
            "{keys} keys with values of {value} bytes may need {} MiB in {place}, where {} MiB are \
             free: choose another --dir, or fewer --keys",
            needed >> 20,
            free >> 20
        ));
    }
    let mut run = Run { keys, value, measured: Vec::new() };
    for round in 0..settings.rounds {
        for turn in 0..engines.len() {
            let engine = engines[(turn + round) % engines.len()];
            let about = format!("{keys} keys, {value} bytes, round {}", round + 1);
            match child(settings, engine, keys, value, &about) {
                Ok(figures) => figures.into_iter().for_each(|(m, v)| run.add(engine, m, v)),
                Err(message) => {
                    eprintln!("FAILED: {} ({about}): {message}", engine.name);
                    failures.push(format!("{} ({about}): {message}", engine.name));
                }
            }
        }
    }
    Ok(run)
}

type Figures = Vec<(&'static Metric, f64)>;

/// One engine, one round. A child that fails has no figures.
fn child(
    settings: &Settings,
    engine: &'static Entry,
    keys: u64,
    value: usize,
    about: &str,
) -> Result<Figures, String> {
    let name = format!("kv-peers-{}", std::process::id());
    let directory = settings.directory.join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).map_err(|e| e.to_string())?;
    footprint::warm_memory(2 * keys * (value as u64 + 64) + (1 << 30));
    let job = settings.job(engine.name, keys, value, directory.clone());
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .args(child_arguments("--bench", &job))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let output = child.stdout.take().ok_or("the child has no output")?;
    let mut figures = Figures::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some((metric, value)) = parse(&line) {
            eprintln!("{about}: {} {} {}", engine.name, metric.name, stats::number(value));
            figures.push((metric, value));
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    let _ = std::fs::remove_dir_all(&directory);
    if status.success() {
        Ok(figures)
    } else {
        Err(format!("the child ended with {status}; what it said is above"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines;

    /// A line of a child's is understood if it is a figure of a metric, and ignored otherwise.
    #[test]
    fn lines_of_results_are_understood() {
        let (metric, value) = parse("result\tread-random\t1234.5").expect("a result");
        assert_eq!((metric.name, value), ("read-random", 1234.5));
        for line in [
            "",
            "read-random\t1",
            "result\tnothing\t1",
            "result\tread-random",
            "result\tread-random\tfast",
            "result\tread-random\tNaN",
            "result\tread-random\t1\t2",
        ] {
            assert!(parse(line).is_none(), "{line:?}");
        }
    }

    /// What only fills and reads takes less room.
    #[test]
    fn room_is_asked_for_what_is_done() {
        let gib = |workloads: &[&str]| {
            let names: Vec<String> = workloads.iter().map(|name| (*name).to_owned()).collect();
            needed(&names, 100_000_000, 100) >> 30
        };
        assert_eq!([gib(&[]), gib(&["ycsb-a"]), gib(&["disk-overwritten"])], [123; 3]);
        assert_eq!([gib(&["fill-random"]), gib(&["read", "memory", "get-many"])], [31; 2]);
    }

    /// An engine that lost something is not among those that lose nothing, whatever it says.
    #[test]
    fn what_was_lost_counts() {
        let mut run = Run { keys: 1, value: 1, measured: Vec::new() };
        let engine = engines::find("lmdb").expect("it is in the table");
        assert!(run.class(engine) == Class::KeepsAtKill);
        for (kept, class) in [(100.0, Class::KeepsAtKill), (99.9, Class::LosesAtKill)] {
            run.add(engine, metrics::find(KEPT).expect("it is a metric"), kept);
            assert!(run.class(engine) == class);
        }
    }
}
