//! Memory runs out for large things: in every kind of call each large request for memory fails
//! once, and then all of them for a while. The call answers `KV_OUT_OF_MEMORY` or does without;
//! what was acknowledged is there, writing goes on, and the database opened again shows the same.
//!
//! A request that is not prepared for failing ends the process. So a child does all of it, and says
//! beforehand what it is about to do.

mod common;
mod scarce;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::watchdog::Watchdog;
use common::TempDir;
use kv::db::{self, Db, WriteBatch, WriteSync};
use kv::error::{Error, Kind, Result};
use kv::memory;
use kv::notice::{Level, Listeners};
use kv::options::{CompactionMode, Options, ReadMode};
use scarce::aside;

/// A process with this variable is the child.
const CHILD: &str = "KV_LARGE_ALLOCATIONS_CHILD";
/// What the child says begins so.
const SAYS: &str = "next: ";
/// The smallest segments in which two large values fit.
const SEGMENT: u64 = 128 << 10;
const LARGE_VALUE: usize = 60_000;
const LARGE_KEYS: u32 = 10;
const SMALL_KEYS: u32 = 4000;
/// In a call with more requests than this, not each of them fails.
const EACH: u64 = 5;
/// How many fail when memory is out for a while.
const A_WHILE: u64 = 50;

/// A database, what it holds, and how it is opened.
struct World {
    place: TempDir,
    options: Options,
    db: Option<Db>,
    held: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Makes each value another.
    round: u32,
}

type Act = fn(&mut World) -> Result<()>;

fn key(kind: u8, number: u32) -> Vec<u8> {
    [&[kind][..], &number.to_le_bytes()].concat()
}

