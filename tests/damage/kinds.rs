//! Kinds of damage to one file of a sample.

use super::{Damage, Sample};

pub fn flip(sample: &Sample, file: &str, bit: usize) -> Damage {
    let mut bytes = sample.files[file].clone();
    bytes[bit / 8] ^= 1 << (bit % 8);
    let what = format!("bit {} of byte {} of {file} flipped", bit % 8, bit / 8);
    let (from, to) = (bit / 8, bit / 8 + 1);
    Damage { what, file: file.into(), from, to, bytes: Some(bytes), stage: None }
}

pub fn cut(sample: &Sample, file: &str, len: usize) -> Damage {
    let bytes = sample.files[file][..len].to_vec();
    Damage::new(sample, file, Some(bytes), format!("{file} cut to {len}"))
}

pub fn append(sample: &Sample, file: &str, more: &[u8]) -> Damage {
    let mut bytes = sample.files[file].clone();
    bytes.extend_from_slice(more);
    let what = format!("{} bytes appended to {file}", more.len());
    Damage::new(sample, file, Some(bytes), what)
}

pub fn replace(sample: &Sample, file: &str, bytes: Option<&[u8]>, what: &str) -> Damage {
    let what = format!("{file} replaced by {what}");
    Damage::new(sample, file, bytes.map(<[u8]>::to_vec), what)
}

/// What stands at `from` is replaced by `with`, as far as the file reaches.
pub fn put(sample: &Sample, file: &str, from: usize, with: &[u8], what: &str) -> Damage {
    let mut bytes = sample.files[file].clone();
    let len = with.len().min(bytes.len().saturating_sub(from));
    bytes[from..from + len].copy_from_slice(&with[..len]);
    let what = format!("{len} bytes of {file} from {from} on replaced by {what}");
    Damage::new(sample, file, Some(bytes), what)
}

/// `block` of 512 bytes is overwritten: with zeros, or with what stands at `source`.
pub fn overwrite(sample: &Sample, file: &str, block: usize, source: Option<usize>) -> Damage {
    let bytes = &sample.files[file];
    let (from, to) = (block * 512, (block * 512 + 512).min(bytes.len()));
    match source {
        None => put(sample, file, from, &vec![0; to - from], "zeros"),
        Some(source) => {
            let source = source * 512;
            put(
                sample,
                file,
                from,
                &bytes[source..source + to - from],
                &format!("those at {source}"),
            )
        }
    }
}
