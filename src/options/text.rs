//! Options as text: a value read from a configuration file or a command line, and written so that
//! it can be read again. And as numbers, which are in range as well.

use std::ffi::CStr;

use super::{Form, Options, Setting, Zero, GIB, KIB, MIB, SETTINGS};
use crate::error::{Error, Kind, Result};

impl Options {
    /// Sets the option called `name` from text, as a configuration file or a command line has it.
    pub fn set_text(&mut self, name: &str, value: &str) -> Result<()> {
        let setting = find(name)?;
        let number = setting.parse(value.trim()).filter(|&number| setting.allows(number));
        let number = number.ok_or_else(|| invalid(name, value, &setting.allowed()))?;
        (setting.set)(self, number);
        Ok(())
    }

    /// The option called `name` as text that [`Options::set_text`] takes.
    pub fn get_text(&self, name: &str) -> Result<String> {
        let setting = find(name)?;
        Ok(setting.text((setting.get)(self)))
    }

    /// Sets the segment size in bytes.
    pub fn set_segment_size(&mut self, bytes: u64) -> Result<()> {
        self.set_number("segment_size", bytes)
    }

    /// Sets the sync interval in milliseconds.
    pub fn set_sync_interval_ms(&mut self, ms: u64) -> Result<()> {
        self.set_number("sync_interval_ms", ms)
    }

    /// Sets the share of garbage in percent; 0 is automatic.
    pub fn set_compaction_garbage_percent(&mut self, percent: u64) -> Result<()> {
        self.set_number("compaction_garbage_percent", percent)
    }

    /// Sets the most that all files may take together; 0 is no limit.
    pub fn set_max_disk_bytes(&mut self, bytes: u64) -> Result<()> {
        self.set_number("max_disk_bytes", bytes)
    }

    /// Sets the most memory that the index may take; 0 is no limit.
    pub fn set_max_index_bytes(&mut self, bytes: u64) -> Result<()> {
        self.set_number("max_index_bytes", bytes)
    }

    /// Sets how often figures are published, in milliseconds; 0 is never.
    pub fn set_publish_stats_ms(&mut self, ms: u64) -> Result<()> {
        self.set_number("publish_stats_ms", ms)
    }

    /// Sets the mode of files that are made.
    pub fn set_file_mode(&mut self, mode: u64) -> Result<()> {
        self.set_text("file_mode", &format!("{mode:04o}"))
    }

    /// Sets an option that is a number.
    fn set_number(&mut self, name: &str, number: u64) -> Result<()> {
        let setting = find(name)?;
        if !setting.allows(number) {
            return Err(invalid(name, &number.to_string(), text_of(setting.range)));
        }
        (setting.set)(self, number);
        Ok(())
    }
}

impl Setting {
    /// What kind of value it has, in a word.
    pub fn type_name(&self) -> &'static CStr {
        match self.form {
            Form::Number { is_bytes: true, .. } => c"bytes",
            Form::Number { is_bytes: false, .. } => c"number",
            Form::Flag => c"flag",
            Form::Choice(_) => c"choice",
        }
    }

    /// The number that the text stands for, if it is of the right kind.
    fn parse(&self, text: &str) -> Option<u64> {
        match self.form {
            Form::Number { is_bytes: true, .. } => parse_bytes(text),
            Form::Number { is_bytes: false, .. } => text.parse().ok(),
            Form::Flag => match text {
                "true" | "on" | "yes" | "1" => Some(1),
                "false" | "off" | "no" | "0" => Some(0),
                _ => None,
            },
            Form::Choice(texts) => {
                texts.iter().position(|choice| *choice == text).map(|at| at as u64)
            }
        }
    }

    fn allows(&self, number: u64) -> bool {
        match self.form {
            Form::Number { least, most, zero, .. } => {
                (least..=most).contains(&number) || (zero != Zero::Nothing && number == 0)
            }
            Form::Flag => number <= 1,
            Form::Choice(texts) => number < texts.len() as u64,
        }
    }

    /// The range, for messages about a text.
    fn allowed(&self) -> String {
        let range = text_of(self.range);
        match self.form {
            Form::Number { is_bytes: true, .. } => format!("{range}, in bytes, KiB, MiB or GiB"),
            _ => range.to_owned(),
        }
    }

    fn text(&self, number: u64) -> String {
        match self.form {
            Form::Number { is_bytes: true, .. } => text_of_bytes(number),
            Form::Number { is_bytes: false, .. } => number.to_string(),
            Form::Flag => (number != 0).to_string(),
            Form::Choice(texts) => {
                texts.get(number as usize).copied().unwrap_or_default().to_owned()
            }
        }
    }
}

