//! Tests of the checker itself: histories that are known to be linearizable or not, and small
//! random ones that are judged by trying every order.

use crate::common::linear::{check, Event, What, NEVER};
use crate::common::{seed, Random};

const A: u64 = 1;
const B: u64 = 2;

fn length(value: u64) -> usize {
    value as usize % 7
}

fn event(thread: usize, called: u64, returned: u64, what: What) -> Event {
    Event { thread, called, returned, what }
}

fn put(key: u64, value: u64) -> What {
    What::Put { key, value }
}

fn get(key: u64, found: Option<u64>) -> What {
    What::Get { key, found }
}

fn delete(key: u64, was_there: bool) -> What {
    What::Delete { key, was_there }
}

fn swap(key: u64, expected: Option<u64>, new: Option<u64>, swapped: bool) -> What {
    What::Swap { key, expected, new, swapped }
}

fn accepts(history: &[Event]) -> bool {
    check(history, &length).is_ok()
}

#[track_caller]
fn must_reject(history: &[Event]) {
    let failure = check(history, &length).expect_err("a history that no order explains");
    assert!(!failure.starts_with("undecided"), "{failure}");
}

/// Operations one after the other.
fn sequence(whats: &[What]) -> Vec<Event> {
    let at = |(i, what): (usize, &What)| event(0, 2 * i as u64, 2 * i as u64 + 1, what.clone());
    whats.iter().enumerate().map(at).collect()
}

#[test]
fn operations_one_after_the_other_are_those_of_a_map() {
    let length_of_8 = What::Length { key: A, found: Some(length(8)) };
    assert!(accepts(&sequence(&[
        get(A, None),
        delete(A, false),
        put(A, 8),
        get(A, Some(8)),
        length_of_8,
        get(B, None),
        swap(A, Some(9), Some(10), false),
        swap(A, Some(8), Some(10), true),
        get(A, Some(10)),
        delete(A, true),
        What::Length { key: A, found: None },
        swap(A, None, Some(11), true),
        What::Batch(vec![(A, None), (B, Some(12))]),
        What::Snapshot(vec![(A, None), (B, Some(12))]),
        get(B, Some(12)),
    ])));
}

#[test]
fn a_write_takes_effect_at_any_moment_between_call_and_return() {
    for (first, second) in [(None, None), (None, Some(1)), (Some(1), Some(1))] {
        assert!(accepts(&[
            event(0, 0, 10, put(A, 1)),
            event(1, 1, 3, get(A, first)),
            event(1, 4, 6, get(A, second)),
        ]));
    }
    must_reject(&[
        event(0, 0, 10, put(A, 1)),
        event(1, 1, 3, get(A, Some(1))),
        event(1, 4, 6, get(A, None)),
    ]);
}

#[test]
fn an_operation_that_never_returned_may_have_happened_or_not() {
    let lost = event(0, 2, NEVER, put(A, 1));
    for late in [None, Some(1)] {
        assert!(accepts(&[
            lost.clone(),
            event(1, 3, 4, get(A, None)),
            event(1, 5, 6, get(A, late))
        ]));
    }
    must_reject(&[lost.clone(), event(1, 0, 1, get(A, Some(1)))]);
    must_reject(&[lost, event(1, 3, 4, get(A, Some(1))), event(1, 5, 6, get(A, None))]);
}

#[test]
fn a_stale_read_is_found() {
    must_reject(&sequence(&[put(A, 1), put(A, 2), get(A, Some(1))]));
    // Two readers, one after the other, see two writes that overlap in different orders.
    must_reject(&[
        event(0, 0, 10, put(A, 1)),
        event(1, 0, 10, put(A, 2)),
        event(2, 11, 12, get(A, Some(1))),
        event(3, 13, 14, get(A, Some(2))),
    ]);
    must_reject(&sequence(&[
        put(A, 1),
        put(A, 2),
        What::Length { key: A, found: Some(length(1)) },
    ]));
}

#[test]
fn a_lost_update_is_found() {
    must_reject(&sequence(&[put(A, 1), get(A, None)]));
    must_reject(&[
        event(0, 0, 5, put(A, 1)),
        event(1, 1, 4, put(B, 2)),
        event(1, 6, 7, get(B, None)),
    ]);
    // Both answer that they have removed the one value.
    must_reject(&[
        event(0, 0, 1, put(A, 1)),
        event(0, 2, 5, delete(A, true)),
        event(1, 2, 5, delete(A, true)),
    ]);
}

#[test]
fn a_deleted_key_that_comes_back_is_found() {
    must_reject(&sequence(&[put(A, 1), delete(A, true), get(A, Some(1))]));
    must_reject(&sequence(&[put(A, 1), delete(A, false)]));
    must_reject(&[
        event(0, 0, 1, put(A, 1)),
        event(0, 2, 6, delete(A, true)),
        event(1, 3, 4, get(A, None)),
        event(1, 5, 7, get(A, Some(1))),
    ]);
}

#[test]
fn a_value_that_was_never_written_or_not_yet_is_found() {
    must_reject(&sequence(&[put(A, 1), get(A, Some(3))]));
    must_reject(&sequence(&[put(B, 1), get(A, Some(1))]));
    must_reject(&[event(1, 0, 1, get(A, Some(1))), event(0, 2, 3, put(A, 1))]);
}

