//! Tests of pieces and their buckets against a map, and beside readers.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;

use super::*;
use crate::atomic::Arc;
use crate::epoch::pin;
use crate::index::piece::Piece;

/// A small generator (SplitMix64), so that failures repeat.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A piece, and the hash of the key at each location.
struct Tested {
    piece: Piece,
    hashes: HashMap<u64, u64>,
}

impl Tested {
    fn new(fill: u32) -> Tested {
        Tested { piece: Piece::new(Arc::default(), fill), hashes: HashMap::new() }
    }

    fn insert(&mut self, hash: u64, location: u64) -> Result<()> {
        self.hashes.insert(location, hash);
        let guard = pin()?;
        let mut locked = self.piece.lock(&guard);
        locked.reserve(hash, usize::MAX, &mut |location| Ok(self.hashes[&location.0]))?;
        locked.insert(hash, Location(location));
        Ok(())
    }

    fn find(&self, hash: u64) -> Option<u64> {
        let matches = |at: Location| Ok((self.hashes[&at.0] == hash).then_some(at.0));
        self.piece.find(&pin().unwrap(), hash, matches).unwrap()
    }

    fn remove(&mut self, hash: u64) {
        let guard = pin().unwrap();
        let mut locked = self.piece.lock(&guard);
        let found = locked.find(hash, |at| Ok(self.hashes[&at.0] == hash)).unwrap();
        locked.remove(found.unwrap().0);
    }

    fn check(&self, model: &HashMap<u64, u64>) {
        assert_eq!(self.piece.len(), model.len());
        for (hash, location) in model {
            assert_eq!(self.find(*hash), Some(*location));
        }
    }
}

#[test]
fn agrees_with_a_map_through_growth_and_removal() {
    let mut state = 1;
    let mut tested = Tested::new(900);
    let mut model: HashMap<u64, u64> = HashMap::new();
    let mut live = Vec::new();
    for step in 0..60_000_u64 {
        let location = step + 1;
        if random(&mut state) % 10 < 7 || live.is_empty() {
            let hash = random(&mut state);
            tested.insert(hash, location).unwrap();
            model.insert(hash, location);
            live.push(hash);
        } else {
            let hash = live.swap_remove(random(&mut state) as usize % live.len());
            tested.remove(hash);
            model.remove(&hash);
            assert_eq!(tested.find(hash), None);
        }
        if step % 7_000 == 0 {
            tested.check(&model);
        }
    }
    tested.check(&model);
}

#[test]
fn every_entry_is_reached_from_home_without_crossing_a_gap() {
    let mut state = 9;
    let mut buckets: Option<Buckets> = None;
    let mut hashes = HashMap::new();
    let moves = AtomicU64::new(0);
    for location in 1..20_000_u64 {
        let hash = random(&mut state);
        hashes.insert(location, hash);
        let full = |b: &Buckets| location as usize * 1024 > b.capacity() * 920;
        if buckets.as_ref().is_none_or(|b| full(b) || !b.has_room(hash)) {
            let rehash = &mut |at: Location| Ok(hashes[&at.0]);
            buckets =
                Some(Buckets::grown(&Arena::default(), buckets.as_ref(), hash, rehash).unwrap());
        }
        buckets.as_ref().unwrap().insert(hash, Location(location));
    }
    let buckets = buckets.unwrap();
    for location in (1..20_000_u64).step_by(3) {
        let found = buckets.find::<()>(hashes[&location], |l| Ok(l.0 == location)).unwrap();
        buckets.remove(found.unwrap().0, &moves);
    }
    assert!(moves.load(Ordering::Relaxed) > 100, "entries were moved into the gaps");
    let mut entries = 0;
    for at in 0..buckets.buckets.len() {
        for entry in buckets.entries(at).filter(|&entry| entry != 0) {
            entries += 1;
            let hash = hashes[&(entry & LOCATION_MASK)];
            assert_eq!(buckets.fraction_at(at, entry), buckets.fraction(hash));
            let mut on_the_way = buckets.home(buckets.fraction(hash));
            while on_the_way != at {
                assert!(buckets.entries(on_the_way).all(|entry| entry != 0));
                on_the_way = buckets.after(on_the_way);
            }
        }
    }
    assert_eq!(entries, 19_999 - 6_667);
}

#[test]
fn too_many_equal_hashes_are_refused() {
    let mut tested = Tested::new(900);
    let mut refused = None;
    for location in 1..1000 {
        if let Err(error) = tested.insert(42, location) {
            refused = Some((location, error.kind()));
            break;
        }
    }
    let (location, kind) = refused.unwrap();
    assert_eq!(kind, Kind::OutOfMemory);
    assert!(location > 60, "64 equal hashes fit in the buckets near one home");
}

