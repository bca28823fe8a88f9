//! What must follow from damage: the truth or an error, and that it can go on from there.

use kv::db::Db;
use kv::error::Kind;
use kv::format::name::{parse_hint, MANIFEST};
use kv::format::record::record_len;
use kv::format::segment::HEADER_PAGE;
use kv::options::OnDamage;

use super::kinds::{cut, flip, overwrite};
use super::trial::Trial;
use super::{
    is_everything_asked_for, look, options, read_all, read_files, Answer, Bench, Damage, Sample,
};
use crate::common::{copy_directory, seed, Random};

/// Of so many cases on a shelf, one is tried on the disk.
const ON_DISK: usize = 41;
/// If not all are tried, one bit and one length in so many is where each is asked for.
const SOME: usize = 11;

/// Flips every `stride`-th bit, and cuts at every `stride`-th length.
pub fn flip_and_cut(sample: &Sample, stride: usize) {
    let stride = if stride == 1 && !is_everything_asked_for() { SOME } else { stride };
    let (mut trial, mut bench) = (Trial::new(sample), Bench::new(sample));
    let mut judge = |number: usize, damage: Damage| {
        if number.is_multiple_of(stride * ON_DISK) {
            bench.judge(&damage);
        }
        trial.judge(&[damage]);
    };
    for (file, bytes) in &sample.files {
        for bit in (0..bytes.len() * 8).step_by(stride) {
            judge(bit, flip(sample, file, bit));
        }
        for len in (0..bytes.len()).step_by(stride) {
            judge(len, cut(sample, file, len));
        }
    }
    report(&bench);
}

#[allow(clippy::print_stdout, reason = "how much was tried is the point of the test")]
pub fn report(bench: &Bench) {
    let has_hints = bench.sample.files.keys().any(|name| parse_hint(name).is_some());
    let small = ["closed", "killed", "closed with batches", "killed in batches"];
    let is_small = small.contains(&bench.sample.name);
    assert_ne!(has_hints, is_small, "{}: only sealed segments have hints", bench.sample.name);
    println!("{}: {} damaged, {} opened", bench.sample.name, bench.cases, bench.opened);
}

