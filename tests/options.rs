//! The options as documents have them: the table of kv_options_set() in include/kv.h and the one in
//! README.md say of every option what `SETTINGS` does, and nothing else.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use kv::options::SETTINGS;

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn texts(texts: &[&CStr]) -> Vec<String> {
    texts.iter().map(|text| text.to_str().unwrap().to_owned()).collect()
}

/// Name, range and default of every option, in the order of the table.
fn known() -> Vec<Vec<String>> {
    SETTINGS.iter().map(|s| texts(&[s.name, s.range, s.default])).collect()
}

#[test]
fn the_header_has_a_line_for_every_option_and_a_function() {
    let header = source("include/kv.h");
    let lines = header.lines().skip_while(|line| !line.starts_with(" *     name   ")).skip(1);
    let lines = lines.take_while(|line| line.starts_with(" *   "));
    // Ranges have spaces, but never two of them.
    let words = |line: &str| -> Vec<String> {
        let words = line.trim_start_matches(" * ").split("  ").map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let rows: Vec<Vec<String>> = lines.map(words).collect();
    assert_eq!(rows, known());
    for name in SETTINGS.iter().map(|setting| setting.name.to_str().unwrap()) {
        assert!(header.contains(&format!("kv_options_set_{name}(")), "{name} has no function");
    }
}

#[test]
fn the_readme_has_a_row_for_every_option() {
    let readme = source("README.md");
    let rows = readme.lines().skip_while(|line| !line.starts_with("| name | unit |")).skip(2);
    let rows: Vec<Vec<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|').map(str::trim);
            cells.map(|cell| cell.trim_matches('`').to_owned()).collect()
        })
        .collect();
    let known: Vec<Vec<String>> = SETTINGS
        .iter()
        .map(|s| texts(&[s.name, s.unit, s.default, s.range, s.description]))
        .collect();
    assert_eq!(rows, known);
}
