//! Databases on a shelf, damaged and judged: does it open, is what it says right in every way of
//! reading, what does writing, compacting and opening it again make of it, and what did it need?

use std::collections::BTreeSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Instant;

use kv::engine::{recover, Engine};
use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::format::record::record_len;
use kv::options::{OnDamage, Options, ReadMode};

use super::heap::{need_of, Need};
use super::reads::Reader;
use super::shelf::Shelf;
use super::tally::Tally;
use super::writes::write_over;
use super::{Damage, Model, Sample, PATIENCE};

/// Memory that may be asked for at once beyond the longest file: a name, a message, a record.
const SLACK: usize = 4096;
/// What may be held at one time beyond what an intact database needs, for each byte of the files.
const FACTOR: usize = 8;

/// Damages one sample over and over.
pub struct Trial<'a> {
    sample: &'a Sample,
    /// What it needs undamaged.
    intact: Need,
    pub tally: Tally,
    /// One case in so many is examined more closely, in each of several ways.
    pub closely: u64,
}

/// An opened database of one case.
struct Opened {
    shelf: Shelf,
    engine: Engine,
    /// Writes that are there.
    writes: usize,
    /// Keys whose reads say that they are damaged.
    damaged: usize,
}

impl<'a> Trial<'a> {
    pub fn new(sample: &'a Sample) -> Trial<'a> {
        let mut trial =
            Trial { sample, intact: Need::default(), tally: Tally::default(), closely: 1 };
        let (opened, need) = need_of(|| trial.open(&[], &sample.options).expect("it is intact"));
        assert_eq!((opened.writes, opened.damaged), (sample.states.len() - 1, 0));
        trial.intact = need;
        trial
    }

    /// Tries one damage, and panics unless all that follows is as it should be.
    pub fn judge(&mut self, damage: &[Damage]) {
        self.run(damage, Trial::examine);
    }

    /// The same for damage to a database that is open.
    pub fn judge_while_open(&mut self, damage: &[Damage]) {
        self.run(damage, Trial::damage_while_open);
    }

    fn run(&mut self, damage: &[Damage], act: fn(&mut Self, &[Damage])) {
        self.tally.cases += 1;
        let started = Instant::now();
        let judged = catch_unwind(AssertUnwindSafe(|| act(self, damage)));
        let what: Vec<&str> = damage.iter().map(|damage| damage.what.as_str()).collect();
        let context = format!("{}, {}", self.sample.name, what.join(" and "));
        if let Err(panic) = judged {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.into()));
            panic!("{context}: {}", said.unwrap_or_default());
        }
        assert!(started.elapsed() < PATIENCE, "{context}: it took {:?}", started.elapsed());
    }

    fn examine(&mut self, damage: &[Damage]) {
        let (opened, need) = need_of(|| self.open(damage, &self.sample.options));
        self.check_need(need, damage);
        self.tally.need.largest = self.tally.need.largest.max(need.largest);
        self.tally.need.most = self.tally.need.most.max(need.most);
        let turn = (self.tally.cases / 4).is_multiple_of(self.closely);
        let turn = if turn { self.tally.cases % 4 } else { u64::MAX };
        match opened {
            Err(error) => {
                self.tally.refused += 1;
                self.check_refusal(&error, damage);
                if turn == 0 {
                    self.read_what_is_left(damage);
                }
            }
            Ok(opened) => {
                let is_whole = opened.writes == self.sample.states.len() - 1;
                self.tally.told += u64::from(opened.damaged > 0);
                self.tally.shortened += u64::from(!is_whole);
                self.tally.unharmed += u64::from(is_whole && opened.damaged == 0);
                match turn {
                    0 => self.write_beside_a_snapshot(opened, damage),
                    1 => self.compact(opened, damage),
                    2 => self.open_again(opened, damage),
                    3 => self.read_with_pread(opened, damage),
                    _ => {}
                }
            }
        }
    }

    /// Damages files that are open, and read or not, mapped or not. What is read, written and
    /// closed then is right or said to be damaged; and so it is when it is opened again.
    fn damage_while_open(&mut self, damage: &[Damage]) {
        let (is_read, is_mapped) = (self.tally.cases & 1 == 0, self.tally.cases & 2 == 0);
        let read_mode = if is_mapped { ReadMode::Mmap } else { ReadMode::Pread };
        let options = Options { read_mode, ..self.sample.options.clone() };
        let shelf = self.lay_out(&[]);
        let engine = recover::open(shelf.storage(), options).expect("it is intact");
        let state = &self.sample.states[self.sample.states.len() - 1];
        let hear = |error: &Error| check_place(error, damage);
        let reader = Reader { engine: &engine, keys: &self.sample.keys, hear: &hear };
        if is_read {
            reader.read_all(state);
        }
        for damage in damage {
            // An older end of the log has an older sync mark, too, and is as good.
            if damage.stage.is_some() && self.sample.is_tail(&damage.file) {
                return;
            }
            // Which mark is the newest depends on what was synced since.
            if self.sample.takes_mark_and_log(damage) {
                return;
            }
            shelf.damage(damage, self.sample);
        }
        let damaged = reader.read_all(state);
        assert!(damaged == 0 || !self.is_spare(damage), "a hint or a checkpoint matters");
        self.tally.told += u64::from(damaged > 0);
        self.tally.unharmed += u64::from(damaged == 0);
        self.tally.pread += u64::from(!is_mapped);
        let mut now = state.clone();
        if self.tally.cases & 4 == 0 {
            self.tally.written += 1;
            now = write_over(&engine, &self.sample.keys, state, &hear);
            reader.read_all(&now);
            self.tally.compacted += u64::from(engine.compact().map_err(|e| hear(&e)).is_ok());
            reader.read_all(&now);
        }
        if self.tally.cases & 8 == 0 {
            _ = engine.shut_down().map_err(|error| hear(&error));
        }
        drop(engine);
        self.tally.refused += u64::from(self.must_hold(&shelf, &now, damage).is_none());
    }

    /// The sample's files with `damage`.
    fn lay_out(&self, damage: &[Damage]) -> Shelf {
        let files = self.sample.files.iter();
        let files = files.filter_map(|(name, bytes)| {
            match damage.iter().find(|damage| damage.file == *name) {
                None => Some((name, bytes.as_slice())),
                Some(damage) => damage.bytes.as_deref().map(|bytes| (name, bytes)),
            }
        });
        let more = damage.iter().filter(|damage| !self.sample.files.contains_key(&damage.file));
        let more = more.filter_map(|damage| Some((&damage.file, damage.bytes.as_deref()?)));
        Shelf::new(self.tally.cases, files.chain(more))
    }

    /// Opens the damaged sample and reads all of it in every way.
    fn open(&self, damage: &[Damage], options: &Options) -> Result<Opened> {
        let shelf = self.lay_out(damage);
        let engine = recover::open(shelf.storage(), options.clone())?;
        let writes = self.writes_in(&engine, damage);
        let hear = |error: &Error| check_place(error, damage);
        let reader = Reader { engine: &engine, keys: &self.sample.keys, hear: &hear };
        let damaged = reader.read_all(&self.sample.states[writes]);
        assert!(damaged == 0 || !self.is_spare(damage), "a hint or a checkpoint matters");
        Ok(Opened { shelf, engine, writes, damaged })
    }

    /// How many writes an opened database shows. Only what may be missing is looked for: all writes
    /// behind the damage, if it is above the last sync mark.
    fn writes_in(&self, engine: &Engine, damage: &[Damage]) -> usize {
        let sample = self.sample;
        let shows = |state: &Model| {
            sample.keys.iter().all(|key| {
                let value = state.get(key).map(|value| &**value);
                let found = engine.get(key, |found| Some(found) == value);
                found.map_or(true, |found| found.unwrap_or(value.is_none()))
            })
        };
        let all = sample.states.len() - 1;
        let mut may_be = BTreeSet::from([all]);
        for damage in damage {
            match damage.stage {
                // A copy of the end of the log from before its last sync tells nobody that it is.
                Some(writes) if sample.is_tail(&damage.file) => may_be.extend(writes..all),
                _ => _ = may_be.insert(sample.least(damage)),
            }
        }
        let shown = may_be.iter().rev().find(|&&writes| shows(&sample.states[writes]));
        *shown.unwrap_or_else(|| panic!("it opens and shows none of {may_be:?} of {all} writes"))
    }

    fn is_spare(&self, damage: &[Damage]) -> bool {
        damage.iter().all(|damage| self.sample.is_spare(&damage.file))
    }

    fn check_need(&self, need: Need, damage: &[Damage]) {
        let files = self.sample.files.values().map(Vec::len);
        let lens = damage.iter().filter_map(|damage| damage.bytes.as_ref().map(Vec::len));
        let lens: Vec<usize> = files.chain(lens).collect();
        let longest = lens.iter().copied().max().unwrap_or(0) + SLACK;
        let Need { largest, most } = need;
        assert!(largest <= longest.max(self.intact.largest), "it asks for {largest} bytes at once");
        let allowed = self.intact.most + lens.iter().sum::<usize>() * FACTOR;
        assert!(most <= allowed, "it needs {most} bytes, beyond {allowed}");
    }

    fn check_refusal(&self, error: &Error, damage: &[Damage]) {
        assert!(!self.is_spare(damage), "a hint or a checkpoint matters: {error}");
        let in_manifest = damage.iter().any(|damage| damage.file == name::MANIFEST);
        match error.kind() {
            Kind::NotADatabase | Kind::NewerFormat if in_manifest => {
                assert!(error.to_string().contains(name::MANIFEST), "no file is named: {error}");
            }
            _ => check_place(error, damage),
        }
    }

    /// Read-only, it gives no value that was never written, refuses writes, and changes no file.
    fn read_what_is_left(&mut self, damage: &[Damage]) {
        self.tally.read_only += 1;
        let shelf = self.lay_out(damage);
        let before = shelf.files();
        let options = Options { on_damage: OnDamage::ReadOnly, ..self.sample.options.clone() };
        match recover::open(shelf.storage(), options) {
            Err(error) => {
                let is_manifest = |damage: &Damage| damage.file == name::MANIFEST;
                assert!(damage.iter().any(is_manifest), "it does not open read-only: {error}");
                self.check_refusal(&error, damage);
            }
            Ok(engine) => {
                self.check_what_is_left(&engine, damage);
                let refused = engine.put(b"key", b"value").expect_err("it may be written");
                assert_eq!(refused.kind(), Kind::ReadOnly, "{refused}");
            }
        }
        let after = shelf.files();
        assert!(after == before, "a file was changed though it is damaged");
    }

    fn check_what_is_left(&self, engine: &Engine, damage: &[Damage]) {
        let was_written = |key: &[u8], value: &[u8]| {
            let mut states = self.sample.states.iter();
            states.any(|state| state.get(key).is_some_and(|written| **written == *value))
        };
        for key in &self.sample.keys {
            match engine.get(key, |value| was_written(key, value)) {
                Ok(found) => assert_ne!(found, Some(false), "a value that was never written"),
                Err(error) => check_place(&error, damage),
            }
        }
        let mut iter = engine.open_iter(None, b"").expect("an iterator");
        loop {
            match engine.advance(&mut iter) {
                Ok(false) => break,
                Ok(true) => {
                    let (key, value) = iter.current().expect("it is at a record");
                    assert!(was_written(key, value), "a record that was never written");
                }
                Err(error) => check_place(&error, damage),
            }
        }
        engine.close_iter(iter);
    }

    /// What a snapshot sees stays, whatever is written and compacted meanwhile; what was written is
    /// there; and what is damaged is neither forgotten nor taken for something else.
    fn write_beside_a_snapshot(&mut self, opened: Opened, damage: &[Damage]) {
        self.tally.written += 1;
        let Opened { shelf, engine, writes, .. } = opened;
        let then = &self.sample.states[writes];
        let hear = |error: &Error| check_place(error, damage);
        let reader = Reader { engine: &engine, keys: &self.sample.keys, hear: &hear };
        let snapshot = engine.open_snapshot().expect("a snapshot");
        let mut iter = engine.open_iter(Some(&snapshot), b"").expect("an iterator");
        let now = write_over(&engine, &self.sample.keys, then, &hear);
        reader.walk(&mut iter, b"", then);
        engine.close_iter(iter);
        reader.read_at(&snapshot, then);
        reader.iterate(Some(&snapshot), b"", then);
        reader.read_all(&now);
        self.tally.compacted += u64::from(engine.compact().map_err(|e| hear(&e)).is_ok());
        reader.read_at(&snapshot, then);
        reader.iterate(Some(&snapshot), b"", then);
        reader.read_all(&now);
        engine.close_snapshot(snapshot);
        drop(engine);
        self.must_hold(&shelf, &now, damage);
    }

    fn compact(&mut self, opened: Opened, damage: &[Damage]) {
        let Opened { shelf, engine, writes, damaged } = opened;
        let state = &self.sample.states[writes];
        let hear = |error: &Error| check_place(error, damage);
        let reader = Reader { engine: &engine, keys: &self.sample.keys, hear: &hear };
        self.tally.compacted += u64::from(engine.compact().map_err(|e| hear(&e)).is_ok());
        assert_eq!(reader.read_all(state), damaged, "keys that are damaged after compaction");
        engine.write_due_hints();
        engine.checkpoint();
        let closed = engine.shut_down();
        closed.expect("it can be closed");
        drop(engine);
        self.must_hold(&shelf, state, damage);
    }

    /// Killed and closed, it is as it was. What was lost stays lost, also when a record is written
    /// in its place that is as long, so that those behind it would fit on.
    fn open_again(&mut self, opened: Opened, damage: &[Damage]) {
        let Opened { shelf, mut engine, writes, .. } = opened;
        let mut state = self.sample.states[writes].clone();
        let key = b"again";
        for round in 0..2_u8 {
            if let Some(lost) = self.sample.lost_len(writes) {
                let len = lost.saturating_sub(record_len(key.len(), 0, 0));
                engine.put(key, &vec![round; len]).expect("it can be written");
                state.insert(key.to_vec(), vec![round; len].into());
            }
            drop(engine);
            let Some(killed) = self.must_hold(&shelf, &state, damage) else { return };
            killed.shut_down().expect("it can be closed");
            drop(killed);
            let Some(closed) = self.must_hold(&shelf, &state, damage) else { return };
            engine = closed;
        }
    }

    fn read_with_pread(&mut self, opened: Opened, damage: &[Damage]) {
        self.tally.pread += 1;
        let options = Options { read_mode: ReadMode::Pread, ..self.sample.options.clone() };
        let Opened { writes, damaged, engine, shelf } = opened;
        drop((engine, shelf));
        let again = self.open(damage, &options).expect("it opens to be mapped");
        assert_eq!((again.writes, again.damaged), (writes, damaged), "with pread");
    }

    /// It opens and holds `state`, but for what it says is damaged; or it says so at once.
    fn must_hold(&self, shelf: &Shelf, state: &Model, damage: &[Damage]) -> Option<Engine> {
        let hear = |error: &Error| check_place(error, damage);
        match recover::open(shelf.storage(), self.sample.options.clone()) {
            Err(error) => {
                self.check_refusal(&error, damage);
                None
            }
            Ok(engine) => {
                Reader { engine: &engine, keys: &self.sample.keys, hear: &hear }.read_all(state);
                Some(engine)
            }
        }
    }
}

/// Panics unless an error says that one of the damaged files is damaged, and where.
pub fn check_place(error: &Error, damage: &[Damage]) {
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    let Some((path, offset)) = error.place() else { panic!("no place is named: {error}") };
    let text = error.to_string();
    assert!(text.contains(path) && text.contains(&format!("at byte {offset}")), "{text}");
    let file = path.rsplit('/').next().unwrap_or(path);
    let is_there = |damage: &Damage| damage.covers(file, offset as usize);
    assert!(damage.iter().any(is_there), "it says that something else is damaged: {text}");
}
