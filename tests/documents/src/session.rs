//! A document as a reader follows it: its files are written and its commands run, one after the
//! other, in one shell.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::blocks::{blocks, Block, Part};

/// Where documents are followed.
pub struct Place {
    /// The top directory of the sources.
    pub source: PathBuf,
    /// The home directory of the reader.
    pub home: PathBuf,
}

/// Follows a document from its directory on, and says how many blocks it has.
pub fn follow(place: &Place, document: &str, directory: &Path) -> Result<usize, String> {
    let path = place.source.join(document);
    let text = fs::read_to_string(&path).map_err(|error| format!("{document}: {error}"))?;
    let blocks = blocks(&text).map_err(|error| format!("{document}: {error}"))?;
    let mut script = Script::new(place, directory);
    for (at, block) in blocks.iter().enumerate() {
        let later = blocks.get(at + 1..).unwrap_or_default();
        add(&mut script, place, document, block, later)
            .map_err(|error| format!("{document}:{}: {error}", block.line))?;
    }
    script.run().map_err(|error| format!("{document}: {error}"))?;
    Ok(blocks.len())
}

fn add(
    script: &mut Script,
    place: &Place,
    document: &str,
    block: &Block,
    later: &[Block],
) -> Result<(), String> {
    if let Some(header) = block.needs().filter(|header| !has_header(header)) {
        say(&format!("{document}:{}: there is no {header}: left out", block.line));
        return Ok(());
    }
    let read = |name: &str| {
        fs::read_to_string(place.source.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    match block.part()? {
        Part::File(name) => {
            let is_used = |later: &Block| later.language == "sh" && uses(&later.text, &name);
            if !later.iter().any(is_used) {
                return Err(format!("no command after it uses {name}"));
            }
            script.file(&name, &block.text);
        }
        Part::Excerpt(name) => {
            if !read(&name)?.contains(&block.text) {
                return Err(format!("this is not in {name}, word for word"));
            }
        }
        Part::Commands => script.commands(block),
        Part::Output => script.output(block)?,
        Part::Console => {
            let tests = "cli/tests/cli/describe.rs";
            if !read(tests)?.contains(&format!("run_examples(\"{document}\")")) {
                return Err(format!("{tests} does not run the examples of {document}"));
            }
        }
        Part::RunBy(name) => {
            if !read(&name)?.contains(document) {
                return Err(format!("{name} does not speak of {document}"));
            }
        }
    }
    Ok(())
}

/// Whether commands use a file; CMake finds its own without its name.
fn uses(commands: &str, name: &str) -> bool {
    commands.contains(name) || (name == "CMakeLists.txt" && commands.contains("cmake -S"))
}

fn has_header(header: &str) -> bool {
    let line = format!("echo '#include <{header}>' | cc -E - >/dev/null 2>&1");
    Command::new("sh").args(["-c", &line]).status().is_ok_and(|status| status.success())
}

#[allow(clippy::print_stdout, reason = "this is a program for the command line")]
pub fn say(text: &str) {
    println!("{text}");
}

/// What a shell is to do, and what it is to print.
struct Script {
    text: String,
    out: PathBuf,
    /// The line of each block of commands, and what is expected of it.
    blocks: Vec<(usize, Option<String>)>,
}

impl Script {
    fn new(place: &Place, directory: &Path) -> Self {
        let out = place.home.join(".out");
        let mut text = String::from("set -eu\n");
        // Rust's own places are in the home directory of whoever runs the test.
        let old = std::env::var("HOME").unwrap_or_default();
        for (name, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let value = std::env::var(name).unwrap_or(format!("{old}/{usual}"));
            let _ = writeln!(text, "export {name}='{value}'");
        }
        let _ = writeln!(text, "export HOME='{}' OUT='{}'", place.home.display(), out.display());
        let _ = writeln!(text, "cd '{}'", directory.display());
        Script { text, out, blocks: Vec::new() }
    }

    fn file(&mut self, name: &str, text: &str) {
        let _ = write!(self.text, "cat > '{name}' <<'END OF THE FILE'\n{text}END OF THE FILE\n");
    }

    /// In braces, and not in a shell of their own: directories and variables stay.
    fn commands(&mut self, block: &Block) {
        let number = self.blocks.len();
        let _ = write!(
            self.text,
            "echo {number} > \"$OUT/at\"\n{{\n{}}} > \"$OUT/{number}\"\n",
            block.text
        );
        self.blocks.push((block.line, None));
    }

    fn output(&mut self, block: &Block) -> Result<(), String> {
        let last = self.blocks.last_mut().ok_or("there are no commands that print it")?;
        if last.1.replace(block.text.clone()).is_some() {
            return Err("the commands before it have their output already".into());
        }
        Ok(())
    }

    fn run(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        fs::create_dir_all(&self.out).map_err(failed)?;
        let output = Command::new("sh").args(["-c", &self.text]).output().map_err(failed)?;
        let printed = |number: usize| {
            fs::read_to_string(self.out.join(number.to_string())).unwrap_or_default()
        };
        if !output.status.success() {
            let at = fs::read_to_string(self.out.join("at")).unwrap_or_default();
            let at = at.trim().parse().unwrap_or(0);
            let line = self.blocks.get(at).map_or(0, |block| block.0);
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the commands of line {line} fail:\n{}{said}", printed(at)));
        }
        for (number, (line, expected)) in self.blocks.iter().enumerate() {
            let (printed, Some(expected)) = (printed(number), expected) else { continue };
            if printed.trim_end() != expected.trim_end() {
                return Err(format!(
                    "the commands of line {line} print:\n{printed}and not:\n{expected}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    /// Follows a document of its own.
    fn follow_text(name: &str, text: &str) -> Result<usize, String> {
        let home = std::env::temp_dir().join(format!("kv-documents-{}-{name}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("text.md"), text).unwrap();
        let place = Place { source: home.clone(), home: home.clone() };
        let result = follow(&place, "text.md", &home);
        fs::remove_dir_all(&home).unwrap();
        result
    }

    #[test]
    fn commands_share_a_shell_and_print_what_is_shown() {
        let text = "```c\n/* a.c */\nint x;\n```\n```sh\nmkdir d\ncd d\nword=here\n```\n\
                    ```sh\ncat ../a.c\necho $word $PWD | sed 's|/.*/||'\n```\n\
                    ```text\n/* a.c */\nint x;\nhere d\n```\n";
        assert_eq!(follow_text("share", text), Ok(4));
    }

    #[test]
    fn what_fails_is_told_with_its_line() {
        let error = follow_text("fails", "```sh\ntrue\n```\n\n```sh\nfalse\ntrue\n```\n");
        assert!(error.unwrap_err().contains("line 5"));
        let error = follow_text("other", "```sh\necho a\n```\n```text\nb\n```\n").unwrap_err();
        assert!(error.contains("print:\na\nand not:\nb"), "{error}");
    }

    #[test]
    fn what_nobody_uses_or_runs_fails() {
        assert!(follow_text("unused", "```c\n/* a.c */\n```\n").is_err());
        assert!(follow_text("unknown", "```perl\nprint 1\n```\n").is_err());
        assert!(follow_text("silent", "```text\na\n```\n").is_err());
        assert!(follow_text("nobody", "<!-- run by b.sh -->\n```go\nx\n```\n").is_err());
        assert!(follow_text("console", "```console\n$ kv\n```\n").is_err());
    }
}
