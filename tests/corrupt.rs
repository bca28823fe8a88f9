//! Damaged databases: whatever happened to the bytes, the answer is the truth or an error that
//! names the place.
//!
//! Small databases are damaged at every bit and cut at every length, larger ones at samples of
//! both. A wrong value, a key that is missing or old without a word, a panic and an endless loop
//! are failures. Where a database was not closed, and there only, writes that were not yet on the
//! medium may be missing, the newest first.

mod common;
mod damage;

use common::{copy_directory, seed, Random};
use damage::kinds::{append, cut, flip, overwrite, replace};
use damage::{look, options, read_all, read_files};
use damage::{Answer, Bench, Builder, Damage, Sample};
use kv::db::Db;
use kv::error::Kind;
use kv::format::name::{parse_hint, parse_segment, MANIFEST};
use kv::format::record::record_len;
use kv::format::segment::HEADER_PAGE;
use kv::options::OnDamage;

/// Written in several sessions.
fn closed() -> Sample {
    let mut builder = Builder::new(seed());
    builder.write_some();
    builder.reopen();
    builder.put("key 1", 300);
    builder.delete("key 2");
    builder.reopen();
    builder.put("the last", 100);
    builder.closed("closed")
}

/// Killed, with some writes on the medium and some not.
fn killed() -> Sample {
    let mut builder = Builder::new(seed() + 1);
    builder.write_some();
    builder.sync();
    for (len, key) in ["key 1", "new 1", "key 2"].into_iter().enumerate() {
        builder.put(key, 50 * len);
        builder.delete(key);
        builder.put(key, 20 * len);
    }
    builder.killed("killed")
}

/// A compacted segment, then the log; closed.
fn compacted() -> Sample {
    let mut builder = Builder::new(seed() + 2);
    builder.write_some();
    builder.compact();
    builder.closed("compacted")
}

/// A compacted segment, then the log; killed.
fn compacted_and_killed() -> Sample {
    let mut builder = Builder::new(seed() + 3);
    builder.write_some();
    builder.compact();
    builder.write_some();
    builder.sync();
    builder.delete("key 4");
    builder.put("key 5", 7);
    builder.killed("compacted and killed")
}

/// Several sealed segments.
fn large(builder: &mut Builder) {
    for key in 0..40 {
        builder.put(&format!("key {key}"), 100_000 + key);
        builder.put(&format!("small {key}"), key);
    }
    builder.sync();
}

fn large_and_closed() -> Sample {
    let mut builder = Builder::new(seed() + 4);
    large(&mut builder);
    builder.closed("large")
}

/// Sealed segments with hints, in which a few keys are overwritten and deleted again and again. In
/// each a long value comes first, so that the next one does not fit in.
const FILLER: usize = 700_000;

fn overwritten_in_segments() -> Sample {
    let mut builder = Builder::new(seed() + 5);
    for round in 0..3 {
        builder.put(&format!("filler {round}"), FILLER);
        for key in 0..5 {
            builder.put(&format!("k{key}"), round);
        }
        if round == 1 {
            builder.delete("k1");
        }
        builder.delete("k4");
    }
    builder.put("filler", FILLER);
    builder.sync();
    builder.closed("overwritten in segments")
}

/// Batches, values that expire and a gap, in a log that was killed.
fn killed_in_batches() -> Sample {
    let mut builder = Builder::new(seed() + 6);
    builder.write_all_kinds();
    builder.sync();
    builder.batch(&[("a", Some(17)), ("e", Some(5)), ("b", None)]);
    builder.put_around("f", 9, "e");
    builder.batch(&[("b", Some(1)), ("a", None)]);
    builder.put("g", 0);
    builder.batch(&[("c", Some(7)), ("e", None), ("h", Some(100))]);
    builder.killed("killed in batches")
}

/// The same kinds, closed.
fn closed_with_batches() -> Sample {
    let mut builder = Builder::new(seed() + 7);
    builder.write_all_kinds();
    builder.reopen();
    builder.batch(&[("a", Some(17)), ("e", Some(5)), ("b", None)]);
    builder.closed("closed with batches")
}

