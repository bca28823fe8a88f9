//! Pins and grace periods: nothing is freed while a pinned reader can hold it, and everything is
//! freed in the end.

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;
use loom::sync::Arc;

use crate::epoch::{self, Slot};
use crate::explore::{join, spawn, Model};
use crate::storage::barrier;

pub const MODELS: [Model; 7] = [
    Model { name: "release waits", preemptions: 3, must_fail: false, body: release_waits },
    Model { name: "release, no barrier", preemptions: 3, must_fail: true, body: no_barrier },
    Model { name: "freed without waiting", preemptions: 3, must_fail: true, body: no_waiting },
    Model { name: "deferred", preemptions: 3, must_fail: false, body: deferred },
    Model { name: "nested and repeated pins", preemptions: 3, must_fail: false, body: nested },
    Model {
        name: "a record of a thread that ended",
        preemptions: 2,
        must_fail: false,
        body: ended,
    },
    Model { name: "an arc outlives the pin", preemptions: 3, must_fail: false, body: arc },
];

/// What readers read and whoever frees it writes to: loom knows when the one is not before the
/// other. It stays in memory, so that a mistake is seen and not undefined.
struct Payload {
    alive: &'static UnsafeCell<bool>,
    freed: Arc<AtomicUsize>,
}

impl Payload {
    fn new(freed: &Arc<AtomicUsize>) -> Arc<Payload> {
        let alive = Box::leak(Box::new(UnsafeCell::new(true)));
        Arc::new(Payload { alive, freed: Arc::clone(freed) })
    }

    fn read(&self) {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.alive.with(|alive| assert!(unsafe { *alive }, "it was freed"));
    }

    fn mark_freed(&self) {
        // SAFETY: loom checks that nobody reads meanwhile.
        self.alive.with_mut(|alive| unsafe { *alive = false });
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.mark_freed();
        self.freed.fetch_add(1, Ordering::Relaxed);
    }
}

struct Stage {
    slot: Arc<Slot<Payload>>,
    freed: Arc<AtomicUsize>,
}

// SAFETY: loom runs all threads of a model on one.
unsafe impl Sync for Payload {}
// SAFETY: as above.
unsafe impl Send for Payload {}

/// Enough bytes for a collection at once.
const MANY: usize = 1 << 30;

impl Stage {
    /// A slot with a value, and the library's statics touched by the first thread.
    fn new() -> Stage {
        barrier::LIGHT.store(true, Ordering::Relaxed);
        let (slot, freed) = (Arc::new(Slot::default()), Arc::new(AtomicUsize::new(0)));
        drop(epoch::pin().expect("pin"));
        epoch::flush();
        drop(slot.replace(Some(Payload::new(&freed))));
        Stage { slot, freed }
    }

    fn reader(&self, pins: usize) -> loom::thread::JoinHandle<()> {
        let slot = Arc::clone(&self.slot);
        spawn(move || {
            for _ in 0..pins {
                let guard = epoch::pin().expect("pin");
                if let Some(payload) = slot.get(&guard) {
                    payload.read();
                    // Another chance for the others to run while it is held.
                    loom::thread::yield_now();
                    payload.read();
                }
            }
        })
    }

    /// Everything that was ever in the slot is freed.
    fn conclude(self, made: usize) {
        drop(self.slot.replace(None));
        epoch::flush();
        assert_eq!(self.freed.load(Ordering::Relaxed), made, "something is never freed");
    }
}

fn release_waits() {
    let stage = Stage::new();
    let reader = stage.reader(1);
    epoch::release(vec![stage.slot.replace(None)]);
    assert_eq!(stage.freed.load(Ordering::Relaxed), 1, "a release returned before it freed");
    join([reader]);
    stage.conclude(1);
}

fn no_barrier() {
    let stage = Stage::new();
    barrier::LIGHT.store(false, Ordering::Relaxed);
    let reader = stage.reader(1);
    epoch::release(vec![stage.slot.replace(None)]);
    join([reader]);
    stage.conclude(1);
}

/// What a writer that does not wait does.
fn no_waiting() {
    let stage = Stage::new();
    let reader = stage.reader(1);
    let taken = {
        let guard = epoch::pin().expect("pin");
        stage.slot.get_arc(&guard).expect("it is there")
    };
    drop(stage.slot.replace(None));
    taken.mark_freed();
    join([reader]);
    drop(taken);
    stage.conclude(1);
}

fn deferred() {
    let stage = Stage::new();
    let reader = stage.reader(1);
    let writer = {
        let (slot, freed) = (Arc::clone(&stage.slot), Arc::clone(&stage.freed));
        spawn(move || slot.replace(Some(Payload::new(&freed))).holding(MANY))
    };
    stage.slot.replace(Some(Payload::new(&stage.freed))).holding(MANY);
    join([reader, writer]);
    stage.conclude(3);
}

fn nested() {
    let stage = Stage::new();
    let slot = Arc::clone(&stage.slot);
    let outer = spawn(move || {
        let guard = epoch::pin().expect("pin");
        let payload = slot.get(&guard);
        drop(epoch::pin().expect("pin"));
        payload.into_iter().for_each(Payload::read);
    });
    let repeated = stage.reader(2);
    stage.slot.replace(None).holding(MANY);
    epoch::defer(Box::new(()), MANY);
    join([outer, repeated]);
    stage.conclude(1);
}

fn ended() {
    let stage = Stage::new();
    let (first, second) = (stage.reader(1), stage.reader(1));
    epoch::release(vec![stage.slot.replace(Some(Payload::new(&stage.freed)))]);
    join([first]);
    // It may have the record of one that ended.
    let third = stage.reader(1);
    epoch::release(vec![stage.slot.replace(None)]);
    join([second, third]);
    stage.conclude(2);
}

fn arc() {
    let stage = Stage::new();
    let slot = Arc::clone(&stage.slot);
    let reader = spawn(move || {
        let guard = epoch::pin().expect("pin");
        let kept = slot.get_arc(&guard);
        drop(guard);
        kept.iter().for_each(|payload| payload.read());
    });
    epoch::release(vec![stage.slot.replace(None)]);
    join([reader]);
    stage.conclude(1);
}
