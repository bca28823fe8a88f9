//! The choice of victims: single decisions, and a small model of a log that is overwritten.

use super::*;

/// There is memory.
pub(super) fn choose(view: &View, limits: &Limits, is_running: bool) -> Choice {
    super::choose(view, limits, is_running).expect("there is memory")
}

pub(super) const LIMITS: Limits =
    Limits { garbage_percent: 23, segment_size: 1000, slack: 500, room: 1000 };

pub(super) fn candidate(id: u64, bytes: u64, dead: u64) -> Candidate {
    let (needed_from, end) = (id * 1000, id * 1000 + 1000);
    Candidate { id, bytes, dead, expired: 0, tombstones: 0, needed_from, end, is_damaged: false }
}

pub(super) fn view(sealed: Vec<Candidate>) -> View {
    View { sealed, unsealed_needed_from: u64::MAX, now: 1_000_000, ..View::default() }
}

#[test]
fn little_garbage_is_left_alone() {
    let log = view((0..10).map(|id| candidate(id, 1000, 200)).collect());
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing);
    assert!(log.pressure(&LIMITS) == 0.0);
}

#[test]
fn garbage_is_worth_more_where_there_is_little_room() {
    let log = view((0..10).map(|id| candidate(id, 1000, 60)).collect());
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing);
    let tight = LIMITS.tight(1000);
    assert!(matches!(choose(&log, &tight, false), Choice::Rewrite(_)));
    assert_eq!(choose(&log, &LIMITS.tight(900), false), Choice::Nothing, "940 bytes must stay");
}

#[test]
fn the_longer_records_are_the_more_garbage_fits_below_the_bound() {
    let percent = |len: u64, keys: u64| {
        let log = View { unsealed_bytes: len * keys, ..view(Vec::new()) };
        log.automatic_percent(keys)
    };
    let percents = [16, 136, 200, 336, 1040, 4096, 1 << 26].map(|len| percent(len, 1000));
    assert_eq!(percents, [23, 23, 26, 29, 31, 32, 33]);
    assert_eq!(percent(1 << 26, 1 << 36), 33, "4 EiB");
    assert_eq!([percent(0, 0), percent(0, 5), percent(136, 0)], [33, 23, 33]);
    // What has expired is a key's newest record, as long as it is there.
    let mut log = view(vec![candidate(1, 13_600, 0)]);
    log.sealed[0].expired = 13_600;
    assert_eq!(log.automatic_percent(100), 23);
    log.sealed[0].dead = 13_600;
    log.sealed[0].expired = 0;
    assert_eq!(log.automatic_percent(100), 23, "none is live: the index lags behind");
}

#[test]
fn pressure_begins_half_a_segment_below_the_bound() {
    // 7.7 segments of live records: 10 with the garbage allowed, and 1.2 above that but for hints.
    let log = |unsealed| View {
        unsealed_bytes: unsealed,
        unsealed_dead: unsealed,
        ..view((0..10).map(|id| candidate(id, 1000, 230)).collect())
    };
    assert_eq!(log(350).pressure(&LIMITS), 0.0);
    assert!((0.4..0.6).contains(&log(611).pressure(&LIMITS)));
    assert!((0.9..1.1).contains(&log(861).pressure(&LIMITS)));
    assert!(log(3000).pressure(&LIMITS) > 3.0);
    // Where one key is overwritten for ever there is nothing to copy: both segments may be used.
    let one = |unsealed| View {
        unsealed_bytes: unsealed,
        unsealed_dead: unsealed,
        ..view(vec![candidate(1, 1000, 1000)])
    };
    assert_eq!(one(100).pressure(&LIMITS), 0.0);
    assert!((0.9..1.1).contains(&one(602).pressure(&LIMITS)));
}

#[test]
fn a_segment_without_live_records_goes_however_little_garbage_there_is() {
    let mut log = view((0..100).map(|id| candidate(id, 1000, 0)).collect());
    log.sealed[50].dead = 1000;
    log.sealed[51].dead = 999;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Remove(vec![50]));
}

