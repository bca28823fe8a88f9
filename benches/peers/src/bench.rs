//! One engine, one round: all workloads in order, each figure told as soon as it is known.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::data::{Operations, Values, WRITE};
use crate::engine::{Can, Engine, Session, Setup};
use crate::metrics::{means, METRICS};
use crate::perform::{Act, Done, Performer};
use crate::streams::{self, Ycsb};
use crate::workload::Zipf;
use crate::{data, footprint, kill, machine};

/// What a child is to do.
#[derive(Clone, Debug)]
pub struct Job {
    pub engine: &'static str,
    pub keys: u64,
    pub value: usize,
    /// A directory of this child's own.
    pub directory: PathBuf,
    /// Metrics, or beginnings of their names; none: all.
    pub chosen: Vec<String>,
    /// The longest that a workload takes; those that fill are not cut.
    pub limit: Duration,
    /// How long each number of threads puts and syncs.
    pub sync: Duration,
    /// How long the engine is left alone before it is read.
    pub settle: Duration,
}

impl Job {
    /// Whether any metric that begins so is to be measured.
    fn wants(&self, can: &[Can], name: &str) -> bool {
        METRICS.iter().filter(|metric| means(name, metric.name)).any(|metric| {
            let is_chosen = |chosen: &String| means(chosen, metric.name);
            metric.needs.iter().all(|need| can.contains(need))
                && (self.chosen.is_empty() || self.chosen.iter().any(is_chosen))
        })
    }

    /// A new directory for a database.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the directory can be made");
        path
    }
}

/// One round of one engine.
struct Round<'j, E> {
    job: &'j Job,
    can: &'static [Can],
    values: Values,
    /// For each number the phase in which it was last put, or 0.
    expected: Vec<u8>,
    phase: u8,
    zipf: Zipf,
    engine: std::marker::PhantomData<E>,
}

fn tell(name: &str, value: f64) {
    println!("result\t{name}\t{value}");
}

/// Runs all that the engine can do and the job wants.
pub fn run<E: Engine>(job: &Job, can: &'static [Can]) -> Result<(), String> {
    let mut round = Round::<E> {
        job,
        can,
        values: Values::new(job.value),
        expected: Vec::new(),
        phase: 0,
        zipf: Zipf::new(job.keys, 0.99),
        engine: std::marker::PhantomData,
    };
    // First, since what it takes of memory is that of a process which has done nothing before.
    round.main_database()?;
    if round.wants("fill-sequential") {
        let (engine, path) = round.filled("fill-sequential", false)?;
        round.verify(&engine);
        engine.close();
        round.remove(path);
    }
    if round.wants("batch") {
        round.batch()?;
    }
    if round.wants("sync") {
        round.sync()?;
    }
    if round.wants("open-killed") || round.wants("kept-killed") {
        kill::measure::<E>(job, tell)?;
    }
    Ok(())
}

