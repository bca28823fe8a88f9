//! Mutation testing: which small changes of the library does no test notice?
//!
//! cargo-mutants says which changes there are. To build the library once for each takes days. So
//! all of them are written into one copy of it, each behind a switch that the environment sets.
//! Then each is judged by those tests only that pass its place, the most promising first.
//!
//!     kv-mutants SOURCES LIST WORK OUTCOMES [SHARD/SHARDS]
//!
//! SOURCES is the top directory; LIST is what `cargo mutants --list --json` wrote; WORK is a
//! directory for the copy; OUTCOMES gets a line of JSON for each mutant, and those that are in it
//! are not judged again. KV_MUTANTS_SECONDS leaves out tests that take longer, and
//! KV_MUTANTS_AFTER those that take less: a first run with the one at 0.5 judges most mutants in
//! minutes, and a second one with the other, after the lines of those that were missed or unreached
//! are gone from OUTCOMES, judges the rest.

mod judge;
mod outcome;
mod places;
mod rewrite;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

/// A change, as cargo-mutants has it.
pub struct Mutant {
    pub name: String,
    pub file: String,
    pub genre: String,
    pub replacement: String,
    /// Where it is: line and column, both from 1, of the first character and of the one behind.
    pub start: (usize, usize),
    pub end: (usize, usize),
}

fn list(path: &str) -> Vec<Mutant> {
    let text = std::fs::read_to_string(path).expect("the list of mutants can be read");
    let all: serde_json::Value = serde_json::from_str(&text).expect("the list is JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let place = |value: &serde_json::Value| {
        let number = |name: &str| value[name].as_u64().unwrap_or(0) as usize;
        (number("line"), number("column"))
    };
    let all = all.as_array().expect("the list is an array");
    let mutants = all.iter().map(|mutant| Mutant {
        name: text(&mutant["name"]),
        file: text(&mutant["file"]),
        genre: text(&mutant["genre"]),
        replacement: text(&mutant["replacement"]),
        start: place(&mutant["span"]["start"]),
        end: place(&mutant["span"]["end"]),
    });
    mutants.collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sources, listed, work, outcomes, shard @ ..] = &arguments[..] else {
        eprintln!("usage: kv-mutants SOURCES LIST WORK OUTCOMES [SHARD/SHARDS]");
        return ExitCode::from(2);
    };
    let (shard, shards) = shard.first().and_then(|text| text.split_once('/')).map_or((1, 1), |s| {
        (s.0.parse().expect("SHARD is a number"), s.1.parse().expect("SHARDS is a number"))
    });
    let mutants = list(listed);
    let work = PathBuf::from(work);
    let built = tree::build(&PathBuf::from(sources), &work, &mutants);
    let mut book = outcome::Book::open(&PathBuf::from(outcomes));
    for (number, mutant) in mutants.iter().enumerate() {
        if let Some(why) = built.cannot_be.get(&number) {
            book.note(mutant, why, "");
        }
    }
    let mut tests = judge::trace(&built, &work);
    let seconds = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let most: f64 = seconds("KV_MUTANTS_SECONDS").unwrap_or(f64::MAX);
    let least: f64 = seconds("KV_MUTANTS_AFTER").unwrap_or(0.0);
    tests.retain(|test| (least..=most).contains(&test.seconds));
    let mine = |number: usize| number % shards == shard - 1;
    for (number, mutant) in mutants.iter().enumerate().filter(|(number, _)| mine(*number)) {
        if !book.knows(mutant) {
            let (outcome, test) = judge::judge(number, &tests, &built.tree);
            book.note(mutant, outcome, &test);
        }
    }
    book.print_tally(&mutants);
    ExitCode::SUCCESS
}