impl World {
    fn new(read_mode: ReadMode) -> World {
        // Somebody listens, so that notices are kept for him.
        let log = Some((Level::Error, Arc::new(|_: &_| ()) as _));
        let options = Options {
            segment_size: SEGMENT,
            read_mode,
            compaction: CompactionMode::Manual,
            listeners: Listeners { log, events: None },
            ..Options::default()
        };
        let place = TempDir::in_memory("large-allocations");
        World { place, options, db: None, held: BTreeMap::new(), round: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn db(&self) -> &Db {
        self.db.as_ref().expect("the database is open")
    }

    fn open(&mut self) -> Result<()> {
        let (path, options) = aside(|| (self.path("db"), self.options.clone()));
        self.db = Some(Db::open(&path, &options)?);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.db.take().map_or(Ok(()), Db::close)
    }

    fn value(&self, number: u32, len: usize) -> Vec<u8> {
        let word = (number ^ self.round << 16).to_le_bytes();
        word.into_iter().cycle().take(len).collect()
    }

    fn put(&mut self, key: Vec<u8>, len: usize) -> Result<()> {
        let value = aside(|| self.value(u32::from(key[1]), len));
        self.db().put(&key, &value)?;
        aside(|| self.held.insert(key, value));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.db().delete(key)?;
        aside(|| self.held.remove(key));
        Ok(())
    }

    /// Puts all keys anew, which makes garbage of what was there.
    fn put_all(&mut self) -> Result<()> {
        self.round += 1;
        (0..LARGE_KEYS).try_for_each(|n| self.put(aside(|| key(b'l', n)), LARGE_VALUE))?;
        (0..SMALL_KEYS).try_for_each(|n| self.put(aside(|| key(b's', n)), 16))
    }

    /// Puts half of the large values anew: each segment with them is half garbage.
    fn make_garbage(&mut self) -> Result<()> {
        self.round += 1;
        (0..LARGE_KEYS).step_by(2).try_for_each(|n| self.put(aside(|| key(b'l', n)), LARGE_VALUE))
    }

    /// Looks at all that is held, in one way or another.
    fn check(&self, thoroughly: bool) {
        let db = self.db();
        assert!(db.engine().latch().cause().is_none(), "writes are refused");
        assert_eq!(db.count(), self.held.len() as u64);
        let step = if thoroughly { 1 } else { 97 };
        for (key, value) in self.held.iter().step_by(step) {
            let same = db.get(key, |found| found == &value[..]).expect("it can be read");
            assert_eq!(same, Some(true), "{key:?}");
        }
    }

    fn reopen_and_check(&mut self) {
        self.close().expect("it can be closed");
        self.open().expect("it can be opened");
        self.check(true);
    }
}

/// What the parent shows if it was the last thing that the child has said.
fn say(watchdog: &Watchdog, words: &str) {
    watchdog.begin(words);
    let _ = writeln!(std::io::stderr(), "{SAYS}{words}");
}

fn check_failure(result: Result<()>, failed: u64) {
    if let Err(error) = result {
        assert!(failed > 0, "nothing has failed: {error}");
        assert_eq!(error.kind(), Kind::OutOfMemory, "{error}");
    }
}

/// Prepares and acts until the act asks for nothing more that could fail.
fn starve(world: &mut World, watchdog: &Watchdog, name: &str, prepare: Act, act: Act) {
    let mut all = 0;
    for count in [1, A_WHILE] {
        let mut n = 1;
        loop {
            say(watchdog, &format!("{name}: request {n} fails, {count} in all"));
            prepare(world).expect("there is memory");
            scarce::arm(n, count);
            let result = scarce::run(|| act(world));
            let failed = scarce::disarm();
            check_failure(result, failed);
            if world.db.is_none() {
                world.open().expect("it can be opened");
            }
            world.check(false);
            all += failed;
            if failed == 0 {
                break;
            }
            n += 1 + n / EACH * count.min(3);
        }
        prepare(world).expect("there is memory");
        act(world).expect("it goes on");
        world.reopen_and_check();
    }
    assert!(all > 0, "{name}: nothing has failed");
}

fn nothing(_: &mut World) -> Result<()> {
    Ok(())
}

fn write(world: &mut World) -> Result<()> {
    world.put_all()?;
    (0..20).try_for_each(|n| world.delete(&aside(|| key(b's', n * 7))))
}

fn write_batch(world: &mut World) -> Result<()> {
    world.round += 1;
    let mut batch = WriteBatch::new();
    let mut writes = Vec::new();
    for n in 0..3000 {
        let (key, value) = aside(|| (key(b'b', n), world.value(n, 20)));
        batch.put(&key, &value, 0)?;
        aside(|| writes.push((key, value)));
    }
    world.db().write(&batch, WriteSync::Yes)?;
    aside(|| world.held.extend(writes));
    Ok(())
}

fn read_many(world: &mut World) -> Result<()> {
    let keys: Vec<&Vec<u8>> = aside(|| world.held.keys().collect());
    let mut failed = None;
    world.db().get_many(
        keys.len(),
        |at| Ok(keys[at]),
        |at, found| match found {
            Ok(value) => assert_eq!(value, world.held.get(keys[at]).map(|value| &value[..])),
            Err(error) => failed = Some(error),
        },
    )?;
    failed.map_or(Ok(()), Err)?;
    let views = world.db().view_many(keys.len(), |at| Ok(keys[at]))?;
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(views.value(at)?, world.held.get(*key).map(|value| &value[..]));
    }
    (0..LARGE_KEYS).try_for_each(|n| {
        let key = aside(|| key(b'l', n));
        let view = world.db().view(&key)?.expect("it is there");
        assert_eq!(Some(view.bytes()), world.held.get(&key).map(|value| &value[..]));
        Ok(())
    })
}

/// Takes a snapshot, writes, and reads what was there before.
fn read_before(world: &mut World) -> Result<()> {
    let before = aside(|| world.held.clone());
    let snapshot = world.db().open_snapshot()?;
    let result = write_and_read(world, &snapshot, &before);
    world.db().close_snapshot(snapshot);
    result
}

fn write_and_read(
    world: &mut World,
    snapshot: &db::Snapshot,
    before: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<()> {
    world.put_all()?;
    for (key, value) in before.iter().step_by(13) {
        assert_eq!(world.db().get_at(snapshot, key, |found| found == &value[..])?, Some(true));
    }
    let mut iter = world.db().open_iter(Some(snapshot), b"")?;
    let mut count = 0;
    let walked = loop {
        match world.db().advance(&mut iter) {
            Ok(true) => {
                let (key, value) = iter.current().expect("there is a record");
                assert_eq!(before.get(key).map(|value| &value[..]), Some(value));
                count += 1;
            }
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    world.db().close_iter(iter);
    walked?;
    assert_eq!(count, before.len());
    Ok(())
}

fn checkpoint(world: &mut World) -> Result<()> {
    world.db().engine().checkpoint();
    world.db().engine().write_due_hints();
    let _ = world.db().stats();
    let told = memory::c_text(|out| world.db().write_metrics(out));
    told.map(drop).map_err(|_| Error::new(Kind::OutOfMemory, "no memory for the text"))
}

/// Opening reads either a checkpoint and hints, or the log itself.
fn close_with_checkpoint(world: &mut World) -> Result<()> {
    world.db().engine().checkpoint();
    world.close()
}

fn leave_log_alone(world: &mut World) -> Result<()> {
    world.close()?;
    for entry in std::fs::read_dir(world.path("db")).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        let name = path.file_name().expect("it has one").to_string_lossy();
        if name == "INDEX" || name.ends_with(".hint") {
            std::fs::remove_file(&path).expect("it can be removed");
        }
    }
    Ok(())
}

fn open_and_read(world: &mut World) -> Result<()> {
    world.open()?;
    let value = aside(|| world.held[&key(b'l', 3)].clone());
    assert_eq!(world.db().get(&key(b'l', 3), |found| found == &value[..])?, Some(true));
    Ok(())
}

fn back_up_and_restore(world: &mut World) -> Result<()> {
    let (backup, restored) = aside(|| (world.path("backup"), world.path("restored")));
    world.db().backup(&backup)?;
    aside(|| world.make_garbage())?;
    world.db().backup(&backup)?;
    db::restore(&backup, &restored)?;
    verify(&restored)
}

fn verify(path: &Path) -> Result<()> {
    let report = db::verify(path)?;
    assert!(report.problems.is_empty(), "{:?}", report.problems[0].what);
    Ok(())
}

fn salvage(world: &mut World) -> Result<()> {
    db::salvage(&world.path("db"), &world.path("salvaged")).map(|_| ())
}

fn remove_copies(world: &mut World) -> Result<()> {
    for name in ["backup", "restored", "salvaged"] {
        let _ = std::fs::remove_dir_all(world.path(name));
    }
    Ok(())
}

fn remove_and_leave(world: &mut World) -> Result<()> {
    remove_copies(world)?;
    world.close()
}

/// Everything in a row, with reads of one kind.
fn starve_all(read_mode: ReadMode, watchdog: &Watchdog) {
    let world = &mut World::new(read_mode);
    let garbage: Act = World::make_garbage;
    let mut act = |name: &str, prepare: Act, act: Act| {
        starve(world, watchdog, &format!("{read_mode:?}: {name}"), prepare, act);
    };
    act("open", World::close, World::open);
    act("write", nothing, write);
    act("batch", nothing, write_batch);
    act("read many", nothing, read_many);
    act("snapshot", nothing, read_before);
    act("compact", garbage, |world| world.db().compact());
    act("checkpoint", garbage, checkpoint);
    act("open after closing", close_with_checkpoint, open_and_read);
    act("open the log alone", leave_log_alone, open_and_read);
    act("close", garbage, World::close);
    act("backup", remove_copies, back_up_and_restore);
    act("verify", World::close, |world| verify(&world.path("db")));
    act("salvage", remove_and_leave, salvage);
}

/// While memory is out now and then, compaction in the background fails, and is tried again.
fn starve_background(watchdog: &Watchdog) {
    say(watchdog, "in the background");
    let world = &mut World::new(ReadMode::Mmap);
    world.options.compaction = CompactionMode::Auto;
    world.open().expect("it can be opened");
    world.put_all().expect("there is memory");
    for n in (1..200).step_by(3) {
        scarce::arm(n, A_WHILE / 2);
        let result = scarce::run(|| world.make_garbage());
        let failed = scarce::disarm();
        check_failure(result, failed);
        world.check(false);
    }
    let given_up = Instant::now() + Duration::from_secs(30);
    let is_full_of_garbage = || {
        let stats = world.db().stats();
        stats.dead_bytes > stats.live_bytes + 2 * SEGMENT
    };
    while is_full_of_garbage() {
        assert!(Instant::now() < given_up, "compaction does not go on");
        std::thread::sleep(Duration::from_millis(10));
    }
    world.reopen_and_check();
}

/// Not a test: the body of the child. By itself it does nothing.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    scarce::this_is_the_test();
    let watchdog = Watchdog::start(Duration::from_secs(60));
    starve_all(ReadMode::Mmap, &watchdog);
    starve_all(ReadMode::Pread, &watchdog);
    starve_background(&watchdog);
}

#[test]
fn every_call_survives_that_large_requests_fail() {
    let program = std::env::current_exe().expect("it has a path");
    let mut child = Command::new(program);
    child.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let ended = child.output().expect("the child can be started");
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = said.rfind(SAYS).map_or(&*said, |at| &said[at..]);
    assert!(ended.status.success(), "{}\n{last}", ended.status);
}
