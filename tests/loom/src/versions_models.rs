//! Snapshots that are taken, closed and written beside each other: each sees what it was taken of,
//! and when all are closed, nothing is kept.

use std::sync::Arc;

use crate::explore::{join, spawn, Model};
use crate::versions::Versions;
use crate::Mutex;

pub const MODELS: [Model; 4] = [
    Model { name: "one snapshot beside another", preemptions: 3, must_fail: false, body: two },
    Model {
        name: "two snapshots of one moment closed at once",
        preemptions: 3,
        must_fail: false,
        body: same_moment,
    },
    Model {
        name: "an older snapshot inherits",
        preemptions: 3,
        must_fail: false,
        body: older_inherits,
    },
    Model {
        name: "kept after the newest was told to be gone",
        preemptions: 3,
        must_fail: true,
        body: told_too_late,
    },
];

/// The hash of the only key.
const HASH: u64 = 1;

/// A key, and what the engine does with it and with snapshots.
struct Stage {
    writer: Mutex<Writer>,
    versions: Versions<u64>,
}

struct Writer {
    next_sequence: u64,
    /// The key's newest record.
    record: u64,
    /// The newest snapshot.
    newest: u64,
}

impl Stage {
    /// With one record.
    fn new() -> Arc<Stage> {
        let writer = Writer { next_sequence: 2, record: 1, newest: 0 };
        let versions = Versions::with_shards(1).expect("there is memory");
        Arc::new(Stage { writer: Mutex::new(writer), versions })
    }

    /// A snapshot, and the record that it sees.
    fn open(&self) -> (u64, u64) {
        let mut writer = self.writer.lock();
        let sequence = writer.next_sequence;
        self.versions.open(sequence).expect("open");
        writer.newest = sequence;
        (sequence, writer.record)
    }

    fn close(&self, sequence: u64) {
        self.versions.close(sequence, |newest_left| {
            let mut writer = self.writer.lock();
            writer.newest = newest_left();
        });
    }

    fn write(&self) {
        let mut writer = self.writer.lock();
        let (old, until, newest) = (writer.record, writer.next_sequence, writer.newest);
        if old < newest {
            self.versions.keep(HASH, old, until, newest, old).expect("keep");
        }
        writer.record = until;
        writer.next_sequence += 1;
    }

    /// What a snapshot reads must be the record that it was taken of.
    fn check(&self, (sequence, record): (u64, u64)) {
        let now = self.writer.lock().record;
        if now < sequence {
            assert_eq!(now, record, "the key was not written");
        } else {
            assert_eq!(self.versions.find(HASH, sequence), [record], "at {sequence}");
        }
    }

    /// Takes a snapshot, writes, reads and closes it.
    fn use_one(&self) {
        let snapshot = self.open();
        self.write();
        self.check(snapshot);
        self.close(snapshot.0);
    }

    fn must_be_empty(&self) {
        assert_eq!((self.versions.snapshots(), self.versions.memory()), (0, 0));
    }
}

fn run(threads: [fn(&Stage); 2]) {
    let stage = Stage::new();
    join(threads.map(|body| {
        let stage = Arc::clone(&stage);
        spawn(move || body(&stage))
    }));
    stage.must_be_empty();
}

/// Without a write between them, both have the same sequence.
fn two() {
    run([
        |stage| {
            let snapshot = stage.open();
            stage.close(snapshot.0);
        },
        Stage::use_one,
    ]);
}

fn same_moment() {
    let stage = Stage::new();
    let snapshots = [stage.open(), stage.open()];
    stage.write();
    join(snapshots.map(|snapshot| {
        let stage = Arc::clone(&stage);
        spawn(move || {
            stage.check(snapshot);
            stage.close(snapshot.0);
        })
    }));
    stage.must_be_empty();
}

fn older_inherits() {
    let stage = Stage::new();
    let older = stage.open();
    stage.write();
    let old = Arc::clone(&stage);
    let threads = [
        spawn(move || {
            old.check(older);
            old.close(older.0);
        }),
        {
            let stage = Arc::clone(&stage);
            spawn(move || stage.use_one())
        },
    ];
    join(threads);
    stage.must_be_empty();
}

/// If the writer were told before the snapshot is no longer open: what is kept in between stays.
fn told_too_late() {
    run([
        |stage| {
            let snapshot = stage.open();
            let newest = stage.writer.lock().newest;
            stage.versions.close(snapshot.0, |left| _ = left());
            stage.writer.lock().newest = if newest == snapshot.0 { 0 } else { newest };
        },
        Stage::write,
    ]);
}
