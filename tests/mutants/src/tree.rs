//! The copy of the library with all mutants in it, and its tests, built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::rewrite::{begin_of, end_of, rewritten};
use crate::Mutant;

/// Tests that can tell one library from another: not those of C, of headers and of style, nor those
/// whose outcome is chance.
const TESTS: [&str; 29] = [
    "active_segment",
    "backup",
    "compaction",
    "compaction_groups",
    "compaction_keeps",
    "corrupt",
    "corrupt_batches",
    "corrupt_index",
    "crash",
    "golden",
    "iterators",
    "live_damage",
    "manifest",
    "many",
    "metrics",
    "model",
    "recovery",
    "restore",
    "segment_reads",
    "segment_table",
    "snapshots",
    "space",
    "spare",
    "stats",
    "ttl",
    "ttl_crash",
    "verify",
    "verify_lies",
    "writes",
];

/// What is put into the copy for the mutants to ask.
const SWITCH: &str = "//! Which mutant is switched on.
#![allow(missing_docs)]
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::OnceLock;

const TRACE: usize = usize::MAX;
static ACTIVE: OnceLock<usize> = OnceLock::new();
static PASSED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

#[cold]
fn read() -> usize {
    let text = std::env::var(\"KV_MUTANT\").unwrap_or_default();
    if text == \"trace\" { TRACE } else { text.parse().unwrap_or(TRACE - 1) }
}

#[cold]
fn note(number: usize) {
    if PASSED[number].swap(true, Relaxed) { return; }
    use std::io::Write;
    let Some(path) = std::env::var_os(\"KV_MUTANT_TRACE\") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(format!(\"{number}\\n\").as_bytes()));
}

#[inline]
pub fn at(number: usize) -> usize {
    let active = *ACTIVE.get_or_init(read);
    if active == TRACE { note(number); }
    active
}

#[inline]
pub fn is(number: usize) -> bool { at(number) == number }
";

/// What was built.
pub struct Built {
    pub tree: PathBuf,
    pub programs: Vec<PathBuf>,
    /// Mutants that are not in it, and why.
    pub cannot_be: BTreeMap<usize, &'static str>,
    /// The number by which a mutant's place is known, if it is not its own.
    pub known_as: BTreeMap<usize, usize>,
    /// What tells the list of mutants from others.
    pub list: u64,
}

/// Copies the sources to `work`, writes all mutants into them that the compiler takes, and builds
/// the tests.
pub fn build(sources: &Path, work: &Path, mutants: &[Mutant]) -> Built {
    let tree = work.join("tree");
    fs::create_dir_all(&tree).expect("the copy can be made");
    let mut built = Built {
        tree,
        programs: Vec::new(),
        cannot_be: read_unviable(work, mutants),
        known_as: BTreeMap::new(),
        list: 0,
    };
    loop {
        write(sources, mutants, &mut built);
        let check = ["check", "--lib"].map(str::to_owned).to_vec();
        let mut bad = cargo(&mut built, work, check);
        if bad.is_empty() {
            let mut all = ["test", "--no-run", "--lib"].map(str::to_owned).to_vec();
            all.extend(TESTS.iter().flat_map(|name| ["--test".to_owned(), (*name).to_owned()]));
            bad = cargo(&mut built, work, all);
        }
        if bad.is_empty() {
            return built;
        }
        println!("the compiler refuses {} mutants", bad.len());
        built.cannot_be.extend(bad.into_iter().map(|number| (number, "unviable")));
        let unviable = built.cannot_be.iter().filter(|(_, why)| **why == "unviable");
        let lines: Vec<&str> = unviable.map(|(number, _)| &*mutants[*number].name).collect();
        fs::write(work.join("unviable"), lines.join("\n")).expect("the work can be written");
    }
}

/// What the compiler refused before.
fn read_unviable(work: &Path, mutants: &[Mutant]) -> BTreeMap<usize, &'static str> {
    let text = fs::read_to_string(work.join("unviable")).unwrap_or_default();
    let names: BTreeSet<&str> = text.lines().collect();
    let is_unviable = |number: &usize| names.contains(&*mutants[*number].name);
    (0..mutants.len()).filter(is_unviable).map(|number| (number, "unviable")).collect()
}

/// Writes the copy.
fn write(sources: &Path, mutants: &[Mutant], built: &mut Built) {
    let mut by_file: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
    for (number, mutant) in mutants.iter().enumerate() {
        if built.cannot_be.get(&number) != Some(&"unviable") {
            by_file.entry(&mutant.file).or_default().push((number, mutant));
        }
    }
    let listed = Command::new("git")
        .args(["ls-files", "-co", "--exclude-standard", "src", "tests", "benches", "include"])
        .args(["Cargo.toml", "Cargo.lock", "build.rs", "cbindgen.toml"])
        .current_dir(sources)
        .output()
        .expect("git runs");
    let mut hash = std::hash::DefaultHasher::new();
    mutants.iter().for_each(|mutant| mutant.name.hash(&mut hash));
    built.list = hash.finish();
    for name in String::from_utf8_lossy(&listed.stdout).lines() {
        let Ok(mut bytes) = fs::read(sources.join(name)) else { continue };
        if let Some(mutants) = by_file.get(name) {
            let text = String::from_utf8(bytes).expect("the sources are UTF-8");
            let new = rewritten(&text, mutants);
            built.cannot_be.extend(new.homeless.iter().map(|&number| (number, "constant")));
            built.known_as.extend(new.known_as);
            bytes = new.text.into_bytes();
        } else if name == "src/lib.rs" {
            bytes.extend_from_slice(b"\n#[doc(hidden)]\npub mod mutant;\n");
        }
        put(&built.tree.join(name), &bytes);
    }
    let switch = SWITCH.replace("COUNT", &mutants.len().to_string());
    put(&built.tree.join("src/mutant.rs"), switch.as_bytes());
}

/// Writes a file, unless it is there as it should be.
fn put(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("it can be made");
    fs::write(path, bytes).expect("the copy can be written");
}

/// Runs cargo; answers which mutants the compiler refuses.
fn cargo(built: &mut Built, work: &Path, arguments: Vec<String>) -> BTreeSet<usize> {
    println!("==> cargo {}", arguments[0]);
    let output = Command::new("cargo")
        .args(arguments)
        .arg("--message-format=json")
        .current_dir(&built.tree)
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let mut bad = BTreeSet::new();
    let mut first = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        if let Some(program) = line["executable"].as_str() {
            built.programs.push(PathBuf::from(program));
        }
        let message = &line["message"];
        if message["level"] == "error" {
            let found = culprits(&built.tree, message);
            if found.is_empty() && first.is_empty() {
                first = message["rendered"].as_str().unwrap_or_default().to_owned();
            }
            bad.extend(found);
        }
    }
    let is_known = output.status.success() || !bad.is_empty();
    assert!(is_known, "the copy does not build, through no mutant's fault:\n{first}");
    built.programs.sort();
    built.programs.dedup();
    bad
}

