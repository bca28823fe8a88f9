//! Power cuts and kills at every operation of random histories, on a simulated disk: what is
//! reopened must be a prefix of the history that lacks nothing synced.
//!
//! A history has several epochs: each ends with a crash or a close, and the next goes on from a
//! state that it left. The crash of an epoch is taken at every storage operation and between the
//! calls, in sampled states, while the epoch goes on. `KV_TEST_SEED` gives another seed (a failure
//! names the one of its history); `KV_CRASH_SECONDS` sets how long to go on, instead of a fixed
//! number of histories.

mod common;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::content::{nothing, Content};
use common::draw::Shape;
use common::history::{Answer, History, Step};
use common::oracle::{run_histories, Expected, Oracle, Progress};
use common::sim_disk::SimDisk;
use common::store::Store;
use common::Random;
use kv::db::{WriteBatch, WriteOptions, WriteSync, Written};
use kv::engine::Engine;
use kv::error::Result;
use kv::options::{Options, ReadMode, SyncLevel};

/// Histories in a usual run.
const HISTORIES: u64 = 30;
/// Epochs of one history.
const EPOCHS: u64 = 3;
/// At most so many states are drawn at each operation.
const CUTS: u64 = 3;

/// One epoch: a history that begins with what a disk holds.
struct Epoch {
    oracle: Arc<Oracle>,
    history: History,
    contents: Arc<Vec<Content>>,
    progress: Arc<Progress>,
    with_thread: bool,
    name: String,
    /// What crashes in the midst of a call left. They are examined after it: the thread that calls
    /// may be pinned, and would wait for itself.
    left: Arc<Mutex<Vec<(SimDisk, Expected)>>>,
}

impl Epoch {
    /// Has the disk cut at every operation from now on.
    fn watch(&self, disk: &SimDisk, random: &mut Random) {
        let (left, name) = (Arc::clone(&self.left), self.name.clone());
        let (contents, progress) = (Arc::clone(&self.contents), Arc::clone(&self.progress));
        let mut random = Random(random.next());
        disk.watch(Box::new(move |state, operation| {
            for _ in 0..=random.below(CUTS) {
                let step = progress.issued.load(Ordering::SeqCst);
                let context = format!("{name}, power cut in step {step} before {operation:?}");
                let expected = progress.expected(&contents, context, false);
                left.lock().expect("no panic").push((state.cut(&mut random), expected));
            }
        }));
    }

    /// Examines what the crashes so far left.
    fn examine_crashes(&self, random: &mut Random) {
        let left = std::mem::take(&mut *self.left.lock().expect("no panic"));
        for (disk, expected) in left {
            self.oracle.examine(&disk, &expected, random);
        }
    }

    /// Crashes now, between two calls.
    fn crash(&self, disk: &SimDisk, random: &mut Random) -> (SimDisk, Expected) {
        let is_kill = random.below(4) == 0;
        let what = if is_kill { "kill" } else { "power cut" };
        let step = self.progress.issued.load(Ordering::SeqCst);
        let context = format!("{}, {what} after step {step}", self.name);
        let expected = self.progress.expected(&self.contents, context, is_kill);
        let crashed = disk.look(|state| match is_kill {
            true => state.kill(random),
            false => state.cut(random),
        });
        (crashed, expected)
    }

    fn perform(&self, step: &Step, at: usize, disk: &SimDisk, store: Store) -> Result<Store> {
        match step {
            Step::Reopen => {}
            Step::Advance { ms } => {
                self.oracle.advance(*ms);
                return Ok(store);
            }
            _ => {
                self.judge(step.perform(store.engine())?, at);
                return Ok(store);
            }
        }
        let counted = |store: &Store| {
            let stats = store.engine().stats();
            (stats.keys, stats.live_bytes, stats.dead_bytes)
        };
        let before = counted(&store);
        store.close()?;
        self.progress.synced.store(at + 1, Ordering::SeqCst);
        let store = Store::open(disk, &self.oracle.options, self.with_thread)?;
        if !self.with_thread && counted(&store) != before {
            let (seen, name) = (counted(&store), &self.name);
            self.oracle.fail(format!("{name}, step {at}: bytes were {before:?}, are {seen:?}"));
        }
        Ok(store)
    }

