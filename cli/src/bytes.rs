//! Bytes as text and back: raw, hex, base64, and escaped as in C. None of them loses a byte.

use std::fmt::Write;

use clap::ValueEnum;
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::args::Encodings;

/// How keys and values are written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// The bytes themselves
    Raw,
    /// Two digits for each byte
    Hex,
    /// RFC 4648, with padding
    Base64,
    /// Text; \\, \n, \r, \t and \xHH for what is none
    Escaped,
}

impl Encoding {
    /// Adds bytes in this encoding.
    pub fn encode(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Encoding::Raw => out.extend_from_slice(bytes),
            Encoding::Hex => out.extend_from_slice(HEXLOWER.encode(bytes).as_bytes()),
            Encoding::Base64 => out.extend_from_slice(BASE64.encode(bytes).as_bytes()),
            Encoding::Escaped => out.extend_from_slice(escaped(bytes).as_bytes()),
        }
    }

    /// The bytes that a text in this encoding stands for, or what is wrong with it. White space in
    /// hex and base64 is passed over, so that what was wrapped, or ends with a newline, is read.
    pub fn decode(self, text: Vec<u8>) -> Result<Vec<u8>, String> {
        match self {
            Encoding::Raw => Ok(text),
            Encoding::Hex => {
                let digits = without_space(&text);
                let wrong = |e| format!("this is no hex: {e}");
                HEXLOWER_PERMISSIVE.decode(&digits).map_err(wrong)
            }
            Encoding::Base64 => from_base64(&without_space(&text)),
            Encoding::Escaped => unescaped(&text),
        }
    }
}

impl Encodings {
    /// How keys are written.
    pub fn of_keys(&self, unless_said: Encoding) -> Encoding {
        match (self.hex, self.base64) {
            (true, _) => Encoding::Hex,
            (_, true) => Encoding::Base64,
            _ => self.encoding.unwrap_or(unless_said),
        }
    }

    /// How values are written.
    pub fn of_values(&self, unless_said: Encoding) -> Encoding {
        self.value_encoding.unwrap_or_else(|| self.of_keys(unless_said))
    }
}

/// The bytes of a text in base64.
pub fn from_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    BASE64.decode(text).map_err(|e| format!("this is no base64: {e}"))
}

/// Bytes in base64.
pub fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

fn without_space(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// Bytes as text that shows all of them, in one line, and does nothing to a terminal.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if is_hidden(c) => {
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_hex(&mut out, byte));
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_hex(&mut out, byte));
    }
    out
}

fn push_hex(out: &mut String, byte: u8) {
    // Writing to memory does not fail.
    let _ = write!(out, "\\x{byte:02x}");
}

/// Control characters, and those that change the order or hide what is around them.
fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    c.is_control() || turns || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The bytes of an escaped text: \\, \n, \r, \t, \0, \", \' and \xHH.
fn unescaped(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&name, after)) = rest.split_first() else {
            return Err("the text ends with a single backslash; write \\\\ for one".to_owned());
        };
        rest = after;
        out.push(match name {
            b'\\' | b'"' | b'\'' => name,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = rest.get(..2).and_then(|two| HEXLOWER_PERMISSIVE.decode(two).ok());
                let Some(byte) = digits.and_then(|bytes| bytes.first().copied()) else {
                    return Err("\\x needs two hex digits".to_owned());
                };
                rest = &rest[2..];
                byte
            }
            other => return Err(format!("there is no escape \\{}", escaped(&[other]))),
        });
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    const ALL: [Encoding; 4] = [Encoding::Raw, Encoding::Hex, Encoding::Base64, Encoding::Escaped];

    fn encoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encoding.encode(bytes, &mut out);
        out
    }

    #[test]
    fn every_byte_comes_back_from_every_encoding() {
        let every: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let texts: [&[u8]; 6] =
            [b"", b"a", &every, "é€𝄞\u{202e}\u{85}".as_bytes(), b"\xff\xfe\x00", b"\\x41"];
        for encoding in ALL {
            for bytes in texts {
                let text = encoded(encoding, bytes);
                assert_eq!(encoding.decode(text).unwrap(), bytes, "{encoding:?}");
            }
        }
    }

    #[test]
    fn escaped_text_shows_all_and_is_one_line() {
        assert_eq!(escaped(b"a b\"c"), "a b\"c");
        assert_eq!(escaped(b"\\\n\r\t\0\x1b\x7f\xff"), "\\\\\\n\\r\\t\\x00\\x1b\\x7f\\xff");
        assert_eq!(escaped("é\u{202e}".as_bytes()), "é\\xe2\\x80\\xae");
        let read = |text: &str| Encoding::Escaped.decode(text.into());
        assert_eq!(read("\\0\\\"\\'\\xFf").unwrap(), b"\0\"'\xff");
        for wrong in ["\\", "a\\x", "\\x4", "\\xg0", "\\q"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hex_and_base64_pass_over_white_space_and_say_what_is_wrong() {
        assert_eq!(Encoding::Hex.decode(b"00 fF\n".to_vec()).unwrap(), [0, 255]);
        assert_eq!(Encoding::Base64.decode(b"AP8\n=".to_vec()).unwrap(), [0, 255]);
        for wrong in ["0", "0g", "-1"] {
            assert!(Encoding::Hex.decode(wrong.into()).unwrap_err().contains("hex"), "{wrong}");
        }
        for wrong in ["A", "A===", "AP8", "!!!!"] {
            assert!(Encoding::Base64.decode(wrong.into()).is_err(), "{wrong}");
        }
    }
}
