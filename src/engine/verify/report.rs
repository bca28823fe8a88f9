//! A report of what was found, for people and for programs.

use std::fmt::{self, Write};

use super::problem::{Findings, Problem, Severity};

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was done: "verify" or "salvage".
    pub action: &'static str,
    /// The directory.
    pub path: String,
    /// Whether somebody had it open meanwhile.
    pub is_in_use: bool,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// How many there are of each severity: notes, warnings, damage.
    pub counts: [u64; 3],
    /// What was looked at, or made, with its name.
    pub figures: Vec<(&'static str, u64)>,
}

impl Report {
    /// The report of what was found.
    pub fn of(action: &'static str, path: &str, findings: Findings) -> Report {
        Report {
            action,
            path: path.to_owned(),
            is_in_use: false,
            problems: findings.kept,
            counts: findings.counts,
            figures: Vec::new(),
        }
    }

    /// Whether anything is lost or wrong.
    pub fn has_damage(&self) -> bool {
        self.counts[Severity::Damage as usize] > 0
    }

    /// The whole in a word.
    pub fn verdict(&self) -> &'static str {
        match self.counts {
            [_, 0, 0] => "sound",
            [_, _, 0] => "degraded",
            _ => "damaged",
        }
    }

    /// The report in a form.
    pub fn render(&self, form: Form) -> String {
        let mut out = String::new();
        // Writing to memory does not fail.
        let _ = self.write_to(&mut out, form);
        out
    }

    /// Writes the report in a form.
    pub fn write_to(&self, out: &mut dyn Write, form: Form) -> fmt::Result {
        match form {
            Form::Text => self.text(out),
            Form::Json => self.json(out),
        }
    }

    fn omitted(&self) -> u64 {
        self.counts.iter().sum::<u64>() - self.problems.len() as u64
    }

    fn text(&self, out: &mut dyn Write) -> fmt::Result {
        let [notes, warnings, damage] = self.counts;
        writeln!(
            out,
            "{} of {}: {} (damage: {damage}, warnings: {warnings}, notes: {notes})",
            self.action,
            self.path,
            self.verdict(),
        )?;
        if self.is_in_use {
            out.write_str("it was open meanwhile: what is not on the medium was left out\n")?;
        }
        for problem in &self.problems {
            let Problem { severity, subject, file, offset, len, key, what } = problem;
            write!(out, "{}: {file} at byte {offset}", severity.name())?;
            if *len > 0 {
                write!(out, ", {len} bytes")?;
            }
            write!(out, " ({}): {}", subject.name(), one_line(what))?;
            if let Some(key) = key {
                write!(out, "; key \"{}\"", key.escape_ascii())?;
            }
            out.write_char('\n')?;
        }
        if self.omitted() > 0 {
            writeln!(out, "and {} more", self.omitted())?;
        }
        for (name, figure) in &self.figures {
            writeln!(out, "{}: {figure}", name.replace('_', " "))?;
        }
        Ok(())
    }

    fn json(&self, out: &mut dyn Write) -> fmt::Result {
        let [notes, warnings, damage] = self.counts;
        write!(out, "{{\"action\":\"{}\",\"path\":", self.action)?;
        quote(out, &self.path)?;
        write!(
            out,
            ",\"verdict\":\"{}\",\"in_use\":{},\"damage\":{damage},\"warnings\":{warnings},\
             \"notes\":{notes},\"figures\":{{",
            self.verdict(),
            self.is_in_use,
        )?;
        for (at, (name, figure)) in self.figures.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(out, "{comma}\"{name}\":{figure}")?;
        }
        out.write_str("},\"problems\":[")?;
        for (at, problem) in self.problems.iter().enumerate() {
            out.write_str(if at > 0 { ",\n" } else { "\n" })?;
            append_json(out, problem)?;
        }
        writeln!(out, "],\"omitted\":{}}}", self.omitted())
    }
}

fn append_json(out: &mut dyn Write, problem: &Problem) -> fmt::Result {
    let (severity, about) = (problem.severity.name(), problem.subject.name());
    write!(out, "{{\"severity\":\"{severity}\",\"about\":\"{about}\",\"file\":")?;
    quote(out, &problem.file)?;
    write!(out, ",\"offset\":{},\"length\":{}", problem.offset, problem.len)?;
    if let Some(key) = &problem.key {
        // Keys are bytes: in hex nothing of them is lost.
        out.write_str(",\"key_hex\":\"")?;
        for byte in key {
            write!(out, "{byte:02x}")?;
        }
        out.write_str("\",\"key\":")?;
        quote_bytes(out, key)?;
    }
    out.write_str(",\"what\":")?;
    quote(out, &problem.what)?;
    out.write_char('}')
}

/// A text as JSON has it.
fn quote(out: &mut dyn Write, text: &str) -> fmt::Result {
    quote_bytes(out, text.as_bytes())
}

/// The same of bytes; what of them is no text shows as such.
fn quote_bytes(out: &mut dyn Write, bytes: &[u8]) -> fmt::Result {
    out.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '\u{20}'..='\u{7e}' | '\u{a0}'.. => out.write_char(character)?,
                other => write!(out, "\\u{:04x}", other as u32)?,
            }
        }
        if !chunk.invalid().is_empty() {
            out.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    out.write_char('"')
}

/// A text without what would break its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::problem::Subject;
    use super::*;

    #[test]
    fn reports_say_the_same_in_both_forms() {
        let place = (4096, 24);
        let what = "a \"bad\" one\nindeed\u{7f}é";
        let problem = Problem::new(Severity::Damage, Subject::Record, "00000001.seg", place, what);
        let key = Some(b"k\"\x01\xff".to_vec());
        let report = Report {
            action: "verify",
            path: "/a\\b".into(),
            is_in_use: false,
            problems: vec![problem.with_key(key)],
            counts: [0, 3, 1],
            figures: vec![("segments", 7), ("whole_records", 9)],
        };
        assert_eq!(
            report.render(Form::Text),
            "verify of /a\\b: damaged (damage: 1, warnings: 3, notes: 0)\n\
             damage: 00000001.seg at byte 4096, 24 bytes (record): a \"bad\" one indeed é; \
             key \"k\\\"\\x01\\xff\"\n\
             and 3 more\nsegments: 7\nwhole records: 9\n"
        );
        assert_eq!(
            report.render(Form::Json),
            "{\"action\":\"verify\",\"path\":\"/a\\\\b\",\"verdict\":\"damaged\",\"in_use\":false,\
             \"damage\":1,\"warnings\":3,\"notes\":0,\"figures\":{\"segments\":7,\
             \"whole_records\":9},\"problems\":[\n{\"severity\":\"damage\",\"about\":\"record\",\
             \"file\":\"00000001.seg\",\"offset\":4096,\"length\":24,\"key_hex\":\"6b2201ff\",\
             \"key\":\"k\\\"\\u0001\u{fffd}\",\
             \"what\":\"a \\\"bad\\\" one\\u000aindeed\\u007fé\"}],\
             \"omitted\":3}\n"
        );
    }
}