    /// Compares what the step `at` has answered with what it must.
    fn judge(&self, answer: Answer, at: usize) {
        let (step, right) = (&self.history.steps[at], self.history.answers[at]);
        if answer != right {
            let name = &self.name;
            self.oracle.fail(format!("{name}, step {at}: {answer:?}, not {right:?}: {step:?}"));
        }
    }

    /// Runs all steps that are left; answers the database, open.
    fn run(self: &Arc<Self>, disk: &SimDisk, mut store: Store, random: &mut Random) -> Store {
        while let Some((at, step)) = self.next_step() {
            let is_long = step.compacts() || matches!(step, Step::Checkpoint);
            if let (true, Store::Alone(engine)) = (is_long, &store) {
                self.write_beside(disk, engine, random);
            }
            store = self.perform(step, at, disk, store).unwrap_or_else(|error| {
                self.oracle.fail(format!("{}, step {at}: {error}", self.name));
                self.oracle.conclude();
                unreachable!("a failure is concluded with a panic")
            });
            disk.set_interlude(None);
            self.examine_crashes(random);
            self.oracle.conclude();
            if !is_long {
                self.note_done(at, step);
            }
            if random.below(2) == 0 {
                let (crashed, expected) = self.crash(disk, random);
                self.oracle.examine(&crashed, &expected, random);
            }
        }
        store
    }

    /// Begins the next step.
    fn next_step(&self) -> Option<(usize, &Step)> {
        let at = self.progress.issued.load(Ordering::SeqCst);
        let step = self.history.steps.get(at)?;
        self.progress.issued.store(at + 1, Ordering::SeqCst);
        Some((at, step))
    }

    fn note_done(&self, at: usize, step: &Step) {
        self.progress.acknowledged.store(at + 1, Ordering::SeqCst);
        if step.is_durable(self.history.answers[at], self.oracle.options.sync) {
            self.progress.synced.store(at + 1, Ordering::SeqCst);
        }
    }

    /// Has the next steps done in the middle of a compaction or a checkpoint, as another thread
    /// would.
    fn write_beside(self: &Arc<Self>, disk: &SimDisk, engine: &Arc<Engine>, random: &mut Random) {
        let (epoch, engine) = (Arc::clone(self), Arc::clone(engine));
        let mut random = Random(random.next());
        disk.set_interlude(Some(Box::new(move || {
            for _ in 0..random.below(4) {
                let next = epoch.progress.issued.load(Ordering::SeqCst);
                let step = epoch.history.steps.get(next);
                let fits =
                    |step: &Step| step.writes() || matches!(step, Step::Sync | Step::Background);
                if !step.is_some_and(fits) {
                    return;
                }
                let Some((at, step)) = epoch.next_step() else { return };
                match step.perform(&engine) {
                    Ok(answer) => {
                        epoch.judge(answer, at);
                        epoch.note_done(at, step);
                    }
                    Err(e) => epoch.oracle.fail(format!("{}, step {at}: {e}", epoch.name)),
                }
            }
        })));
    }
}

