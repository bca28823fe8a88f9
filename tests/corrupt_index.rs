//! Damaged checkpoints of the index: whatever is wrong with one, it costs time and never data; and
//! a database with a good one tells damage elsewhere to who reads it.
//!
//! The checkpoint is damaged at samples of its bits, cut, exchanged, and replaced by those of other
//! moments. Each time the database must open and hold all that was written.

mod common;
mod damage;

use std::sync::Arc;

use common::{copy_directory, seed};
use damage::kinds::{append, cut, flip, overwrite, replace};
use damage::{look, options, read_files, Answer, Bench, Builder, Damage, Sample};
use kv::db::Db;
use kv::engine::recover;
use kv::error::Kind;
use kv::format::name::{parse_segment, INDEX, INDEX_NEW};
use kv::options::OnDamage;
use kv::storage::posix::PosixStorage;

/// Closed, with a checkpoint of that moment: nothing is read but what is asked for.
fn closed() -> Sample {
    let mut builder = Builder::new(seed());
    builder.write_some();
    builder.compact();
    builder.write_some();
    builder.checkpoint();
    builder.closed("checkpointed and closed")
}

/// Killed some time after a checkpoint.
fn killed() -> Sample {
    let mut builder = Builder::new(seed() + 1);
    builder.write_some();
    builder.compact();
    builder.write_some();
    builder.checkpoint();
    builder.delete("key 4");
    builder.put("key 5", 70);
    builder.put("new", 7);
    builder.sync();
    builder.put("key 4", 33);
    builder.killed("checkpointed and killed")
}

#[allow(clippy::print_stdout, reason = "how much was tried is the point of the test")]
fn report(bench: &Bench) {
    println!("{}: {} damaged, {} opened", bench.sample.name, bench.cases, bench.opened);
}

/// The bench demands that damage to a checkpoint alone is without effect.
fn demand_all(bench: &mut Bench, damage: &Damage) {
    let answer = bench.try_damage(&[damage]);
    let all = bench.sample.states.len() - 1;
    assert!(matches!(answer, Answer::Holds(writes) if writes == all), "{}", damage.what);
}

#[test]
fn bits_lengths_and_blocks_of_a_checkpoint() {
    for sample in [closed(), killed()] {
        let mut bench = Bench::new(&sample);
        let len = sample.files[INDEX].len();
        let head = (0..72 * 8).step_by(3);
        // The pieces lie behind the room for their list.
        let pieces = (len.saturating_sub(2048) * 8..len * 8).step_by(29);
        for bit in head.chain((0..len * 8).step_by(1009)).chain(pieces) {
            demand_all(&mut bench, &flip(&sample, INDEX, bit));
        }
        for at in (0..len).step_by(211) {
            demand_all(&mut bench, &cut(&sample, INDEX, at));
        }
        for block in 0..len / 512 {
            demand_all(&mut bench, &overwrite(&sample, INDEX, block, None));
            demand_all(&mut bench, &overwrite(&sample, INDEX, block, Some(len / 512 - 1)));
        }
        demand_all(&mut bench, &append(&sample, INDEX, &[1; 100]));
        report(&bench);
    }
}

#[test]
fn exchanged_and_missing_checkpoints() {
    for (sample, other) in [(closed(), closed()), (killed(), killed())] {
        let mut bench = Bench::new(&sample);
        demand_all(&mut bench, &replace(&sample, INDEX, None, "nothing"));
        let foreign = Some(&*other.files[INDEX]);
        demand_all(&mut bench, &replace(&sample, INDEX, foreign, "that of another database"));
        demand_all(&mut bench, &replace(&sample, INDEX, Some(&[]), "an empty file"));
    }
}

/// Segments are damaged beside a good checkpoint: the truth, or an error.
#[test]
fn bits_of_segments_beside_a_checkpoint() {
    for sample in [closed(), killed()] {
        let mut bench = Bench::new(&sample);
        for file in sample.segments() {
            for bit in (0..sample.files[file].len() * 8).step_by(23) {
                bench.try_damage(&[&flip(&sample, file, bit)]);
            }
            for len in (0..sample.files[file].len()).step_by(23) {
                bench.try_damage(&[&cut(&sample, file, len)]);
            }
        }
        report(&bench);
        assert!(bench.opened > 0 && bench.opened < bench.cases);
    }
}

