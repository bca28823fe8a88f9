//! Judging a mutant: by the tests that pass its place, the most promising first.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::tree::Built;

/// A test, and what is known of it.
pub struct Test {
    program: PathBuf,
    name: String,
    pub seconds: f64,
    passes: BTreeSet<usize>,
    /// How many mutants it has caught.
    caught: Cell<u32>,
}

/// Shorter than this no test's patience is: machines are busy.
const PATIENCE: f64 = 20.0;

/// How many tests are traced at once.
const WORKERS: usize = 4;

/// Tests that take long and have no business in the rooms that are judged.
const SLOW: [&str; 3] = ["flood", "epoch::", "ffi::"];

/// All tests, with the places of mutants that each passes.
pub fn trace(built: &Built, work: &Path) -> Vec<Test> {
    let cache = work.join(format!("trace-{:016x}", built.list));
    let known = read_cache(&cache);
    let mut all: Vec<(&PathBuf, String)> = built.programs.iter().flat_map(tests_of).collect();
    // What a test passed in an earlier build is near enough: by its program's name, and its own.
    let mut tests: Vec<Test> = Vec::new();
    for mut test in known {
        let is_it = |(program, name): &(&PathBuf, String)| {
            *name == test.name && stem(program) == stem(&test.program)
        };
        if let Some(place) = all.iter().position(is_it) {
            test.program = all.swap_remove(place).0.clone();
            tests.push(test);
        }
    }
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let trace_some = |worker: usize| {
        while let Some((program, name)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let test = trace_one(built, program, name, &work.join(format!("traced-{worker}")));
            found.lock().expect("nobody panics").extend(test);
        }
    };
    let trace_some = &trace_some;
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || trace_some(worker));
        }
    });
    let mut new = found.into_inner().expect("nobody panics");
    // A place that several mutants share is known by the first of them.
    for test in &mut new {
        let shared: Vec<usize> = built.known_as.keys().copied().collect();
        let passes = |number: &usize| test.passes.contains(&built.known_as[number]);
        let more: Vec<usize> = shared.into_iter().filter(|number| passes(number)).collect();
        test.passes.extend(more);
    }
    tests.extend(new);
    write_cache(&cache, &tests);
    tests
}

/// The name of a test program, without what cargo adds.
fn stem(program: &Path) -> String {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_default().split('-').next().unwrap_or_default().to_owned()
}

fn tests_of(program: &PathBuf) -> Vec<(&PathBuf, String)> {
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output();
    let listed = listed.expect("a test program runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let names = names.filter(|name| !SLOW.iter().any(|slow| name.contains(slow)));
    names.map(|name| (program, name.to_owned())).collect()
}

fn trace_one(built: &Built, program: &Path, name: &str, traced: &Path) -> Option<Test> {
    let _ = fs::remove_file(traced);
    let began = Instant::now();
    let mut command = command(program, name, &built.tree);
    command.env("KV_MUTANT", "trace").env("KV_MUTANT_TRACE", traced);
    let passed = finish(command.spawn().expect("a test program runs"), 600.0);
    if !passed {
        println!("left out, since it fails by itself: {name} in {}", program.display());
        return None;
    }
    let text = fs::read_to_string(traced).unwrap_or_default();
    let passes: BTreeSet<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let seconds = began.elapsed().as_secs_f64();
    println!("{seconds:6.2} s  {:4} places  {name}", passes.len());
    Some(Test {
        program: program.to_owned(),
        name: name.to_owned(),
        seconds,
        passes,
        caught: Cell::new(0),
    })
}

/// What becomes of a mutant, and through which test.
pub fn judge(number: usize, tests: &[Test], tree: &Path) -> (&'static str, String) {
    let mut judges: Vec<&Test> =
        tests.iter().filter(|test| test.passes.contains(&number)).collect();
    if judges.is_empty() {
        return ("unreached", String::new());
    }
    let cost = |test: &Test| (test.seconds + 0.05) / f64::from(1 + test.caught.get());
    judges.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
    for test in judges {
        let patience = PATIENCE + 10.0 * test.seconds;
        let mut command = command(&test.program, &test.name, tree);
        command.env("KV_MUTANT", number.to_string());
        let began = Instant::now();
        if !finish(command.spawn().expect("a test program runs"), patience) {
            test.caught.set(test.caught.get() + 1);
            let is_late = began.elapsed().as_secs_f64() >= patience;
            return (if is_late { "timeout" } else { "caught" }, test.name.clone());
        }
    }
    ("missed", String::new())
}

/// One test by itself. What a mutant may take of memory and disk is limited.
fn command(program: &Path, name: &str, tree: &Path) -> Command {
    let temporary = tree.join("tmp");
    fs::create_dir_all(&temporary).expect("the work can be written");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 12000000; ulimit -f 4000000; ulimit -c 0; exec \"$0\" \"$@\""]);
    command.arg(program).args(["--exact", name, "--test-threads", "1"]);
    // A small budget, where a test has one.
    command.env("KV_CRASH_SECONDS", "2").env("TMPDIR", temporary).env("RUST_BACKTRACE", "0");
    command.current_dir(tree).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Whether the test passes, within this time. What it leaves is removed.
fn finish(mut child: Child, seconds: f64) -> bool {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut pause = Duration::from_millis(1);
    let passed = loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) => break status.success(),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    if !passed {
        let ours = format!("-{}-", child.id());
        for directory in ["/dev/shm", "/tmp"] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            for entry in entries {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("kv-test-") && name.contains(&ours) {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
    }
    passed
}

fn read_cache(path: &Path) -> Vec<Test> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let tests = text.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        let (seconds, program, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Test {
            program: PathBuf::from(program),
            name: name.to_owned(),
            seconds: seconds.parse().ok()?,
            passes: parts.next()?.split(',').filter_map(|number| number.parse().ok()).collect(),
            caught: Cell::new(0),
        })
    });
    tests.collect()
}

fn write_cache(path: &Path, tests: &[Test]) {
    let lines = tests.iter().map(|test| {
        let passes: Vec<String> = test.passes.iter().map(usize::to_string).collect();
        let program = test.program.display();
        format!("{}\t{program}\t{}\t{}\n", test.seconds, test.name, passes.join(","))
    });
    fs::write(path, lines.collect::<String>()).expect("the work can be written");
}
