//! A file system on a disk that takes down all that is written to it and each time its cache is
//! flushed, while a database on it is at work.
//!
//! A storage daemon shows an image as a file (FUSE) and logs what happens to it, in the format of
//! the kernel's dm-log-writes; a loop device makes that file a disk. Phases alternate on it: a
//! process opens the database, works, and closes it or kills itself.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kv::db::Db;

use super::history::History;
use crate::judge::Content;
use crate::kernels::Kernel;
use crate::machine::{self, Daemon, Loop};
use crate::random;
use crate::tale::{SOON_MS, THREADS};
use crate::worker::{self, LEVELS};

const SECTOR: usize = 512;
/// Room for the record, which is a sparse file.
const RECORD_LEN: u64 = 4 << 30;
const PHASES: u64 = 6;
/// In the head of a record.
const MAGIC: u64 = 0x006a_7366_7773_6872;

/// On the command line of a phase.
const LIES: &str = "lies";

const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// One entry of a record.
pub enum Entry {
    /// The cache was flushed.
    Flush,
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    /// Blocks that nobody needs any more: whatever they hold is as good.
    Discard,
}

/// Whether a history says of writes what is true.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    Told,
    /// They are said to be on the medium when they are not.
    Bent,
}

pub struct Record {
    pub kernel: &'static Kernel,
    pub seed: u64,
    pub directory: PathBuf,
    pub entries: Vec<Entry>,
    pub history: History,
}

/// Where the image is as it was before anything was recorded.
pub fn start_image(directory: &Path) -> PathBuf {
    directory.join("start.img")
}

/// Works on a database while the disk is recorded.
pub fn record(
    kernel: &'static Kernel,
    directory: &Path,
    seed: u64,
    truth: Truth,
) -> Result<Record, String> {
    let say = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    std::fs::create_dir_all(directory).map_err(say("directory"))?;
    let [image, log, shown] = ["disk.img", "record", "shown"].map(|name| directory.join(name));
    let len = kernel.image_mib << 20;
    machine::sparse_file(&image, len).map_err(say("image"))?;
    machine::sparse_file(&log, RECORD_LEN).map_err(say("record"))?;
    File::create(&shown).map_err(say("shown"))?;
    kernel.make(&image)?;
    dig(&image)?;
    let start = start_image(directory).to_string_lossy().into_owned();
    machine::run("cp", &["--sparse=always", &image.to_string_lossy(), &start])?;
    {
        let mut daemon = start_daemon(&image, &log, &shown).map_err(say("storage daemon"))?;
        daemon.wait_until(|| shown.metadata().is_ok_and(|data| data.len() == len))?;
        let disk = Loop::attach(&shown).map_err(say("loop device"))?;
        let mount = kernel.mount(&disk.device, &directory.join("disk"))?;
        for phase in 0..PHASES {
            run_phase(directory, seed, phase, truth)?;
        }
        mount.end().map_err(say("umount"))?;
    }
    // What is to expire has, when the states are looked at.
    std::thread::sleep(Duration::from_millis(SOON_MS + 100));
    let entries = read(&log)?;
    let history = History::open(&directory.join("history"), &log, seed);
    for file in [&image, &shown] {
        let _ = std::fs::remove_file(file);
    }
    Ok(Record { kernel, seed, directory: directory.to_path_buf(), entries, history })
}

/// Gives back what a new file system has of zeros.
pub fn dig(image: &Path) -> Result<(), String> {
    machine::run("fallocate", &["--dig-holes", &image.to_string_lossy()])
}

fn start_daemon(image: &Path, log: &Path, shown: &Path) -> std::io::Result<Daemon> {
    let [image, log, shown] = [image, log, shown].map(|path| path.display().to_string());
    let arguments = [
        "--blockdev".into(),
        format!("driver=file,node-name=f,filename={image}"),
        "--blockdev".into(),
        format!("driver=file,node-name=l,filename={log}"),
        "--blockdev".into(),
        "driver=blklogwrites,node-name=lw,file=f,log=l,log-sector-size=512,\
         log-super-update-interval=1"
            .into(),
        "--export".into(),
        format!("type=fuse,id=e,node-name=lw,mountpoint={shown},writable=on"),
    ];
    Daemon::start("qemu-storage-daemon", &arguments)
}

