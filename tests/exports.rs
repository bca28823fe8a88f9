//! What libkv.so exports: exactly the names in tests/exports.txt, which are exactly the functions
//! that include/kv.h declares, each with a version in cmake/libkv.map, under the SONAME of its
//! major version.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The library that was built with this test. Cargo leaves it beside the test's own program and
/// copies it to target/<profile> only when the library is what it was asked for.
fn library() -> PathBuf {
    let library = env::current_exe().unwrap().parent().unwrap().join("libkv.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).arg(library()).output();
    let output = output.unwrap_or_else(|error| panic!("{tool} (binutils) is needed: {error}"));
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn listed() -> BTreeSet<String> {
    source("tests/exports.txt").lines().map(str::to_owned).collect()
}

#[test]
fn the_library_exports_what_is_listed() {
    let symbols = run("nm", &["--dynamic", "--defined-only", "--format=posix"]);
    let exported: BTreeSet<String> =
        symbols.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert!(exported.iter().all(|name| name.starts_with("kv_")), "{exported:?}");
    assert_eq!(
        exported,
        listed(),
        "a name that is gone breaks programs; a new one is a promise: then add it to \
         tests/exports.txt"
    );
}

#[test]
fn the_list_is_in_order() {
    let lines: Vec<String> = source("tests/exports.txt").lines().map(str::to_owned).collect();
    assert_eq!(lines, listed().into_iter().collect::<Vec<_>>(), "sorted, each name once");
}

#[test]
fn the_header_declares_what_is_exported() {
    let header = source("include/kv.h");
    let code = header.lines().filter(|line| !line.trim_start().starts_with(['*', '/', '#']));
    let declared: BTreeSet<String> = code
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("kv_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(declared, listed());
}

#[test]
fn every_name_has_one_symbol_version() {
    let map = source("cmake/libkv.map");
    let code: Vec<&str> = map.lines().map(str::trim).filter(|l| !l.starts_with('#')).collect();
    let mut names: Vec<&str> = code.iter().filter_map(|l| l.strip_suffix(';')).collect();
    // What ends the blocks: the end of the first one makes all other names local.
    names.retain(|name| *name != "*" && !name.starts_with('}'));
    names.sort_unstable();
    assert_eq!(names, listed().iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code.iter().filter(|line| **line == "*;").count(), 1, "no other name is exported");
}

#[test]
fn the_soname_names_the_major_version() {
    let soname = format!("libkv.so.{}", env!("CARGO_PKG_VERSION_MAJOR"));
    let dynamic = run("readelf", &["--dynamic", "--wide"]);
    let found = dynamic.lines().find(|line| line.contains("(SONAME)")).unwrap_or("no SONAME");
    assert!(found.contains(&format!("[{soname}]")), "{found}");
    let link = library().with_file_name(&soname);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("libkv.so"), "{}", link.display());
}

/// The text of all C sources in a directory and those below it.
fn c_sources(directory: &str) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &c_sources(path.to_str().unwrap());
        } else if path.extension().is_some_and(|kind| kind == "c" || kind == "h") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn every_function_is_shown_and_tested_in_c_and_in_the_readme() {
    let places = [
        ("an example in examples-c", c_sources("examples-c")),
        ("a test in tests/c", c_sources("tests/c")),
        ("tests/c/every_call.h", source("tests/c/every_call.h")),
        ("the table of functions in README.md", source("README.md")),
    ];
    let mut missing = String::new();
    for (place, text) in &places {
        let words: BTreeSet<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        for name in listed().iter().filter(|name| !words.contains(name.as_str())) {
            missing += &format!("{name} is not in {place}\n");
        }
    }
    assert!(missing.is_empty(), "{missing}");
}
