//! The manual pages: one for each exported function, with all its parts, and no warning of groff's.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn exports() -> Vec<String> {
    let list = fs::read_to_string(source().join("tests/exports.txt")).unwrap();
    list.lines().map(str::to_owned).collect()
}

/// Has the pages written to an empty directory.
fn written(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-manual"));
    let output = command.arg(source()).arg(&place).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    place
}

#[test]
fn each_exported_function_has_a_page_with_all_parts() {
    let place = written("parts");
    let header = fs::read_to_string(source().join("include/kv.h")).unwrap();
    for name in exports() {
        let page = fs::read_to_string(place.join(format!("{name}.3"))).unwrap();
        for part in ["NAME", "LIBRARY", "SYNOPSIS", "DESCRIPTION", "THREADS", "SEE ALSO"] {
            assert!(page.contains(&format!("\n.SH {part}\n")), "{name}: {part}");
        }
        let is_declared =
            |line: &&str| !line.starts_with([' ', '/', '#']) && line.contains(&format!("{name}("));
        let declared = header.lines().find(is_declared).unwrap();
        let is_void = declared.starts_with("void ");
        assert_eq!(page.contains("\n.SH RETURN VALUE\nNone.\n"), is_void, "{name}");
        let is_status = declared.contains(&format!("kv_status {name}("));
        assert_eq!(page.contains("\n.TP\n\\fBKV_INTERNAL\\fP\n"), is_status, "{name}");
    }
    let has_example = |name: &String| {
        let page = fs::read_to_string(place.join(format!("{name}.3"))).unwrap();
        page.contains("\n.SH EXAMPLES\n")
    };
    let without: Vec<String> = exports().into_iter().filter(|name| !has_example(name)).collect();
    assert!(without.len() < 3, "an example in examples-c/, not in a directory of it: {without:?}");
    let pages = fs::read_dir(&place).unwrap().count();
    assert_eq!(pages, exports().len() + 1, "a page for each function, and libkv(3)");
}

#[test]
fn pages_that_are_named_are_there() {
    let place = written("names");
    for entry in fs::read_dir(&place).unwrap() {
        let page = fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in page.lines().filter_map(|line| line.strip_prefix(".BR ")) {
            let (name, section) = line.split_once(' ').unwrap();
            let is_there = place.join(format!("{name}.3")).is_file();
            assert!(is_there || section.starts_with("(1)"), "{name} {section}");
        }
    }
}

#[test]
fn groff_has_nothing_to_say() {
    let place = written("groff");
    let mut pages: Vec<_> =
        fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8", "-Kutf8"]).args(&pages);
    let output = groff.output().unwrap_or_else(|error| panic!("groff is needed: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_page_has_what_the_header_says() {
    let page = fs::read_to_string(written("words").join("kv_put_with.3")).unwrap();
    for line in [
        "kv_put_with \\- stores a value under a key, if the key is as the options say",
        "\\fBkv_status kv_put_with(kv_db *db,\\fP",
        ".I value_len",
        "\\fBKV_VERSION_MISMATCH\\fP",
        ".SH OWNERSHIP",
        ".SH DURABILITY",
        ".SH THE TYPE kv_write_options_t",
        "\\fBuint64_t if_version;\\fP",
        "\\fBKV_WRITE_SYNC_YES\\fP (1)",
        ".SH EXAMPLES",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_first_page_of_the_reference_names_functions_that_there_are() {
    let text = fs::read_to_string(source().join("docs/REFERENCE.md")).unwrap();
    let calls: Vec<&str> =
        text.split("()").filter_map(|before| before.rsplit(' ').next()).collect();
    let named: Vec<&str> = calls.into_iter().filter(|name| name.starts_with("kv_")).collect();
    assert!(named.len() > 40, "{named:?}");
    for name in named {
        assert!(exports().iter().any(|there| there == name), "{name}");
    }
}
