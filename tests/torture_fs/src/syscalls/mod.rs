//! System calls that fail, injected from outside (strace) into a program in C that is linked with
//! the shared library as it is shipped: each call on the database's files, each error that the
//! kernel may answer, and a kill in its place; then reads and writes that come short.

mod injection;
mod script;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use kv::db::Db;

use crate::judge::Content;
use crate::machine;
use crate::random;
use crate::settings::{Settings, Verdict};
use crate::worker;
use injection::{Injection, KILL};
use script::{Followed, Promise, Script, ANSWER_LEN, THREAD};

/// Segments that a script gets to, at most.
const SEGMENTS: u32 = 40;
/// One program takes no longer than this, in seconds.
const PATIENCE: &str = "120";

/// The programs in C.
struct Programs {
    caller: PathBuf,
    shortener: PathBuf,
}

#[derive(Default)]
struct Totals {
    runs: AtomicU64,
    kills: AtomicU64,
    failures: AtomicU64,
    latched: AtomicU64,
    unknown: AtomicU64,
    unnoticed: AtomicU64,
    short: AtomicU64,
}

impl Totals {
    fn print(&self, since: Instant) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!(
            "syscalls: {} runs with an error injected ({} unnoticed, {} calls of the library \
             failed, {} times latched, {} unknown outcomes), {} killed at a system call, {} with \
             short reads and writes, {} s",
            read(&self.runs),
            read(&self.unnoticed),
            read(&self.failures),
            read(&self.latched),
            read(&self.unknown),
            read(&self.kills),
            read(&self.short),
            since.elapsed().as_secs(),
        );
    }
}

/// Builds the programs in C against the shared library.
fn build(settings: &Settings) -> Result<Programs, String> {
    let Some(library) = crate::settings::set("LIBRARY").map(PathBuf::from) else {
        return Err("no shared library was named (LIBRARY=.../libkv.so)".into());
    };
    if !library.is_file() {
        return Err(format!("there is no {}", library.display()));
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let [caller, shortener] = ["caller", "short.so"].map(|name| settings.memory.join(name));
    std::fs::create_dir_all(&settings.memory).map_err(|error| error.to_string())?;
    let headers = format!("-I{}", sources.join("../../include").display());
    let directory = library.parent().unwrap_or(Path::new("/")).display().to_string();
    let found = format!("-Wl,-rpath,{directory}");
    let from = text(sources.join("c/caller.c"));
    let warnings = "-Wall -Wextra -Werror -O1 -std=c11".split(' ');
    let mut arguments: Vec<&str> = warnings.collect();
    let (to, library) = (text(caller.clone()), text(library));
    arguments.extend([&*headers, &*from, &*library, &*found, "-o", &*to]);
    machine::run("cc", &arguments)?;
    let (from, to) = (text(sources.join("c/short.c")), text(shortener.clone()));
    machine::run("cc", &["-Wall", "-O1", "-shared", "-fPIC", &from, "-o", &to, "-ldl"])?;
    Ok(Programs { caller, shortener })
}

/// The part: every call once with each error, in an order that is drawn; then from the start, with
/// another script.
pub fn run(settings: &Settings) -> Verdict {
    if let Some(program) = ["strace", "timeout", "cc"].iter().find(|name| !machine::has(name)) {
        return Verdict::Skipped(format!("there is no {program}"));
    }
    if let Err(why) = machine::run("strace", &["-f", "-o", "/dev/null", "true"]) {
        return Verdict::Skipped(why);
    }
    let programs = match build(settings) {
        Ok(programs) => programs,
        Err(why) => return Verdict::Skipped(why),
    };
    let (totals, since) = (Totals::default(), Instant::now());
    let mut result = Ok(());
    for round in 0.. {
        // However short the time is, there is a first one.
        let is_enough = round > 0 && settings.is_enough(totals.runs.load(Ordering::Relaxed));
        if result.is_err() || is_enough {
            break;
        }
        let script = Script::draw(random::of(&[settings.seed, round, 10]).next());
        result = run_script(settings, &programs, &script, &totals, since);
    }
    totals.print(since);
    Verdict::from(result)
}

fn run_script(
    settings: &Settings,
    programs: &Programs,
    script: &Script,
    totals: &Totals,
    since: Instant,
) -> Result<(), String> {
    let place = Place::new(settings, programs, script, 1_000)?;
    place.run_short(totals)?;
    let mut left = place.injections()?;
    let mut random = random::of(&[script.seed, 11]);
    for at in (1..left.len()).rev() {
        left.swap(at, random.below(at as u64 + 1) as usize);
    }
    let next = AtomicUsize::new(0);
    // They wait for each other's tracer, mostly.
    let jobs = 2 * settings.jobs;
    settings.in_parallel(
        jobs,
        |job| {
            let place = Place::new(settings, programs, script, job)?;
            while !settings.is_enough(totals.runs.load(Ordering::Relaxed)) {
                let Some(injection) = left.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                place.inject(injection, totals)?;
            }
            Ok(())
        },
        || totals.print(since),
    )
}

/// Where one run after the other takes place.
struct Place<'p> {
    settings: &'p Settings,
    programs: &'p Programs,
    script: &'p Script,
    directory: PathBuf,
    arguments: [PathBuf; 4],
}

