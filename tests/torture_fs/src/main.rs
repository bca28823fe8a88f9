//! Torments the library on the machine's own kernel: `make torture-fs`.
//!
//! Parts: `kill`, `power`, `errors`, `syscalls`, `full`, `memory`. PART=NAME says which, SECONDS=N
//! or ROUNDS=N how long each, SEED=N what is drawn, KERNELS=NAME,... on which file systems. A part
//! that the machine cannot do is skipped with a line that says why.

mod errors;
mod full;
mod judge;
mod kernels;
mod kill;
mod machine;
mod memory;
mod notes;
mod power;
mod random;
mod settings;
mod shared;
mod syscalls;
mod tale;
mod worker;

use std::process::ExitCode;

use settings::{Settings, Verdict};

type Part = (&'static str, u64, fn(&Settings) -> Verdict);
type Child = (&'static str, fn(&[String]) -> Result<(), String>);

/// Every part, with the rounds that it does if nothing is said.
const PARTS: [Part; 6] = [
    ("kill", 1_000, kill::run),
    ("power", 500, power::run),
    ("errors", 30, errors::run),
    ("syscalls", 500, syscalls::run),
    ("full", 40, full::run),
    ("memory", 1, memory::run),
];

/// What this program is when a part starts it again.
const CHILDREN: [Child; 5] = [
    ("kill-child", kill::child),
    ("power-child", power::child),
    ("errors-child", errors::child),
    ("full-child", full::child),
    ("memory-child", memory::child),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |(name, _): &&Child| arguments.first().is_some_and(|first| first == name);
    if let Some((_, child)) = CHILDREN.iter().find(named) {
        return match child(&arguments[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
        };
    }
    let wanted = settings::set("PART").unwrap_or_default();
    if !wanted.is_empty() && !PARTS.iter().any(|(name, ..)| wanted.split('|').any(|w| w == *name)) {
        eprintln!("there is no part {wanted}");
        return ExitCode::FAILURE;
    }
    // Without root the parts that mount say so themselves.
    let _ = machine::keep_mounts_private();
    let mut code = ExitCode::SUCCESS;
    for (name, rounds, run) in PARTS {
        if !wanted.is_empty() && !wanted.split('|').any(|part| part == name) {
            continue;
        }
        let mut settings = Settings::read();
        settings.begin(rounds);
        machine::remove_leftovers(&settings.memory);
        println!("==> {name} (SEED={})", settings.seed);
        match run(&settings) {
            Verdict::Passed => println!("==> {name}: passed"),
            Verdict::Skipped(why) => println!("==> {name}: SKIPPED: {why}"),
            Verdict::Failed(what) => {
                println!("==> {name}: FAILED: {what}");
                code = ExitCode::FAILURE;
            }
        }
        let _ = std::fs::remove_dir_all(&settings.directory);
        let _ = std::fs::remove_dir_all(&settings.memory);
    }
    code
}
