//! Memory per key: the index as it grows, and what the process has of its own.

use kv::db::Db;
use kv::options::{Options, SyncLevel};

use crate::machine;
use crate::report::{Report, Target};
use crate::settings::Settings;
use crate::workload::key;

/// How often the index is measured, in keys.
const STEP: u64 = 100_000;
/// Below this, what each of the index's parts takes by itself counts.
const COUNTED_FROM: u64 = 1_000_000;

pub fn run(settings: &Settings, report: &mut Report) {
    let path = settings.fresh("memory");
    let options = Options { sync: SyncLevel::None, ..Options::default() };
    let before = machine::own_memory("Anonymous");
    let db = Db::open(&path, &options).expect("a new database opens");
    let (keys, mut most) = (settings.size("memory-keys"), 0.0_f64);
    for i in 0..keys {
        db.put(&key(i), &[]).expect("put");
        let count = i + 1;
        if count.is_multiple_of(STEP) && count >= COUNTED_FROM {
            most = most.max(db.engine().index_memory() as f64 / count as f64);
        }
        if [1, 10, 50].contains(&(count / COUNTED_FROM)) && count.is_multiple_of(COUNTED_FROM) {
            show(&db, report, count, before);
        }
    }
    if keys % COUNTED_FROM != 0 || ![1, 10, 50].contains(&(keys / COUNTED_FROM)) {
        show(&db, report, keys, before);
    }
    let name = format!("index, the most from {COUNTED_FROM} keys on");
    report.figure(&name, most, "B/key", Target::AtMost(12.0));
    db.close().expect("close");
    let _ = std::fs::remove_dir_all(&path);
}

fn show(db: &Db, report: &mut Report, count: u64, before: u64) {
    let each = |bytes: u64| bytes as f64 / count as f64;
    let index = each(db.engine().index_memory() as u64);
    report.figure(&format!("index, {count} keys"), index, "B/key", Target::AtMost(12.0));
    let anonymous = each(machine::own_memory("Anonymous").saturating_sub(before));
    report.fact(&format!("anonymous memory, {count} keys"), anonymous, "B/key");
    let dirty = each(machine::own_memory("Private_Dirty"));
    report.fact(&format!("private dirty memory (with the log), {count} keys"), dirty, "B/key");
}
