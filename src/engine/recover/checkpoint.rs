//! Opening with a checkpoint of the index: of what it knows, only what came after it is read. If
//! it is of the very moment at which the database was closed, nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::checkpoint::Reach;
use super::lazy::{read_piece, PieceSource};
use super::replay::{threads_for, Share};
use super::sealed::Opened;
use super::{FoundTail, Recovery};
use crate::epoch;
use crate::error::{passed_over, Kind, Result};
use crate::format::checkpoint::{
    decode_len, Checkpoint, KnownPiece, KnownSegment, BUCKET_LEN, FIXED_LEN,
};
use crate::format::manifest::Tail;
use crate::format::name;
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::index::{number_of, Index, Location, PIECES};
use crate::manifest::LiveSegment;
use crate::memory;
use crate::segment::table::{page_of, MAX_PAGES};
use crate::segment::{Segment, Source};
use crate::storage::{process, read_part, File};
use crate::wrong_turn::is_taken;

/// A checkpoint, as far as it may be believed.
pub(super) struct Basis {
    file: Arc<dyn File>,
    sequence_end: u64,
    active_records: u64,
    /// The segments that it knows and that are still live.
    segments: BTreeMap<u64, KnownSegment>,
    /// Whether those are all that it knows: else entries of it may point to nowhere.
    is_whole: bool,
    pieces: Vec<KnownPiece>,
    highest_id: u64,
}

impl Basis {
    /// Whether its entries reflect records of the segment `id`.
    pub(super) fn knows(&self, id: u64) -> bool {
        self.segments.contains_key(&id)
    }

    /// Records of a key with this hash below the sequence are reflected.
    #[inline]
    pub(super) fn sequence_of(&self, hash: u64) -> u64 {
        self.pieces[number_of(hash)].sequence
    }

    /// All records below this sequence are reflected.
    pub(super) fn first_news(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.sequence).min().unwrap_or(0)
    }

    /// Records below this sequence are in the counts of dead bytes.
    pub(super) fn sequence_end(&self) -> u64 {
        self.sequence_end
    }

    /// Whether a segment lies where its entries point to.
    fn is_in_place(&self, segment: &Segment) -> bool {
        let known = self.segments.get(&segment.header.id);
        known.is_none_or(|known| known.first_page == page_of(segment.location(0)))
    }
}

impl Recovery {
    /// Reads the beginning of the checkpoint, and keeps the places of the segments that it knows.
    pub(super) fn find_checkpoint(&mut self, live: &[LiveSegment]) -> Result<()> {
        let Some(file) = passed_over(self.storage.open(name::INDEX, false))? else {
            return Ok(());
        };
        let checkpoint = read_header(&*file, &self.manifest.identity().uuid)?;
        let is_good =
            |found: &Checkpoint| !misses_window(found, live) || is_taken!(CheckpointWindowMissed);
        let Some(checkpoint) = checkpoint.filter(is_good) else {
            self.has_bad_checkpoint = true;
            return Ok(());
        };
        let highest_id = checkpoint.segments.iter().map(|known| known.id).max().unwrap_or(0);
        let mut ids = BTreeSet::new();
        ids.extend(live.iter().map(|live| live.header.id));
        let is_live = |known: &KnownSegment| ids.contains(&known.id);
        let is_whole = checkpoint.segments.iter().all(is_live);
        let known = checkpoint.segments.into_iter().filter(is_live);
        // One by one, which takes memory in small pieces.
        let mut segments = BTreeMap::new();
        segments.extend(known.map(|known| (known.id, known)));
        self.table.keep(segments.values());
        let (sequence_end, active_records) = (checkpoint.sequence_end, checkpoint.active_records);
        let pieces = checkpoint.pieces;
        self.basis = Some(Basis {
            file,
            sequence_end,
            active_records,
            segments,
            is_whole,
            pieces,
            highest_id,
        });
        Ok(())
    }

