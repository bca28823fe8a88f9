//! Small databases that have everything: several segments, sealed, compacted and active, batches,
//! values that expire, gaps, hints, a checkpoint, and files of earlier moments.

use kv::options::{OnDamage, Options};

use super::{options, Builder, Files, Sample};

/// Segments so short that a few records fill one.
const SEGMENT: u64 = 7 << 10;

fn small() -> Options {
    Options { segment_size: SEGMENT, ..options(OnDamage::Fail) }
}

/// Keys of all kinds are written over and over, and compacted in between.
fn history(seed: u64) -> Builder {
    let mut builder = Builder::with(seed, small());
    builder.write_all_kinds();
    for key in 0..8 {
        builder.put(&format!("key {key}"), 30 * key);
    }
    builder.keep_stage();
    builder.sync();
    builder.delete("key 3");
    builder.batch(&[("key 1", Some(70)), ("key 2", None), ("other", Some(300))]);
    builder.compact();
    for key in 4..14 {
        builder.put(&format!("key {key}"), 500 - 20 * key);
    }
    builder.checkpoint();
    builder.keep_stage();
    builder.reopen();
    builder.write_all_kinds();
    builder.put("only once", 1200);
    builder.delete("key 5");
    builder.seal();
    builder.put("key 6", 900);
    builder
}

/// Closed, with a checkpoint of that moment: an open reads no record.
pub fn checkpointed(seed: u64) -> Sample {
    let mut builder = history(seed);
    builder.put_for_a_day("key 7", 400);
    builder.delete("key 9");
    builder.put("key 10", 10);
    builder.seal();
    builder.checkpoint();
    builder.closed("checkpointed")
}

/// Closed, with an older checkpoint: an open reads what came after it.
pub fn partly_checkpointed(seed: u64) -> Sample {
    let mut builder = history(seed);
    builder.keep_stage();
    builder.put("key 10", 10);
    builder.reopen();
    builder.put_around("key 4", 60, "key 8");
    builder.closed("closed after a checkpoint")
}

/// Closed, without a checkpoint: an open reads hints, and the segment without one.
pub fn hinted(seed: u64) -> Sample {
    let mut sample = partly_checkpointed(seed);
    remove(&mut sample, "INDEX", "with hints");
    sample
}

/// Closed, with nothing but the log: an open reads all of it.
pub fn bare(seed: u64) -> Sample {
    let mut sample = hinted(seed);
    remove(&mut sample, ".hint", "with nothing but the log");
    sample
}

fn remove(sample: &mut Sample, suffix: &str, name: &'static str) {
    let keep = |files: &mut Files| files.retain(|name, _| !name.ends_with(suffix));
    keep(&mut sample.files);
    sample.stages.iter_mut().for_each(|stage| keep(&mut stage.files));
    sample.name = name;
}

/// Killed, some time after a checkpoint and a sync, with two segments that were not sealed.
pub fn killed(seed: u64) -> Sample {
    let mut builder = history(seed);
    builder.keep_stage();
    builder.put("key 11", 40);
    builder.sync();
    builder.batch(&[("key 1", Some(17)), ("key 12", Some(5)), ("key 4", None)]);
    builder.put("key 8", 700);
    builder.keep_stage();
    builder.put("key 9", 900);
    builder.put_around("key 13", 60, "key 8");
    builder.delete("key 11");
    builder.killed("killed")
}

/// Killed, with a sync in the last segment: what is behind it may be lost, what is before may not.
pub fn killed_when_synced(seed: u64) -> Sample {
    let mut builder = history(seed);
    builder.put("key 8", 700);
    builder.put("key 9", 1500);
    builder.put("key 10", 400);
    builder.sync();
    builder.prepare_spare();
    builder.batch(&[("key 1", Some(17)), ("key 12", Some(5)), ("key 4", None)]);
    builder.put_for_a_day("key 13", 33);
    builder.delete("key 8");
    let mut sample = builder.killed("killed when synced");
    remove(&mut sample, "INDEX", "killed when synced");
    sample
}