/// The mutants in whose text an error is.
fn culprits(tree: &Path, message: &Value) -> Vec<usize> {
    let spans = message["spans"].as_array().cloned().unwrap_or_default();
    let is_primary = |span: &&Value| span["is_primary"] == true;
    let of = |spans: Vec<&Value>| -> Vec<usize> {
        spans.into_iter().filter_map(|span| culprit(tree, span)).collect()
    };
    let found = of(spans.iter().filter(is_primary).collect());
    if found.is_empty() {
        return of(spans.iter().collect());
    }
    found
}

/// The innermost mutant around a span.
fn culprit(tree: &Path, span: &Value) -> Option<usize> {
    let text = fs::read_to_string(tree.join(span["file_name"].as_str()?)).ok()?;
    let at = span["byte_start"].as_u64()? as usize;
    let before = text.get(..at)?;
    // Comments begin so only where a mutant does.
    for (begin, _) in before.rmatch_indices("/*<") {
        let digits: String = before[begin + 3..].chars().take_while(char::is_ascii_digit).collect();
        let number = digits.parse().ok()?;
        debug_assert!(before[begin..].starts_with(&begin_of(number)));
        if text[begin..].find(&end_of(number)).is_some_and(|end| begin + end >= at) {
            return Some(number);
        }
    }
    None
}
