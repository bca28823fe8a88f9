//! Restoring: another database that holds what a backup holds, after all of it was verified.

use std::ffi::OsStr;
use std::sync::Arc;

use super::place::Place;
use super::transfer::{open_sealed, open_segment, path_of, sealed_bytes, Tell, Transfer};
use super::verify::verify;
use crate::engine::recover::read_hint;
use crate::error::{Error, Kind, Result};
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::segment::{SegmentHeader, SyncMark, HEADER_PAGE};
use crate::manifest::{self, Manifest, State};
use crate::memory;
use crate::storage::{File, Parent, Storage};
use crate::wrong_turn::is_taken;

/// A segment that is not sealed: its header, its file, and how many bytes of that there are.
type Unsealed = (SegmentHeader, Arc<dyn File>, u64);

/// Makes the directory `name` a database that holds what the one in `from` holds, which nobody has
/// open. `tell` is told how far it is, and can end it.
pub fn restore(from: &dyn Storage, parent: &dyn Parent, name: &OsStr, tell: Tell) -> Result<()> {
    let place = Place::new(parent, name);
    place.must_be_apart_from(from)?;
    place.must_be_free()?;
    if !from.list()?.iter().any(|name| name == name::MANIFEST) {
        let message = format!("{} is not a libkv database", from.path());
        return Err(Error::new(Kind::NotADatabase, message));
    }
    let _lock = match from.lock(name::LOCK) {
        // A backup that may only be read: what is read of it does not change.
        Err(error) if error.kind() == Kind::PermissionDenied => None,
        lock => Some(lock?),
    };
    let fresh = place.begin()?;
    let mut transfer = Transfer::new(&*fresh.storage, &|| Ok(()), tell);
    match fill(from, &mut transfer) {
        Ok(()) => fresh.take_place(None),
        Err(error) => {
            fresh.abandon();
            Err(error)
        }
    }
}

/// Verifies what is in `from`, brings it into the target, and puts it on the medium.
fn fill(from: &dyn Storage, transfer: &mut Transfer) -> Result<()> {
    let stored = manifest::read(from)?;
    let (identity, state) = (stored.identity, stored.state);
    let unsealed = unsealed_of(from, &identity.uuid, &state)?;
    let in_tail: u64 = unsealed.iter().map(|(_, _, len)| len).sum();
    let bytes = sealed_bytes(state.segments.values()) + in_tail;
    transfer.plan(state.segments.len() as u64, bytes)?;
    for live in state.segments.values() {
        if let Some(sealed) = &live.sealed {
            bring(from, transfer, &identity.uuid, &live.header, sealed)?;
        }
    }
    verify_log_end(from, transfer, &state, &unsealed)?;
    for (header, file, len) in &unsealed {
        transfer.copy(&**file, &name::segment(header.id), *len, false)?.sync()?;
        transfer.segment_done();
    }
    // It is verified when it is read, and can be done without.
    transfer.link_if_there(from, name::INDEX);
    Manifest::write_anew(transfer.target, identity, state).map(|_| ())
}

/// Verifies and brings a sealed segment, with its hint if that is good.
fn bring(
    from: &dyn Storage,
    transfer: &mut Transfer,
    uuid: &[u8; 16],
    header: &SegmentHeader,
    sealed: &SealedSegment,
) -> Result<()> {
    let file = open_sealed(from, uuid, header, sealed)?;
    let advance = &mut |bytes| transfer.advance(bytes);
    let found = verify(Arc::clone(&file), header, sealed.len, None, advance)?;
    let is_whole = |seal: &SealedSegment| seal.len == sealed.len && seal.records == sealed.records;
    let is_believed = is_taken!(RestoredUnverified);
    if !is_believed && !found.seal.as_ref().is_some_and(is_whole) {
        let why = if found.seal.is_some() { "the seal is another one" } else { found.why };
        return Err(Error::corrupt(&path_of(from, header.id), found.end, why));
    }
    let name = name::segment(header.id);
    let has_hint = read_hint(from, uuid, header, sealed)?.is_some();
    // Who copied the backup to where it is may not have synced it.
    file.sync()?;
    if transfer.link(from, &name)? {
        if has_hint {
            transfer.link_if_there(from, &name::hint(header.id));
        }
    } else {
        transfer.copy(&*file, &name, sealed.len, false)?.sync()?;
        if has_hint {
            transfer.copy_hint(from, header.id);
        }
    }
    transfer.segment_done();
    Ok(())
}

/// The segments that are not sealed: after a close there is one at most, with a known length.
fn unsealed_of(from: &dyn Storage, uuid: &[u8; 16], state: &State) -> Result<Vec<Unsealed>> {
    let mut unsealed = Vec::new();
    for live in state.segments.values().filter(|live| live.sealed.is_none()) {
        let file = open_segment(from, uuid, &live.header)?;
        let len = file.len()?;
        memory::push(&mut unsealed, (live.header, file, len))?;
    }
    let Some(closed) = state.closed else { return Ok(unsealed) };
    if !unsealed.iter().map(|(header, _, _)| header.id).eq((closed.id != 0).then_some(closed.id)) {
        let path = format!("{}/{}", from.path(), name::MANIFEST);
        return Err(Error::corrupt(&path, 0, "it was closed with another log"));
    }
    if let Some((header, _, len)) = unsealed.first().filter(|(_, _, len)| *len != closed.len) {
        let what = format!("the file has {len} bytes, not {}", closed.len);
        return Err(Error::corrupt(&path_of(from, header.id), closed.len.min(*len), what));
    }
    Ok(unsealed)
}

/// Verifies the end of the log, as far as it must be whole; the rest is for the one who opens it.
fn verify_log_end(
    from: &dyn Storage,
    transfer: &mut Transfer,
    state: &State,
    unsealed: &[Unsealed],
) -> Result<()> {
    let (mut expected, mut ended) = (None, None);
    for (header, file, len) in unsealed {
        let synced = match state.closed {
            Some(closed) => closed.len,
            None => synced_part(&**file, header)?,
        };
        if let Some(end) = ended {
            // A sync reaches a segment only after the ones before it.
            if synced > HEADER_PAGE as u64 {
                return Err(end);
            }
            ended = Some(end);
            transfer.advance(*len)?;
            continue;
        }
        let mut done = 0;
        let advance = &mut |bytes| {
            done += bytes;
            transfer.advance(bytes)
        };
        let found = verify(Arc::clone(file), header, *len, expected, advance)?;
        transfer.advance(len.saturating_sub(done))?;
        expected = Some(found.next_sequence);
        if found.seal.is_none() {
            let end = Error::corrupt(&path_of(from, header.id), found.end, found.why);
            if found.end < synced {
                return Err(end);
            }
            ended = Some(end);
        }
    }
    Ok(())
}

/// So many bytes of a segment are on the medium, by its marks.
fn synced_part(file: &dyn File, header: &SegmentHeader) -> Result<u64> {
    let mut page = vec![0; HEADER_PAGE];
    file.read_at(&mut page, 0)?;
    Ok(SyncMark::decode(&page, header.salt).offset)
}