impl<'p> Place<'p> {
    fn new(
        settings: &'p Settings,
        programs: &'p Programs,
        script: &'p Script,
        job: u64,
    ) -> Result<Place<'p>, String> {
        let directory = settings.memory.join(format!("syscalls-{job}"));
        let arguments = ["script", "results", "db", "backup"].map(|name| directory.join(name));
        Ok(Place { settings, programs, script, directory, arguments })
    }

    fn prepare(&self) -> Result<(), String> {
        let _ = std::fs::remove_dir_all(&self.directory);
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| std::fs::write(&self.arguments[0], &self.script.bytes))
            .and_then(|()| {
                let len = self.script.calls.len() * ANSWER_LEN;
                machine::sparse_file(&self.arguments[1], len as u64)
            })
            .map_err(|error| error.to_string())
    }

    /// Runs the program under strace, with these options.
    fn trace(&self, options: &[String]) -> Result<ExitStatus, String> {
        self.prepare()?;
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", PATIENCE, "strace", "-f", "-qq"]);
        command.args(options);
        for path in self.paths() {
            command.arg("-P").arg(path);
        }
        command.arg(&self.programs.caller).args(&self.arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().map_err(|error| format!("strace: {error}"))
    }

    /// All that the library may touch.
    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.directory.clone()];
        for directory in ["db", "backup", "backup.partial"].map(|name| self.directory.join(name)) {
            for name in ["MANIFEST", "MANIFEST.new", "INDEX", "INDEX.new", "LOCK", "PARTIAL"] {
                paths.push(directory.join(name));
            }
            for number in 1..SEGMENTS {
                for suffix in ["seg", "hint"] {
                    paths.push(directory.join(format!("{number:08}.{suffix}")));
                }
            }
            paths.push(directory);
        }
        paths
    }

    /// Everything that can fail: the calls on the database's files in a run without failures.
    fn injections(&self) -> Result<Vec<Injection>, String> {
        let log = self.directory.with_extension("log");
        let status = self.trace(&["-o".into(), log.display().to_string()])?;
        if !status.success() {
            return Err(format!("without failures the program ends with {status}"));
        }
        self.judge("nothing", None)?;
        let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let _ = std::fs::remove_file(&log);
        Ok(injection::all(&text))
    }

    fn inject(&self, injection: &Injection, totals: &Totals) -> Result<(), String> {
        let Injection { call, error, when } = injection;
        let is_kill = *error == KILL;
        let how = if is_kill { format!("signal={KILL}") } else { format!("error={error}") };
        let options = [
            "--seccomp-bpf".into(),
            "-e".into(),
            format!("trace={call}"),
            "-e".into(),
            format!("inject={call}:{how}:when={when}"),
            "-o".into(),
            "/dev/null".into(),
        ];
        let status = self.trace(&options)?;
        let was_killed = status.signal() == Some(libc::SIGKILL) || status.code() == Some(137);
        let was_to_die = is_kill && was_killed;
        if !(status.success() || was_to_die) {
            return Err(self.fail(injection, &format!("the program ended with {status}")));
        }
        let what = format!("{injection:?}");
        let followed = self.judge(&what, Some(injection))?;
        let count = |counter: &AtomicU64, number: u64| counter.fetch_add(number, Ordering::Relaxed);
        count(if is_kill { &totals.kills } else { &totals.runs }, 1);
        count(&totals.failures, followed.failures);
        count(&totals.latched, followed.latches);
        count(&totals.unknown, followed.unknown);
        count(&totals.unnoticed, u64::from(!is_kill && followed.failures == 0));
        Ok(())
    }

    fn fail(&self, what: &dyn std::fmt::Debug, why: &str) -> String {
        let kept = self.settings.keep(&self.directory);
        let seed = self.settings.seed;
        format!("SEED={seed} script {}, {what:?}: {why}; see {}", self.script.seed, kept.display())
    }

    /// The answers, the database and the backup must be as promised.
    fn judge(&self, what: &str, injection: Option<&Injection>) -> Result<Followed, String> {
        let judged = self.try_to_judge(injection);
        judged.map_err(|why| self.fail(&what, &why))
    }

    fn try_to_judge(&self, injection: Option<&Injection>) -> Result<Followed, String> {
        let [_, results, database, backup] = &self.arguments;
        let answers = self.script.answers(results)?;
        let promise = injection.map_or(Promise::default(), Injection::promise);
        let followed = self.script.follow(&answers, promise)?;
        // A call that was interrupted is made again.
        if injection.is_none_or(Injection::is_interruption) && followed.failures > 0 {
            let failed = answers.iter().position(|answer| answer.status.is_some_and(|s| s < 0));
            return Err(format!("a call failed that must not: {failed:?}"));
        }
        let read = |path: &Path| {
            let opened = Db::open(path, &worker::options("none"));
            let db = opened.map_err(|error| format!("{}: {error}", path.display()))?;
            let content = Content::read(&db, self.script.seed)?;
            db.close().map_err(|error| error.to_string())?;
            Ok::<_, String>(content)
        };
        followed.variants.judge(&read(database)?, THREAD)?;
        let was_killed = injection.is_some_and(|injection| injection.error == KILL);
        if let Some(backup_holds) = followed.backup.as_ref().filter(|_| !was_killed) {
            let judged = backup_holds.judge(&read(backup)?, THREAD);
            judged.map_err(|error| format!("the backup: {error}"))?;
        }
        Ok(followed)
    }

    /// Reads and writes that come short, and interruptions: nobody may notice.
    fn run_short(&self, totals: &Totals) -> Result<(), String> {
        let mut random = random::of(&[self.script.seed, 12]);
        for _ in 0..8 {
            let seed = random.next();
            self.prepare()?;
            let status = Command::new("timeout")
                .args(["-s", "KILL", PATIENCE])
                .arg(&self.programs.caller)
                .args(&self.arguments)
                .env("LD_PRELOAD", &self.programs.shortener)
                .env("SHORT_SEED", seed.to_string())
                .status()
                .map_err(|error| error.to_string())?;
            let what = format!("short reads and writes, SHORT_SEED={seed}");
            if !status.success() {
                return Err(self.fail(&what, &format!("the program ended with {status}")));
            }
            self.judge(&what, None)?;
            totals.short.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
