//! Where the choice of victims turns: each of its figures at the edge, and one step beyond.

use super::tests::{candidate, choose, view, LIMITS};
use super::*;

// There is memory.

fn reclaimable(log: &View) -> Vec<u64> {
    log.reclaimable(&log.holders()).expect("memory")
}

fn release_tombstones(view: &View, limits: &Limits) -> Vec<u64> {
    super::release_tombstones(view, limits).expect("memory")
}

fn release_spent(view: &View, limits: &Limits) -> Vec<u64> {
    super::release_spent(view, limits).expect("memory")
}

fn best(view: &View, reclaimable: &[u64], limits: &Limits) -> Vec<u64> {
    super::best(view, reclaimable, limits).expect("memory")
}

#[test]
fn tombstones_are_free_unless_another_segment_has_dead_records_that_they_hide() {
    let of =
        |id, dead, needed_from, end| Candidate { needed_from, end, ..candidate(id, 1000, dead) };
    let hiding = Candidate { tombstones: 100, expired: 50, ..of(1, 500, 10, 100) };
    let mut log = view(vec![hiding, of(2, 10, 50, 200), of(3, 0, 0, 300)]);
    assert_eq!(reclaimable(&log), [400 + 25, 10, 0], "the second may hold what the first hides");
    log.sealed[1].needed_from = 100;
    assert_eq!(reclaimable(&log), [550, 10, 0], "it begins where the first ends");
    log.sealed[1].tombstones = 5;
    assert_eq!(reclaimable(&log), [550, 5, 0], "the first may hold what the second hides");
    log.sealed[1].needed_from = 50;
    log.sealed[0].tombstones = 0;
    assert_eq!(reclaimable(&log), [525, 5, 0], "so may what has expired");
    log.sealed[0].expired = 0;
    log.sealed[1].needed_from = 0;
    assert_eq!(reclaimable(&log)[0], 500, "what hides nothing is held back by nobody");
    log.unsealed_needed_from = 199;
    log.sealed[0].dead = 0;
    assert_eq!(reclaimable(&log)[1], 5, "nor is the end of the log another's");
    log.unsealed_needed_from = 200;
    assert_eq!(reclaimable(&log)[1], 10);
}

#[test]
fn compaction_that_runs_goes_on_a_little_further_than_where_it_begins() {
    let log = |dead| view((0..10).map(|id| candidate(id, 1000, dead)).collect());
    assert_eq!(choose(&log(265), &LIMITS, false), Choice::Nothing);
    assert!(matches!(choose(&log(265), &LIMITS, true), Choice::Rewrite(_)));
    assert_eq!(choose(&log(255), &LIMITS, true), Choice::Nothing);
    assert!(matches!(choose(&log(275), &LIMITS, false), Choice::Rewrite(_)));
}

#[test]
fn tombstones_come_first_when_they_are_more_than_half_of_what_may_be_garbage() {
    let mut log = view((0..10).map(|id| candidate(id, 1000, 0)).collect());
    for (id, dead) in [(0, 400), (3, 900), (4, 250), (5, 950), (6, 600)] {
        log.sealed[id].dead = dead;
    }
    log.sealed[3].tombstones = 900;
    log.sealed[4].tombstones = 250;
    let first = |log: &View| match choose(log, &LIMITS, false) {
        Choice::Rewrite(group) => group[0],
        other => panic!("{other:?}"),
    };
    assert_eq!(first(&log), 5, "1150 of 10,000 bytes are half of 23 %");
    (log.sealed[4].tombstones, log.sealed[4].dead) = (251, 251);
    assert_eq!(first(&log), 0, "it holds them back");
}

#[test]
fn only_segments_that_hold_tombstones_back_are_rewritten_to_release_them() {
    let mut log = view((0..9).map(|id| candidate(id, 1000, 0)).collect());
    let limits = Limits { room: 5000, ..LIMITS };
    log.sealed[0].dead = 10;
    log.sealed[3] = Candidate { expired: 100, ..candidate(3, 1000, 100) };
    assert_eq!(release_tombstones(&log, &limits), [0; 0], "what has expired is no tombstone");
    log.sealed[3] = Candidate { tombstones: 900, ..candidate(3, 1000, 900) };
    log.sealed[8] = Candidate { needed_from: 4000, ..candidate(8, 1000, 10) };
    assert_eq!(release_tombstones(&log, &limits), [0], "the last begins where they end");
    log.sealed[8].needed_from = 3999;
    assert_eq!(release_tombstones(&log, &limits), [0, 8]);
}

