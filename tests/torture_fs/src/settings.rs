//! What was asked for: which parts, how long, from which seed, and where.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What became of a part.
pub enum Verdict {
    Passed,
    /// This machine cannot do it, for this reason.
    Skipped(String),
    Failed(String),
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Verdict {
        result.map_or_else(Verdict::Failed, |()| Verdict::Passed)
    }
}

/// A part that is to take less than this is a small one.
const SHORT_SECONDS: u64 = 60;

pub struct Settings {
    pub seed: u64,
    /// How many of a part's units (kills, states, runs) are done.
    pub rounds: Option<u64>,
    /// How long a part takes, instead.
    pub seconds: Option<u64>,
    /// How many at a time.
    pub jobs: u64,
    /// On a real file system.
    pub directory: PathBuf,
    /// In memory.
    pub memory: PathBuf,
    pub began: Instant,
    failed: AtomicBool,
}

/// What NAME is set to, as an argument NAME=VALUE of this program, or else in the environment.
pub fn set(name: &str) -> Option<String> {
    let argument = |text: String| {
        let value = text.strip_prefix(name)?.strip_prefix('=')?;
        (!value.is_empty()).then(|| value.to_string())
    };
    let in_environment = || std::env::var(name).ok().filter(|text| !text.is_empty());
    std::env::args().find_map(argument).or_else(in_environment)
}

fn number(name: &str) -> Option<u64> {
    let text = set(name)?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name} is no number: {text}"),
    }
}

impl Settings {
    /// As `make torture-fs` sets them.
    pub fn read() -> Settings {
        let processors = std::thread::available_parallelism().map_or(2, |count| count.get());
        let place = |name: &str, usual: &Path| {
            let parent = set(name).map_or_else(|| usual.to_path_buf(), PathBuf::from);
            parent.join(format!("kv-torture-fs-{}", std::process::id()))
        };
        let shared = Path::new("/dev/shm");
        let in_memory = if shared.is_dir() { shared.to_path_buf() } else { std::env::temp_dir() };
        Settings {
            seed: number("SEED").unwrap_or(20_260_101),
            rounds: number("ROUNDS"),
            seconds: number("SECONDS"),
            jobs: number("JOBS").unwrap_or(processors as u64),
            directory: place("DIRECTORY", &std::env::temp_dir()),
            memory: place("MEMORY", &in_memory),
            began: Instant::now(),
            failed: AtomicBool::new(false),
        }
    }

    /// The same for something that is to fail, in which case the part goes on.
    pub fn for_a_trial(&self) -> Settings {
        Settings {
            directory: self.directory.clone(),
            memory: self.memory.clone(),
            failed: AtomicBool::new(false),
            ..*self
        }
    }

    /// The part begins.
    pub fn begin(&mut self, usual_rounds: u64) {
        self.began = Instant::now();
        if self.seconds.is_none() && self.rounds.is_none() {
            self.rounds = Some(usual_rounds);
        }
    }

    /// Whether a part that has done so much may end.
    pub fn is_enough(&self, done: u64) -> bool {
        self.is_out_of_time() || self.rounds.is_some_and(|rounds| done >= rounds)
    }

    /// Whether a part must end, however much it has done.
    pub fn is_out_of_time(&self) -> bool {
        let is_over = |seconds| self.began.elapsed() >= Duration::from_secs(seconds);
        self.failed.load(Ordering::SeqCst) || self.seconds.is_some_and(is_over)
    }

    /// Whether somebody is waiting.
    pub fn is_short(&self) -> bool {
        self.seconds.is_some_and(|seconds| seconds < SHORT_SECONDS)
    }

    /// Whether one of those who work in parallel has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Moves what a failure has left to where nobody removes it.
    pub fn keep(&self, directory: &Path) -> PathBuf {
        let name = directory.file_name().unwrap_or_default();
        let parent = self.directory.parent().unwrap_or(Path::new("/tmp"));
        let name = format!("kv-torture-fs-kept-{}-{}", std::process::id(), name.to_string_lossy());
        let kept = parent.join(name);
        let copied = std::process::Command::new("cp")
            .args(["-a", "--sparse=always"])
            .arg(directory)
            .arg(&kept)
            .status();
        if copied.is_ok_and(|status| status.success()) {
            kept
        } else {
            directory.to_path_buf()
        }
    }

    /// Does `work` for each of `jobs` in a thread of its own, and `tell` every ten seconds. The
    /// first failure ends them all.
    pub fn in_parallel(
        &self,
        jobs: u64,
        work: impl Fn(u64) -> Result<(), String> + Sync,
        tell: impl Fn(),
    ) -> Result<(), String> {
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            let start = |job| {
                let (work, failure, failed) = (&work, &failure, &self.failed);
                scope.spawn(move || {
                    if let Err(error) = work(job) {
                        failed.store(true, Ordering::SeqCst);
                        failure.lock().expect("nobody panics").get_or_insert(error);
                    }
                })
            };
            let jobs: Vec<_> = (0..jobs).map(start).collect();
            let mut told = Instant::now();
            while !jobs.iter().all(|job| job.is_finished()) {
                std::thread::sleep(Duration::from_millis(50));
                if told.elapsed() > Duration::from_secs(10) {
                    told = Instant::now();
                    tell();
                }
            }
        });
        failure.into_inner().expect("nobody panics").map_or(Ok(()), Err)
    }
}