    /// Opens a database that was closed with a checkpoint of that moment: without reading any
    /// records. Answers whether it is one.
    pub(super) fn open_as_closed(
        &mut self,
        sealed: &[Opened],
        unsealed: &[SegmentHeader],
    ) -> Result<bool> {
        let (Some(tail), Some(basis)) = (self.manifest.state().closed, &self.basis) else {
            return Ok(false);
        };
        let ids = unsealed.iter().map(|header| header.id);
        let is_exact = self.damage.is_none()
            && (basis.sequence_end == tail.next_sequence || is_taken!(StaleCheckpointBelieved))
            && (basis.first_news() == tail.next_sequence || is_taken!(StaleCheckpointBelieved))
            && basis.is_whole
            && ids.eq((tail.id != 0).then_some(tail.id))
            && self.manifest.state().segments.keys().all(|&id| basis.knows(id))
            && sealed.iter().all(|opened| opened.has_seal && basis.is_in_place(&opened.segment));
        if !is_exact {
            return Ok(false);
        }
        for header in unsealed {
            match self.open_closed_tail(*header, tail) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // To be found again, and told, by the one who reads it.
                Err(error) if error.kind() == Kind::Corrupt => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.next_sequence = tail.next_sequence;
        self.count_dead_bytes();
        if let Some(basis) = self.basis.take() {
            self.reach = Reach { highest_id: basis.highest_id, active: (tail.id, tail.len) };
            let size = |piece: &KnownPiece| (piece.used as usize, piece.len());
            let sizes = memory::collect(basis.pieces.iter().map(size))?;
            let tail = unsealed.first().map(|header| (*header, tail.len));
            let source = PieceSource::new(self, basis.file, basis.pieces, tail)?;
            self.index.load_later(sizes.into_iter(), Box::new(move |number| source.load(number)));
        }
        Ok(true)
    }

    fn open_closed_tail(&mut self, header: SegmentHeader, tail: Tail) -> Result<bool> {
        // Who closed it has synced it.
        let (file, _, _) = self.open_segment(header, true)?;
        let Some(basis) = self.basis.as_ref().filter(|_| file.len().is_ok_and(|l| l == tail.len))
        else {
            return Ok(false);
        };
        let source = Source::Sealed(self.opener.sealed(header.id, tail.len));
        let span = tail.len.max(self.options.segment_size);
        let make = |base| Segment::new(header, &*self.storage, source, base);
        let segment = self.table.add(header.id, span, make)?;
        if !basis.is_in_place(&segment) {
            self.table.discard(&segment);
            return Ok(false);
        }
        let records = basis.active_records;
        self.tail = Some(FoundTail { segment, file, len: tail.len, records, torn: None });
        Ok(true)
    }

    /// Fills the index from the checkpoint, if that may be believed; else it is forgotten.
    pub(super) fn restore_checkpoint(&mut self) -> Result<()> {
        let Some(basis) = &self.basis else { return Ok(()) };
        let fits = self.damage.is_none()
            && (self.next_sequence >= basis.sequence_end || is_taken!(CheckpointBeyondLog))
            && self.are_in_place(basis);
        if fits && self.restore_pieces(basis)? {
            self.reach = Reach { highest_id: basis.highest_id, active: (0, 0) };
            self.count_dead_bytes();
        } else {
            self.basis = None;
            self.has_bad_checkpoint = true;
            self.index = Index::new()?;
        }
        Ok(())
    }

    fn are_in_place(&self, basis: &Basis) -> bool {
        let mut are_in_place = true;
        self.table.look_at_all(|segment| are_in_place &= basis.is_in_place(segment));
        are_in_place
    }

    /// Answers whether all pieces were as they were written.
    fn restore_pieces(&self, basis: &Basis) -> Result<bool> {
        // What compaction has moved since is found in segments that the checkpoint does not know.
        let mut live = BTreeSet::new();
        self.table.look_at_all(|segment| live.extend([segment.header.id]));
        let is_live = |known: &&KnownSegment| live.contains(&known.id);
        let mut pages = memory::collect(basis.segments.values().filter(is_live).map(range))?;
        pages.sort_unstable();
        let keep = |location: Location| {
            let page = page_of(location);
            let behind = pages.partition_point(|&(first, _)| first <= page);
            behind > 0 && page < pages[behind - 1].1 || is_taken!(GoneSegmentsBelieved)
        };
        let entries: u64 = basis.pieces.iter().map(|piece| u64::from(piece.used)).sum();
        let threads = threads_for(entries);
        let done = process::in_parallel(threads, |number| -> Result<bool> {
            for number in (Share { number, of: threads }).pieces() {
                let piece = &basis.pieces[number];
                if piece.is_empty() && piece.used == 0 {
                    continue;
                }
                let image = if piece.is_empty() { None } else { read_piece(&*basis.file, piece)? };
                let Some(image) = image else { return Ok(false) };
                self.index.restore(&epoch::pin()?, number, &image, keep)?;
            }
            Ok(true)
        });
        done.into_iter().try_fold(true, |all, done| Ok(all && done?))
    }

    /// Takes the counts of dead bytes from the checkpoint.
    fn count_dead_bytes(&self) {
        let Some(basis) = &self.basis else { return };
        self.table.look_at_all(|segment| {
            if let Some(known) = basis.segments.get(&segment.header.id) {
                segment.set_usage(known);
            }
        });
    }
}

/// Whether a segment may be gone that held records of the time in which the checkpoint was written:
/// after a piece was copied, before dead bytes were counted. What they replaced is counted then,
/// but a piece may still point to it; and what has replaced them since would count it once more.
pub(in crate::engine) fn misses_window(checkpoint: &Checkpoint, live: &[LiveSegment]) -> bool {
    let first_news = checkpoint.pieces.iter().map(|piece| piece.sequence).min().unwrap_or(0);
    if first_news == checkpoint.sequence_end {
        return false;
    }
    // Ids of log segments ascend as their sequences do, and compaction puts nothing in the place of
    // others while pieces are copied: so what has a lower id than this one came before all that.
    let began = live.iter().filter(|live| {
        live.header.kind == SegmentKind::Log && live.header.base_sequence <= first_news
    });
    let began = began.map(|live| live.header.id).max().unwrap_or(0);
    let is_live = |id| live.iter().any(|live| live.header.id == id);
    checkpoint.segments.iter().any(|known| known.id > began && !is_live(known.id))
}

/// The pages of a segment: the first, and the one behind the last.
fn range(known: &KnownSegment) -> (u32, u32) {
    (known.first_page, known.first_page + known.pages)
}

/// The beginning of a checkpoint; nothing if anything is wrong with it.
pub(in crate::engine) fn read_header(
    file: &dyn File,
    uuid: &[u8; 16],
) -> Result<Option<Checkpoint>> {
    let mut fixed = [0; FIXED_LEN];
    let read = file.len().and_then(|len| file.read_at(&mut fixed, 0).map(|()| len));
    let Some(len) = passed_over(read)? else { return Ok(None) };
    let Some(header_len) = decode_len(&fixed, uuid, PIECES as u32, len) else { return Ok(None) };
    let bytes = passed_over(read_part(file, 0, header_len, "the checkpoint"))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let Some(checkpoint) = Checkpoint::decode(&bytes, len)? else { return Ok(None) };
    let last = checkpoint.segments.last().map_or(0, |known| range(known).1);
    let is_aligned = |piece: &KnownPiece| piece.offset.is_multiple_of(BUCKET_LEN as u64);
    let fits = last as usize <= MAX_PAGES && checkpoint.pieces.iter().all(is_aligned);
    Ok(fits.then_some(checkpoint))
}
