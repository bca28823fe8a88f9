//! The checksums of an image: put right, as far as the input says.

use kv::format::name;

use super::super::golden::Files;
use super::super::model::manifest;
use super::super::model::{self, set_u32, u32_at, u64_at, Mend};
use super::{pieces_of, who};

/// What is put right in the end.
const MENDS_MANIFEST: u8 = 1;
const MENDS_HEADERS: u8 = 2;
const MENDS_HINTS: u8 = 4;
const MENDS_INDEX: u8 = 8;

/// Puts right what `mends` and `records` say.
pub fn mend(files: &mut Files, mends: u8, records: Mend) {
    if mends & MENDS_MANIFEST != 0 {
        files.get_mut(name::MANIFEST).into_iter().for_each(|bytes| manifest::mend(bytes));
    }
    let salts = files
        .iter()
        .filter_map(|(name, bytes)| Some((name::parse_segment(name)?, who(bytes)?.salt)));
    let salts: Vec<(u64, u32)> = salts.collect();
    for (name, bytes) in files.iter_mut() {
        if let (Some(_), Some(who)) = (name::parse_segment(name), who(bytes)) {
            if mends & MENDS_HEADERS != 0 {
                mend_header_page(bytes, who.salt);
            }
            model::mend(bytes, &who, records);
        } else if name::parse_hint(name).is_some() && bytes.len() >= 96 && mends & MENDS_HINTS != 0
        {
            let salt = salts.iter().find(|(id, _)| Some(*id) == name::parse_hint(name));
            let mut crc = crc32fast::Hasher::new();
            crc.update(&bytes[..92]);
            crc.update(&bytes[96..]);
            set_u32(bytes, 92, crc.finalize() ^ salt.map_or(0, |&(_, salt)| salt));
        } else if name == name::INDEX && mends & MENDS_INDEX != 0 {
            mend_index(bytes);
        }
    }
}

fn mend_header_page(bytes: &mut [u8], salt: u32) {
    let sum = crc32fast::hash(&bytes[..64]);
    set_u32(bytes, 64, sum);
    for at in [1024, 1536, 2048, 3072] {
        if bytes[at..at + 12].iter().any(|&byte| byte != 0) {
            let sum = crc32fast::hash(&bytes[at..at + 8]) ^ salt;
            set_u32(bytes, at + 8, sum);
        }
    }
}

fn mend_index(bytes: &mut [u8]) {
    let pieces = pieces_of(bytes);
    for &piece in &pieces {
        let from = u64_at(bytes, piece + 8).min(bytes.len() as u64) as usize;
        let len = (u32_at(bytes, piece + 16) as usize).saturating_mul(64);
        if let Some(entries) = bytes.get(from..from.saturating_add(len)).filter(|e| !e.is_empty()) {
            let sum = crc32fast::hash(entries);
            let used = entries.chunks(8).filter(|entry| entry.iter().any(|&byte| byte != 0));
            let used = used.count() as u32;
            set_u32(bytes, piece + 20, used);
            set_u32(bytes, piece + 28, sum);
        }
    }
    if let Some(last) = pieces.last() {
        let sum = crc32fast::hash(&bytes[..last + 32]);
        set_u32(bytes, last + 32, sum);
    }
}
