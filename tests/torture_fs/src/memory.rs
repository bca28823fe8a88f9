//! Little memory: a process in a memory cgroup fills a database many times as large as its limit,
//! and is killed; another one opens it under the same limit, reads all of it, compacts it and
//! closes it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::options::Options;

use crate::random;
use crate::settings::{Settings, Verdict};

const MIB: u64 = 1 << 20;
const VALUE_LEN: usize = 2_000;
/// A key in so many is written twice, so that there is something to compact.
const REWRITTEN: u64 = 4;

/// Where the memory of groups of processes is limited, by which files.
struct Groups {
    top: &'static str,
    limit: &'static str,
    most: &'static str,
}

const GROUPS: [Groups; 2] = [
    Groups {
        top: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        most: "memory.max_usage_in_bytes",
    },
    Groups { top: "/sys/fs/cgroup", limit: "memory.max", most: "memory.peak" },
];

/// A group of processes. It is removed when it has none.
struct Group {
    path: PathBuf,
    most: PathBuf,
}

impl Group {
    fn new(limit: u64) -> Result<Group, String> {
        let mut why = String::from("no memory cgroups");
        for groups in GROUPS {
            let path = Path::new(groups.top).join(format!("kv-torture-fs-{}", std::process::id()));
            if !Path::new(groups.top).join("cgroup.procs").exists() {
                continue;
            }
            if let Err(error) = std::fs::create_dir_all(&path) {
                why = format!("{}: {error}", path.display());
                continue;
            }
            let group = Group { most: path.join(groups.most), path };
            match std::fs::write(group.path.join(groups.limit), limit.to_string()) {
                Ok(()) => return Ok(group),
                Err(error) => why = format!("{}: {error}", groups.limit),
            }
        }
        Err(why)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The part.
pub fn run(settings: &Settings) -> Verdict {
    let (limit, size) =
        if settings.is_short() { (32 * MIB, 96 * MIB) } else { (128 * MIB, 1280 * MIB) };
    let group = match Group::new(limit) {
        Ok(group) => group,
        Err(why) => return Verdict::Skipped(why),
    };
    let since = Instant::now();
    let mut rounds = 0;
    while !settings.is_enough(rounds) {
        let seed = random::of(&[settings.seed, rounds, 20]).next();
        let directory = settings.directory.join("memory");
        let done = run_round(&directory, &group, seed, size / VALUE_LEN as u64);
        let most = std::fs::read_to_string(&group.most).unwrap_or_default();
        println!(
            "memory: a database of {} MiB in {} MiB of memory (at most {} used), {} s",
            size / MIB,
            limit / MIB,
            most.trim(),
            since.elapsed().as_secs()
        );
        if let Err(error) = done {
            return Verdict::Failed(format!("SEED={} {seed}: {error}", settings.seed));
        }
        rounds += 1;
    }
    Verdict::Passed
}

fn run_round(directory: &Path, group: &Group, seed: u64, keys: u64) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    for what in ["fill", "read"] {
        let output = Command::new(&program)
            .args(["memory-child", what])
            .arg(&group.path)
            .arg(directory)
            .args([seed.to_string(), keys.to_string()])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let was_killed = what == "fill" && output.status.code().is_none();
        let was_to_die = was_killed && directory.join("filled").exists();
        if !(output.status.success() || was_to_die) {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{what}: the child ended with {}: {said}", output.status));
        }
    }
    std::fs::remove_dir_all(directory).map_err(|error| error.to_string())
}

fn value(seed: u64, key: u64, round: u64) -> Vec<u8> {
    let mut bytes = vec![0; VALUE_LEN];
    random::of(&[seed, key, round]).fill(&mut bytes);
    bytes
}

fn final_value(seed: u64, key: u64) -> Vec<u8> {
    value(seed, key, u64::from(key.is_multiple_of(REWRITTEN)))
}

/// The body of a child.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [what, group, directory, seed, keys] = arguments else {
        return Err("usage: memory-child WHAT GROUP DIRECTORY SEED KEYS".into());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (seed, keys) = (number(seed)?, number(keys)?);
    let directory = Path::new(directory);
    std::fs::write(Path::new(group).join("cgroup.procs"), std::process::id().to_string())
        .map_err(|error| format!("cgroup: {error}"))?;
    let say = |error: kv::error::Error| error.to_string();
    let options = Options { segment_size: 16 << 20, ..Options::default() };
    let db = Db::open(&directory.join("db"), &options).map_err(say)?;
    if what == "fill" {
        for key in 0..keys {
            db.put(&key.to_le_bytes(), &value(seed, key, 0)).map_err(say)?;
            let before = key / 2;
            if before.is_multiple_of(REWRITTEN) && key % 2 == 0 {
                db.put(&before.to_le_bytes(), &value(seed, before, 1)).map_err(say)?;
            }
        }
        for key in (keys / 2..keys).filter(|key| key.is_multiple_of(REWRITTEN)) {
            db.put(&key.to_le_bytes(), &value(seed, key, 1)).map_err(say)?;
        }
        std::fs::write(directory.join("filled"), []).map_err(|error| error.to_string())?;
        // SAFETY: this very process; it does not return.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
    read_all(&db, seed, keys)?;
    db.compact().map_err(say)?;
    read_some(&db, seed, keys)?;
    db.close().map_err(say)
}

/// Walks through all of it.
fn read_all(db: &Db, seed: u64, keys: u64) -> Result<(), String> {
    let say = |error: kv::error::Error| error.to_string();
    let mut iter = db.open_iter(None, b"").map_err(say)?;
    let mut count = 0;
    while db.advance(&mut iter).map_err(say)? {
        let Some((key, found)) = iter.current() else { break };
        let key = key.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let Some(key) = key else { return Err("nobody wrote this key".into()) };
        if key >= keys || found != final_value(seed, key) {
            return Err(format!("key {key} has another value"));
        }
        count += 1;
    }
    db.close_iter(iter);
    if count == keys {
        Ok(())
    } else {
        Err(format!("{count} keys instead of {keys}"))
    }
}

/// Reads here and there, which is what little memory makes slow.
fn read_some(db: &Db, seed: u64, keys: u64) -> Result<(), String> {
    let mut random = random::of(&[seed, 21]);
    for _ in 0..keys / 16 {
        let key = random.below(keys);
        let expected = final_value(seed, key);
        let found = db.get(&key.to_le_bytes(), |value| value == expected);
        match found.map_err(|error| error.to_string())? {
            Some(true) => {}
            other => return Err(format!("key {key}: {other:?}")),
        }
    }
    Ok(())
}
