//! Memory that may not be there: vectors that say so, where Rust's own would end the process.
//!
//! What is large or grows with the data is made with these. Small things of bounded size are made
//! as anywhere.

use std::collections::TryReserveError;
use std::fmt::{self, Write};

/// What these functions return. The error becomes one of the kind `OutOfMemory`.
pub type Result<T> = std::result::Result<T, TryReserveError>;

/// All that an iterator gives.
pub fn collect<T>(items: impl IntoIterator<Item = T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    extend(&mut all, items)?;
    Ok(all)
}

/// Adds all that an iterator gives.
pub fn extend<T>(all: &mut Vec<T>, items: impl IntoIterator<Item = T>) -> Result<()> {
    let items = items.into_iter();
    all.try_reserve(items.size_hint().0)?;
    for item in items {
        push(all, item)?;
    }
    Ok(())
}

/// Adds one item.
#[inline]
pub fn push<T>(all: &mut Vec<T>, item: T) -> Result<()> {
    all.try_reserve(1)?;
    all.push(item);
    Ok(())
}

/// Adds bytes.
#[inline]
pub fn append(all: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    all.try_reserve(bytes.len())?;
    all.extend_from_slice(bytes);
    Ok(())
}

/// A copy of bytes.
pub fn copy(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// So many zeros.
pub fn zeros(len: usize) -> Result<Vec<u8>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(len)?;
    zeros.resize(len, 0);
    Ok(zeros)
}

/// A text on its way. Writing to it fails for one reason only: there is no memory.
#[derive(Default)]
pub struct Text(String);

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.0.try_reserve(more.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(more);
        Ok(())
    }
}

impl Text {
    /// What was written so far.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text that `write` writes, with a NUL behind it.
pub fn c_text(
    write: impl FnOnce(&mut Text) -> fmt::Result,
) -> std::result::Result<String, fmt::Error> {
    let mut text = Text::default();
    write(&mut text)?;
    text.write_char('\0')?;
    Ok(text.0)
}
