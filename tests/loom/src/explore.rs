//! Runs models: in every schedule within a bound, and within a time.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loom::model::Builder;

/// The number of the execution, over all models.
static GENERATION: AtomicU64 = AtomicU64::new(0);

pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// A model takes longer than this only if something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The argument before the name of a model that is to be explored by itself.
pub const ALONE: &str = "--alone";

pub struct Model {
    pub name: &'static str,
    /// How often a thread that could go on is interrupted, at most.
    pub preemptions: usize,
    /// Whether some schedule fails: a model of a mistake, to show that it would be found.
    pub must_fail: bool,
    pub body: fn(),
}

impl Model {
    pub fn run(&self) {
        let (begin, first) = (Instant::now(), generation());
        if self.must_fail {
            // A process of its own: what a failed execution leaves in statics is of no use.
            let program = std::env::current_exe().expect("this program has a path");
            let mut child = Command::new(program);
            child.args([ALONE, self.name]).stderr(Stdio::null());
            let status = child.status().expect("a child can be started");
            assert!(!status.success(), "{}: no schedule shows the mistake", self.name);
            println!("{:<50} fails as it must", self.name);
        } else {
            self.explore();
            let (executions, seconds) = (generation() - first, begin.elapsed().as_secs_f64());
            println!("{:<50} {executions:>8} executions in {seconds:.1} s", self.name);
        }
        assert!(begin.elapsed() < PATIENCE, "{}: not all schedules were explored", self.name);
    }

    pub fn explore(&self) {
        let (mut builder, body) = (Builder::new(), self.body);
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = 100_000;
        builder.max_duration = Some(PATIENCE);
        builder.check(move || {
            GENERATION.fetch_add(1, Ordering::Relaxed);
            body();
        });
    }
}

/// A thread of a model, with what the library does at its end.
pub fn spawn(body: impl FnOnce() + 'static) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(move || {
        body();
        crate::local::end();
    })
}

pub fn join(threads: impl IntoIterator<Item = loom::thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("a thread ends well"));
}
