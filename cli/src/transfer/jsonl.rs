//! JSON lines: `{"key":"a","value":"b","expires_at_ms":1}`; what is no UTF-8 is in `key_base64` or
//! `value_base64` instead.

use std::io::{self, BufRead, Write};
use std::str::from_utf8;

use serde_json::{Map, Value};

use super::{field, Bad, Expiry, Place, Reader, Record, Writer};
use crate::bytes::to_base64;

/// Writes lines.
pub struct JsonlWriter<W>(W);

impl<W: Write> JsonlWriter<W> {
    pub fn new(out: W) -> JsonlWriter<W> {
        JsonlWriter(out)
    }
}

impl<W: Write> JsonlWriter<W> {
    /// A member of the object: text as such, and what is none in base64.
    fn member(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match from_utf8(bytes) {
            Ok(text) => {
                write!(self.0, "\"{name}\":")?;
                Ok(serde_json::to_writer(&mut self.0, text)?)
            }
            Err(_) => write!(self.0, "\"{name}_base64\":\"{}\"", to_base64(bytes)),
        }
    }
}

impl<W: Write> Writer for JsonlWriter<W> {
    fn write(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> io::Result<()> {
        self.0.write_all(b"{")?;
        self.member("key", key)?;
        self.0.write_all(b",")?;
        self.member("value", value)?;
        if let Some(expires_at_ms) = expires_at_ms {
            write!(self.0, ",\"expires_at_ms\":{expires_at_ms}")?;
        }
        self.0.write_all(b"}\n")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads lines; empty ones are passed over.
pub struct JsonlReader<R> {
    from: R,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> JsonlReader<R> {
    pub fn new(from: R) -> JsonlReader<R> {
        JsonlReader { from, line: 0, text: Vec::new() }
    }
}

impl<R: BufRead> Reader for JsonlReader<R> {
    fn next(&mut self) -> Result<Option<(Place, Record)>, Bad> {
        loop {
            self.text.clear();
            if self.from.read_until(b'\n', &mut self.text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !self.text.trim_ascii().is_empty() {
                break;
            }
        }
        let place = Place::Line(self.line);
        let record = parse(&self.text).map_err(|what| Bad::record(place, what))?;
        Ok(Some((place, record)))
    }
}

fn parse(text: &[u8]) -> Result<Record, String> {
    let mut line: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| explain(&error))?;
    let record = Record {
        key: bytes(&mut line, "key")?,
        value: bytes(&mut line, "value")?,
        expiry: Expiry::of(number(&mut line, "expires_at_ms")?, number(&mut line, "ttl_ms")?)?,
    };
    match line.keys().next() {
        Some(name) => Err(format!("there is a member \"{name}\" that means nothing")),
        None => Ok(record),
    }
}

/// Takes bytes out of a line, which has them as text or in base64.
fn bytes(line: &mut Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let mut take = |name: &str| match line.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is no string")),
    };
    let (text, base64) = (take(name)?, take(&format!("{name}_base64"))?);
    field(name, text, base64)
}

/// Takes a number out of a line.
fn number(line: &mut Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    match line.remove(name) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("{name} is no whole number")),
    }
}

/// What is wrong, with the column; that it is line 1 of this line helps nobody.
fn explain(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let place = format!(" at line {} column {column}", error.line());
    match text.strip_suffix(&place) {
        Some(what) if column > 0 => format!("column {column}: {what}"),
        Some(what) => what.to_owned(),
        None => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_the_documents_say() {
        let mut file = Vec::new();
        let mut writer = JsonlWriter::new(&mut file);
        writer.write(b"a", b"\xff", Some(5)).unwrap();
        writer.write(b"b\n", b"", None).unwrap();
        assert_eq!(
            String::from_utf8(file).unwrap(),
            "{\"key\":\"a\",\"value_base64\":\"/w==\",\"expires_at_ms\":5}\n\
             {\"key\":\"b\\n\",\"value\":\"\"}\n"
        );
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (text, said) in [
            ("{", "EOF"),
            ("[]", "invalid type"),
            ("nonsense", "column 2"),
            ("{\"key\":\"a\"}", "neither value nor value_base64"),
            ("{\"value\":\"a\"}", "neither key nor key_base64"),
            ("{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"\"}", "both key and"),
            ("{\"key_base64\":\"Y\",\"value\":\"\"}", "key_base64: this is no base64"),
            ("{\"key\":\"a\",\"value\":1}", "value is no string"),
            ("{\"key\":\"a\",\"value\":\"\",\"vlaue\":\"\"}", "vlaue"),
            ("{\"key\":\"a\",\"value\":\"\",\"ttl_ms\":0}", "ttl_ms cannot be 0"),
            ("{\"key\":\"a\",\"value\":\"\",\"ttl_ms\":-1}", "ttl_ms is no whole number"),
            ("{\"key\":\"a\",\"value\":\"\",\"ttl_ms\":1,\"expires_at_ms\":1}", "both"),
            ("{\"key\":\"\\ud800\",\"value\":\"\"}", "column"),
        ] {
            let wrong = parse(text.as_bytes()).unwrap_err();
            assert!(wrong.contains(said), "{text}: {wrong}");
            assert!(!wrong.contains("line 1"), "{text}: {wrong}");
        }
        assert!(parse(b"{\"key\":\"\xff\",\"value\":\"\"}").is_err());
    }
}
