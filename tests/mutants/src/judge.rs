//! Judging a mutant: by the tests that pass its place, the most promising first.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::tree::Built;

/// A test, and what is known of it.
pub struct Test {
    program: PathBuf,
    name: String,
    seconds: f64,
    passes: BTreeSet<usize>,
    /// How many mutants it has caught.
    caught: Cell<u32>,
}

/// Shorter than this no test's patience is: machines are busy.
const PATIENCE: f64 = 20.0;

/// All tests, with the places of mutants that each passes.
pub fn trace(built: &Built, work: &Path) -> Vec<Test> {
    let cache = work.join(format!("trace-{:016x}", built.hash));
    let mut tests = read_cache(&cache);
    if !tests.is_empty() {
        return tests;
    }
    for program in &built.programs {
        let listed = Command::new(program).args(["--list", "--format", "terse"]).output();
        let listed = listed.expect("a test program runs");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for name in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
            tests.push(trace_one(built, program, name, work));
        }
    }
    // A place that several mutants share is known by the first of them.
    for test in &mut tests {
        let shared: Vec<usize> = built.known_as.keys().copied().collect();
        let passes = |number: &usize| test.passes.contains(&built.known_as[number]);
        let more: Vec<usize> = shared.into_iter().filter(|number| passes(number)).collect();
        test.passes.extend(more);
    }
    write_cache(&cache, &tests);
    tests
}

fn trace_one(built: &Built, program: &Path, name: &str, work: &Path) -> Test {
    let traced = work.join("traced");
    let _ = fs::remove_file(&traced);
    let began = Instant::now();
    let mut command = command(program, name, work);
    command.env("KV_MUTANT", "trace").env("KV_MUTANT_TRACE", &traced).current_dir(&built.tree);
    let passed = finish(command.spawn().expect("a test program runs"), 600.0);
    assert!(passed, "{name} in {} fails by itself", program.display());
    let text = fs::read_to_string(&traced).unwrap_or_default();
    let passes: BTreeSet<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let seconds = began.elapsed().as_secs_f64();
    println!("{seconds:6.2} s  {:4} places  {name}", passes.len());
    Test {
        program: program.to_owned(),
        name: name.to_owned(),
        seconds,
        passes,
        caught: Cell::new(0),
    }
}

/// What becomes of a mutant, and through which test.
pub fn judge(number: usize, tests: &[Test], work: &Path) -> (&'static str, String) {
    let mut judges: Vec<&Test> =
        tests.iter().filter(|test| test.passes.contains(&number)).collect();
    if judges.is_empty() {
        return ("unreached", String::new());
    }
    let cost = |test: &Test| (test.seconds + 0.05) / f64::from(1 + test.caught.get());
    judges.sort_by(|one, other| cost(one).total_cmp(&cost(other)));
    for test in judges {
        let patience = PATIENCE + 10.0 * test.seconds;
        let mut command = command(&test.program, &test.name, work);
        command.env("KV_MUTANT", number.to_string()).current_dir(work.join("tree"));
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
fn command(program: &Path, name: &str, work: &Path) -> Command {
    let temporary = work.join("tmp");
    fs::create_dir_all(&temporary).expect("the work can be written");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 12000000; ulimit -f 4000000; ulimit -c 0; exec \"$0\" \"$@\""]);
    command.arg(program).args(["--exact", name, "--test-threads", "1"]);
    // A small budget, where a test has one.
    command.env("KV_CRASH_SECONDS", "2").env("TMPDIR", temporary).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
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
