//! The manifest of a database that may be damaged: as much of it as can be made out, and what is
//! wrong with the rest.

use std::collections::BTreeSet;

use super::{State, MAX_LEN};
use crate::error::{Error, Kind, Result};
use crate::format::bytes::{array, get_u32};
use crate::format::manifest::{
    decode_frame, decode_header, frame_len, BadHeader, Edit, Frame, HEADER_LEN,
};
use crate::format::segment::SegmentKind;
use crate::format::{name, Identity, FORMAT_VERSION};
use crate::memory;
use crate::storage::{read_part, Storage};

/// So much can be wrong with a segment, by what the manifest says of it.
const MOST_WRONG: usize = 8;

/// A part of the file that is not as it was written.
pub struct Fault {
    /// Where it begins.
    pub offset: u64,
    /// Bytes of it; 0 if that is not known.
    pub len: u64,
    /// What is wrong.
    pub what: String,
}

/// A manifest as far as it can be made out.
#[derive(Default)]
pub struct Examined {
    /// Who the database is; nothing if the header is damaged.
    pub identity: Option<Identity>,
    /// The format version; 0 if the header is damaged.
    pub version: u32,
    /// What the frames that verify add up to.
    pub state: State,
    /// Segments that were removed. No other ever gets their ids.
    pub removed: BTreeSet<u64>,
    /// What is damaged.
    pub faults: Vec<Fault>,
    /// What a crash may have left at the end.
    pub torn: Option<Fault>,
    /// Frames that verify.
    pub frames: u64,
    /// Bytes of the file.
    pub len: u64,
    /// Whether there is a file.
    pub is_there: bool,
}

/// Reads the manifest in `storage`. Where its header is damaged, frames are tried with `uuid`. An
/// error only if it cannot be read, or is that of a newer libkv.
pub fn examine(storage: &dyn Storage, uuid: Option<[u8; 16]>) -> Result<Examined> {
    let mut found = Examined { state: State::new(), ..Examined::default() };
    let file = match storage.open(name::MANIFEST, false) {
        Err(error) if error.kind() == Kind::DoesNotExist => {
            found.fault(0, 0, "the file is missing")?;
            return Ok(found);
        }
        Err(error) if error.is_of_file() => {
            found.fault(0, 0, &error.to_string())?;
            return Ok(found);
        }
        file => file?,
    };
    found.is_there = true;
    found.len = file.len()?;
    if found.len > MAX_LEN {
        found.fault(MAX_LEN, 0, "the file is longer than a manifest can be")?;
    }
    let bytes = match read_part(&*file, 0, found.len.min(MAX_LEN) as usize, "the manifest") {
        Err(error) if error.kind() == Kind::Io => {
            found.fault(0, found.len, &error.to_string())?;
            return Ok(found);
        }
        bytes => bytes?,
    };
    found.read_header(storage, &bytes)?;
    if let Some(uuid) = found.identity.map(|identity| identity.uuid).or(uuid) {
        found.read_frames(&bytes, &uuid)?;
        found.judge()?;
    }
    Ok(found)
}

impl Examined {
    fn fault(&mut self, offset: u64, len: u64, what: &str) -> Result<()> {
        Ok(memory::push(&mut self.faults, Fault { offset, len, what: what.into() })?)
    }

    fn read_header(&mut self, storage: &dyn Storage, bytes: &[u8]) -> Result<()> {
        match decode_header(bytes) {
            Ok((identity, version)) => (self.identity, self.version) = (Some(identity), version),
            Err(BadHeader::Newer(version)) if !is_flipped_version(bytes) => {
                let path = storage.path();
                let message = format!(
                    "{path}/{} has format version {version}; this libkv knows versions up to \
                     {FORMAT_VERSION}: use a newer libkv",
                    name::MANIFEST
                );
                return Err(Error::new(Kind::NewerFormat, message));
            }
            Err(BadHeader::Newer(_)) => self.fault(8, 4, "the format version is damaged")?,
            Err(BadHeader::NotAManifest) => {
                self.fault(0, HEADER_LEN as u64, "the file does not begin as a manifest does")?;
            }
            Err(BadHeader::Damaged(what, offset)) => self.fault(offset, HEADER_LEN as u64, what)?,
        }
        Ok(())
    }

