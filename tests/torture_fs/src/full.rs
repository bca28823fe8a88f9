//! Disks that are full: a database works on a small file system whose room comes and goes, is
//! killed or closed there, and is looked at again, first without room and then with it.
//!
//! btrfs is left out: there an overwriting needs room, so that writing through a map may raise
//! SIGBUS (docs/DURABILITY.md, "What is not covered").

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::error::Kind;

use crate::judge::{now_ms, Content, Variants};
use crate::kernels::Kernel;
use crate::machine::{self, Loop, Mount};
use crate::random::{self, Random};
use crate::settings::{Settings, Verdict};
use crate::shared::Shared;
use crate::tale::{self, SOON_MS};
use crate::worker::{self, LEVELS};

const THREAD: usize = 0;
/// Steps of a round.
const STEPS: u64 = 2_500;
/// Bytes that are free at most, besides the database.
const ROOM: u64 = 24 << 20;
/// Room that is left must be of use within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of each step: what became of it, and when.
const OF_A_STEP: usize = 3;
const DONE: u64 = 1;
const REFUSED: u64 = 2;
const UNKNOWN: u64 = 3;

#[derive(Default)]
struct Totals {
    rounds: AtomicU64,
    done: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    unopened: AtomicU64,
}

impl Totals {
    fn print(&self, since: Instant) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!(
            "full: {} rounds, {} writes done, {} refused for want of room, {} of unknown outcome; \
             {} databases needed room to be opened; {} s",
            read(&self.rounds),
            read(&self.done),
            read(&self.refused),
            read(&self.unknown),
            read(&self.unopened),
            since.elapsed().as_secs(),
        );
    }
}

/// The part.
pub fn run(settings: &Settings) -> Verdict {
    if let Some(why) = machine::lacks(&[]) {
        return Verdict::Skipped(why);
    }
    let mut kernels: Vec<Option<&Kernel>> = vec![None];
    match machine::lacks_disks(&settings.memory, false) {
        None => {
            let all = Kernel::available().into_iter();
            kernels.extend(all.filter(|kernel| kernel.name != "btrfs").map(Some));
        }
        Some(why) => println!("full: SKIPPED, but for tmpfs: {why}"),
    }
    let (totals, since, next) = (Totals::default(), Instant::now(), AtomicU64::new(0));
    let work = |job: u64| {
        while !settings.is_enough(totals.rounds.load(Ordering::Relaxed)) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let kernel = kernels[number as usize % kernels.len()];
            let seed = random::of(&[settings.seed, number, 17]).next();
            let directory = settings.memory.join(format!("full-{job}"));
            run_round(kernel, &directory, seed, &totals).map_err(|error| {
                let name = kernel.map_or("tmpfs", |kernel| kernel.name);
                format!("SEED={} {name} {seed}: {error}", settings.seed)
            })?;
        }
        Ok(())
    };
    let result = settings.in_parallel(settings.jobs, work, || totals.print(since));
    totals.print(since);
    Verdict::from(result)
}

fn run_round(
    kernel: Option<&Kernel>,
    directory: &Path,
    seed: u64,
    totals: &Totals,
) -> Result<(), String> {
    let say = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).map_err(say("directory"))?;
    let mounted = directory.join("mounted");
    let image = directory.join("disk.img");
    let (mount, _disk) = match kernel {
        None => {
            let size = format!("size={}", ROOM);
            let mount = Mount::new(Path::new("none"), &mounted, "tmpfs", &size);
            (mount.map_err(say("tmpfs"))?, None)
        }
        Some(kernel) => {
            machine::sparse_file(&image, kernel.image_mib << 20).map_err(say("image"))?;
            kernel.make(&image)?;
            let disk = Loop::attach(&image).map_err(say("loop device"))?;
            (kernel.mount(&disk.device, &mounted)?, Some(disk))
        }
    };
    let program = std::env::current_exe().map_err(say("program"))?;
    let output = Command::new(program)
        .arg("full-child")
        .arg(directory)
        .arg(seed.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(say("child"))?;
    let was_to_die = dies(seed) && output.status.code().is_none();
    if !(output.status.success() || was_to_die) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the child ended with {}: {said}", output.status));
    }
    std::thread::sleep(Duration::from_millis(SOON_MS + 60));
    let judged = judge(directory, seed, totals);
    mount.end().map_err(say("umount"))?;
    judged?;
    totals.rounds.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Whether a round ends by a kill.
fn dies(seed: u64) -> bool {
    random::of(&[seed, 18]).below(2) == 0
}

fn notes(directory: &Path) -> Shared {
    Shared::open(&directory.join("notes"), (STEPS as usize + 1) * OF_A_STEP)
}

