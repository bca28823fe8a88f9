//! The style of this project, as far as a machine can judge it: sizes, first lines, and who may
//! import whom.
//!
//! Each failure names the file, the line and the rule. The list [`ROOMS`] is the architecture:
//! imports go down only. A new room, or a new door between two, is a change to it that a reader has
//! to agree with.

mod rust_text;

use std::fs;
use std::path::{Path, PathBuf};

use rust_text::{code_of, imports, is_name_char, line_at, module_of, words};

/// Where source files are, besides the top directory.
const DIRECTORIES: [&str; 11] = [
    "src",
    "tests",
    "benches",
    "bindings",
    "cli",
    "examples-c",
    "examples-cpp",
    "cmake",
    "docs/manual",
    "fuzz",
    "include/kv",
];
/// Directories in them that hold no sources.
const NO_SOURCES: [&str; 11] = [
    "bindings/python/build",
    "tests/golden",
    "tests/loom/target",
    "tests/guard/target",
    "tests/torture_fs/target",
    "benches/peers/target",
    "cli/target",
    "docs/manual/target",
    "tests/documents/target",
    "fuzz/target",
    "fuzz/corpus",
];

const MAX_COLUMNS: usize = 100;
const MAX_FUNCTION: usize = 70;
const MAX_FILE: usize = 400;
/// A first line shorter than this says nothing.
const MIN_FIRST_LINE: usize = 20;

/// Words for what is not done yet. Split, so that this file has none.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("db", "g!"),
    concat!("unimplemented", "!"),
];

/// Where `unsafe` may be, besides tests and benchmarks.
const UNSAFE_ROOMS: [&str; 4] = ["src/ffi/", "src/storage/", "src/epoch/", "src/cpu.rs"];

/// What each room may import of the others: whole rooms, or single names of them.
const ROOMS: [(&str, &[&str]); 19] = [
    (
        "ffi",
        &[
            "db",
            "epoch",
            "error",
            "memory",
            "notice",
            "options",
            "storage::barrier",
            "storage::process",
            "format::MAX_KEY_LEN",
            "format::MAX_VALUE_LEN",
        ],
    ),
    ("db", &["engine", "options", "epoch", "error", "format::name", "storage"]),
    (
        "engine",
        &[
            "segment",
            "index",
            "manifest",
            "format",
            "storage",
            "epoch",
            "atomic",
            "options",
            "clock",
            "notice",
            "histogram",
            "error",
            "memory",
            "wrong_turn",
        ],
    ),
    ("manifest", &["format", "storage", "error", "memory", "wrong_turn"]),
    (
        "segment",
        &[
            "format",
            "storage",
            "epoch",
            "atomic",
            "error",
            "memory",
            "index::Location",
            "index::LOCATION_BITS",
            "options::ReadMode",
            "wrong_turn",
        ],
    ),
    ("options", &["clock", "notice", "error"]),
    ("notice", &[]),
    ("histogram", &[]),
    ("index", &["epoch", "error", "memory", "cpu", "atomic", "storage::anonymous"]),
    ("epoch", &["storage::barrier", "error", "atomic"]),
    ("format", &["memory", "wrong_turn"]),
    ("storage", &["error", "memory", "cpu"]),
    ("clock", &[]),
    ("error", &[]),
    ("memory", &[]),
    ("cpu", &[]),
    ("atomic", &[]),
    ("wrong_turn", &[]),
    ("systems", &[]),
];

/// Where each crate is at home.
const CRATES: [(&str, &[&str]); 5] = [
    ("crc32fast", &["src/format/"]),
    ("memmap2", &["src/storage/"]),
    ("libc", &["src/storage/"]),
    (
        "parking_lot",
        &["src/db.rs", "src/engine/", "src/segment/", "src/index/", "src/epoch/", "src/storage/"],
    ),
    ("cbindgen", &["build.rs"]),
];

struct Source {
    /// From the top directory, with slashes.
    name: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.name.ends_with(".rs")
    }

    /// Whether it is part of the library or of its build.
    fn is_product(&self) -> bool {
        self.is_rust() && (self.name.starts_with("src/") || self.name == "build.rs")
    }

    /// The text before the unit tests.
    fn without_tests(&self) -> &str {
        let mut at = 0;
        while let Some(found) = self.text[at..].find("\n#[cfg(test)]\n") {
            let end = at + found + 1;
            let mut rest = self.text[end..].lines().skip_while(|line| line.starts_with("#["));
            if rest.next().is_some_and(|line| line.starts_with("mod tests {")) {
                return &self.text[..end];
            }
            at = end;
        }
        &self.text
    }
}

fn top() -> PathBuf {
    // At run time, so that the same program can look at another copy.
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

fn collect(top: &Path, directory: &str, deep: bool, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(top.join(directory)) else { return };
    for entry in entries.map(|entry| entry.expect("the directory can be read")) {
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let name =
            if directory.is_empty() { file_name } else { format!("{directory}/{file_name}") };
        if entry.path().is_dir() {
            if deep && !NO_SOURCES.contains(&name.as_str()) {
                collect(top, &name, deep, sources);
            }
        } else if comment_marks(&name).is_some() {
            let text = fs::read_to_string(entry.path()).expect("a source file can be read");
            sources.push(Source { name, text });
        }
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&top(), "", false, &mut sources);
    for directory in DIRECTORIES {
        collect(&top(), directory, true, &mut sources);
    }
    assert!(sources.len() > 20, "the source files are not where they were");
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

/// What a comment begins with, for files that are sources.
fn comment_marks(name: &str) -> Option<&'static [&'static str]> {
    let base = name.rsplit('/').next().unwrap_or(name);
    if matches!(base, "CMakeLists.txt" | "Makefile") {
        return Some(&["#"]);
    }
    match base.trim_end_matches(".in").rsplit('.').next() {
        Some("rs") => Some(&["//!", "// "]),
        Some("c" | "h" | "cc" | "cpp" | "hpp") => Some(&["/*", "//"]),
        Some("cmake" | "toml" | "sh" | "pyi") => Some(&["#"]),
        Some("py") => Some(&["#", "\"\"\""]),
        Some("go" | "java" | "mjs") => Some(&["//"]),
        _ => None,
    }
}

/// Offenders, and the end of the test if there are any.
#[derive(Default)]
struct Offenders(Vec<String>);

impl Offenders {
    fn add(&mut self, source: &Source, line: usize, rule: &str) {
        self.0.push(format!("{}:{line}: {rule}", source.name));
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} offenders:\n{}", self.0.len(), self.0.join("\n"));
    }
}