/// A phase is a process: what it keeps in memory dies with it.
fn run_phase(directory: &Path, seed: u64, phase: u64, truth: Truth) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .arg("power-child")
        .arg(directory)
        .args([seed.to_string(), phase.to_string()])
        .args((truth == Truth::Bent).then_some(LIES))
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() || dies(seed, phase) && status.code().is_none() {
        return Ok(());
    }
    let mut said = String::new();
    let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
    Err(format!("while recording, phase {phase} ended with {status}: {said}"))
}

/// Whether a phase ends by a kill.
fn dies(seed: u64, phase: u64) -> bool {
    random::of(&[seed, phase, 4]).below(2) == 0
}

/// The body of a phase.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [directory, seed, phase, lies @ ..] = arguments else {
        return Err("usage: power-child DIRECTORY SEED PHASE".into());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (seed, phase) = (number(seed)?, number(phase)?);
    let directory = Path::new(directory);
    let mut random = random::of(&[seed, phase, 5]);
    let level = LEVELS[random.below(LEVELS.len() as u64) as usize];
    // Under whichever level it is opened, it is said to be the one that keeps most.
    let is_always = level == "always" || !lies.is_empty();
    let threads = 1 + random.below(THREADS as u64) as usize;
    let steps = match level {
        "always" => 10 + random.below(30),
        _ => 60 + random.below(500),
    };
    let death = (random.below(threads as u64) as usize, random.below(steps));
    let mut history = History::open(&directory.join("history"), &directory.join("record"), seed);
    history.begin_phase(is_always, steps, dies(seed, phase).then_some(death));
    let opened = Db::open(&directory.join("disk/db"), &worker::options(level));
    let db = opened.map_err(|error| format!("open: {error}"))?;
    history.resume(&Content::read(&db, seed)?)?;
    let done = AtomicBool::new(false);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let start = |thread| {
            let (db, history) = (&db, &history);
            let next = history.acknowledged(thread) + 1;
            scope.spawn(move || worker::work(db, history, seed, thread, next))
        };
        let workers: Vec<_> = (0..threads).map(start).collect();
        let stirring = scope.spawn(|| worker::stir(&db, seed ^ phase, 30_000, &done, drop));
        let mut failed: Vec<String> =
            workers.into_iter().filter_map(|one| one.join().expect("no panic").err()).collect();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        failed.extend(stirring.join().expect("no panic").err());
        failed
    });
    if let Some(failed) = failed.into_iter().next() {
        return Err(failed);
    }
    db.close().map_err(|error| format!("close: {error}"))?;
    history.note_floor();
    Ok(())
}

/// Reads a record.
fn read(log: &Path) -> Result<Vec<Entry>, String> {
    let mut file = File::open(log).map_err(|error| error.to_string())?;
    let mut take = |len: usize| {
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).map_err(|error| format!("record: {error}"))?;
        Ok::<_, String>(bytes)
    };
    let word = |bytes: &[u8], at: usize| {
        u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    };
    let head = take(SECTOR)?;
    if word(&head, 0) != MAGIC {
        return Err("the record has another format".into());
    }
    let mut entries = Vec::new();
    for _ in 0..word(&head, 16) {
        let head = take(SECTOR)?;
        let (sector, sectors, flags) = (word(&head, 0), word(&head, 8), word(&head, 16));
        entries.push(if flags & DISCARD != 0 {
            Entry::Discard
        } else if sectors > 0 {
            let data = take(sectors as usize * SECTOR)?;
            Entry::Write { offset: sector * SECTOR as u64, data }
        } else if flags & FLUSH != 0 {
            Entry::Flush
        } else {
            return Err(format!("an entry of the record has the flags {flags}"));
        });
    }
    Ok(entries)
}
