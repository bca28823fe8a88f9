//! The checkpoint of the index as a file: whether it is as it was written. What it says is compared
//! with the records elsewhere.

use super::index::Known;
use super::problem::{Findings, Problem, Severity, Subject};
use crate::engine::recover::read_checkpoint_header;
use crate::error::{passed_over, Kind, Result};
use crate::format::bytes::get_u32;
use crate::format::checkpoint::{decode_entries, header_len, KnownPiece};
use crate::format::{is_known_version, name, FORMAT_VERSION};
use crate::memory;
use crate::storage::{read_part, File, Storage};

/// Reads the checkpoint, if there is one, and says what is wrong with it. `advance` is told how
/// many bytes more are done.
pub fn examine(
    storage: &dyn Storage,
    uuid: &[u8; 16],
    findings: &mut Findings,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<Known>> {
    let opened = storage.open(name::INDEX, false);
    let mut warn = |at: u64, len: u64, what: &str| {
        let (severity, subject) = (Severity::Warning, Subject::Checkpoint);
        findings.add(Problem::new(severity, subject, name::INDEX, (at, len), what))
    };
    let file = match opened {
        Err(error) if error.kind() == Kind::DoesNotExist => return Ok(None),
        Err(error) if error.is_of_file() => {
            return warn(0, 0, &error.to_string()).map(|()| None);
        }
        file => file?,
    };
    let len = file.len()?;
    let Some(checkpoint) = read_checkpoint_header(&*file, uuid)? else {
        if !is_of_older_version(&*file) {
            warn(
                0,
                len,
                "the checkpoint of the index does not verify; the next open does without",
            )?;
        }
        return Ok(None);
    };
    // What lies between the header and the buckets, and between those, is zeros.
    let mut at = header_len(checkpoint.segments.len(), checkpoint.pieces.len()) as u64;
    let mut pieces = memory::collect(&checkpoint.pieces)?;
    for piece in pieces.iter().filter(|piece| piece.is_empty() && piece.used > 0) {
        warn(piece.offset, 0, "a piece of the index without entries has some")?;
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces.sort_unstable_by_key(|piece| piece.offset);
    for piece in pieces {
        if !is_zero(&*file, at, piece.offset) {
            warn(at, piece.offset.saturating_sub(at), "bytes that must be zero are not")?;
        }
        if read_entries(&*file, piece)?.is_none() {
            let what = "a piece of the index does not verify; it is made anew when it is needed";
            warn(piece.offset, piece.len() as u64, what)?;
        }
        at = at.max(piece.offset + piece.len() as u64);
        advance(piece.len() as u64)?;
    }
    if !is_zero(&*file, at, len) {
        warn(at, len - at, "bytes that must be zero are not")?;
    }
    Ok(Some(Known { file, checkpoint, is_current: true }))
}

/// The entries of a piece, if they are as they were written.
pub fn read_entries(file: &dyn File, piece: &KnownPiece) -> Result<Option<Vec<u64>>> {
    let bytes = passed_over(read_part(file, piece.offset, piece.len(), "the checkpoint"))?;
    let Some(bytes) = bytes else { return Ok(None) };
    Ok(decode_entries(&bytes, piece)?)
}

/// Whether it was written by an earlier libkv, so that no open looks at it.
fn is_of_older_version(file: &dyn File) -> bool {
    let mut head = [0; 12];
    file.read_at(&mut head, 0).is_ok() && is_older(&head)
}

/// Whether the file that begins so has an earlier format version than this libkv writes.
pub fn is_older(head: &[u8]) -> bool {
    let version = get_u32(head, 8);
    is_known_version(version) && version < FORMAT_VERSION
}

/// Whether there are only zeros from `from` up to `to`.
fn is_zero(file: &dyn File, from: u64, to: u64) -> bool {
    let mut at = from;
    let mut bytes = [0; 4096];
    while at < to {
        let part = &mut bytes[..(to - at).min(4096) as usize];
        if file.read_at(part, at).is_err() || part.iter().any(|&byte| byte != 0) {
            return false;
        }
        at += part.len() as u64;
    }
    true
}
