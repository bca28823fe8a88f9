//! Values that expire, in histories with compaction, kills and power cuts, and beside others.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
mod histories;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::sim_disk::SimDisk;
use common::store::Store;
use common::world::{compact_what_is_due, key, put_for, with_older_values, World};
use common::{bytes_in, copy_directory, Random, TempDir};
use kv::db::{Db, WriteBatch, WriteSync, Written};
use kv::engine::{recover, Engine};
use kv::options::{Options, SyncLevel};
use kv::storage::posix::PosixStorage;

const KEYS: u64 = 60;

/// A database, and what it must hold: of each key the value and when it expires.
struct History {
    world: World,
    path: PathBuf,
    engine: Option<Engine>,
    model: std::collections::BTreeMap<u64, (u8, Option<u64>)>,
    random: Random,
    name: String,
}

impl History {
    fn new(seed: u64) -> History {
        let world = World::new("ttl-history");
        let (path, random) = (world.path(), Random(common::seed() + seed));
        let (model, name) = (std::collections::BTreeMap::new(), format!("seed {seed}"));
        let mut history = History { world, path, engine: None, model, random, name };
        history.open();
        history
    }

    fn open(&mut self) {
        let storage = PosixStorage::open(&self.path, true).unwrap();
        let options = Options { segment_size: 128 << 10, ..self.world.options() };
        self.engine = Some(recover::open(Arc::new(storage), options).unwrap());
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> u64 {
        self.world.time.wall_ms.load(Ordering::SeqCst)
    }

    fn value(&self, number: u64) -> Option<u8> {
        let now = self.now();
        let there = self.model.get(&number).filter(|(_, expiry)| expiry.is_none_or(|e| e > now));
        there.map(|(value, _)| *value)
    }

    fn check(&self, when: &str) {
        for number in 0..KEYS {
            let found = self.engine().get(&key(b'k', number), |value| value[0]).unwrap();
            assert_eq!(found, self.value(number), "{}: key {number} {when}", self.name);
        }
    }

    fn write(&mut self, draw: u64) {
        let (number, value) = (self.random.below(KEYS), self.random.next() as u8);
        let bytes = vec![value; 1 + self.random.below(9000) as usize];
        let span = [100, 1000, 20_000][self.random.below(3) as usize];
        let (key, other) = (key(b'k', number), (number + 1) % KEYS);
        let (until, is_there) = (self.now() + span, self.value(number).is_some());
        match draw {
            0..5 => {
                self.engine().put(&key, &bytes).unwrap();
                self.model.insert(number, (value, None));
            }
            5..11 => {
                put_for(self.engine(), &key, &bytes, span);
                self.model.insert(number, (value, Some(until)));
            }
            11 => {
                let touched = self.engine().touch(&key, span).unwrap();
                assert_eq!(touched != Written::NotFound, is_there);
                self.model.entry(number).and_modify(|entry| {
                    entry.1 = if is_there { Some(until) } else { entry.1 };
                });
            }
            12 => {
                assert_eq!(self.engine().delete(&key).unwrap(), is_there);
                self.model.remove(&number);
            }
            _ => {
                let mut batch = WriteBatch::new();
                batch.put(&key, &bytes, span).unwrap();
                batch.delete(&common::world::key(b'k', other)).unwrap();
                self.engine().write(&batch, WriteSync::No).unwrap();
                self.model.insert(number, (value, Some(until)));
                self.model.remove(&other);
            }
        }
    }

    /// Goes on with a copy of the directory, as a kill or a close left it.
    fn reopen(&mut self, step: u64) {
        let copy = self.world.place.join(&format!("copy {step}"));
        let is_kill = self.random.below(2) == 0;
        if is_kill {
            copy_directory(&self.path, &copy);
        } else {
            self.engine().shut_down().unwrap();
        }
        self.engine = None;
        if !is_kill {
            copy_directory(&self.path, &copy);
        }
        std::fs::remove_dir_all(&self.path).unwrap();
        self.path = copy;
        self.open();
        self.check(&format!("after step {step}"));
    }

    fn step(&mut self, step: u64) {
        match self.random.below(20) {
            draw @ 0..14 => self.write(draw),
            14..16 => self.world.time.advance(self.random.below(3000)),
            16 => compact_what_is_due(self.engine()),
            17 if self.random.below(4) == 0 => self.engine().compact().unwrap(),
            18 if self.random.below(4) == 0 => self.engine().checkpoint(),
            19 if self.random.below(3) == 0 => self.reopen(step),
            _ => {}
        }
    }
}

#[test]
fn what_a_crash_leaves_of_values_that_expire_is_a_prefix() {
    histories::run_all(histories::plan::Kind::Expiry, 10_000);
}

#[test]
fn any_history_of_values_that_expire_survives_compaction_and_kills() {
    for seed in 0..12 {
        let mut history = History::new(seed);
        (0..600).for_each(|step| history.step(step));
        history.check("at the end");
        history.world.time.advance(1 << 20);
        history.engine().compact().unwrap();
        history.check("when all has expired");
        let lasting = history.model.values().filter(|(_, expiry)| expiry.is_none()).count() as u64;
        assert_eq!(history.engine().stats().keys, lasting, "seed {seed}");
        assert!(bytes_in(&history.path) < lasting * 9100 + (600 << 10), "seed {seed}");
    }
}

/// What is found of a database in which older values lie beneath those that expire: of each key,
/// the older value, the newer, or none.
fn found_of(engine: &Engine, keys: u64) -> Vec<Option<u8>> {
    (0..keys).map(|n| engine.get(&key(b'k', n), |value| value[0]).unwrap()).collect()
}

#[test]
fn a_power_cut_in_the_midst_of_reclaiming_brings_nothing_older_back() {
    const KEYS: u64 = 200;
    for seed in 0..6 {
        let mut random = Random(common::seed() + seed);
        let world = World::new("ttl-cut");
        let options = Options { segment_size: 128 << 10, ..world.options() };
        let disk = SimDisk::new(random.next());
        let store = Store::open(&disk, &options, false).unwrap();
        with_older_values(store.engine(), KEYS);
        drop(store);
        // Segments that are smaller than usual go in larger groups: the last one, of what expires,
        // with the first, and before the second, in which there is what is older.
        let options = Options { segment_size: 224 << 10, ..options };
        let store = Store::open(&disk, &options, false).unwrap();
        let engine = store.engine();
        let synced = random.below(2) == 0;
        if synced {
            engine.sync().unwrap();
        }
        world.time.advance(5000);
        let left = Arc::new(Mutex::new(Vec::new()));
        let cuts = Arc::clone(&left);
        let mut draws = Random(random.next());
        disk.watch(Box::new(move |state, operation| {
            let cut = match draws.below(3) {
                0 => state.kill(&mut draws),
                _ => state.cut(&mut draws),
            };
            cuts.lock().unwrap().push((cut, format!("{operation:?}")));
        }));
        match random.below(2) {
            0 => compact_what_is_due(engine),
            _ => engine.compact().unwrap(),
        }
        disk.unwatch();
        left.lock().unwrap().push((disk.look(|state| state.cut(&mut random)), "the end".into()));
        let crashed = std::mem::take(&mut *left.lock().unwrap());
        assert!(crashed.len() > 5);
        for (number, (disk, operation)) in crashed.iter().enumerate() {
            let when = format!("seed {seed}, cut {number} before {operation}");
            let back = random.below(3) == 0;
            if back {
                world.time.wall_ms.fetch_sub(4500, Ordering::SeqCst);
            }
            let store = Store::open(disk, &options, false).unwrap();
            let found = found_of(store.engine(), KEYS);
            // Those whose newer values the cut took are the last ones of the log.
            let is_older = |value: &Option<u8>| *value == Some(b'o');
            let newer = found.iter().position(is_older).unwrap_or(found.len());
            assert!(!synced || newer == found.len(), "{when}: {found:?}");
            assert!(found[newer..].iter().all(is_older) || newer == 0, "{when}: {found:?}");
            assert!(back || found[..newer].iter().all(Option::is_none), "{when}: {found:?}");
            if back {
                world.time.wall_ms.fetch_add(4500, Ordering::SeqCst);
            }
        }
    }
}

#[test]
fn what_is_written_while_others_expire_is_there() {
    let place = TempDir::new("ttl-threads");
    let options = Options {
        segment_size: 128 << 10,
        sync: SyncLevel::None,
        compaction_garbage_percent: 5,
        ..Options::default()
    };
    let db = Db::open(&place.join("db"), &options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3_u8 {
            let db = &db;
            scope.spawn(move || {
                let mut random = Random(common::seed() + u64::from(thread));
                let mut model = std::collections::BTreeMap::new();
                for round in 0..15_000_u64 {
                    let number = random.below(300);
                    let (key, value) = (key(b'a' + thread, number), round as u8);
                    let bytes = vec![value; 1 + random.below(600) as usize];
                    match random.below(10) {
                        0..6 => {
                            put_for(db.engine(), &key, &bytes, 1 + random.below(30));
                            model.remove(&number);
                        }
                        6 => {
                            put_for(db.engine(), &key, &bytes, 3_600_000);
                            model.insert(number, value);
                        }
                        7 => {
                            db.put(&key, &bytes).unwrap();
                            model.insert(number, value);
                        }
                        8 => {
                            let touched = db.engine().touch(&key, 3_600_000).unwrap();
                            let found = db.get(&key, |value| value[0]).unwrap();
                            assert_eq!(touched != Written::NotFound, found.is_some(), "{number}");
                            found.map(|value| model.insert(number, value));
                        }
                        _ => {
                            let found = db.get(&key, |value| value[0]).unwrap();
                            let wanted = model.get(&number).copied();
                            assert!(wanted.is_none() || wanted == found, "{number}, {wanted:?}");
                        }
                    }
                }
                for (number, value) in model {
                    let found = db.get(&key(b'a' + thread, number), |value| value[0]).unwrap();
                    assert_eq!(found, Some(value), "{number}");
                }
            });
        }
    });
    let keys = db.stats().keys;
    db.close().unwrap();
    let db = Db::open(&place.join("db"), &options).unwrap();
    assert!(db.stats().keys <= keys);
    db.close().unwrap();
}
