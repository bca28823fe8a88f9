//! Verifying and salvaging small databases that are damaged in every way: each bit, each length,
//! blocks and files of all kinds (`tests/damage/cases.rs`).
//!
//! Verifying must find what an open or a read refuses, what has cost writes, and each byte that is
//! not as it was, but in gaps. Salvaging must bring what the damage did not hit, and make a
//! database that is sound and holds nothing that nobody wrote.
//!
//! The tests draw some of the cases, another part with another KV_TEST_SEED. KV_DAMAGE=all tries
//! each of them.

mod common;
mod damage;
mod rescue;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use common::seed;
use damage::cases::{drawn, Case, Cases};
use damage::shelf::Shelf;
use damage::{is_everything_asked_for, small, Damage, Files, Model, Sample};
use kv::db::{Form, Problem, Progress, Report};
use kv::engine::{recover, salvage, verify, Engine};
use kv::error::{Kind, Result};
use kv::format::name::parse_segment;
use kv::format::record::{RecordKind, HEADER_LEN};
use rescue::parent::Shelves;
use rescue::{expected, records_of, Written};

/// Cases of each kind that are drawn of each sample.
const DRAWN: usize = 60;
/// Cases that a thread takes at once.
const AT_ONCE: usize = 64;
/// Of a checkpoint, one bit in so many.
const STRIDE: usize = 17;
/// Where the marks and notes of a header page are, which are written now and then.
const MARKS: [usize; 4] = [1024, 1536, 2048, 3072];
/// Few, so that there are several shares of the keys.
const RECORDS_AT_ONCE: u64 = 40;

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn go_on_too(_: &Problem) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn verified(shelf: &Shelf) -> Result<Report> {
    verify::verify(&*shelf.storage(), RECORDS_AT_ONCE, &mut go_on, &mut go_on_too)
}

/// The files of a sample with a damage.
fn lay_out(sample: &Sample, damage: &[Damage]) -> Shelf {
    let mut files: BTreeMap<&String, &[u8]> =
        sample.files.iter().map(|(name, bytes)| (name, bytes.as_slice())).collect();
    for damage in damage {
        match &damage.bytes {
            Some(bytes) => files.insert(&damage.file, bytes),
            None => files.remove(&damage.file),
        };
    }
    Shelf::new(seed(), files)
}

fn content(engine: &Engine, sample: &Sample) -> Result<Model> {
    let mut found = Model::new();
    for key in &sample.keys {
        if let Some(value) = engine.get(key, |value| value.into())? {
            found.insert(key.clone(), value);
        }
    }
    Ok(found)
}

/// What is judged, and what it is compared with.
struct Bench<'a> {
    sample: &'a Sample,
    records: Vec<Written>,
    unseen: AtomicUsize,
    damaged: AtomicUsize,
    exact: AtomicUsize,
}