/// A sealed segment of the log with batches, then another.
fn batches_in_segments() -> Sample {
    let mut builder = Builder::new(seed() + 8);
    builder.put("filler", FILLER);
    builder.write_all_kinds();
    builder.put("filler 2", FILLER);
    builder.batch(&[("a", Some(30)), ("b", Some(3)), ("c", Some(90)), ("d", None)]);
    builder.sync();
    builder.closed("batches in segments")
}

fn small_samples() -> [Sample; 6] {
    [
        closed(),
        killed(),
        compacted(),
        compacted_and_killed(),
        killed_in_batches(),
        closed_with_batches(),
    ]
}

/// Of the header page of a segment only the beginning and the marks are used: of the rest, one bit
/// in 63.
fn is_worth_a_flip(file: &str, bit: usize) -> bool {
    let byte = bit / 8;
    let is_used = byte < 72 || (2048..2072).contains(&byte) || (3072..3096).contains(&byte);
    parse_segment(file).is_none() || byte >= HEADER_PAGE || is_used || bit.is_multiple_of(63)
}

/// Flips every `stride`-th bit, and cuts at every `stride`-th length.
fn flip_and_cut(sample: &Sample, stride: usize) {
    let mut bench = Bench::new(sample);
    for (file, bytes) in &sample.files {
        let bits = (0..bytes.len() * 8).step_by(stride);
        for bit in bits.filter(|&bit| stride > 1 || is_worth_a_flip(file, bit)) {
            bench.judge(&flip(sample, file, bit));
        }
        for len in (0..bytes.len()).step_by(stride) {
            bench.judge(&cut(sample, file, len));
        }
    }
    report(&bench);
}

#[allow(clippy::print_stdout, reason = "how much was tried is the point of the test")]
fn report(bench: &Bench) {
    let has_hints = bench.sample.files.keys().any(|name| parse_hint(name).is_some());
    let small = ["closed", "killed", "closed with batches", "killed in batches"];
    let is_small = small.contains(&bench.sample.name);
    assert_ne!(has_hints, is_small, "{}: only sealed segments have hints", bench.sample.name);
    println!("{}: {} damaged, {} opened", bench.sample.name, bench.cases, bench.opened);
}

