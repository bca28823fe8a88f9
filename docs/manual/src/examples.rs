//! Examples: for each function the shortest one of examples-c/ that calls it, or a part of one.

use std::path::Path;
use std::{fs, io};

use crate::page::words;

/// A longer one is a program, not an example of one call.
const MAX_LINES: usize = 40;

pub struct Example {
    pub file: String,
    pub code: String,
}

pub struct Examples(Vec<Example>);

impl Examples {
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut files: Vec<_> = fs::read_dir(directory)?.collect::<Result<_, _>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        let mut examples = Vec::new();
        for file in files.iter().map(fs::DirEntry::path) {
            if file.extension().is_some_and(|kind| kind == "c") {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let functions = functions(&fs::read_to_string(&file)?);
                examples.extend(functions.into_iter().map(|code| {
                    let file = format!("examples-c/{name}");
                    Example { file, code }
                }));
            }
        }
        // A function says more than a part of one.
        examples.sort_by_key(|example| {
            let is_part = !example.code.ends_with("\n}");
            (is_part, example.code.lines().count())
        });
        Ok(Examples(examples))
    }

    pub fn of(&self, name: &str) -> Option<&Example> {
        self.0.iter().find(|example| words(&example.code).any(|word| word == name))
    }
}

/// The functions of a C source, each with the comment above it: in the style of the examples its
/// body is between two braces at the beginning of a line.
fn functions(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for body in (0..lines.len()).filter(|&at| lines[at] == "{") {
        let begin = lines[..body].iter().rposition(|line| line.is_empty()).map_or(0, |at| at + 1);
        let Some(len) = lines[body..].iter().position(|line| *line == "}") else { continue };
        let function = &lines[begin..=body + len];
        if function.len() <= MAX_LINES {
            found.push(function.join("\n"));
        } else {
            let inside = &function[body - begin + 1..len + body - begin];
            found.extend(inside.split(|line| line.is_empty()).map(unindented));
        }
    }
    found
}

/// Lines as far to the left as the first of them.
fn unindented(lines: &[&str]) -> String {
    let first = lines.first().map_or(0, |line| line.len() - line.trim_start().len());
    let bare = lines.iter().map(|line| line.get(first..).unwrap_or(line.trim_start()));
    bare.collect::<Vec<_>>().join("\n")
}