#[test]
fn of_two_equally_full_segments_the_older_one_goes() {
    let mut log = view((0..10).map(|id| candidate(id, 1000, 100)).collect());
    log.sealed[3].dead = 950;
    log.sealed[4].dead = 950;
    log.unsealed_bytes = 1000;
    log.unsealed_dead = 1000;
    let Choice::Rewrite(group) = choose(&log, &LIMITS, false) else { panic!("nothing chosen") };
    assert_eq!(group, [3, 4], "the older one first");
    log.sealed[4].end = 900;
    let Choice::Rewrite(group) = choose(&log, &LIMITS, false) else { panic!("nothing chosen") };
    assert_eq!(group, [4, 3], "the older one first");
}

#[test]
fn a_segment_that_is_nearly_full_is_not_rewritten_for_garbage_elsewhere() {
    let mut log = view((0..2).map(|id| candidate(id, 1000, 50)).collect());
    log.unsealed_bytes = 3000;
    log.unsealed_dead = 2900;
    assert!(log.pressure(&LIMITS) > 0.0);
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing);
}

#[test]
fn tombstones_that_an_older_segment_needs_are_no_garbage_to_be_had() {
    let mut log = view((0..3).map(|id| candidate(id, 1000, 0)).collect());
    log.sealed[2] = Candidate { dead: 1000, tombstones: 1000, ..candidate(2, 1000, 0) };
    assert_eq!(choose(&log, &LIMITS, false), Choice::Remove(vec![2]), "nobody needs them");
    log.sealed[0].dead = 10;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing, "segment 0 may hold their keys");
    log.sealed[0].dead = 0;
    log.unsealed_needed_from = 2500;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing, "the log's end may hold their keys");
}

#[test]
fn a_damaged_segment_is_no_victim_and_holds_tombstones_back() {
    let mut log = view((0..3).map(|id| candidate(id, 1000, 900)).collect());
    log.sealed[2] = Candidate { dead: 1000, tombstones: 1000, ..candidate(2, 1000, 0) };
    log.sealed[0].is_damaged = true;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Rewrite(vec![1]));
    log.sealed[1].dead = 0;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing);
}

#[test]
fn many_tombstones_have_those_rewritten_that_hold_them_back() {
    let mut log = view((0..9).map(|id| candidate(id, 1000, 0)).collect());
    log.sealed[0].dead = 10;
    log.sealed[1].dead = 10;
    for id in 3..8 {
        log.sealed[id] = Candidate { dead: 900, tombstones: 900, ..candidate(id as u64, 1000, 0) };
    }
    assert_eq!(choose(&log, &LIMITS, false), Choice::Rewrite(vec![0]));
    log.sealed[0].needed_from = 1_000_000;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Rewrite(vec![1]));
    log.sealed[1].needed_from = 1_000_000;
    assert!(matches!(choose(&log, &LIMITS, false), Choice::Rewrite(group) if group.contains(&3)));
}

#[test]
fn what_has_expired_is_garbage_that_presses_nobody_who_writes() {
    let mut log = view((0..10).map(|id| candidate(id, 1000, 0)).collect());
    log.sealed[4].expired = 999;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing, "little of the log");
    for id in [5, 6, 7, 8] {
        log.sealed[id].expired = 900;
    }
    assert!(matches!(choose(&log, &LIMITS, false), Choice::Rewrite(group) if group[0] == 4));
    log.unsealed_bytes = 5000;
    log.unsealed_expired = 5000;
    assert!(log.pressure(&LIMITS) > 1.0);
    assert_eq!(log.pressure_on_writers(&LIMITS), 0.0);
    log.unsealed_dead = 5000;
    log.unsealed_expired = 0;
    assert!(log.pressure_on_writers(&LIMITS) > 1.0);
}