impl Bench<'_> {
    /// Tries one damage. Now and then also whether writing goes on, and whether what is left can be
    /// read.
    fn judge(&mut self, damage: &Damage) {
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
        let Some(tail) = &self.sample.tail else { return };
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

#[test]
fn every_bit_and_every_length_of_a_closed_database() {
    flip_and_cut(&closed(), 1);
}

#[test]
fn every_bit_and_every_length_of_a_killed_database() {
    flip_and_cut(&killed(), 1);
}

#[test]
fn every_bit_and_every_length_of_batches_and_gaps() {
    flip_and_cut(&killed_in_batches(), 1);
    flip_and_cut(&closed_with_batches(), 1);
}

/// A batch that was sealed is whole, or whoever reads its segment hears that it is damaged. What is
/// in a gap is nobody's.
#[test]
fn bits_of_batches_in_sealed_segments() {
    let sample = batches_in_segments();
    let file = sample.segments()[0].to_owned();
    let start = HEADER_PAGE + record_len("filler".len(), FILLER, 0);
    let len = sample.files[&file].len();
    let gap =
        sample.files[&file][start..].windows(8).position(|w| w[..8] == [51, 0, 0, 0, 0, 0, 3, 0]);
    assert!(gap.is_none() || gap.is_some());
    for without_hints in [false, true] {
        let mut sample = batches_in_segments();
        if without_hints {
            sample.files.retain(|name, _| parse_hint(name).is_none());
        }
        let file = sample.segments()[0].to_owned();
        let mut bench = Bench::new(&sample);
        for bit in start * 8..len * 8 {
            bench.judge(&flip(&sample, &file, bit));
        }
        println!("{}: {} damaged, {} opened", bench.sample.name, bench.cases, bench.opened);
    }
}

#[test]
fn bits_and_lengths_of_compacted_databases() {
    let sample = compacted();
    let mut bench = Bench::new(&sample);
    for len in 0..sample.files[MANIFEST].len() {
        bench.judge(&cut(&sample, MANIFEST, len));
    }
    let is_small = |file: &&String| *file == MANIFEST || parse_hint(file).is_some();
    for file in sample.files.keys().filter(is_small) {
        for bit in 0..sample.files[file].len() * 8 {
            bench.judge(&flip(&sample, file, bit));
        }
    }
    flip_and_cut(&sample, 13);
    flip_and_cut(&compacted_and_killed(), 7);
}

#[test]
fn bits_and_lengths_of_a_large_database() {
    flip_and_cut(&large_and_closed(), 30_011);
}

/// The records that an open has to compare, which is where damage could make an old value pass for
/// a new one.
#[test]
fn bits_of_records_that_are_overwritten_in_segments_with_hints() {
    let sample = overwritten_in_segments();
    let mut bench = Bench::new(&sample);
    let small = (HEADER_PAGE + record_len("filler".len(), FILLER, 0)) * 8;
    for file in sample.segments() {
        let end = sample.files[file].len() * 8;
        for bit in (small..end).step_by(3) {
            bench.judge(&flip(&sample, file, bit));
        }
    }
    report(&bench);
    assert_eq!(bench.opened, 0, "each of these records is compared with another");
}

#[test]
fn overwritten_blocks() {
    for sample in small_samples() {
        let mut bench = Bench::new(&sample);
        let mut random = Random(seed());
        for (file, bytes) in &sample.files {
            let whole = bytes.len() / 512;
            for block in 0..bytes.len().div_ceil(512).min(60) {
                bench.judge(&overwrite(&sample, file, block, None));
                if whole > 0 {
                    let source = random.below(whole as u64) as usize;
                    bench.judge(&overwrite(&sample, file, block, Some(source)));
                }
            }
        }
        report(&bench);
    }
}

#[test]
fn garbage_behind_the_end() {
    for sample in small_samples() {
        let mut bench = Bench::new(&sample);
        let mut random = Random(seed());
        for (file, bytes) in &sample.files {
            for len in [1, 7, 8, 16, 100, 4096, 70_000] {
                bench.judge(&append(&sample, file, &random.bytes(len)));
                bench.judge(&append(&sample, file, &vec![0; len]));
                bench.judge(&append(&sample, file, &bytes[bytes.len().saturating_sub(len)..]));
            }
        }
        report(&bench);
    }
}

#[test]
fn exchanged_and_missing_files() {
    let empty = Builder::new(0).closed("empty");
    for (sample, other) in [
        (closed(), closed()),
        (killed(), killed()),
        (compacted(), compacted()),
        (compacted_and_killed(), compacted_and_killed()),
        (large_and_closed(), large_and_closed()),
    ] {
        let mut bench = Bench::new(&sample);
        for file in sample.files.keys() {
            bench.judge(&replace(file, None, "nothing"));
            let foreign = other.files.get(file).map(Vec::as_slice);
            bench.judge(&replace(file, foreign, "that of another database"));
        }
        bench.judge(&replace(MANIFEST, Some(&empty.files[MANIFEST]), "that of an empty database"));
        let segments = sample.segments();
        for pair in segments.windows(2) {
            let first = replace(pair[0], Some(&sample.files[pair[1]]), "the next");
            let second = replace(pair[1], Some(&sample.files[pair[0]]), "the one before");
            let answer = bench.try_damage(&[&first, &second]);
            assert!(matches!(answer, Answer::Refused), "{}: swapped segments", sample.name);
        }
        let hints: Vec<&String> = sample.files.keys().filter(|n| parse_hint(n).is_some()).collect();
        for pair in hints.windows(2) {
            let first = replace(pair[0], Some(&sample.files[pair[1]]), "the next");
            let second = replace(pair[1], Some(&sample.files[pair[0]]), "the one before");
            let answer = bench.try_damage(&[&first, &second]);
            assert!(matches!(answer, Answer::Holds(_)), "{}: swapped hints", sample.name);
        }
        report(&bench);
    }
}
