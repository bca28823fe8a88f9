//! Tests of what is kept for snapshots, against all that was ever kept.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;

/// All that was kept since the beginning, to compare with.
type Kept = Vec<(u64, u64, u64)>;

fn compare(versions: &Versions<u64>, kept: &Kept, open: &[u64]) {
    for &snapshot in open {
        let mut expected: Vec<u64> = kept
            .iter()
            .filter(|(_, sequence, until)| *sequence < snapshot && snapshot <= *until)
            .map(|(_, sequence, _)| *sequence)
            .collect();
        let mut seen: Vec<u64> =
            versions.seen_by(snapshot).unwrap().iter().map(|(sequence, _)| *sequence).collect();
        expected.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, expected, "snapshot {snapshot} of {open:?}");
        for &(hash, sequence, until) in kept {
            let sees = sequence < snapshot && snapshot <= until;
            assert_eq!(versions.has(hash, sequence, snapshot), sees);
            assert!(!sees || versions.find(hash, snapshot).contains(&sequence));
        }
    }
}

#[test]
fn each_snapshot_sees_what_it_saw_whatever_others_are_opened_and_closed() {
    let versions = Versions::<u64>::new().unwrap();
    let (mut open, mut kept, mut random) = (Vec::new(), Kept::new(), 7_u64);
    let mut newest_of = [0_u64; 50];
    for sequence in 1..6_000_u64 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let draw = random >> 33;
        if draw.is_multiple_of(40) && open.len() < 12 {
            versions.open(sequence).unwrap();
            open.push(sequence);
        }
        if draw % 41 == 1 && !open.is_empty() {
            let snapshot = open.swap_remove((draw / 41) as usize % open.len());
            versions.close(snapshot, |left| {
                assert_eq!(left(), open.iter().copied().max().unwrap_or(0));
            });
            let sees = |s: u64, u: u64| open.iter().any(|&open| s < open && open <= u);
            kept.retain(|&(_, sequence, until)| sees(sequence, until));
            compare(&versions, &kept, &open);
            let entries = versions.entries.load(Ordering::Relaxed);
            assert_eq!(entries, kept.len(), "no more is kept than is seen");
        }
        let key = draw % 50;
        let old = std::mem::replace(&mut newest_of[key as usize], sequence);
        let newest = open.iter().copied().max().unwrap_or(0);
        if old != 0 && old < newest {
            // Two keys have one hash.
            let hash = ((key / 2) << 58) | (key / 2);
            versions.keep(hash, old, sequence, newest, old).unwrap();
            kept.push((hash, old, sequence));
        }
    }
    for snapshot in open.drain(..) {
        versions.close(snapshot, |left| _ = left());
    }
    assert_eq!((versions.snapshots(), versions.memory()), (0, 0));
    assert!(versions.shards.iter().all(|shard| shard.lock().entries.capacity() == 0));
}

#[test]
fn a_snapshot_that_is_open_twice_is_closed_twice() {
    let versions = Versions::<u64>::new().unwrap();
    versions.open(5).unwrap();
    versions.open(5).unwrap();
    versions.keep(1, 3, 9, 5, 3).unwrap();
    versions.close(5, |left| assert_eq!(left(), 5));
    assert!(versions.has(1, 3, 5));
    versions.close(5, |left| assert_eq!(left(), 0));
    assert_eq!(versions.memory(), 0);
}

#[test]
fn a_snapshot_opened_where_another_is_being_closed_keeps_what_is_its_own() {
    let versions = Versions::<u64>::new().unwrap();
    versions.open(5).unwrap();
    versions.close(5, |left| {
        assert_eq!(left(), 0);
        versions.open(5).unwrap();
        versions.keep(1, 3, 5, 5, 3).unwrap();
    });
    assert!(versions.has(1, 3, 5));
    versions.close(5, |left| assert_eq!(left(), 0));
    assert_eq!(versions.memory(), 0);
}