/// Any earlier checkpoint is good, whatever was compacted since.
#[test]
fn a_checkpoint_of_an_earlier_moment() {
    let mut builder = Builder::new(seed() + 2);
    let mut earlier = Vec::new();
    for round in 0..4 {
        builder.write_some();
        builder.checkpoint();
        earlier.push(builder.read(INDEX));
        builder.delete("key 2");
        builder.put("of all rounds", round);
        builder.compact();
        earlier.push(builder.read(INDEX));
    }
    builder.checkpoint();
    let sample = builder.closed("compacted since");
    let mut bench = Bench::new(&sample);
    for (at, bytes) in earlier.iter().enumerate() {
        let what = format!("checkpoint {at}");
        demand_all(&mut bench, &replace(&sample, INDEX, Some(bytes), &what));
    }
}

/// A checkpoint that knows more than the log is not believed, not even once the log is as long.
#[test]
fn a_checkpoint_of_a_future_that_did_not_come() {
    let mut builder = Builder::new(seed() + 3);
    builder.write_some();
    builder.sync();
    let before = builder.files();
    for number in 0..10 {
        builder.put(&format!("lost {number}"), 10);
    }
    builder.checkpoint();
    let index = builder.read(INDEX);
    let directory = common::TempDir::in_memory("future");
    let path = directory.join("db");
    std::fs::create_dir(&path).expect("the directory can be created");
    for (name, bytes) in &before {
        std::fs::write(path.join(name), bytes).expect("a file is written");
    }
    std::fs::write(path.join(INDEX), index).expect("a file is written");
    let db = Db::open(&path, &options(OnDamage::Fail)).expect("it opens without the checkpoint");
    for number in 0..30_u8 {
        db.put(&[number], b"another future").expect("put");
    }
    let copy = directory.join("killed");
    copy_directory(&path, &copy);
    let mut keys: Vec<Vec<u8>> = (0..10).map(|n| format!("lost {n}").into_bytes()).collect();
    keys.extend((0..30_u8).map(|number| vec![number]));
    let opened = Db::open(&copy, &options(OnDamage::Fail)).expect("it opens after a kill");
    for key in &keys {
        let expected = key.len() == 1;
        assert_eq!(opened.value_len(key).expect("read").is_some(), expected, "{key:?}");
    }
}

/// Pieces of a damaged checkpoint are built from the log when they are needed. A segment whose file
/// was removed meanwhile, and not by compaction, was passed over: its keys were "not found".
#[test]
fn a_segment_that_is_gone_is_missed_when_the_index_is_built_from_the_log() {
    let sample = closed();
    let mut bench = Bench::new(&sample);
    for gone in sample.segments() {
        bench.lay_out(&[]);
        // Without threads, of which one would load all pieces sooner or later.
        let storage = PosixStorage::open(&bench.path(), false).expect("it is there");
        let opened = recover::open(Arc::new(storage), options(OnDamage::Fail));
        let db = opened.expect("it is intact");
        let zeros = vec![0; sample.files[INDEX].len()];
        std::fs::write(bench.path().join(INDEX), zeros).expect("the checkpoint is damaged");
        std::fs::remove_file(bench.path().join(gone)).expect("the segment can be removed");
        let last = &sample.states[sample.states.len() - 1];
        let mut missed = 0;
        for key in &sample.keys {
            match db.value_len(key) {
                Ok(found) => assert_eq!(found, last.get(key).map(|value| value.len()), "{gone}"),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Corrupt, "{gone}: {error}");
                    missed += 1;
                }
            }
        }
        assert!(missed > 0, "{gone} is missed");
    }
}

/// What an interrupted checkpoint leaves is removed.
#[test]
fn half_a_checkpoint_is_a_leftover() {
    let sample = closed();
    let mut bench = Bench::new(&sample);
    bench.lay_out(&[]);
    let half = &sample.files[INDEX][..1000];
    std::fs::write(bench.path().join(INDEX_NEW), half).expect("a file is written");
    look(&bench.path(), &sample.keys).expect("it opens");
    let names = read_files(&bench.path());
    assert!(!names.contains_key(INDEX_NEW) && names.contains_key(INDEX));
    assert!(names.keys().any(|name| parse_segment(name).is_some()));
}