/// The option with this name.
fn find(name: &str) -> Result<&'static Setting> {
    let found = SETTINGS.iter().find(|setting| text_of(setting.name) == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = SETTINGS.iter().map(|setting| text_of(setting.name)).collect();
        let message =
            format!("there is no option \"{name}\"; the options are {}", names.join(", "));
        Error::new(Kind::UnknownOption, message)
    })
}

/// The texts of [`SETTINGS`] are this library's own.
fn text_of(text: &'static CStr) -> &'static str {
    text.to_str().unwrap_or_default()
}

#[cold]
pub(super) fn invalid(name: &str, value: &str, allowed: &str) -> Error {
    Error::new(
        Kind::InvalidOption,
        format!("option \"{name}\" cannot be \"{value}\"; allowed: {allowed}"),
    )
}

/// A size such as "67108864", "64MiB" or "64 MB". KB, MB and GB are powers of 1024 as well.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => KIB,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => GIB,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The same in the largest unit that it is a whole number of.
fn text_of_bytes(bytes: u64) -> String {
    for (unit, name) in [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
        if bytes != 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("1048576", MIB),
            ("64MiB", 64 * MIB),
            ("64 MB", 64 * MIB),
            ("2g", 2 * GIB),
            ("2048k", 2 * MIB),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "64TiB", "99999999999999999999", "20000000000g"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_read_back_is_what_was_set() {
        for bytes in [0, 1, 1023, KIB, KIB + 1, 1536 * KIB, MIB, 64 * MIB, 2 * GIB, u64::MAX] {
            assert_eq!(parse_bytes(&text_of_bytes(bytes)), Some(bytes));
        }
        let mut options = Options::default();
        for setting in &SETTINGS {
            let name = text_of(setting.name);
            let numbers = match setting.form {
                Form::Number { least, most, .. } => vec![least, least + 1, most - 1, most],
                Form::Flag => vec![0, 1],
                Form::Choice(texts) => (0..texts.len() as u64).collect(),
            };
            for number in numbers {
                let text = setting.text(number);
                options.set_text(name, &text).unwrap();
                assert_eq!((setting.get)(&options), number, "{name} = {text}");
                assert_eq!(options.get_text(name).unwrap(), text);
            }
        }
        assert_eq!(options.get_text("snyc").unwrap_err().kind(), Kind::UnknownOption);
    }

    #[test]
    fn the_texts_of_the_table_say_what_its_numbers_do() {
        let defaults = Options::default();
        for setting in &SETTINGS {
            let name = text_of(setting.name);
            assert_eq!(defaults.get_text(name).unwrap(), text_of(setting.default), "{name}");
            let range = match setting.form {
                Form::Number { least, zero: Zero::NoLimit, .. } => {
                    format!("0 (no limit), or {} and more", setting.text(least))
                }
                Form::Number { least, most, zero: Zero::Off, .. } => {
                    format!("0 (off), or {} to {}", setting.text(least), setting.text(most))
                }
                Form::Number { least, most, zero: Zero::Automatic, .. } => {
                    format!("0 (automatic), or {} to {}", setting.text(least), setting.text(most))
                }
                Form::Number { least, most, .. } => {
                    format!("{} to {}", setting.text(least), setting.text(most))
                }
                Form::Flag => "true, false".to_owned(),
                Form::Choice(texts) => texts.join(", "),
            };
            assert_eq!(text_of(setting.range), range, "{name}");
            let has_unit = matches!(setting.form, Form::Number { .. });
            assert_eq!(!setting.unit.is_empty(), has_unit, "{name}");
            assert!(!setting.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_as_number_and_as_text() {
        for setting in &SETTINGS {
            let Form::Number { least, most, zero, .. } = setting.form else { continue };
            let name = text_of(setting.name);
            let mut options = Options::default();
            let below = least.checked_sub(1).filter(|&below| below > 0 || zero == Zero::Nothing);
            for number in below.into_iter().chain(most.checked_add(1)) {
                for result in [
                    options.set_number(name, number),
                    options.set_text(name, &setting.text(number)),
                ] {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), Kind::InvalidOption, "{name}");
                    assert!(error.to_string().contains(text_of(setting.range)), "{error}");
                }
            }
            assert_eq!(options.get_text(name).unwrap(), text_of(setting.default));
        }
    }
}
