//! Random histories of all kinds for as long as is asked for, on all processors: crash states are
//! counted, a failing history is made smaller, and the command that replays it is printed.
//!
//!     torture [--seconds N] [--seed N] [--workers N] [--kinds crash,expiry,backup,fault,damage]
//!     torture --replay KIND:SEED[:PART=STEP,FIRST-LAST...]
//!
//! Each worker is a process of its own, so that one that hangs or dies is told of as well.

#![allow(clippy::print_stdout, reason = "this is a program that prints what it finds")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../histories/mod.rs"]
mod histories;
mod work;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::trace::{Tally, DEPTHS};
use histories::plan::{Kind, KINDS};

/// How often the totals are printed.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// No history takes so long: a worker that says nothing hangs.
const SILENCE: Duration = Duration::from_secs(300);

/// What was asked for.
#[derive(Clone)]
pub struct Request {
    seconds: u64,
    seed: u64,
    workers: u64,
    kinds: Vec<Kind>,
    /// A history to be replayed.
    replay: Option<String>,
    /// The number of this worker, if this is one.
    worker: Option<u64>,
}

impl Request {
    fn read() -> Result<Request, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut request = Request {
            seconds: 60,
            seed: now.as_secs(),
            workers: processors as u64,
            kinds: KINDS.map(|(kind, _)| kind).to_vec(),
            replay: None,
            worker: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("{text}: no number"));
            match name.as_str() {
                "--seconds" => request.seconds = number(value()?)?,
                "--seed" => request.seed = number(value()?)?,
                "--workers" => request.workers = number(value()?)?.max(1),
                "--worker" => request.worker = Some(number(value()?)?),
                "--replay" => request.replay = Some(value()?),
                "--kinds" => {
                    let named = |name: &str| {
                        Kind::named(name).ok_or_else(|| format!("{name} is no kind of history"))
                    };
                    request.kinds = value()?.split(',').map(named).collect::<Result<_, _>>()?;
                }
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(request)
    }

    fn start_worker(&self, number: u64) -> std::io::Result<Child> {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        let mut command = Command::new(std::env::current_exe()?);
        for (name, value) in [
            ("--seconds", self.seconds),
            ("--seed", self.seed),
            ("--workers", self.workers),
            ("--worker", number),
        ] {
            command.arg(name).arg(value.to_string());
        }
        // Every database that is opened would get its memory from the system anew.
        for name in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"] {
            command.env(name, (1 << 28).to_string());
        }
        command.arg("--kinds").arg(kinds.join(",")).stdout(Stdio::piped()).spawn()
    }
}

/// What a worker has said; nothing when it has ended.
type Said = (usize, Option<String>);

/// The workers, and what they have said.
struct Crew {
    children: Vec<Child>,
    said: Receiver<Said>,
    /// What each is at, and since when.
    at: Vec<(String, Instant)>,
    tally: Tally,
    /// How each has ended.
    failures: Vec<String>,
}

fn listen(child: &mut Child, number: usize, to: Sender<Said>) {
    let Some(output) = child.stdout.take() else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if to.send((number, Some(line))).is_err() {
                return;
            }
        }
        let _ = to.send((number, None));
    });
}

impl Crew {
    fn start(request: &Request) -> std::io::Result<Crew> {
        let (to, said) = channel();
        let (mut children, mut at) = (Vec::new(), Vec::new());
        for number in 0..request.workers {
            let mut child = request.start_worker(number)?;
            listen(&mut child, number as usize, to.clone());
            children.push(child);
            at.push(("nothing yet".to_owned(), Instant::now()));
        }
        Ok(Crew { children, said, at, tally: Tally::default(), failures: Vec::new() })
    }

    fn take(&mut self, worker: usize, line: &str) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("begin") => self.at[worker] = (line[6..].to_owned(), Instant::now()),
            Some("done") => {
                let mut number = || words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
                let (histories, states, damaged) = (1, number(), number());
                let nested: [u64; DEPTHS] = std::array::from_fn(|_| number());
                self.tally += Tally { histories, states, nested, damaged };
            }
            _ => {
                println!("{line}");
                if line.starts_with("replay:") {
                    self.failures.push(line.to_owned());
                }
            }
        }
    }

    /// A worker has ended.
    fn bury(&mut self, worker: usize) {
        let ended = self.children[worker].wait();
        let is_good = ended.as_ref().is_ok_and(std::process::ExitStatus::success);
        if !is_good && self.failures.is_empty() {
            let at = &self.at[worker].0;
            self.failures.push(format!("a worker died ({ended:?}) in {at}"));
        }
    }

    fn note_silence(&mut self) {
        for (at, since) in &self.at {
            if since.elapsed() > SILENCE {
                self.failures.push(format!("it hangs, or takes very long: {at}"));
            }
        }
    }

    /// Listens until all have ended, or one has failed.
    fn watch(&mut self, start: Instant) {
        let mut left = self.children.len();
        let mut tell_at = start + TELL_EVERY;
        while left > 0 && self.failures.is_empty() {
            match self.said.recv_timeout(Duration::from_secs(1)) {
                Ok((worker, Some(line))) => self.take(worker, &line),
                Ok((worker, None)) => {
                    left -= 1;
                    self.bury(worker);
                    self.at[worker].1 = Instant::now() + Duration::from_secs(1 << 30);
                }
                Err(RecvTimeoutError::Timeout) => self.note_silence(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= tell_at {
                println!("{}", totals(&self.tally, start));
                tell_at += TELL_EVERY;
            }
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn totals(tally: &Tally, start: Instant) -> String {
    let seconds = start.elapsed().as_secs_f64();
    let Tally { histories, states, nested, damaged } = tally;
    let nested_in_all: u64 = nested.iter().sum();
    format!(
        "{seconds:.0} s: {states} crash states of {histories} histories, {nested_in_all} of them \
         nested (1 deep {}, 2 deep {}, 3 deep {}), {:.0} per second; {damaged} damaged states",
        nested[0],
        nested[1],
        nested[2],
        *states as f64 / seconds
    )
}

fn main() -> ExitCode {
    let request = match Request::read() {
        Ok(request) => request,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::from(2);
        }
    };
    if let Some(plan) = &request.replay {
        return work::replay(plan);
    }
    if let Some(number) = request.worker {
        return work::work(&request, number);
    }
    let Request { seconds, seed, workers, .. } = request;
    println!("torture: seed {seed}, {seconds} s, {workers} workers");
    let start = Instant::now();
    let mut crew = match Crew::start(&request) {
        Ok(crew) => crew,
        Err(error) => {
            println!("no worker can be started: {error}");
            return ExitCode::from(2);
        }
    };
    crew.watch(start);
    println!("torture, seed {seed}, in all: {}", totals(&crew.tally, start));
    for failure in &crew.failures {
        println!("FAILED: {failure}");
    }
    if crew.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