impl Bench<'_> {
    /// Tries one damage. Now and then also whether writing goes on, and whether what is left can be
    /// read.
    pub fn judge(&mut self, damage: &Damage) {
        let thorough = if self.cases < 1_000 { 3 } else { 101 };
        match self.try_damage(&[damage]) {
            Answer::Holds(writes) if self.cases.is_multiple_of(thorough) => {
                self.go_on(writes, damage);
            }
            Answer::Refused if self.cases.is_multiple_of(thorough) => {
                self.read_what_is_left(damage)
            }
            _ => {}
        }
    }

    /// What was lost stays lost, and what is written stays.
    fn go_on(&mut self, writes: usize, damage: &Damage) {
        let context = format!("{}, {}, written to", self.sample.name, damage.what);
        let mut state = self.sample.states[writes].clone();
        let key = b"again".to_vec();
        // As long as the first record that was lost, so that the ones behind it would fit on.
        let len = record_len(key.len(), 0, 0);
        let value_len = self.sample.lost_len(writes).map_or(1, |lost| lost - len);
        let mut keys = self.sample.keys.clone();
        keys.push(key.clone());
        self.lay_out(&[damage]);
        for round in 0..2_u8 {
            let db = Db::open(&self.path(), &options(OnDamage::Fail)).expect(&context);
            let value = vec![round; value_len];
            db.put(&key, &value).expect(&context);
            state.insert(key.clone(), value.into());
            // Killed at once it must hold, since closing cuts off what is behind.
            let copy = self.path().with_extension("copy");
            copy_directory(&self.path(), &copy);
            assert!(look(&copy, &keys).expect(&context) == state, "{context} and killed");
            std::fs::remove_dir_all(&copy).expect("the copy can be removed");
            drop(db);
            let found = look(&self.path(), &keys).expect(&context);
            assert!(found == state, "{context} and closed");
        }
    }

    /// Read-only, a damaged database gives no value that was not written, and changes no file.
    fn read_what_is_left(&mut self, damage: &Damage) {
        let context = format!("{}, {}, read-only", self.sample.name, damage.what);
        self.lay_out(&[damage]);
        let before = read_files(&self.path());
        match Db::open(&self.path(), &options(OnDamage::ReadOnly)) {
            Ok(db) => {
                // Damage that only reads meet closes no latch.
                let is_unnoticed = db.engine().latch().cause().is_none();
                let is_excused = self.sample.is_left_to_readers(&damage.file, damage.from);
                assert!(!is_unnoticed || is_excused, "{context}: it may be written");
                if is_unnoticed {
                    return self.check_that_nothing_is_old(&db, &context);
                }
                for key in &self.sample.keys {
                    let found = db.get(key, |value| self.was_written(key, value));
                    let found = found.unwrap_or_else(|error| {
                        assert_eq!(error.kind(), Kind::Corrupt, "{context}: {error}");
                        None
                    });
                    assert_ne!(found, Some(false), "{context}: {key:?} has a value of its own");
                }
                self.check_what_is_whole(&db, damage, &context);
                refuses_writes(&db, &damage.file, &context);
            }
            // Without its manifest a database is nothing.
            Err(error) => assert!(error.to_string().contains(MANIFEST), "{context}: {error}"),
        }
        assert!(read_files(&self.path()) == before, "{context}: a file was changed");
    }

    fn was_written(&self, key: &[u8], value: &[u8]) -> bool {
        let mut states = self.sample.states.iter();
        states.any(|state| state.get(key).is_some_and(|written| **written == *value))
    }

    /// Each key has its last value, or the read says that it is damaged.
    fn check_that_nothing_is_old(&self, db: &Db, context: &str) {
        let last = &self.sample.states[self.sample.states.len() - 1];
        for key in &self.sample.keys {
            match db.get(key, <[u8]>::to_vec) {
                Ok(found) => {
                    let expected = last.get(key).map(|value| &**value);
                    assert_eq!(found.as_deref(), expected, "{context}: {key:?}");
                }
                Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{context}: {error}"),
            }
        }
    }

    /// Where there is one segment, all records before the damage are there.
    fn check_what_is_whole(&self, db: &Db, damage: &Damage, context: &str) {
        if self.sample.name != "killed" || damage.file == MANIFEST || damage.from < HEADER_PAGE {
            return;
        }
        let Some(tail) = self.sample.tails.first() else { return };
        let whole = tail.ends.iter().filter(|&&end| end <= damage.from).count();
        let found = read_all(db, &self.sample.keys).expect(context);
        assert!(found == self.sample.states[whole], "{context}: not all that is whole");
    }
}

fn refuses_writes(db: &Db, damaged: &str, context: &str) {
    let refusals = [
        db.put(b"key 1", b"another value").expect_err(context),
        db.delete(b"key 1").map(|_| ()).expect_err(context),
        db.compact().expect_err(context),
    ];
    for error in refusals {
        assert_eq!(error.kind(), Kind::ReadOnly, "{context}: {error}");
        let text = error.to_string();
        assert!(text.contains("at byte "), "{context}: no cause in \"{text}\"");
        assert!(text.contains(damaged) || damaged == MANIFEST, "{context}: \"{text}\"");
    }
}

/// Overwrites blocks with zeros, or with other blocks.
pub fn overwrite_blocks(sample: &Sample) {
    let mut bench = Bench::new(sample);
    let mut random = Random(seed());
    for (file, bytes) in &sample.files {
        let whole = bytes.len() / 512;
        for block in 0..bytes.len().div_ceil(512).min(60) {
            bench.judge(&overwrite(sample, file, block, None));
            if whole > 0 {
                let source = random.below(whole as u64) as usize;
                bench.judge(&overwrite(sample, file, block, Some(source)));
            }
        }
    }
    report(&bench);
}
