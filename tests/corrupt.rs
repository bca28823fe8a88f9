//! Damaged databases: whatever happened to the bytes, the answer is the truth or an error that
//! names the place.
//!
//! Small databases are damaged at every bit and cut at every length, larger ones at samples of
//! both. A wrong value, a key that is missing or old without a word, a panic and an endless loop
//! are failures. Where a database was not closed, and there only, writes that were not yet on the
//! medium may be missing, the newest first.

mod common;
mod damage;

use common::{seed, Random, TempDir};
use damage::judge::{flip_and_cut, overwrite_blocks, report};
use damage::kinds::{append, cut, flip, overwrite, replace};
use damage::{look, small, Answer, Bench, Builder, Sample};
use kv::db::{restore, Db};
use kv::error::Kind;
use kv::format::name::{parse_hint, MANIFEST};
use kv::format::record::record_len;
use kv::format::segment::HEADER_PAGE;

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

fn small_samples() -> [Sample; 4] {
    [closed(), killed(), compacted(), compacted_and_killed()]
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
fn bits_and_lengths_of_compacted_databases() {
    let sample = compacted();
    let mut bench = Bench::new(&sample);
    for len in 0..sample.files[MANIFEST].len() {
        bench.judge(&cut(&sample, MANIFEST, len));
    }
    let is_small = |file: &&String| *file == MANIFEST || parse_hint(file).is_some();
    for file in sample.files.keys().filter(is_small) {
        for bit in (0..sample.files[file].len() * 8).step_by(5) {
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
    small_samples().iter().for_each(overwrite_blocks);
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

/// A damaged record gets into a backup unread, since its segment is linked, but out of none: what
/// is restored is whole.
#[test]
fn backups_of_damaged_databases_are_not_restored() {
    let sample = small::checkpointed(seed());
    let mut bench = Bench::new(&sample);
    let (mut random, mut told, mut whole) = (Random(seed()), 0, 0);
    for case in 0..120 {
        let segments = sample.segments();
        let file = segments[case % segments.len()];
        let bit = random.below(sample.files[file].len() as u64 * 8) as usize;
        let damage = if case % 3 == 0 {
            overwrite(&sample, file, bit / 8 / 512, None)
        } else {
            flip(&sample, file, bit)
        };
        let place = TempDir::in_memory("backup");
        bench.lay_out(&[&damage]);
        let restored = Db::open(&bench.path(), &sample.options).and_then(|db| {
            db.backup(&place.join("backup"))?;
            db.close()?;
            restore(&place.join("backup"), &place.join("restored"))
        });
        match restored {
            Ok(()) => {
                let found = look(&place.join("restored"), &sample.keys).expect(&damage.what);
                assert!(found == sample.states[sample.states.len() - 1], "{}", damage.what);
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Corrupt, "{}: {error}", damage.what);
                let place = error.place().map(|(path, _)| path.ends_with(file));
                assert_eq!(place, Some(true), "{}: {error}", damage.what);
                told += 1;
            }
        }
    }
    assert!(told > 0 && whole > 0, "{told} of these matter, {whole} do not");
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
            bench.judge(&replace(&sample, file, None, "nothing"));
            let foreign = other.files.get(file).map(Vec::as_slice);
            bench.judge(&replace(&sample, file, foreign, "that of another database"));
        }
        bench.judge(&replace(
            &sample,
            MANIFEST,
            Some(&empty.files[MANIFEST]),
            "that of an empty database",
        ));
        let segments = sample.segments();
        for pair in segments.windows(2) {
            let first = replace(&sample, pair[0], Some(&sample.files[pair[1]]), "the next");
            let second = replace(&sample, pair[1], Some(&sample.files[pair[0]]), "the one before");
            let answer = bench.try_damage(&[&first, &second]);
            assert!(matches!(answer, Answer::Refused), "{}: swapped segments", sample.name);
        }
        let hints: Vec<&String> = sample.files.keys().filter(|n| parse_hint(n).is_some()).collect();
        for pair in hints.windows(2) {
            let first = replace(&sample, pair[0], Some(&sample.files[pair[1]]), "the next");
            let second = replace(&sample, pair[1], Some(&sample.files[pair[0]]), "the one before");
            let answer = bench.try_damage(&[&first, &second]);
            assert!(matches!(answer, Answer::Holds(_)), "{}: swapped hints", sample.name);
        }
        report(&bench);
    }
}