#[test]
fn segments_whose_records_have_all_expired_go_however_little_garbage_there_is() {
    let mut log = view((0..100).map(|id| candidate(id, 1000, 0)).collect());
    log.sealed[50].expired = 1000;
    log.sealed[51].expired = 999;
    log.sealed[52] = Candidate { dead: 400, expired: 600, ..candidate(52, 1000, 0) };
    assert_eq!(choose(&log, &LIMITS, false), Choice::Remove(vec![50, 52]));
    // Segment 7 may hold older records of their keys, and the end of the log as well.
    log.sealed[7].dead = 10;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing);
    log.sealed[7].needed_from = 1_000_000;
    log.unsealed_needed_from = 52_000;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Remove(vec![50]));
    log.sealed[50].is_damaged = true;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Nothing);
}

#[test]
fn what_is_needed_against_segments_that_go_as_well_goes_with_them() {
    let spent = |id| Candidate { dead: 300, expired: 700, ..candidate(id, 1000, 0) };
    let mut log = view((0..10).map(spent).collect());
    assert_eq!(choose(&log, &LIMITS, false), Choice::Remove((0..10).collect()));
    // One that stays and begins in the middle lets those go that end before it.
    log.sealed[5].expired = 600;
    assert_eq!(choose(&log, &LIMITS, false), Choice::Remove((0..5).collect()));
}

#[test]
fn what_little_holds_back_segments_that_could_go_unread_is_rewritten_first() {
    let spent = |id| Candidate { dead: 300, expired: 700, ..candidate(id, 1000, 0) };
    let mut log = view((0..10).map(spent).collect());
    log.sealed[0] = candidate(0, 1000, 10);
    assert_eq!(choose(&log, &LIMITS, false), Choice::Rewrite(vec![0]));
    // Where much does, what has expired is rewritten itself: its tombstones are shorter.
    for id in 0..5 {
        log.sealed[id] = candidate(id as u64, 1000, 10);
    }
    assert!(matches!(choose(&log, &LIMITS, false), Choice::Rewrite(group) if group[0] >= 5));
    log.sealed[0].is_damaged = true;
    (1..5).for_each(|id| log.sealed[id].dead = 0);
    assert!(matches!(choose(&log, &LIMITS, false), Choice::Rewrite(group) if group[0] >= 5));
    log.sealed[0].is_damaged = false;
    log.unsealed_needed_from = 5500;
    assert!(matches!(choose(&log, &LIMITS, false), Choice::Rewrite(group) if group[0] >= 5));
}

/// A log of records of one length: which key each is of, and where each key's newest one is.
struct Model {
    segments: Vec<(Candidate, Vec<u32>)>,
    places: Vec<Option<(u64, u64)>>,
    room: usize,
    next_id: u64,
    written: u64,
    copied: u64,
    /// The most bytes there were at once beyond 1.5 times the live ones.
    excess: f64,
}

impl Model {
    fn new(keys: usize, room: usize) -> Model {
        let mut model = Model {
            segments: Vec::new(),
            places: vec![None; keys],
            room,
            next_id: 0,
            written: 0,
            copied: 0,
            excess: 0.0,
        };
        model.begin();
        model
    }

    /// Begins a segment, which is the last of the list from now on.
    fn begin(&mut self) {
        self.next_id += 1;
        let new = Candidate { end: 0, ..candidate(self.next_id, 0, 0) };
        self.segments.push((new, Vec::new()));
    }

    fn append(&mut self, at: usize, key: u32, sequence: u64) {
        let (segment, keys) = &mut self.segments[at];
        segment.bytes += 1;
        segment.end = segment.end.max(sequence + 1);
        let place = (segment.id, keys.len() as u64);
        keys.push(key);
        let old = self.places[key as usize].replace(place);
        let held = old.and_then(|(id, _)| self.segments.iter_mut().find(|(s, _)| s.id == id));
        if let Some((segment, _)) = held {
            segment.dead += 1;
        }
    }

    fn put(&mut self, key: u32) {
        let last = self.segments.len() - 1;
        self.append(last, key, self.written);
        self.written += 1;
        if self.segments[last].1.len() == self.room {
            self.begin();
        }
        if self.written.is_multiple_of((self.room / 8) as u64) {
            self.compact();
        }
    }