/// Looks at what is left, while there is no room and when there is.
fn judge(directory: &Path, seed: u64, totals: &Totals) -> Result<(), String> {
    let notes = notes(directory);
    let mut variants = Variants::nothing();
    for step in 1..=STEPS {
        let word = |at: usize| notes.get(step as usize * OF_A_STEP + at);
        let (outcome, times) = (word(0), (word(1), word(2)));
        let operation = tale::operation(seed, THREAD, step);
        let counter = match outcome {
            DONE => &totals.done,
            REFUSED => &totals.refused,
            UNKNOWN => &totals.unknown,
            _ => continue,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        match outcome {
            DONE => variants.apply(&operation, step, times),
            UNKNOWN => variants.perhaps(&operation, step, times),
            _ => {}
        }
    }
    let database = directory.join("mounted/db");
    let ballast = Ballast::open(directory)?;
    ballast.leave(0)?;
    match Db::open(&database, &worker::options("none")) {
        Ok(db) => {
            variants.judge(&Content::read(&db, seed)?, THREAD)?;
            match db.close() {
                Ok(()) => {}
                Err(error) if error.kind() == Kind::NoSpace => {}
                Err(error) => return Err(format!("close without room: {error}")),
            }
        }
        Err(error) if error.kind() == Kind::NoSpace => {
            totals.unopened.fetch_add(1, Ordering::Relaxed);
        }
        Err(error) => return Err(format!("open without room: {error}")),
    }
    ballast.leave(ROOM)?;
    let opened = Db::open(&database, &worker::options("always"));
    let db = opened.map_err(|error| format!("open with room: {error}"))?;
    variants.judge(&Content::read(&db, seed)?, THREAD)?;
    db.compact().map_err(|error| format!("compact with room: {error}"))?;
    variants.judge(&Content::read(&db, seed)?, THREAD)?;
    db.close().map_err(|error| format!("close with room: {error}"))
}

/// A file that takes the room of others.
struct Ballast {
    file: File,
}

impl Ballast {
    fn open(directory: &Path) -> Result<Ballast, String> {
        let path = directory.join("mounted/ballast");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Ok(Ballast { file: opened.map_err(|error| format!("ballast: {error}"))? })
    }

    /// Leaves so many bytes of room, about, as far as the file can shrink and grow.
    fn leave(&self, room: u64) -> Result<(), String> {
        let free = self.free()?;
        let len = self.file.metadata().map_err(|error| error.to_string())?.len();
        if free < room {
            let len = len.saturating_sub(room - free);
            return self.file.set_len(len).map_err(|error| format!("ballast: {error}"));
        }
        // Small pieces at the end, for what the file system needs itself.
        let (mut more, mut len) = (free - room, len as i64);
        let mut piece = more;
        while piece >= 4096 && more > 0 {
            // SAFETY: a descriptor that is open.
            let grown = unsafe { libc::fallocate(self.file.as_raw_fd(), 0, len, piece as i64) };
            if grown == 0 {
                len += piece as i64;
                more -= piece;
                piece = piece.min(more);
            } else {
                piece /= 2;
            }
        }
        Ok(())
    }

    fn free(&self) -> Result<u64, String> {
        // SAFETY: all zeros are a valid value of this type.
        let mut data: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: a descriptor that is open, and a place for the answer.
        if unsafe { libc::fstatvfs(self.file.as_raw_fd(), &mut data) } != 0 {
            return Err("statvfs failed".into());
        }
        Ok(data.f_bavail as u64 * data.f_frsize as u64)
    }
}

/// The body of a child.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [directory, seed] = arguments else {
        return Err("usage: full-child DIRECTORY SEED".into());
    };
    let directory = Path::new(directory);
    let seed: u64 = seed.parse().map_err(|_| "SEED is a number")?;
    let mut random = random::of(&[seed, 19]);
    let ballast = Ballast::open(directory)?;
    ballast.leave(ROOM)?;
    let level = LEVELS[random.below(LEVELS.len() as u64) as usize];
    let opened = Db::open(&directory.join("mounted/db"), &worker::options(level));
    let db = opened.map_err(|error| format!("open: {error}"))?;
    let notes = notes(directory);
    let dies_at = if dies(seed) { 1 + random.below(STEPS) } else { 0 };
    for step in 1..=STEPS {
        change_room(&db, &ballast, &mut random)?;
        let note = |at: usize, number| notes.set(step as usize * OF_A_STEP + at, number);
        note(1, now_ms());
        let operation = tale::operation(seed, THREAD, step);
        let outcome = match worker::perform(&db, seed, THREAD, step, &operation) {
            Ok(()) => DONE,
            Err(error) if error.kind() == Kind::NoSpace => REFUSED,
            Err(error) if error.kind() == Kind::UnknownOutcome => UNKNOWN,
            Err(error) => return Err(format!("{level}, step {step}, {operation:?}: {error}")),
        };
        note(2, now_ms());
        note(0, outcome);
        if step == dies_at {
            // SAFETY: this very process; it does not return.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }
    must_take_writes(&db, &ballast, seed)?;
    match db.close() {
        Err(error) if error.kind() != Kind::NoSpace => Err(format!("close: {error}")),
        _ => Ok(()),
    }
}

/// Room comes and goes.
fn change_room(db: &Db, ballast: &Ballast, random: &mut Random) -> Result<(), String> {
    match random.below(200) {
        0..=3 => ballast.leave(random.below(3 << 20)),
        4 => ballast.leave(0),
        5 => ballast.leave(ROOM),
        6 => match db.compact() {
            Err(error) if error.kind() != Kind::NoSpace => Err(format!("compact: {error}")),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// When there is room again, writing goes on: nothing was latched.
fn must_take_writes(db: &Db, ballast: &Ballast, seed: u64) -> Result<(), String> {
    ballast.leave(ROOM)?;
    let since = Instant::now();
    // A value that changes nothing: the last one of a key, once more.
    let key = tale::key_bytes(THREAD, 0);
    loop {
        let value = db.get(&key, |value| value.to_vec()).map_err(|error| error.to_string())?;
        let Some(value) = value else { return Ok(()) };
        let keep = kv::db::WriteOptions { keep_ttl: true, ..worker::PLAIN };
        match db.put_with(&key, &value, &keep) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == Kind::NoSpace && since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(format!("seed {seed}, with room again: {error}")),
        }
    }
}