impl<E: Engine> Round<'_, E> {
    fn wants(&self, name: &str) -> bool {
        self.job.wants(self.can, name)
    }

    fn tell(&self, name: &str, value: f64) {
        if self.wants(name) {
            tell(name, value);
        }
    }

    fn open(&self, path: &std::path::Path, durable: bool) -> Result<E, String> {
        let (keys, value) = (self.job.keys, self.job.value);
        E::open(&Setup { path, keys, value, durable })
    }

    fn remove(&self, path: PathBuf) {
        std::fs::remove_dir_all(path).expect("the directory can be removed");
    }

    fn performer<'a>(&'a self, engine: &'a E) -> Performer<'a, E> {
        let (values, phase, limit) = (&self.values, self.phase, self.job.limit);
        Performer { engine, values, phase, limit }
    }

    /// A new database with every key.
    fn filled(&mut self, name: &str, is_shuffled: bool) -> Result<(E, PathBuf), String> {
        let path = self.job.fresh(name);
        let list = streams::each_once(self.job.keys, is_shuffled);
        self.expected = vec![0; self.job.keys as usize];
        self.phase = 1;
        let (memory, written) = (machine::own_memory("Anonymous"), footprint::written());
        let engine = self.open(&path, false)?;
        let done = Performer { limit: Duration::MAX, ..self.performer(&engine) }
            .run(Act::Put, std::slice::from_ref(&list));
        self.tell(name, done.rate());
        // What is expected is a byte a key, whose pages come when it is written.
        let more = machine::own_memory("Anonymous").saturating_sub(memory);
        self.expected.fill(1);
        if is_shuffled {
            self.tell("memory", more as f64 / self.job.keys as f64);
            self.tell_written("written-filling", written, list.len());
            self.tell_disk("disk-filled", &path);
        }
        Ok((engine, path))
    }

    fn tell_written(&self, name: &str, before: u64, puts: usize) {
        let written = footprint::written() - before;
        // A file system in memory writes nothing.
        if written > 0 {
            self.tell(name, written as f64 / (puts * (16 + self.job.value)) as f64);
        }
    }

    fn tell_disk(&self, name: &str, path: &std::path::Path) {
        let live = self.expected.iter().filter(|phase| **phase > 0).count();
        self.tell(name, footprint::disk(path) as f64 / (live * (16 + self.job.value)) as f64);
    }

    /// Reads that change nothing.
    fn read(&mut self, engine: &E, name: &str, act: Act, list: impl FnOnce(&Self) -> Operations) {
        if self.wants(name) {
            let list = list(self);
            self.tell(name, self.performer(engine).run(act, &[list]).rate());
        }
    }

    /// Performs a list of writes, and takes note of what is expected from now on.
    fn write(&mut self, engine: &E, act: Act, lists: &[Operations]) -> Done {
        self.phase += 1;
        let done = self.performer(engine).run(act, lists);
        for (list, count) in lists.iter().zip(&done.counts) {
            self.wrote(act, &list[..*count]);
        }
        done
    }

    fn wrote(&mut self, act: Act, operations: &[u32]) {
        let is_mixed = matches!(act, Act::Mixed | Act::Modify);
        for operation in operations.iter().filter(|op| !is_mixed || **op & WRITE != 0) {
            let number = (operation & !WRITE) as usize;
            if self.expected.len() <= number {
                self.expected.resize(number + 1, 0);
            }
            self.expected[number] = if act == Act::Delete { 0 } else { self.phase };
        }
    }

    /// Looks whether all is there that was put, as it was put last, and nothing else.
    fn verify(&self, engine: &E) {
        if !self.can.contains(&Can::Scan) {
            return;
        }
        let seen = self.performer(engine).scan(|number, phase| {
            let expected = self.expected.get(number as usize).copied().unwrap_or_default();
            assert_eq!(phase, expected, "WRONG DATA: key {number} is of another phase");
        });
        let expected = self.expected.iter().filter(|phase| **phase > 0).count();
        assert_eq!(seen, expected as u64, "WRONG DATA: too few keys or too many");
    }

    fn scan(&self, engine: &E, name: &str) {
        if self.wants(name) {
            let begin = Instant::now();
            let count = self.performer(engine).scan(|_, _| {});
            tell(name, count as f64 / begin.elapsed().as_secs_f64());
            assert_eq!(count, self.job.keys, "WRONG DATA: too few keys or too many");
        }
    }

    /// The database that most workloads use, one after the other.
    fn main_database(&mut self) -> Result<(), String> {
        let own = ["batch", "sync", "open-killed", "kept-killed", "fill-sequential"];
        let others = METRICS.iter().filter(|metric| !own.iter().any(|own| means(own, metric.name)));
        if !others.clone().any(|metric| self.wants(metric.name)) {
            return Ok(());
        }
        let keys = self.job.keys;
        let (engine, path) = self.filled("fill-random", true)?;
        self.verify(&engine);
        std::thread::sleep(self.job.settle);
        self.read(&engine, "read-random", Act::Get, |_| streams::uniform(keys, 1));
        self.read(&engine, "read-zipf", Act::Get, |round| streams::zipf(keys, &round.zipf, 2));
        self.read(&engine, "read-missing", Act::Miss, |_| streams::uniform(keys, 3));
        self.read(&engine, "view-random", Act::View, |_| streams::uniform(keys, 1));
        self.read(&engine, "get-many", Act::GetMany, |_| streams::uniform(keys, 1));
        self.scan(&engine, "scan");
        if ["overwrite", "written-overwriting", "disk-overwritten", "scan-overwritten"]
            .iter()
            .any(|name| self.wants(name))
        {
            let (list, written) = (streams::uniform(keys, 4), footprint::written());
            let done = self.write(&engine, Act::Put, &[list]);
            self.tell("overwrite", done.rate());
            self.tell_written("written-overwriting", written, done.counts[0]);
            self.tell_disk("disk-overwritten", &path);
            self.verify(&engine);
            self.scan(&engine, "scan-overwritten");
        }
        self.ycsb(&engine);
        self.latencies(&engine);
        let engine = self.reopened(engine, &path)?;
        if self.wants("delete") {
            let done = self.write(&engine, Act::Delete, &[streams::each_once(keys, true)]);
            self.tell("delete", done.rate());
            self.verify(&engine);
        }
        engine.close();
        self.remove(path);
        Ok(())
    }

    fn ycsb(&mut self, engine: &E) {
        for (ycsb, name) in Ycsb::ALL {
            for threads in [1, 2] {
                let name = format!("{name}-{threads}");
                if !self.wants(&name) {
                    continue;
                }
                let next = self.expected.len() as u64;
                let lists = ycsb.lists(self.job.keys, threads, &self.zipf, next);
                let act = if ycsb == Ycsb::F { Act::Modify } else { Act::Mixed };
                let done = self.write(engine, act, &lists);
                self.tell(&name, done.rate());
                self.verify(engine);
            }
        }
    }

    fn latencies(&mut self, engine: &E) {
        for (name, act) in [("put", Act::Put), ("get", Act::Get)] {
            if !self.wants(name) {
                continue;
            }
            let list = streams::uniform(self.job.keys, 5 + act as u64);
            self.phase += 1;
            let (done, histogram) = self.performer(engine).time_each(act, &list);
            if act == Act::Put {
                self.wrote(act, &list[..done.counts[0]]);
            }
            for (part, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
                self.tell(&format!("{name}-{part}"), histogram.quantile(share));
            }
            self.tell(&format!("{name}-max"), histogram.max());
        }
    }

    /// Closes the database and opens it again: until the first key is read.
    fn reopened(&self, engine: E, path: &std::path::Path) -> Result<E, String> {
        if !self.wants("close") && !self.wants("open-clean") {
            return Ok(engine);
        }
        let begin = Instant::now();
        engine.close();
        self.tell("close", begin.elapsed().as_secs_f64() * 1e3);
        let begin = Instant::now();
        let engine = self.open(path, false)?;
        let is_there = engine.session().get(&data::key(0), |_| {});
        self.tell("open-clean", begin.elapsed().as_secs_f64() * 1e3);
        assert!(is_there, "WRONG DATA: a key was not found");
        self.verify(&engine);
        Ok(engine)
    }

    /// A new database, filled a hundred keys at a time.
    fn batch(&mut self) -> Result<(), String> {
        let path = self.job.fresh("batch");
        let engine = self.open(&path, false)?;
        self.expected.clear();
        let list = streams::each_once(self.job.keys, true);
        let done = self.write(&engine, Act::PutMany, &[list]);
        self.tell("batch", done.rate());
        self.verify(&engine);
        engine.close();
        self.remove(path);
        Ok(())
    }

    /// Puts that are on the medium when they return, by more and more threads.
    fn sync(&mut self) -> Result<(), String> {
        let path = self.job.fresh("sync");
        let engine = self.open(&path, true)?;
        self.phase += 1;
        let mut first = 0;
        for threads in [1, 2, 4, 8, 16] {
            let name = format!("sync-{threads}");
            if self.wants(&name) {
                let performer = Performer { limit: self.job.sync, ..self.performer(&engine) };
                let (count, rate) = performer.put_for(threads, first);
                self.tell(&name, rate);
                first += count;
            }
        }
        self.expected = vec![self.phase; first as usize];
        self.verify(&engine);
        engine.close();
        self.remove(path);
        Ok(())
    }
}
