//! Files that are changed between a crash, or a close, and the next open: bits flipped, writes lost
//! or misdirected, files cut, swapped, or brought back from a while ago. What is read is right, or
//! an error that says what is damaged; never a wrong value, an older one, or none.
//!
//! Less is promised where what was not synced is damaged: then the log may end before. And where
//! bytes of the log or the manifest that were right once have come back, as on a disk that loses
//! what it has acknowledged, then a key may have what it had a while ago, but nothing else.

use kv::engine::{recover, Engine};
use kv::error::{Error, Kind};
use kv::format::name;

use crate::common::content::{held_of, live, Content, Held, KEYS};
use crate::common::oracle::{Expected, Oracle};
use crate::common::sim_disk::damage::HARMS;
use crate::common::sim_disk::SimDisk;
use crate::common::Random;

/// What is read of each key; nothing if it is told to be damaged.
type Found = Vec<Option<Option<Held>>>;

type Verdict<T> = std::result::Result<T, String>;

/// Does harm to a copy of a disk whose process is killed, or whose database is closed, and judges
/// what is read then. `older` is what the disk was some time ago.
pub fn examine(
    oracle: &Oracle,
    disk: &SimDisk,
    older: Option<&SimDisk>,
    expected: &Expected,
    random: &mut Random,
) {
    if oracle.has_failed() {
        return;
    }
    let harm = HARMS[random.below(HARMS.len() as u64) as usize];
    let is_closed = random.below(3) == 0;
    if is_closed {
        let opened = oracle.open(disk).map(|(engine, _)| engine);
        let close = |engine: Engine| {
            if random.below(2) == 0 {
                engine.checkpoint();
            }
            engine.shut_down().map_err(|error| error.to_string())
        };
        if let Err(what) = opened.and_then(close) {
            oracle.fail(format!("{what}\n  before any harm is done\n  {}", expected.context));
            return;
        }
    }
    let Some(done) = disk.harm(harm, older, random) else { return };
    oracle.trace.count_damaged();
    let is_log = |name: &String| name == name::MANIFEST || name::parse_segment(name).is_some();
    let allowed = match done.to.iter().any(is_log) {
        true if harm.is_old() => Allowed::AnyOfEach,
        true if !is_closed => Allowed::Between(expected.durable, expected.high),
        // What else there is can be done without.
        _ => Allowed::Between(expected.low, expected.high),
    };
    if let Err(wrong) = judge(oracle, disk, &expected.contents, allowed) {
        let how = if is_closed { "closed" } else { "killed" };
        let Expected { context, .. } = expected;
        let what = done.what;
        oracle.fail(format!(
            "{wrong}\n  {context}, {how}, then {harm:?}: {what}\n  allowed: {allowed:?}\n  \
             files: {}",
            disk.listing()
        ));
    }
}

/// What may be found.
#[derive(Clone, Copy, Debug)]
enum Allowed {
    /// What all keys had after one of these steps.
    Between(usize, usize),
    /// Of each key what it had after some step.
    AnyOfEach,
}

/// Damage that is told says in which file. The beginning of a manifest is looked at before anything
/// else is: what is not one, or one of a later version, is not called damaged.
fn is_told(error: &Error) -> bool {
    match error.kind() {
        Kind::Corrupt => error.place().is_some(),
        Kind::NewerFormat | Kind::NotADatabase => error.to_string().contains(name::MANIFEST),
        _ => false,
    }
}

fn judge(oracle: &Oracle, disk: &SimDisk, contents: &[Content], allowed: Allowed) -> Verdict<()> {
    let now = oracle.now();
    let open = || recover::open(disk.storage(), oracle.options.clone());
    let engine = match open() {
        Ok(engine) => engine,
        Err(error) if is_told(&error) => return Ok(()),
        Err(error) => return Err(format!("it does not open: {error}")),
    };
    let allowed = fitting(&engine, contents, allowed, now).map_err(|e| format!("opened: {e}"))?;
    match engine.compact() {
        Err(error) if !is_told(&error) => return Err(format!("compaction: {error}")),
        _ => {}
    }
    let allowed =
        fitting(&engine, contents, allowed, now).map_err(|e| format!("compacted: {e}"))?;
    drop(engine);
    match open() {
        Ok(engine) => {
            let again = fitting(&engine, contents, allowed, now);
            again.map(drop).map_err(|e| format!("opened again: {e}"))
        }
        Err(error) if is_told(&error) => Ok(()),
        Err(error) => Err(format!("it does not open again: {error}")),
    }
}

/// What is found must be allowed, as far as it is no damage. Answers what is allowed from now on.
fn fitting(engine: &Engine, contents: &[Content], allowed: Allowed, now: u64) -> Verdict<Allowed> {
    let found = read(engine, now)?;
    let Allowed::Between(low, high) = allowed else {
        let had = |number: usize, found: &Option<Held>| {
            found.is_none() || contents.iter().any(|then| live(&then[number], now) == *found)
        };
        let wrong = (0..KEYS).find(|&number| found[number].is_some_and(|f| !had(number, &f)));
        return match wrong {
            Some(number) => Err(format!("key {number} never had what it has")),
            None => Ok(allowed),
        };
    };
    let fits = |at: &usize| wrong_keys(&found, &contents[*at], now).is_empty();
    let first = (low..=high).find(fits);
    let last = (low..=high).rev().find(fits);
    let Some((first, last)) = first.zip(last) else {
        let wrong = wrong_keys(&found, &contents[high], now);
        return Err(format!("it is no prefix; against the last step: {wrong:?}"));
    };
    Ok(Allowed::Between(first, last))
}

fn read(engine: &Engine, now: u64) -> Verdict<Found> {
    let read = |number| match held_of(engine, number, now) {
        Ok(held) => Ok(Some(held)),
        Err(error) if is_told(&error) => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    (0..KEYS).map(read).collect()
}

/// The keys that have something else than a content says, and how.
fn wrong_keys(found: &Found, content: &Content, now: u64) -> Vec<String> {
    let pairs = found.iter().zip(content).enumerate();
    let wrong = pairs.filter_map(|(number, (found, held))| {
        let (found, right) = ((*found)?, live(held, now));
        let how = match (found.is_some(), right.is_some()) {
            (false, true) => "missing",
            (true, false) => "there",
            _ => "other",
        };
        (found != right).then(|| format!("{number} {how}"))
    });
    wrong.collect()
}