impl Bench<'_> {
    fn judge(&self, case: &Case, damage: &[Damage]) {
        let what: Vec<&str> = damage.iter().map(|damage| damage.what.as_str()).collect();
        let context = format!("{}, {}", self.sample.name, what.join(" and "));
        let shelf = lay_out(self.sample, damage);
        let report = self.verify(&shelf, case, damage, &context);
        self.salvage(&shelf, damage, report.as_ref(), &context);
    }

    /// Verifies it, then opens and reads it.
    fn verify(
        &self,
        shelf: &Shelf,
        case: &Case,
        damage: &[Damage],
        context: &str,
    ) -> Option<Report> {
        let before = shelf.files();
        let report = verified(shelf);
        assert!(shelf.files() == before, "{context}: verifying has changed a file");
        let engine = recover::open(lay_out(self.sample, damage).storage(), self.options());
        let (report, text) = match report {
            Ok(report) => {
                let text = report.render(Form::Text);
                (report, text)
            }
            Err(error) => {
                assert!(engine.is_err(), "{context}: {error}");
                assert!([Kind::NotADatabase, Kind::NewerFormat].contains(&error.kind()));
                return None;
            }
        };
        let found: u64 = report.counts.iter().sum();
        self.damaged.fetch_add(usize::from(report.has_damage()), Ordering::Relaxed);
        let read = engine.and_then(|engine| content(&engine, self.sample));
        let last = &self.sample.states[self.sample.states.len() - 1];
        match read {
            Err(error) => assert!(report.has_damage(), "{context}: {error}, but {text}"),
            Ok(now) => {
                let is_told = now == *last || found > 0 || self.is_of_earlier_moment(case, damage);
                assert!(is_told, "{context}: writes are missing: {text}");
            }
        }
        if found == 0 {
            self.unseen.fetch_add(1, Ordering::Relaxed);
            assert!(self.may_be_unseen(case, damage), "{context}: {text}");
        }
        Some(report)
    }

    fn options(&self) -> kv::options::Options {
        self.sample.options.clone()
    }

    /// The end of a log that was not closed may be as it was at an earlier moment: what was not on
    /// the medium was never there.
    fn is_of_earlier_moment(&self, case: &Case, damage: &[Damage]) -> bool {
        let may_be = matches!(case, Case::Replace { .. } | Case::Import { .. } | Case::Cut { .. });
        may_be && damage.iter().all(|damage| self.sample.is_tail(&damage.file))
    }

    /// What is in a gap is nobody's, and a mark that is gone may never have been written. Lengths
    /// behind the end of a log that was not closed do not matter; nor does a last frame of the
    /// manifest that is not there at all.
    fn may_be_unseen(&self, case: &Case, damage: &[Damage]) -> bool {
        let is_in_place = matches!(
            case,
            Case::Flip { .. } | Case::Byte { .. } | Case::Fill { .. } | Case::Burst { .. }
        );
        !is_in_place || damage.iter().all(|damage| self.is_in_gaps(damage))
    }

    /// Whether all bytes that differ are in gaps.
    fn is_in_gaps(&self, damage: &Damage) -> bool {
        let (Some(old), Some(new)) = (self.sample.files.get(&damage.file), &damage.bytes) else {
            return false;
        };
        let gaps = || self.records.iter().filter(|r| r.kind == RecordKind::Gap);
        let is_in_gap = |at: u64| {
            let body = |r: &Written| r.place.start + HEADER_LEN as u64..r.place.end;
            gaps().any(|r| r.file == damage.file && body(r).contains(&at))
        };
        let is_of_missing_mark = |at: usize| {
            let place = MARKS.iter().map(|&from| from..from + 16).find(|p| p.contains(&at));
            let is_zero = |place| new.get(place).is_some_and(|b: &[u8]| b.iter().all(|&b| b == 0));
            parse_segment(&damage.file).is_some() && place.is_some_and(is_zero)
        };
        let differing = (damage.from..damage.to).filter(|&at| old.get(at) != new.get(at));
        differing.into_iter().all(|at| is_in_gap(at as u64) || is_of_missing_mark(at))
    }

    /// Salvages it; what is made is sound.
    fn salvage(&self, shelf: &Shelf, damage: &[Damage], report: Option<&Report>, context: &str) {
        let (parent, name) = (Shelves::default(), "saved".as_ref());
        let from = shelf.storage();
        let salvaged =
            salvage::salvage(&*from, &parent, name, RECORDS_AT_ONCE, &mut go_on, &mut go_on_too);
        let salvaged = match salvaged {
            Ok(salvaged) => salvaged.render(Form::Text),
            Err(error) => {
                assert!(report.is_none(), "{context}: {error}");
                assert_eq!(parent.len(), 0, "{context}: something is left");
                return;
            }
        };
        let saved = parent.get("saved").expect("it is there");
        let sound = verified(&saved).expect("it can be verified");
        assert_eq!(sound.counts, [0; 3], "{context}: {}", sound.render(Form::Text));
        let engine = recover::open(saved.storage(), self.options()).expect(context);
        let found = content(&engine, self.sample).expect(context);
        assert_eq!(engine.len(), found.len(), "{context}: there are keys that nobody wrote");
        for (key, value) in &found {
            let mut states = self.sample.states.iter();
            let was_written = states.any(|state| state.get(key) == Some(value));
            assert!(was_written, "{context}: a value of {} is new", key.escape_ascii());
        }
        let [damage] = damage else { return };
        if parse_segment(&damage.file).is_some() && self.sample.files.contains_key(&damage.file) {
            let (wanted, _) = expected(self.sample, &self.records, damage);
            self.exact.fetch_add(1, Ordering::Relaxed);
            let differs = |key: &&Vec<u8>| wanted.get(*key) != found.get(*key);
            let wrong: Vec<String> = self
                .sample
                .keys
                .iter()
                .filter(differs)
                .map(|key| key.escape_ascii().to_string())
                .collect();
            assert!(wrong.is_empty(), "{context}: {wrong:?}: {salvaged}");
        }
    }
}

#[allow(clippy::print_stdout, reason = "how much was tried is the point of the test")]
fn rescue_everything(make: fn(u64) -> Sample) {
    let sample = make(seed());
    let others: [Files; 2] = [make(seed() + 1).files, small::checkpointed(seed() + 2).files];
    let cases = Cases::new(&sample, &others).with_stride(STRIDE);
    let (unseen, damaged, exact) = Default::default();
    let bench = Bench { sample: &sample, records: records_of(&sample), unseen, damaged, exact };
    let mut list = Vec::new();
    for (_, of_kind) in cases.all() {
        list.extend(if is_everything_asked_for() { of_kind } else { drawn(of_kind, DRAWN) });
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loop {
                let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                let Some(rest) = list.get(from..).filter(|rest| !rest.is_empty()) else { break };
                for case in &rest[..rest.len().min(AT_ONCE)] {
                    assert!(!failed.is_poisoned());
                    if let Some(damage) = cases.damage(*case) {
                        bench.judge(case, &damage);
                    }
                }
            });
        }
    });
    println!(
        "{}: {} cases, {} damaged, {:?} seen by nobody, {:?} salvaged to the record",
        sample.name,
        list.len(),
        bench.damaged.into_inner(),
        bench.unseen,
        bench.exact,
    );
}

#[test]
fn a_database_with_a_checkpoint() {
    rescue_everything(small::checkpointed);
}

#[test]
fn a_database_with_an_older_checkpoint() {
    rescue_everything(small::partly_checkpointed);
}

#[test]
fn a_database_with_nothing_but_the_log() {
    rescue_everything(small::bare);
}

#[test]
fn a_database_that_was_killed() {
    rescue_everything(small::killed);
}

#[test]
fn a_database_that_was_killed_when_it_was_synced() {
    rescue_everything(small::killed_when_synced);
}
