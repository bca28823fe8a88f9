//! Help, completions, manual pages, and documents: what they say is so.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::Place;
use crate::kv;

const COMMANDS: [&str; 17] = [
    "get",
    "put",
    "delete",
    "scan",
    "count",
    "stats",
    "verify",
    "salvage",
    "compact",
    "backup",
    "restore",
    "import",
    "export",
    "bench",
    "watch",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_a_page_completions_and_a_section() {
    let place = Place::new("describe");
    let help = kv!["--help"].ok().text().to_owned();
    assert!(help.contains("Exit codes:") && help.contains("--create"), "{help}");
    kv!["man", place.join("man")].ok();
    let document = fs::read_to_string(document("docs/CLI.md")).unwrap();
    let script = kv!["completions", "bash"].ok().text().to_owned();
    for name in COMMANDS {
        assert!(help.contains(&format!("  {name} ")), "{name}");
        assert!(kv![name, "--help"].ok().text().contains("Usage: kv"), "{name}");
        let page = fs::read_to_string(place.join(&format!("man/kv-{name}.1"))).unwrap();
        assert!(page.contains(".TH"), "{name}");
        assert!(script.contains(name), "{name}");
        assert!(document.contains(&format!("`kv {name} ")), "docs/CLI.md does not have {name}");
    }
    assert!(kv!["man"].ok().text().contains(".TH kv 1"));
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(kv!["completions", shell].ok().out.len() > 1000, "{shell}");
    }
    kv!["completions", "dos"].with(2);
    assert_eq!(kv!["--version"].ok().text(), concat!("kv ", env!("CARGO_PKG_VERSION"), "\n"));
}

fn document(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Runs what documents show: in blocks of "console", `$ ` begins a command, and what follows it is
/// what it says.
fn run_examples(name: &str) -> usize {
    let place = Place::new("examples");
    let directory = Path::new(env!("CARGO_BIN_EXE_kv")).parent().unwrap();
    let path = std::env::join_paths([directory, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let text = fs::read_to_string(document(name)).unwrap();
    let mut count = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for example in block.split("$ ").filter(|example| !example.is_empty()) {
            let (line, said) = example.split_once('\n').unwrap();
            let script = format!("{{ {line}\n}} 2>&1");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).current_dir(place.path()).env("PATH", &path);
            let ran = shell.output().unwrap();
            let out = String::from_utf8_lossy(&ran.stdout);
            // A value that goes to a terminal ends its line.
            assert_eq!(out.trim_end(), said.trim_end(), "{name}: {line}");
            count += 1;
        }
    }
    count
}

#[test]
fn the_examples_of_the_documents_say_what_they_show() {
    assert!(run_examples("README.md") >= 5);
    assert!(run_examples("docs/CLI.md") >= 5);
    assert!(run_examples("docs/MIGRATION.md") >= 3);
}