/// Runs one history. Answers how many crash states were examined.
fn run_history(seed: u64) -> u64 {
    let mut random = Random(seed);
    let shape = Shape::draw(&mut random);
    let options = Options {
        segment_size: shape.segment_size,
        sync: if random.below(5) == 0 { SyncLevel::Always } else { SyncLevel::None },
        compaction_garbage_percent: 5 + random.below(40),
        read_mode: if random.below(3) == 0 { ReadMode::Pread } else { ReadMode::Mmap },
        ..Options::default()
    };
    let with_thread = random.below(4) == 0;
    let oracle = Arc::new(Oracle::new(options, &shape, seed));
    let mut disk = SimDisk::new(random.next());
    let context = "the beginning".to_owned();
    let mut expected = Progress::default().expected(&Arc::new(vec![nothing()]), context, true);
    for number in 0..EPOCHS {
        oracle.crash_recoveries(&disk, &expected, &mut random, 1);
        let store = Store::open(&disk, &oracle.options, with_thread);
        disk.unwatch();
        oracle.conclude();
        let store = store.unwrap_or_else(|e| panic!("{}, {}: {e}", oracle.name, expected.context));
        let found = oracle.read(store.engine());
        let found = found.and_then(|found| oracle.find(store.engine(), &found, &expected));
        let held = match found {
            Ok(step) => expected.contents[step].clone(),
            Err(what) => panic!("{}, {}: {what}", oracle.name, expected.context),
        };
        disk.set_writeback([0, 10, 100][random.below(3) as usize]);
        let steps = 10 + random.below(90) as usize;
        let history = History::draw(&shape, &held, steps, oracle.now(), &mut random);
        let epoch = Arc::new(Epoch {
            oracle: Arc::clone(&oracle),
            contents: Arc::new(history.contents.clone()),
            history,
            progress: Arc::default(),
            with_thread,
            name: format!("epoch {number}"),
            left: Arc::default(),
        });
        epoch.watch(&disk, &mut random);
        let store = epoch.run(&disk, store, &mut random);
        disk.unwatch();
        epoch.examine_crashes(&mut random);
        let (crashed, crash_expected) = epoch.crash(&disk, &mut random);
        drop(store);
        (disk, expected) = (crashed, crash_expected);
    }
    oracle.conclude();
    oracle.states.load(Ordering::Relaxed)
}

#[test]
fn what_a_crash_leaves_is_a_prefix() {
    run_histories(HISTORIES, run_history);
}

#[test]
fn a_log_that_lost_all_its_records_goes_on() {
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    for seed in 0..50 {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let store = Store::open(&disk, &options, false).expect("a new database opens");
        for number in 0..4_u8 {
            store.engine().put(&[number], &random.bytes(60_000)).expect("put");
        }
        let cut = disk.look(|state| state.cut(&mut random));
        let store = Store::open(&cut, &options, false).expect("it opens after a power cut");
        // The first does not fit into what is left of the log's last segment.
        store.engine().put(b"long", &random.bytes(200_000)).expect("put");
        store.engine().put(b"short", b"value").expect("put");
        let killed = cut.look(|state| state.kill(&mut random));
        let store = Store::open(&killed, &options, false).expect("it opens after a kill");
        for (key, len) in [(&b"long"[..], 200_000), (b"short", 5)] {
            let found = store.engine().value_len(key).expect("read");
            assert_eq!(found, Some(len), "seed {seed}");
        }
    }
}

/// Who asks for a write to be on the medium gets the value there, or its absence, even if nothing
/// had to be written.
#[test]
fn what_need_not_be_written_is_on_the_medium_all_the_same() {
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    let is_equal =
        WriteOptions { skip_if_equal: true, sync: WriteSync::Yes, ..WriteOptions::default() };
    let mut deletes = WriteBatch::new();
    deletes.delete(b"gone").expect("delete");
    deletes.delete(b"never there").expect("delete");
    for seed in 0..50 {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let store = Store::open(&disk, &options, false).expect("a new database opens");
        let engine = store.engine();
        engine.put(b"gone", b"value").expect("put");
        engine.sync().expect("sync");
        engine.delete(b"gone").expect("delete");
        if seed % 2 == 0 {
            engine.write(&deletes, WriteSync::Yes).expect("write");
        } else {
            engine.put(b"equal", b"value").expect("put");
            let written = engine.put_with(b"equal", b"value", &is_equal).expect("put_with");
            assert!(matches!(written, Written::Unchanged(_)));
        }
        let cut = disk.look(|state| state.cut(&mut random));
        let store = Store::open(&cut, &options, false).expect("it opens after a power cut");
        let found = |key: &[u8]| store.engine().value_len(key).expect("read");
        assert_eq!(found(b"gone"), None, "seed {seed}");
        assert!(seed % 2 == 0 || found(b"equal") == Some(5), "seed {seed}");
    }
}
