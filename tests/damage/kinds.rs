//! Kinds of damage to one file of a sample.

use super::{Damage, Sample};

pub fn flip(sample: &Sample, file: &str, bit: usize) -> Damage {
    let mut bytes = sample.files[file].clone();
    bytes[bit / 8] ^= 1 << (bit % 8);
    let what = format!("bit {} of byte {} of {file} flipped", bit % 8, bit / 8);
    Damage { what, file: file.into(), from: bit / 8, bytes: Some(bytes) }
}

pub fn cut(sample: &Sample, file: &str, len: usize) -> Damage {
    let bytes = sample.files[file][..len].to_vec();
    Damage {
        what: format!("{file} cut to {len}"),
        file: file.into(),
        from: len,
        bytes: Some(bytes),
    }
}

pub fn append(sample: &Sample, file: &str, more: &[u8]) -> Damage {
    let mut bytes = sample.files[file].clone();
    let (from, count) = (bytes.len(), more.len());
    bytes.extend_from_slice(more);
    let what = format!("{count} bytes appended to {file}");
    Damage { what, file: file.into(), from, bytes: Some(bytes) }
}

pub fn replace(file: &str, bytes: Option<&[u8]>, what: &str) -> Damage {
    let what = format!("{file} replaced by {what}");
    Damage { what, file: file.into(), from: 0, bytes: bytes.map(<[u8]>::to_vec) }
}

/// `block` of 512 bytes is overwritten: with zeros, or with what stands at `source`.
pub fn overwrite(sample: &Sample, file: &str, block: usize, source: Option<usize>) -> Damage {
    let mut bytes = sample.files[file].clone();
    let (from, to) = (block * 512, (block * 512 + 512).min(bytes.len()));
    match source {
        None => bytes[from..to].fill(0),
        Some(source) => bytes.copy_within(source * 512..source * 512 + to - from, from),
    }
    let what = format!("block {block} of {file} overwritten with {source:?}");
    Damage { what, file: file.into(), from, bytes: Some(bytes) }
}