#[test]
fn only_segments_that_hold_spent_ones_back_are_rewritten_to_release_them() {
    let spent = |id| Candidate { expired: 700, ..candidate(id, 1000, 300) };
    let log = |others: Vec<Candidate>, spent: Vec<Candidate>| view([others, spent].concat());
    let holder = candidate(0, 1000, 500);
    assert_eq!(release_spent(&log(vec![holder], vec![spent(5)]), &LIMITS), [0]);
    // One that has no dead record holds nothing back, one that begins where they end neither.
    let expiring = Candidate { expired: 100, ..candidate(1, 1000, 0) };
    assert_eq!(release_spent(&log(vec![holder, expiring], vec![spent(5)]), &LIMITS), [0]);
    let later = Candidate { needed_from: 6000, ..candidate(8, 1000, 10) };
    assert_eq!(release_spent(&log(vec![holder, later], vec![spent(5)]), &LIMITS), [0]);
    let needed = Candidate { needed_from: 5999, ..later };
    assert_eq!(release_spent(&log(vec![holder, needed], vec![spent(5)]), &LIMITS), [0; 0]);
    let until =
        |unsealed_needed_from| View { unsealed_needed_from, ..log(vec![holder], vec![spent(5)]) };
    assert_eq!(release_spent(&until(6000), &LIMITS), [0]);
    assert_eq!(release_spent(&until(5999), &LIMITS), [0; 0], "the end of the log holds it too");
    let half_live = candidate(0, 1000, 499);
    assert_eq!(release_spent(&log(vec![half_live], vec![spent(5)]), &LIMITS), [0; 0], "too much");
}

#[test]
fn an_output_is_filled_up_with_segments_that_are_worth_it() {
    let log = view(vec![candidate(0, 1000, 900), candidate(1, 1000, 400)]);
    assert_eq!(best(&log, &[900, 400], &LIMITS), [0], "the other has less garbage than both have");
    assert_eq!(best(&log, &[900, 899], &LIMITS), [0]);
    assert_eq!(best(&log, &[900, 900], &LIMITS), [0, 1]);
    let small = |bytes| view(vec![candidate(0, 1000, 900), candidate(1, bytes, 200)]);
    assert_eq!(best(&small(499), &[900, 200], &LIMITS), [0, 1], "small ones get fewer");
    assert_eq!(best(&small(500), &[900, 200], &LIMITS), [0]);
    let alone = view(vec![candidate(0, 1000, 230)]);
    assert_eq!(best(&alone, &[115], &LIMITS), [0], "half of what may be garbage");
    assert_eq!(best(&alone, &[114], &LIMITS), [0; 0]);
    let tight = Limits { room: 884, ..LIMITS };
    assert_eq!(best(&alone, &[115], &tight), [0; 0], "885 bytes do not fit");
}

/// `(1 - u) / (1 + u)`, times the square root of the age.
#[test]
fn the_score_is_what_is_gained_for_the_work_and_grows_with_age() {
    let of = |free: u64, age: u64| {
        let candidate = candidate(1, 1000, free);
        score(&candidate, free, candidate.end + age - 1)
    };
    for (free, age, expected) in [(500, 1, 1.0 / 3.0), (500, 4, 2.0 / 3.0), (1000, 9, 3.0)] {
        assert!((of(free, age) - expected).abs() < 1e-9, "{free} bytes, age {age}");
    }
    assert!(of(900, 1) > of(500, 1), "also of two that were just written");
    assert_eq!(score(&candidate(1, 1000, 500), 500, 0), of(500, 1), "nothing is younger than now");
}

#[test]
fn who_writes_is_not_pressed_by_what_has_expired_anywhere() {
    let log = |expired: u64, unsealed_expired| View {
        unsealed_bytes: 4000,
        unsealed_dead: 3300,
        unsealed_expired,
        ..view((0..10).map(|id| Candidate { expired, ..candidate(id, 1000, 240) }).collect())
    };
    let usual = log(0, 0).pressure_on_writers(&LIMITS);
    assert!(usual > 0.0 && usual == log(0, 0).pressure(&LIMITS));
    assert_eq!(log(300, 700).pressure_on_writers(&LIMITS), usual);
    assert_eq!(log(300, 0).pressure_on_writers(&LIMITS), usual);
    assert_eq!(log(0, 700).pressure_on_writers(&LIMITS), usual);
    assert!(log(300, 700).pressure(&LIMITS) > usual);
}
