//! Pieces of the index that come when they are first needed: from the checkpoint, or, where that is
//! damaged, from the log.

use std::sync::Arc;

use super::replay::{Part, Replay, Share};
use super::sealed::read_hint;
use super::Recovery;
use crate::epoch;
use crate::error::{passed_over, Kind, Result};
use crate::format::checkpoint::{decode_entries, KnownPiece};
use crate::format::hint::Digest;
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::segment::SegmentHeader;
use crate::index::hash::KeyHasher;
use crate::index::image::Image;
use crate::index::{Index, PIECES};
use crate::memory;
use crate::segment::digest::{self, End};
use crate::segment::scan::Scan;
use crate::segment::table::SegmentTable;
use crate::segment::Segment;
use crate::storage::{read_part, File, Storage};

/// Where pieces come from.
pub(super) struct PieceSource {
    file: Arc<dyn File>,
    pieces: Vec<KnownPiece>,
    storage: Arc<dyn Storage>,
    table: Arc<SegmentTable>,
    hasher: KeyHasher,
    uuid: [u8; 16],
    /// The segments that the database had when it was opened.
    segments: Vec<Extent>,
}

/// A segment as far as it was written when the database was opened.
struct Extent {
    header: SegmentHeader,
    len: u64,
    sealed: Option<SealedSegment>,
}

impl PieceSource {
    /// `tail` is the segment that is not sealed, and its length.
    pub(super) fn new(
        recovery: &Recovery,
        file: Arc<dyn File>,
        pieces: Vec<KnownPiece>,
        tail: Option<(SegmentHeader, u64)>,
    ) -> Result<PieceSource> {
        let live = recovery.manifest.state().segments.values();
        let sealed = live.filter_map(|live| {
            let sealed = live.sealed?;
            Some(Extent { header: live.header, len: sealed.len, sealed: Some(sealed) })
        });
        let tail = tail.map(|(header, len)| Extent { header, len, sealed: None });
        Ok(PieceSource {
            file,
            pieces,
            storage: Arc::clone(&recovery.storage),
            table: Arc::clone(&recovery.table),
            hasher: recovery.hasher,
            uuid: recovery.manifest.identity().uuid,
            segments: memory::collect(sealed.chain(tail))?,
        })
    }

    /// The piece `number`, in which nothing was changed since the database was opened.
    pub(super) fn load(&self, number: usize) -> Result<Image> {
        match read_piece(&*self.file, &self.pieces[number])? {
            Some(image) => Ok(image),
            None => self.rebuild(number),
        }
    }

    /// Builds the piece anew. No record of its keys has come or gone since the database was
    /// opened, but for tombstones that hide nothing: who writes one, and who copies one or leaves
    /// one behind, looks it up first, which brings the piece. So what segments held then is what
    /// counts, and a segment that is gone held none that matters.
    #[cold]
    fn rebuild(&self, number: usize) -> Result<Image> {
        let index = Index::new()?;
        let mut replay = Replay::new(&index, &self.table, &self.hasher, None).without_counting();
        for extent in &self.segments {
            if let Some(segment) = self.table.find(extent.header.id) {
                let digest = match self.digest_of(extent, &segment) {
                    Err(error) if error.kind() == Kind::DoesNotExist => {
                        match self.table.find(extent.header.id) {
                            // Compaction has just removed it.
                            None => continue,
                            Some(_) => return Err(segment.damaged(0, "the file is missing")),
                        }
                    }
                    digest => digest?,
                };
                let part: Part = (segment, digest);
                replay.take_all(&part, Share { number, of: PIECES })?;
            }
        }
        let guard = epoch::pin()?;
        for (hash, tombstone) in replay.into_tombstones() {
            index.entry(&guard, hash, |location| Ok(location == tombstone))?.remove();
        }
        index.image(&guard, number, || ()).map(|(image, ())| image)
    }

    fn digest_of(&self, extent: &Extent, segment: &Segment) -> Result<Digest> {
        let header = &extent.header;
        if let Some(sealed) = &extent.sealed {
            if let Some(digest) = read_hint(&*self.storage, &self.uuid, header, sealed)? {
                return Ok(digest);
            }
        }
        let file = self.storage.open(&name::segment(header.id), false)?;
        let mut scan = Scan::new(file, *header, extent.len);
        let hash = |key: &[u8]| self.hasher.hash(key);
        let walked = digest::of_scan(&mut scan, header.kind, hash)?;
        let what = match walked.end {
            _ if scan.whole().offset == extent.len => return Ok(walked.digest),
            End::Damage(what) => what,
            _ => "the records end before they should",
        };
        Err(segment.damaged(scan.offset(), what))
    }
}

/// A piece as it is in the checkpoint; nothing if it is not as it was written.
pub(super) fn read_piece(file: &dyn File, piece: &KnownPiece) -> Result<Option<Image>> {
    // An empty one has no bytes to be read.
    let bytes = match piece.len() {
        0 => Some(Vec::new()),
        len => passed_over(read_part(file, piece.offset, len, "the checkpoint"))?,
    };
    let Some(bytes) = bytes else { return Ok(None) };
    let entries = decode_entries(&bytes, piece)?;
    let (used, precision) = (piece.used as usize, piece.precision);
    Ok(entries.map(|entries| Image { entries, used, precision }))
}