#[test]
fn the_first_line_says_what_a_file_is_for() {
    let mut offenders = Offenders::default();
    for source in sources() {
        let marks = comment_marks(&source.name).unwrap_or_default();
        let mut lines = source.text.lines().skip_while(|line| line.starts_with("#!/"));
        let first = lines.next().unwrap_or_default();
        if !marks.iter().any(|mark| first.starts_with(mark)) || first.len() < MIN_FIRST_LINE {
            offenders.add(&source, 1, "the first line must be a comment: what the file is for");
        }
    }
    offenders.none();
}

#[test]
fn lines_functions_and_files_are_short() {
    let mut offenders = Offenders::default();
    for source in sources() {
        // A string in TOML cannot be broken.
        let lines = source.text.lines().filter(|_| !source.name.ends_with(".toml"));
        for (at, line) in lines.enumerate() {
            let columns = line.chars().count();
            if columns > MAX_COLUMNS {
                let rule = format!("{columns} columns; a line has at most {MAX_COLUMNS}");
                offenders.add(&source, at + 1, &rule);
            }
        }
        let lines = source.without_tests().lines().count();
        if lines > MAX_FILE {
            let rule = format!("{lines} lines; a file has at most {MAX_FILE} without its tests");
            offenders.add(&source, lines, &rule);
        }
        if source.is_rust() {
            long_functions(&source, &mut offenders);
        }
    }
    offenders.none();
}

/// In formatted code a function ends at the first brace that stands as far in as its first line.
fn long_functions(source: &Source, offenders: &mut Offenders) {
    let code = code_of(&source.text);
    let lines: Vec<&str> = code.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let before = words(line, "fn").next().map(|at| line[..at].trim());
        let is_function = before.is_some_and(|before| {
            before.chars().all(|c| is_name_char(c) || c.is_whitespace() || "()".contains(c))
        });
        if !is_function || line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let len = lines[at..].iter().position(|line| line.trim_end() == end).map_or(0, |n| n + 1);
        if len > MAX_FUNCTION {
            let rule = format!("{len} lines; a function has at most {MAX_FUNCTION}");
            offenders.add(source, at + 1, &rule);
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    let mut offenders = Offenders::default();
    for source in sources() {
        for word in UNFINISHED {
            let (name, bang) = word.split_at(word.len() - usize::from(word.ends_with('!')));
            for at in words(&source.text, name) {
                if source.text[at + name.len()..].starts_with(bang) {
                    offenders.add(&source, line_at(&source.text, at), &format!("no {word}"));
                }
            }
        }
    }
    offenders.none();
}

#[test]
fn unsafe_code_and_c_stay_in_their_rooms() {
    let mut offenders = Offenders::default();
    for source in sources().iter().filter(|source| source.is_product()) {
        let code = code_of(&source.text);
        if !UNSAFE_ROOMS.iter().any(|room| source.name.starts_with(room)) {
            for at in words(&code, "unsafe") {
                offenders.add(source, line_at(&code, at), "unsafe only in ffi, storage and cpu");
            }
        }
        if !source.name.starts_with("src/ffi/") {
            for at in words(&code, "extern") {
                offenders.add(source, line_at(&code, at), "functions for C only in ffi");
            }
        }
    }
    offenders.none();
}

#[test]
fn crates_stay_at_home() {
    let mut offenders = Offenders::default();
    for source in sources().iter().filter(|source| source.is_product()) {
        let code = code_of(source.without_tests());
        for (name, homes) in CRATES {
            if homes.iter().any(|home| source.name.starts_with(home)) {
                continue;
            }
            for at in words(&code, name).filter(|at| code[at + name.len()..].starts_with("::")) {
                offenders.add(source, line_at(&code, at), &format!("{name} is used in {homes:?}"));
            }
        }
    }
    offenders.none();
}

#[test]
fn imports_go_down() {
    let mut offenders = Offenders::default();
    for source in sources().iter().filter(|source| source.name.starts_with("src/")) {
        let code = code_of(source.without_tests());
        let module = module_of(&source.name);
        let Some(room) = module.first() else { continue };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| name == room) else {
            offenders.add(source, 1, &format!("the room {room} is not in the list of rooms"));
            continue;
        };
        for (at, path) in imports(&code, &module) {
            let is_own = path.first() == Some(room);
            let path = path.join("::");
            let is_allowed = allowed.iter().any(|allowed| {
                path.strip_prefix(allowed)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            });
            if !is_own && !is_allowed {
                let rule = format!("{room} must not import {path}; it may import {allowed:?}");
                offenders.add(source, line_at(&code, at), &rule);
            }
        }
    }
    offenders.none();
}
