//! libkv and the engines that its users would pick instead, side by side: the same operations, in
//! the same order, with the same safety, as far as that can be had.
//!
//! The program starts itself once for each engine and round, so that no engine has another's
//! memory, and collects what these children tell. docs/BENCHMARKS.md says what the figures mean.

mod bench;
mod data;
mod engine;
mod engines;
mod footprint;
mod json;
mod kill;
mod library;
mod metrics;
mod perform;
mod plots;
mod reload;
mod rounds;
mod settings;
mod stats;
mod streams;
mod svg;
mod table;

#[allow(dead_code, reason = "shared with another benchmark")]
#[path = "../../scale/histogram.rs"]
mod histogram;
#[allow(dead_code, reason = "shared with another benchmark")]
#[path = "../../scale/machine.rs"]
mod machine;
#[allow(dead_code, reason = "shared with another benchmark")]
#[path = "../../scale/workload.rs"]
mod workload;

use std::process::ExitCode;

use engines::{Entry, ENGINES};
use metrics::METRICS;
use rounds::Run;
use settings::Settings;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{}", settings::USAGE);
        return ExitCode::SUCCESS;
    }
    let done = Settings::from_arguments(&arguments).and_then(|settings| match &settings.child {
        Some((flag, engine)) => child(&settings, flag, engine),
        None => parent(&settings),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("kv-peers: {message}");
            ExitCode::FAILURE
        }
    }
}

fn child(settings: &Settings, flag: &str, engine: &str) -> Result<(), String> {
    let entry = engines::find(engine).ok_or("there is no such engine")?;
    let (keys, value) = (settings.keys[0], settings.values[0]);
    let job = settings.job(entry.name, keys, value, settings.directory.clone());
    match flag {
        "--load" => (entry.load)(&job),
        _ => (entry.bench)(&job, entry.can),
    }
}

/// The engines that are there, with their versions; the others are named.
fn present(settings: &Settings) -> Vec<(&'static Entry, String)> {
    let is_chosen = |entry: &&Entry| {
        settings.engines.is_empty() || settings.engines.iter().any(|name| name == entry.name)
    };
    let mut present = Vec::new();
    for entry in ENGINES.iter().filter(is_chosen) {
        match (entry.version)() {
            Ok(version) => {
                println!("{:<16} {version:<10} {}", entry.name, entry.options);
                present.push((entry, version));
            }
            Err(reason) => {
                let package = match entry.package {
                    "" => String::new(),
                    package => format!("; the Debian package {package} has it"),
                };
                println!("{:<16} LEFT OUT: {reason}{package}", entry.name);
            }
        }
    }
    present
}

fn parent(settings: &Settings) -> Result<(), String> {
    if !settings.draw.is_empty() {
        let runs = reload::read(&settings.draw)?;
        runs.iter().for_each(tell);
        return draw(settings, &runs);
    }
    machine::describe(&settings.directory);
    println!("\nengines:");
    let present = present(settings);
    if settings.is_list {
        println!("\nworkloads:");
        METRICS.iter().for_each(|metric| println!("{:<22} {}", metric.name, metric.unit));
        return Ok(());
    }
    let engines: Vec<&'static Entry> = present.iter().map(|(entry, _)| *entry).collect();
    if engines.is_empty() {
        return Err("no engine is there".to_owned());
    }
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for &value in &settings.values {
        for &keys in &settings.keys {
            let run = rounds::run(settings, &engines, keys, value, &mut failures)?;
            tell(&run);
            runs.push(run);
        }
    }
    if let Some(file) = &settings.json {
        let text = json::document(&present, &runs, &failures);
        std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    draw(settings, &runs)?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(format!("{} failures:\n{}", failures.len(), failures.join("\n")))
    }
}

fn tell(run: &Run) {
    println!("\n{} keys, values of {} bytes", run.keys, run.value);
    println!("{}", table::tables(run));
    println!("{}", table::summary(run));
}

fn draw(settings: &Settings, runs: &[Run]) -> Result<(), String> {
    let Some(directory) = &settings.plots else { return Ok(()) };
    plots::draw(directory, runs).map_err(|e| format!("{}: {e}", directory.display()))
}
