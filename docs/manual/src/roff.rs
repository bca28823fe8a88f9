//! Text as groff and mandoc take it, in the macros of man(7).

use std::fmt::Write as _;

/// A page that is being written.
#[derive(Default)]
pub struct Page {
    pub text: String,
}

/// Whose names are references to pages.
pub type IsPage<'a> = &'a dyn Fn(&str) -> bool;

impl Page {
    pub fn new(name: &str, version: &str) -> Self {
        let name = plain(name);
        let text = format!(
            ".\\\" Generated from include/kv.h by docs/manual: change src/ffi.\n\
             .TH {name} 3 \"\" \"libkv {version}\" \"libkv\"\n.nh\n.ad l\n"
        );
        Page { text }
    }

    pub fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    pub fn section(&mut self, name: &str) {
        self.line(&format!(".SH {name}"));
    }

    /// Code, as it is.
    pub fn code(&mut self, code: &str) {
        self.line(".nf");
        for line in code.lines() {
            self.line(&protected(&verbatim(line)));
        }
        self.line(".fi");
    }

    /// Code, set in from the text.
    pub fn shown(&mut self, code: &str) {
        self.line(".RS 4");
        self.code(code);
        self.line(".RE");
    }

    /// An item of a list: what it is called, and what is said of it.
    pub fn tagged(&mut self, tag: &str, lines: &[String], is_page: IsPage) {
        self.line(".TP");
        self.line(tag);
        let mut is_empty = true;
        for line in lines.iter().filter(|line| !line.trim().is_empty()) {
            self.line(&protected(&marked(line.trim(), is_page)));
            is_empty = false;
        }
        if is_empty {
            self.line("\\&");
        }
    }

    /// Paragraphs, lists ("1. ", "- KV_OK: ") and blocks of code (four columns in).
    pub fn paragraphs(&mut self, lines: &[String], is_page: IsPage) {
        let blocks = lines.split(String::is_empty).filter(|block| !block.is_empty());
        for (at, block) in blocks.enumerate() {
            let is_list = numbered(&block[0]).is_some();
            if at > 0 && !is_list {
                self.line(".PP");
            }
            if block.iter().all(|line| line.starts_with("    ")) {
                self.shown(&unindented(block));
            } else {
                self.flowing(block, is_page);
            }
        }
    }

    fn flowing(&mut self, block: &[String], is_page: IsPage) {
        for line in block {
            if let Some((number, rest)) = numbered(line) {
                self.line(&format!(".IP {number} 4"));
                self.line(&protected(&marked(rest, is_page)));
            } else {
                self.line(&protected(&marked(line.trim(), is_page)));
            }
        }
    }
}

fn unindented(block: &[String]) -> String {
    let bare: Vec<&str> = block.iter().map(|line| line.get(4..).unwrap_or_default()).collect();
    bare.join("\n")
}

/// "1. text" as the number and the text.
fn numbered(line: &str) -> Option<(&str, &str)> {
    let (number, rest) = line.split_once(". ")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((&line[..=number.len()], rest))
}

/// Text in which names of functions and constants are bold, and pages that there are have the
/// number of their section.
pub fn marked(text: &str, is_page: IsPage) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if is_page(word) && after.starts_with("()") {
            let _ = write!(out, "\\fB{}\\fP(3)", plain(word));
            rest = &after[2..];
        } else if word.starts_with("KV_") || (word.starts_with("kv_") && word.len() > 3) {
            let _ = write!(out, "\\fB{}\\fP", plain(word));
        } else {
            out += &plain(word);
        }
    }
    // What is less than zero has a minus and no hyphen.
    let mut marked = String::new();
    for (at, c) in out.char_indices() {
        let is_minus = c == '-' && out[at + 1..].starts_with(|next: char| next.is_ascii_digit());
        marked += if is_minus { "\\-" } else { out.get(at..at + c.len_utf8()).unwrap_or_default() };
    }
    marked
}

/// Text whose characters mean themselves.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out += "\\e",
            '^' => out += "\\(ha",
            '~' => out += "\\(ti",
            '`' => out += "\\(ga",
            _ => out.push(c),
        }
    }
    out
}

/// Code whose characters mean themselves.
pub fn verbatim(text: &str) -> String {
    plain(text).replace('-', "\\-").replace('\'', "\\(aq").replace('"', "\\(dq")
}

/// A line that begins with no control character.
fn protected(line: &str) -> String {
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line.to_owned()
    }
}