    /// Applies all frames that verify.
    fn read_frames(&mut self, bytes: &[u8], uuid: &[u8; 16]) -> Result<()> {
        let mut at = HEADER_LEN as u64;
        loop {
            match decode_frame(bytes, uuid, at)? {
                Frame::Edits(edits, next) => {
                    self.frames += 1;
                    edits.iter().try_for_each(|edit| self.apply(edit, at, next))?;
                    at = next;
                }
                Frame::End => {
                    if self.frames == 0 && self.faults.is_empty() {
                        self.fault(at, 0, "the first frame is missing")?;
                    }
                    return Ok(());
                }
                Frame::Unknown => {
                    let len = frame_len(&bytes[at as usize..]).unwrap_or(8);
                    self.fault(at, len, "an edit is unknown")?;
                    at += len;
                }
                Frame::Bad(what) => match next_frame(bytes, uuid, at)? {
                    Some(next) => {
                        self.fault(at, next - at, what)?;
                        at = next;
                    }
                    None => return self.end(bytes, at, what),
                },
            }
        }
    }

    /// No frame verifies from `at` on.
    fn end(&mut self, bytes: &[u8], at: u64, what: &str) -> Result<()> {
        let len = bytes.len() as u64 - at;
        if at == HEADER_LEN as u64 {
            // It was synced before the file got its name.
            return self.fault(at, len, what);
        }
        self.torn = Some(Fault { offset: at, len, what: what.into() });
        Ok(())
    }

    fn apply(&mut self, edit: &Edit, at: u64, next: u64) -> Result<()> {
        if let Edit::Remove { id } = edit {
            self.removed.insert(*id);
        }
        if let Err(what) = self.state.apply(edit) {
            // After a frame that is lost, some edits have nothing to apply to.
            if self.faults.is_empty() {
                self.fault(at, next - at, what)?;
            }
        }
        Ok(())
    }

    /// Looks at whether what the frames add up to can be.
    fn judge(&mut self) -> Result<()> {
        let mut wrong = Vec::new();
        for (id, live) in &self.state.segments {
            // For all that can be wrong with one.
            wrong.try_reserve(MOST_WRONG)?;
            let header = &live.header;
            let mut is = |bad: bool, what: &str| {
                if bad {
                    wrong.push(format!("segment {id}: {what}"));
                }
            };
            is(self.removed.contains(id), "it was removed, and is there again");
            is(
                header.kind == SegmentKind::Log && header.horizon != 0,
                "a segment of the log has a horizon",
            );
            let Some(sealed) = &live.sealed else {
                is(header.kind == SegmentKind::Compacted, "compaction has not finished it");
                continue;
            };
            let least = crate::format::segment::OVERHEAD as u64;
            is(sealed.len < least || !sealed.len.is_multiple_of(8), "no segment is so long");
            is(sealed.records > sealed.len / 16, "it cannot have so many records");
            is(sealed.next_sequence < header.base_sequence, "it ends before it begins");
            is(sealed.expiring.first > sealed.expiring.last, "its expiry times are in disorder");
        }
        for what in wrong {
            self.fault(0, 0, &what)?;
        }
        Ok(())
    }
}

/// Whether the header verifies with a version that this libkv knows: then it is damaged, and not
/// that of a newer one.
fn is_flipped_version(bytes: &[u8]) -> bool {
    let Some(mut header) = bytes.first_chunk::<HEADER_LEN>().copied() else { return false };
    (1..=FORMAT_VERSION).any(|version| {
        header[8..12].copy_from_slice(&version.to_le_bytes());
        decode_header(&header).is_ok()
    })
}

/// Where the next frame behind `at` is that verifies.
fn next_frame(bytes: &[u8], uuid: &[u8; 16], at: u64) -> Result<Option<u64>> {
    // Bytes that look like the lengths of long frames must not keep it busy for hours.
    let mut work = 64 * bytes.len() as u64 + (64 << 20);
    for offset in (at + 8..bytes.len() as u64).step_by(8) {
        let rest = bytes.len() as u64 - offset;
        match frame_len(&bytes[offset as usize..]) {
            Some(len) if len <= rest => match work.checked_sub(len) {
                Some(left) => work = left,
                None => return Ok(None),
            },
            _ => continue,
        }
        if matches!(decode_frame(bytes, uuid, offset)?, Frame::Edits(..) | Frame::Unknown) {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

/// The uuid that the bytes of a manifest's header hold, and the seed of the hash, whether they are
/// damaged or not.
pub fn claimed_identity(storage: &dyn Storage) -> Option<Identity> {
    let file = storage.open(name::MANIFEST, false).ok()?;
    let mut header = [0; HEADER_LEN];
    file.read_at(&mut header, 0).ok()?;
    let created_ms = u64::from(get_u32(&header, 48)) | u64::from(get_u32(&header, 52)) << 32;
    Some(Identity { uuid: array(&header, 16), hash_seed: array(&header, 32), created_ms })
}
