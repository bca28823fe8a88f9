//! include/kv.hpp with its parts: it uses every function, status and option of kv.h, and leaves no
//! macros behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Functions that kv.hpp leaves out, and why.
const LEFT_OUT: [(&str, &str); 2] = [
    ("kv_iter_key", "kv_iter_next() tells the key already"),
    ("kv_iter_value", "kv_iter_next() tells the value already"),
];

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// kv.hpp and its parts.
fn headers() -> Vec<PathBuf> {
    let parts = fs::read_dir(include().join("kv")).unwrap().map(|entry| entry.unwrap().path());
    let mut headers: Vec<PathBuf> = parts.collect();
    headers.push(include().join("kv.hpp"));
    headers
}

/// The words of the code of kv.hpp, without its comments.
fn words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for header in headers() {
        let text = fs::read_to_string(header).unwrap();
        for line in text.lines() {
            let code = line.split("//").next().unwrap();
            let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            words.extend(code.split(is_end).filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    words
}

/// The names in kv.h of which `wanted` is true, of macros.
fn macros(wanted: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let text = fs::read_to_string(include().join("kv.h")).unwrap();
    let defined = text.lines().filter_map(|line| line.strip_prefix("#define "));
    let pairs = defined.filter_map(|definition| definition.split_once(' '));
    pairs.filter(|(name, value)| wanted(name, value)).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_function_of_kv_h_is_used_or_left_out_for_a_reason() {
    let words = words();
    let exports = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports.txt");
    let exports = fs::read_to_string(exports).unwrap();
    let unused: BTreeSet<&str> = exports.lines().filter(|name| !words.contains(*name)).collect();
    let left_out: BTreeSet<&str> = LEFT_OUT.iter().map(|(name, _)| *name).collect();
    assert_eq!(unused, left_out, "left: what kv.hpp does not use; right: what it need not use");
}

#[test]
fn every_status_and_every_choice_has_its_name() {
    let words = words();
    let numbers = macros(|name, value| {
        let is_number = value.parse::<i64>().is_ok();
        is_number && !name.starts_with("KV_VERSION") && !name.starts_with("KV_MAX")
    });
    assert!(numbers.len() > 40, "only {} constants were found", numbers.len());
    let missing: Vec<&String> = numbers.iter().filter(|name| !words.contains(*name)).collect();
    assert!(missing.is_empty(), "kv.hpp has no name for {missing:?}");
}

#[test]
fn it_defines_no_macros_but_its_guards() {
    let macros_of = |header: &str| -> BTreeSet<String> {
        let cxx = env::var("CXX").unwrap_or_default();
        let words: Vec<&str> = cxx.split_whitespace().collect();
        let (compiler, arguments) = words.split_first().unwrap_or((&"c++", &[]));
        let mut command = Command::new(compiler);
        command.args(arguments).args(["-std=c++17", "-E", "-dM", "-x", "c++"]);
        let output = command.arg(include().join(header)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().filter_map(|line| line.split(' ').nth(1));
        names.filter(|name| name.starts_with("KV")).map(str::to_owned).collect()
    };
    let guards: BTreeSet<String> = headers()
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_uppercase())
        .map(|stem| if stem == "KV" { "KV_HPP".to_owned() } else { format!("KV_{stem}_HPP") })
        .collect();
    let added: BTreeSet<String> = &macros_of("kv.hpp") - &macros_of("kv.h");
    assert_eq!(added, guards);
}
