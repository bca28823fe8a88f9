//! What goes to standard output: bytes in an encoding, and JSON that loses none of them.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::{json, Value};

use crate::args::Shared;
use crate::bytes::to_base64;
use crate::fail::Failure;

/// Standard output.
pub struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub fn new() -> Out {
        Out(BufWriter::with_capacity(64 << 10, io::stdout().lock()))
    }

    /// Writes bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(|error| Failure::output(&error))
    }

    /// Writes a text and ends the line.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    /// Writes JSON in a line.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// Writes out what is still here.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| Failure::output(&error))
    }
}

/// Writes one line, of JSON if that is wanted, else of text.
pub fn answer(shared: &Shared, text: &str, value: &Value) -> Result<(), Failure> {
    let mut out = Out::new();
    match shared.json {
        true => out.json(value)?,
        false => out.line(text)?,
    }
    out.flush()
}

/// Says something that is no result, on standard error.
pub fn remark(shared: &Shared, text: &str) {
    if !shared.quiet {
        // Where standard error cannot be written, nobody can be told.
        let _ = writeln!(io::stderr(), "kv: {text}");
    }
}

/// Sets the member `name` to bytes: as a string if they are UTF-8, else `name`_base64.
pub fn set_bytes(object: &mut Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object[name] = json!(text),
        Err(_) => object[format!("{name}_base64")] = json!(to_base64(bytes)),
    }
}

/// A number of bytes for people.
pub fn human(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_a_string_or_base64() {
        let mut object = json!({});
        set_bytes(&mut object, "key", b"a\0\n");
        set_bytes(&mut object, "value", b"\xff\0");
        assert_eq!(object.to_string(), r#"{"key":"a\u0000\n","value_base64":"/wA="}"#);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!((human(0), human(1023)), ("0 B".to_owned(), "1023 B".to_owned()));
        assert_eq!((human(1536), human(5 << 40)), ("1.5 KiB".to_owned(), "5.0 TiB".to_owned()));
        assert_eq!(human(u64::MAX), "16777216.0 TiB");
    }
}
