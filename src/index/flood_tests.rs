//! Keys that somebody has chosen to collide, without knowing the seed: they cost what others cost.
//!
//! What is counted is the work, so that a busy machine changes nothing: cache lines that lookups
//! search, entries that they compare in vain, entries moved and hashes taken anew by growth, and
//! bytes of memory. KV_FLOOD_KEYS says how many keys there are of each kind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::{Duration, Instant};

use super::*;
use crate::epoch::pin;
use crate::index::hash::KeyHasher;
use crate::index::{Index, PIECES};

type Key = [u8; 16];

/// The secret of the database that is flooded: any but those that the attacker knows.
const SECRET: [u8; 16] = *b"\x9d\x04 nobody knows\x7f";
/// Keys that the attacker takes have so many bits of the hash that he knows in common.
const BITS: u32 = 10;

fn count() -> usize {
    let set = std::env::var("KV_FLOOD_KEYS").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(30_000)
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn key_of(first: u64, last: u64) -> Key {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&first.to_le_bytes());
    key[8..].copy_from_slice(&last.to_le_bytes());
    key
}

fn random_keys() -> Vec<Key> {
    let mut state = 1;
    (0..count()).map(|_| key_of(random(&mut state), random(&mut state))).collect()
}

/// So many keys as an attacker finds whose hash by `known` is one that `wants`.
fn chosen(known: &KeyHasher, count: usize, wants: impl Fn(u64) -> bool) -> Vec<Key> {
    let keys = (0..).map(|number| key_of(number, 0));
    keys.filter(|key| wants(known.hash(key))).take(count).collect()
}

/// What an index has to do for keys.
#[derive(Debug, Default)]
struct Cost {
    /// Cache lines that lookups of all keys search.
    lines: u64,
    /// Entries of other keys that they have to look at.
    in_vain: u64,
    /// Keys that growth had to hash.
    rehashed: u64,
    /// Entries that growth had to move.
    moved: u64,
    memory: u64,
    time: Duration,
}

impl Cost {
    /// Of all keys by this function, unless the index refuses them.
    fn of(hasher: &KeyHasher, keys: &[Key]) -> Option<Cost> {
        let began = Instant::now();
        let (index, guard) = (Index::new().unwrap(), pin().unwrap());
        let (mut cost, mut in_piece) = (Cost::default(), vec![0_u64; PIECES]);
        for (number, key) in keys.iter().enumerate() {
            let hash = hasher.hash(key);
            let mut entry = index.entry(&guard, hash, |_| Ok(false)).unwrap();
            let rehash = &mut |location: Location| {
                cost.rehashed += 1;
                Ok(hasher.hash(&keys[location.0 as usize - 1]))
            };
            let (memory, held) = (index.memory(), &mut in_piece[crate::index::number_of(hash)]);
            entry.reserve(rehash).ok()?;
            cost.moved += if index.memory() > memory { *held } else { 0 };
            *held += 1;
            entry.set(Location(number as u64 + 1));
        }
        cost.memory = index.memory() as u64;
        let pieces = (0..PIECES).map(|number| {
            let image = index.image(&guard, number, || ()).unwrap().0;
            Buckets::of_entries(&Arena::default(), &image.entries, image.precision).unwrap()
        });
        let pieces: Vec<Option<Buckets>> = pieces.collect();
        for (number, key) in keys.iter().enumerate() {
            let hash = hasher.hash(key);
            let buckets = pieces[crate::index::number_of(hash)].as_ref().unwrap();
            let found = buckets.find(hash, |location| {
                let is_it = location.0 == number as u64 + 1;
                cost.in_vain += u64::from(!is_it);
                Ok::<bool, ()>(is_it)
            });
            let (place, _) = found.unwrap().unwrap();
            let home = buckets.home(buckets.fraction(hash));
            let count = buckets.buckets.len();
            cost.lines += 1 + ((place.bucket + count - home) % count) as u64;
        }
        cost.time = began.elapsed();
        Some(cost)
    }

    /// Whether no part of it is more than twice the same part of `other`. A few in vain are
    /// nothing.
    fn is_at_most_twice(&self, other: &Cost) -> bool {
        self.lines <= 2 * other.lines
            && self.in_vain <= 2 * other.in_vain + other.lines / 100
            && self.rehashed <= 2 * other.rehashed
            && self.moved <= 2 * other.moved + other.lines
            && self.memory <= 2 * other.memory
    }
}

/// Floods an index with each set of keys that an attacker would try.
#[test]
#[allow(clippy::print_stdout, reason = "the figures are worth knowing")]
fn keys_that_collide_without_the_seed_cost_at_most_twice_what_random_ones_cost() {
    let secret = KeyHasher::new(SECRET);
    let usual = Cost::of(&secret, &random_keys()).unwrap();
    println!("{} random keys: {usual:?}", count());
    let (zero, another) = (KeyHasher::new([0; 16]), KeyHasher::new([7; 16]));
    let simple = |make: fn(u64) -> Key| (0..count() as u64).map(make).collect::<Vec<Key>>();
    let floods: [(&str, &dyn Fn() -> Vec<Key>); 9] = [
        ("one piece, if the seed were zero", &|| {
            chosen(&zero, count(), |hash| hash >> (64 - BITS) == 0)
        }),
        ("one bucket of a power of two, if it were zero", &|| {
            chosen(&zero, count(), |hash| hash & ((1 << BITS) - 1) == 0)
        }),
        ("one piece of another database", &|| {
            chosen(&another, count(), |hash| hash >> (64 - BITS) == 0)
        }),
        ("the same first bytes", &|| simple(|number| key_of(0, number))),
        ("the same last bytes", &|| simple(|number| key_of(number, 0))),
        ("in the highest bits alone", &|| simple(|number| key_of(number << 40, number << 40))),
        ("multiples of a large power of two", &|| simple(|number| key_of(number << 32, 0))),
        ("both halves the same", &|| simple(|number| key_of(number, number))),
        ("halves that cancel out", &|| simple(|number| key_of(number, !number))),
    ];
    for (name, make) in floods {
        let cost = Cost::of(&secret, &make()).unwrap();
        println!("{name}: {cost:?}");
        assert!(cost.is_at_most_twice(&usual), "{name}: {cost:?} for {usual:?}");
    }
}

/// The measure sees a flood when there is one: by who knows the seed. And the same keys are nothing
/// under another seed.
#[test]
fn keys_that_collide_with_the_seed_would_be_noticed() {
    let (secret, zero) = (KeyHasher::new(SECRET), KeyHasher::new([0; 16]));
    let wants = |hash: u64| hash >> 48 == 0;
    let keys = chosen(&zero, 400, wants);
    let usual = Cost::of(&secret, &random_keys()[..400]).unwrap();
    let known = Cost::of(&zero, &keys);
    assert!(known.is_none_or(|cost| !cost.is_at_most_twice(&usual)));
    assert!(Cost::of(&secret, &keys).unwrap().is_at_most_twice(&usual));
}
