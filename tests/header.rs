//! include/kv.h: is what src/ffi generates, says the crate's version, documents every function,
//! and compiles alone, twice and from two units as C99, C11 and C++17 without a warning.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/kv.h")
}

fn text() -> String {
    fs::read_to_string(committed()).unwrap()
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let generated = fs::read(env!("KV_GENERATED_HEADER")).unwrap();
    if env::var_os("KV_UPDATE_HEADER").is_some() {
        // In one step, since other tests read it meanwhile.
        let fresh = committed().with_extension("h.new");
        fs::write(&fresh, &generated).unwrap();
        fs::rename(fresh, committed()).unwrap();
    }
    assert!(
        fs::read(committed()).unwrap_or_default() == generated,
        "include/kv.h is not what src/ffi generates now; look at the difference, then refresh it \
         with `make header` or `KV_UPDATE_HEADER=1 cargo test --test header`: {}",
        env!("KV_GENERATED_HEADER")
    );
}

#[test]
fn the_version_macros_are_the_crates_version() {
    let text = text();
    let value = |name: &str| -> String {
        let start = format!("#define KV_VERSION_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
    };
    let number = |name: &str| -> u64 { value(name).parse().unwrap() };
    let version = env!("CARGO_PKG_VERSION");
    let parts: Vec<u64> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert_eq!(value("STRING"), format!("\"{version}\""));
    assert_eq!([number("MAJOR"), number("MINOR"), number("PATCH")], parts[..]);
    assert_eq!(number("NUMBER"), parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2]);
}

/// Every declaration with the comment before it.
fn functions(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in text.split("/**").skip(1) {
        let (comment, code) = part.split_once("*/").unwrap();
        let code: String = code.lines().take_while(|line| !line.starts_with('#')).collect();
        if code.contains('(') {
            found.push((comment.to_owned(), code));
        }
    }
    found
}

#[test]
fn every_function_says_what_it_takes_what_it_returns_and_which_threads_may_call() {
    let functions = functions(&text());
    assert!(functions.len() > 20, "only {} functions were found", functions.len());
    for (comment, code) in functions {
        if code.starts_with("typedef") {
            continue;
        }
        assert!(comment.contains("\n * Threads: "), "threads: {code}");
        assert_eq!(comment.contains("@return"), !code.starts_with("void "), "@return: {code}");
        if code.contains("kv_status kv_") {
            assert!(code.starts_with("KV_MUST_USE"), "{code}");
            assert!(comment.contains("- KV_OK: ") && comment.contains("KV_INTERNAL"), "{code}");
        }
        let parameters = code.split_once('(').unwrap().1.split_once(')').unwrap().0;
        for parameter in parameters.split(',').filter(|parameter| *parameter != "void") {
            let name = parameter.rsplit([' ', '*']).next().unwrap();
            assert!(comment.contains(&format!("@param {name} ")), "{name}: {code}");
        }
    }
}

const UNIT_A: &str = r#"#include "kv.h"
#include "kv.h"
int is_failure(kv_status status);
int is_failure(kv_status status) {
    switch (status) {
    case KV_OK:
    case KV_NOT_FOUND:
    case KV_BUFFER_TOO_SMALL:
        return 0;
    case KV_NULL_ARGUMENT:
    case KV_INTERNAL:
    default:
        return 1;
    }
}
"#;

const UNIT_B: &str = r#"#include "kv.h"
int is_failure(kv_status status);
int main(void) {
    kv_db *db = NULL;
    kv_view *view = NULL;
    const kv_options *options = NULL;
    uint64_t longest = KV_MAX_VALUE_LEN;
    if (db != NULL || view != NULL || options != NULL || longest != 0xFFFFFFFFu) {
        return 1;
    }
    return is_failure(KV_OK) || !is_failure(KV_CORRUPT) || sizeof(kv_status) != 4;
}
"#;

const CPP_UNIT: &str = r#"#include "kv.h"
static_assert(noexcept(kv_version()), "no function throws");
"#;

#[test]
fn it_compiles_as_c99() {
    compile(&compiler("CC", "cc"), "c99", "c", UNIT_B);
}

#[test]
fn it_compiles_as_c11() {
    compile(&compiler("CC", "cc"), "c11", "c", UNIT_B);
}

#[test]
fn it_compiles_as_cpp17() {
    let main = format!("{CPP_UNIT}{UNIT_B}");
    compile(&compiler("CXX", "c++"), "c++17", "cc", &main);
}

/// The compiler that `variable` names, with the arguments it gives, or `usual`.
fn compiler(variable: &str, usual: &str) -> Vec<String> {
    let words = env::var(variable).unwrap_or_default();
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return vec![usual.to_owned()];
    }
    words
}

/// Compiles the header alone, then two units that include it to one program, and runs it.
fn compile(compiler: &[String], standard: &str, suffix: &str, main: &str) {
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("header-{standard}"));
    fs::create_dir_all(&room).unwrap();
    let write = |name: &str, text: &str| -> PathBuf {
        let path = room.join(format!("{name}.{suffix}"));
        fs::write(&path, text).unwrap();
        path
    };
    let alone = write("alone", "#include \"kv.h\"\n");
    let (first, second) = (write("first", UNIT_A), write("second", main));
    let program = room.join("program");
    let include = committed().parent().unwrap().to_owned();
    let run = |arguments: &[&Path]| {
        let mut command = Command::new(&compiler[0]);
        command.args(&compiler[1..]).arg(format!("-std={standard}"));
        command.args(["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]);
        if suffix == "c" {
            command.arg("-Wstrict-prototypes");
        }
        command.arg("-I").arg(&include).args(arguments);
        let output = command.output();
        let output = output.unwrap_or_else(|error| panic!("{compiler:?} is needed: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}\n{errors}");
    };
    run(&[Path::new("-fsyntax-only"), &alone]);
    run(&[&first, &second, Path::new("-o"), &program]);
    assert!(Command::new(&program).status().unwrap().success(), "{}", program.display());
}
