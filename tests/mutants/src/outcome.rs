//! What became of each mutant: a line of JSON each, so that a run goes on where another ended.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::Mutant;

/// The outcomes so far.
pub struct Book {
    file: File,
    known: BTreeMap<String, String>,
}

impl Book {
    /// Opens the file, with what is in it already.
    pub fn open(path: &Path) -> Book {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut known = BTreeMap::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            known.insert(text("mutant"), text("outcome"));
        }
        let file = OpenOptions::new().append(true).create(true).open(path);
        Book { file: file.expect("the outcomes can be written"), known }
    }

    /// Whether this one has an outcome.
    pub fn knows(&self, mutant: &Mutant) -> bool {
        self.known.contains_key(&mutant.name)
    }

    /// Notes an outcome, and the test that brought it about.
    pub fn note(&mut self, mutant: &Mutant, outcome: &str, test: &str) {
        if self.knows(mutant) {
            return;
        }
        let line = serde_json::json!({ "mutant": mutant.name, "outcome": outcome, "test": test });
        // In one piece: others may write there too.
        let line = format!("{line}\n");
        self.file.write_all(line.as_bytes()).expect("the outcomes can be written");
        if outcome == "missed" || outcome == "unreached" {
            println!("{outcome}: {}", mutant.name);
        }
        self.known.insert(mutant.name.clone(), outcome.to_owned());
    }

    /// How many of the listed mutants had which outcome.
    pub fn print_tally(&self, mutants: &[Mutant]) {
        let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
        for mutant in mutants {
            let outcome = self.known.get(&mutant.name).map_or("not judged yet", String::as_str);
            *tally.entry(outcome).or_default() += 1;
        }
        let words: Vec<String> = tally.iter().map(|(what, n)| format!("{n} {what}")).collect();
        println!("{} mutants: {}", mutants.len(), words.join(", "));
    }
}