/// One thread inserts and removes others' keys around those that stay, so that they move and the
/// piece grows; readers must find each of them at any time, and never one that was not there.
#[test]
fn readers_find_what_stays_while_entries_move() {
    let piece = Piece::new(Arc::default(), 1000);
    // Few homes, so that buckets overflow: the hash is the location, spread.
    let hash_of = |location: u64| location.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !(0x3f << 48);
    let insert = |location: u64| {
        let guard = pin().unwrap();
        let mut locked = piece.lock(&guard);
        locked.reserve(hash_of(location), usize::MAX, &mut |at| Ok(hash_of(at.0))).unwrap();
        locked.insert(hash_of(location), Location(location));
    };
    let remove = |location: u64| {
        let guard = pin().unwrap();
        let mut locked = piece.lock(&guard);
        let found = locked.find(hash_of(location), |at| Ok(at.0 == location)).unwrap();
        locked.remove(found.unwrap().0);
    };
    let find = |location: u64| {
        let visit = |at: Location| Ok((at.0 == location).then_some(()));
        piece.find(&pin().unwrap(), hash_of(location), visit).unwrap().is_some()
    };
    let stays = 1..=200_u64;
    stays.clone().for_each(insert);
    let stop = crate::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert!(stays.clone().all(find), "an entry that stays was missed");
                    assert!(!find(1_000_000), "an entry that never was is found");
                }
            });
        }
        let mut state = 3;
        for round in 0..30_u64 {
            let mut others: Vec<u64> = (0..400 + round * 20).map(|n| 1000 + n).collect();
            others.iter().for_each(|&location| insert(location));
            while !others.is_empty() {
                remove(others.swap_remove(random(&mut state) as usize % others.len()));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// What is said to have room has it, also where entries spill from the last bucket to the first.
#[test]
fn room_for_many_is_room_for_all_of_them() {
    let mut state = 7;
    // All of the first piece.
    let mut next = || random(&mut state) >> 10;
    let (mut with_room, mut without) = (0, 0);
    for round in 0..4_000_u64 {
        let count = 1 + (round % 80) as usize;
        let buckets = Buckets::new(&Arena::default(), count, TAG_BITS).unwrap();
        let capacity = buckets.capacity() as u64;
        let old = capacity * (round % 7) / 8;
        for number in 0..old {
            let hash = next();
            if buckets.has_room(hash) {
                buckets.insert(hash, Location(number + 1));
            }
        }
        let free =
            buckets.entries_of_all().unwrap().0.iter().filter(|&&entry| entry == 0).count() as u64;
        let new = free - free.min(round % 13);
        let mut hashes: Vec<u64> = (0..new).map(|_| next()).collect();
        hashes.sort_unstable();
        let has_room = buckets.has_room_for_all(&hashes).unwrap();
        let fit = hashes.iter().all(|&hash| {
            let has_room = buckets.has_room(hash);
            has_room.then(|| buckets.insert(hash, Location(9999))).is_some()
        });
        assert_eq!(has_room, fit, "{new} in {count} buckets with {old}");
        match fit {
            true => with_room += 1,
            false => without += 1,
        }
    }
    assert!(with_room > 500 && without > 500, "{with_room} and {without}");
}

/// What a checkpoint that somebody made up may hold: any tags, at any precision that passes.
#[test]
fn forged_entries_are_moved_and_removed_without_harm() {
    let mut state = 1_u64;
    let mut next = move || random(&mut state);
    for round in 0..3_000_usize {
        let count = 1 + round % 40;
        let precision = count.ilog2() + (next() % 21) as u32;
        let sparse = next() % 4;
        let entries: Vec<u64> = (0..count * BUCKET_ENTRIES)
            .map(|_| if sparse == 0 && next().is_multiple_of(8) { 0 } else { next() | 1 })
            .collect();
        let forged = Buckets::of_entries(&Arena::default(), &entries, precision).unwrap().unwrap();
        let mut rehash = |location: Location| Ok(location.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let used = |entries: &[u64]| entries.iter().filter(|&&entry| entry != 0).count();
        // There may be no room for them; else all of them are there.
        if let Ok(grown) = Buckets::grown(&Arena::default(), Some(&forged), next(), &mut rehash) {
            assert_eq!(used(&grown.entries_of_all().unwrap().0), used(&entries));
        }
        let (before, moves) = (used(&entries), AtomicU64::new(0));
        let removed = forged.retain(|location| location.0.is_multiple_of(3), &moves);
        assert_eq!(used(&forged.entries_of_all().unwrap().0) + removed, before);
    }
}
