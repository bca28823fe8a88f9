//! A checkpoint of the index: any bytes, and pieces of an index made of them. Whatever entries they
//! have, the index neither fails nor hangs, and finds what is put into it.

use kv::epoch;
use kv::format::checkpoint::{
    decode_entries, decode_len, header_len, Checkpoint, KnownPiece, BUCKET_LEN, FIXED_LEN,
};
use kv::index::image::Image;
use kv::index::{Index, Location, LOCATION_BITS, PIECES};

use super::input::Input;
use super::model::{set_u32, u32_at, u64_at};

const UUID: [u8; 16] = [7; 16];
/// Bits of the first byte.
const MENDS: u8 = 1;
/// Entries' tags are such that they are at home near where they are.
const AT_HOME: u8 = 2;
/// More buckets show nothing new, and take long.
const MAX_BUCKETS: usize = 64;

/// Reads a checkpoint.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    if input.u8() & 1 == 0 {
        is_read(&mut input, how);
    } else {
        is_loaded(&mut input, how);
    }
}

/// The part before the buckets.
fn is_read(input: &mut Input, how: u8) {
    let pieces = usize::from(input.u8() % 8);
    let file_len = u64::from(input.u32());
    let mut bytes = input.rest().to_vec();
    if how & MENDS != 0 && bytes.len() >= FIXED_LEN + 4 {
        let segments = (bytes.len() - FIXED_LEN - 4).saturating_sub(32 * pieces) / 64;
        bytes.truncate(header_len(segments, pieces));
        bytes.resize(header_len(segments, pieces), 0);
        let empty = Checkpoint::default().encode(&UUID).expect("there is memory");
        bytes[..32].copy_from_slice(&empty[..32]);
        set_u32(&mut bytes, 48, segments as u32);
        set_u32(&mut bytes, 52, pieces as u32);
        let end = bytes.len() - 4;
        let sum = crc32fast::hash(&bytes[..end]);
        set_u32(&mut bytes, end, sum);
    }
    let file_len = file_len.max(bytes.len() as u64);
    let Some(fixed) = bytes.first_chunk::<FIXED_LEN>() else { return };
    let Some(len) = decode_len(fixed, &UUID, pieces as u32, file_len) else { return };
    let Some(header) = bytes.get(..len) else { return };
    let checkpoint = Checkpoint::decode(header, file_len).expect("there is memory");
    let Some(checkpoint) = checkpoint else { return };
    assert_eq!(checkpoint.pieces.len(), pieces);
    assert_eq!(checkpoint.segments.len(), u32_at(header, 48) as usize);
    assert_eq!(checkpoint.sequence_end, u64_at(header, 32));
    let mut free = 0;
    for segment in &checkpoint.segments {
        assert!(u64::from(segment.first_page) >= free && segment.pages > 0);
        free = u64::from(segment.first_page) + u64::from(segment.pages);
    }
    for piece in &checkpoint.pieces {
        let end = u128::from(piece.offset) + piece.buckets as u128 * BUCKET_LEN as u128;
        assert!(end <= u128::from(file_len) && piece.sequence <= checkpoint.sequence_end);
        assert!(u64::from(piece.used) <= u64::from(piece.buckets) * 8);
    }
    let again = checkpoint.encode(&UUID).expect("there is memory");
    assert_eq!(Checkpoint::decode(&again, file_len), Ok(Some(checkpoint)));
}

/// Some hash that the key at a location could have.
fn hash_of(location: u64, piece: usize) -> u64 {
    let low = location.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    low >> 10 | (piece as u64) << 54
}

/// One piece, its entries and what is done to it.
fn is_loaded(input: &mut Input, how: u8) {
    let number = input.below(PIECES);
    let buckets = input.below(MAX_BUCKETS) + 1;
    let precision = u32::from(input.u8() % 60);
    let bytes = input.take(buckets * BUCKET_LEN);
    let mut entries: Vec<u64> = bytes.chunks(8).map(|entry| Input::new(entry).u64()).collect();
    entries.resize(buckets * 8, 0);
    if how & AT_HOME != 0 {
        let count = entries.len() as u64;
        for (at, entry) in entries.iter_mut().enumerate().filter(|(_, entry)| **entry != 0) {
            let fraction = ((at as u128) << precision) / u128::from(count);
            *entry = *entry & ((1 << LOCATION_BITS) - 1) | (fraction as u64) << LOCATION_BITS;
        }
    }
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let used = entries.iter().filter(|&&entry| entry != 0).count();
    let piece = KnownPiece {
        sequence: 1,
        offset: header_len(0, 1) as u64,
        buckets: buckets as u32,
        used: used as u32,
        precision,
        checksum: crc32fast::hash(&bytes),
    };
    let file_len = piece.offset + bytes.len() as u64;
    let checkpoint = Checkpoint { sequence_end: 1, pieces: vec![piece], ..Checkpoint::default() };
    let header = checkpoint.encode(&UUID).expect("there is memory");
    let read = Checkpoint::decode(&header, file_len).expect("there is memory");
    let Some(read) = read else { return };
    assert_eq!(read, checkpoint);
    let are_somewhere = |entry: &u64| *entry == 0 || entry << (64 - LOCATION_BITS) != 0;
    let all_are = entries.iter().all(are_somewhere);
    let read = decode_entries(&bytes, &piece).expect("there is memory");
    assert_eq!(read.is_some(), all_are);
    let Some(entries) = read else { return };
    let image = Image { entries, used, precision };
    is_used(input, number, &image);
}

fn is_used(input: &mut Input, number: usize, image: &Image) {
    let index = Index::new().expect("there is memory");
    let guard = epoch::pin().expect("a thread can be pinned");
    let dropped = u64::from(input.u8());
    let keep = |location: Location| dropped == 0 || !location.0.is_multiple_of(dropped);
    if index.restore(&guard, number, image, keep).is_err() {
        return;
    }
    let is_it = |wanted: u64| move |at: Location| Ok(at.0 == wanted);
    let mut rehash = |at: Location| Ok(hash_of(at.0, number));
    let mut steps = 0;
    while !input.is_empty() && steps < 200 {
        steps += 1;
        let (what, location) = (input.u8(), u64::from(input.u32()) + 1);
        let hash = match what & 0x10 {
            0 => hash_of(location, number),
            _ => input.u64() >> 10 | (number as u64) << 54,
        };
        let find = || {
            let found = index.find(&guard, hash, |at| Ok((at.0 == location).then_some(())));
            found.expect("looking fails only where visiting does").is_some()
        };
        match what % 4 {
            0 => drop(find()),
            1 => {
                let entry = index.entry(&guard, hash, is_it(location)).expect("an entry is locked");
                entry.remove();
            }
            _ => {
                let mut entry =
                    index.entry(&guard, hash, is_it(location)).expect("an entry is locked");
                if entry.reserve(&mut rehash).is_ok() {
                    entry.set(Location(location));
                    assert!(find(), "what was just put in is not found");
                }
            }
        }
    }
    let (copy, ()) = index.image(&guard, number, || ()).expect("a piece can be copied");
    assert_eq!(copy.entries.iter().filter(|&&entry| entry != 0).count(), copy.used);
}