#[test]
fn two_winners_of_a_compare_and_swap_are_found() {
    let race = |one, other| {
        vec![
            event(0, 0, 1, put(A, 1)),
            event(0, 2, 5, swap(A, Some(1), Some(2), one)),
            event(1, 2, 5, swap(A, Some(1), Some(3), other)),
        ]
    };
    assert!(accepts(&race(true, false)) && accepts(&race(false, true)));
    must_reject(&race(true, true));
    must_reject(&race(false, false));
    // If the key was absent: as a lock is taken.
    must_reject(&[
        event(0, 0, 5, swap(A, None, Some(2), true)),
        event(1, 0, 5, swap(A, None, Some(3), true)),
    ]);
}

#[test]
fn a_torn_batch_is_found() {
    let batch = |value| What::Batch(vec![(A, Some(value)), (B, Some(value))]);
    let start = || vec![event(0, 0, 1, batch(1)), event(0, 2, 20, batch(2))];
    let with = |mut more: Vec<Event>| {
        more.splice(0..0, start());
        more
    };
    let snapshot = |a, b| What::Snapshot(vec![(A, Some(a)), (B, Some(b))]);
    assert!(accepts(&with(vec![event(1, 3, 4, snapshot(1, 1)), event(1, 5, 6, snapshot(2, 2))])));
    must_reject(&with(vec![event(1, 3, 4, snapshot(2, 1))]));
    must_reject(&with(vec![event(1, 3, 4, snapshot(2, 2)), event(1, 5, 6, snapshot(1, 1))]));
    // Read one by one.
    assert!(accepts(&with(vec![event(1, 3, 4, get(A, Some(1))), event(1, 5, 6, get(B, Some(2)))])));
    must_reject(&with(vec![event(1, 3, 4, get(A, Some(2))), event(1, 5, 6, get(B, Some(1)))]));
}

#[test]
fn a_long_history_with_many_threads_takes_no_longer_per_operation() {
    let mut history = Vec::new();
    for round in 0..20_000_u64 {
        for thread in 0..6_u64 {
            let what = match thread % 2 {
                0 => put(A, round * 10 + thread),
                _ => get(A, Some(round * 10 + thread - 1)),
            };
            history.push(event(thread as usize, 100 * round + thread, 100 * round + 50, what));
        }
    }
    let effort = check(&history, &length).expect("each read is right after its write");
    let bound = 200 * effort.events;
    assert!(effort.most_at_once == 6 && effort.configurations < bound, "{effort:?}");
}

/// A history of a few operations on two keys, with times and answers drawn at random.
fn draw(random: &mut Random) -> Vec<Event> {
    let count = 3 + random.below(4);
    let mut busy = [0_u64; 3];
    let maybe = |random: &mut Random| match random.below(3) {
        0 => None,
        value => Some(value),
    };
    let mut history = Vec::new();
    for _ in 0..count {
        let thread = random.below(3) as usize;
        let called = busy[thread] + random.below(4);
        let returned = called + 1 + random.below(8);
        busy[thread] = returned + 1;
        let key = A + random.below(8) / 7;
        let what = match random.below(16) {
            0..=4 => put(key, 1 + random.below(2)),
            5..=9 => get(key, maybe(random)),
            10 => What::Length { key, found: maybe(random).map(length) },
            11..=12 => delete(key, random.below(2) == 0),
            13 => swap(key, maybe(random), maybe(random), random.below(2) == 0),
            14 => What::Batch(vec![(A, maybe(random)), (B, maybe(random))]),
            _ => What::Snapshot(vec![(A, maybe(random)), (B, maybe(random))]),
        };
        let returned = if random.below(12) == 0 { NEVER } else { returned };
        history.push(event(thread, called, returned, what));
    }
    history
}

/// Tries every order, without any of the checker's code.
fn has_an_order(left: &[Event], values: [Option<u64>; 2]) -> bool {
    if left.iter().all(|event| event.returned == NEVER) {
        return true;
    }
    (0..left.len()).any(|at| {
        let next = &left[at];
        // What returned before it was called comes before it.
        if left.iter().any(|other| other.returned < next.called) {
            return false;
        }
        let mut rest = left.to_vec();
        rest.remove(at);
        let mut values = values;
        obeys(&mut values, &next.what) && has_an_order(&rest, values)
    })
}

fn obeys(values: &mut [Option<u64>; 2], what: &What) -> bool {
    let at = |key: &u64| (*key - A) as usize;
    match what {
        What::Put { key, value } => {
            values[at(key)] = Some(*value);
            true
        }
        What::Get { key, found } => values[at(key)] == *found,
        What::Length { key, found } => values[at(key)].map(length) == *found,
        What::Delete { key, was_there } => values[at(key)].take().is_some() == *was_there,
        What::Swap { key, expected, new, swapped } => {
            let equal = values[at(key)] == *expected;
            if equal {
                values[at(key)] = *new;
            }
            equal == *swapped
        }
        What::Batch(pairs) => {
            pairs.iter().for_each(|(key, value)| values[at(key)] = *value);
            true
        }
        What::Snapshot(pairs) => pairs.iter().all(|(key, found)| values[at(key)] == *found),
    }
}

#[test]
fn small_random_histories_are_judged_as_by_trying_every_order() {
    let mut random = Random(seed());
    let mut accepted = 0;
    for round in 0..30_000 {
        let history = draw(&mut random);
        let verdict = check(&history, &length);
        let expected = has_an_order(&history, [None; 2]);
        assert_eq!(verdict.is_ok(), expected, "round {round}: {history:?} {verdict:?}");
        accepted += u32::from(expected);
    }
    assert!((1_000..29_000).contains(&accepted), "{accepted} of 30,000: the draw is one-sided");
}