    fn view(&self) -> View {
        let (last, sealed) = self.segments.split_last().expect("there is always one");
        let sealed = sealed.iter().map(|(segment, _)| *segment).collect();
        let (unsealed_bytes, unsealed_dead) = (last.0.bytes, last.0.dead);
        let (unsealed_needed_from, now) = (u64::MAX, self.written);
        View { sealed, unsealed_bytes, unsealed_dead, unsealed_needed_from, now, ..View::default() }
    }

    fn compact(&mut self) {
        let mut is_running = false;
        loop {
            let view = self.view();
            let limits = Limits::new(view.live(), 23, self.room as u64);
            // The hint files take 8 bytes of 100, the checkpoint 9 of 100 live ones.
            let files = 1.08 * view.bytes() as f64 + 0.09 * view.live() as f64;
            self.excess = self.excess.max(files - 1.5 * view.live() as f64);
            let victims = match choose(&view, &limits, is_running) {
                Choice::Nothing => return,
                Choice::Remove(victims) | Choice::Rewrite(victims) => victims,
            };
            is_running = true;
            self.rewrite(&victims);
        }
    }

    fn rewrite(&mut self, victims: &[u64]) {
        let at = self.segments.len() - 1;
        self.begin();
        let output = self.segments.remove(at + 1);
        self.segments.insert(at, output);
        for victim in victims {
            let found = self.segments.iter().position(|(s, _)| s.id == *victim);
            let (segment, keys) = self.segments.remove(found.expect("a victim is there"));
            let output = self.segments.len() - 2;
            for (number, key) in keys.into_iter().enumerate() {
                if self.places[key as usize] == Some((segment.id, number as u64)) {
                    self.append(output, key, segment.end - 1);
                    self.copied += 1;
                }
            }
        }
        let output = self.segments.len() - 2;
        if self.segments[output].1.is_empty() {
            self.segments.remove(output);
        }
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Keys of a Zipf distribution with the exponent 0.99, the frequent ones spread over all.
fn zipf(keys: usize) -> impl FnMut(&mut u64) -> u32 {
    let mut sums = Vec::with_capacity(keys);
    let mut sum = 0.0;
    for rank in 1..=keys {
        sum += (rank as f64).powf(-0.99);
        sums.push(sum);
    }
    move |state| {
        let at = (next(state) >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        let rank = sums.partition_point(|&upto| upto < at);
        (rank as u64 * 7919 % keys as u64) as u32
    }
}

/// Writes all keys, then overwrites as many times five; checks both bounds.
fn overwrite(name: &str, keys: usize, room: usize, mut key: impl FnMut(&mut u64) -> u32) {
    let mut model = Model::new(keys, room);
    let mut state = 1;
    (0..keys as u32).for_each(|key| model.put(key));
    let loaded = model.written;
    (0..5 * keys).for_each(|_| model.put(key(&mut state)));
    let copied = model.copied as f64 / (model.written - loaded) as f64;
    // The log and what is copied, their hints, and checkpoints of 20 bytes for 100 of the log.
    let written = (1.0 + copied) * 1.08 + 0.2;
    assert!(written <= 3.0, "{name}: {written:.2} bytes written per byte put");
    let excess = model.excess / room as f64;
    assert!(excess <= 1.2, "{name}: {excess:.2} segments more than 1.5 times the live bytes");
}

#[test]
fn overwriting_all_keys_alike_stays_within_the_bounds_of_space_and_writes() {
    overwrite("4 segments", 16_000, 4_000, |state| (next(state) % 16_000) as u32);
    overwrite("20 segments", 40_000, 2_000, |state| (next(state) % 40_000) as u32);
}

#[test]
fn overwriting_some_keys_far_more_often_stays_within_the_bounds() {
    overwrite("4 segments", 16_000, 4_000, zipf(16_000));
    overwrite("20 segments", 40_000, 2_000, zipf(40_000));
}

#[test]
fn overwriting_one_key_copies_next_to_nothing() {
    let mut model = Model::new(1, 1000);
    (0..100_000).for_each(|_| model.put(0));
    // One for each segment that was sealed: the one that is there.
    assert!(model.copied <= 100, "{} copied", model.copied);
    assert!(model.segments.len() <= 2, "{} segments", model.segments.len());
}
