//! What kill -9 leaves: a child of the child fills a database and is killed at its last put.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::Job;
use crate::data::{key, Values};
use crate::engine::{Engine, Session, Setup};
use crate::perform::{Act, Performer};
use crate::settings;
use crate::streams;

/// What the child says after its last put was acknowledged.
const LOADED: &str = "loaded";

fn open<E: Engine>(job: &Job, path: &Path) -> Result<E, String> {
    E::open(&Setup { path, keys: job.keys, value: job.value, durable: false })
}

/// Fills the database, says so, and waits to be killed.
pub fn load<E: Engine>(job: &Job) -> Result<(), String> {
    let path = job.directory.join("killed");
    let (engine, values) = (open::<E>(job, &path)?, Values::new(job.value));
    let list = streams::each_once(job.keys, true);
    Performer { engine: &engine, values: &values, phase: 1, limit: Duration::MAX }
        .run(Act::Put, &[list]);
    println!("{LOADED}");
    loop {
        std::thread::park();
    }
}

/// Has a database filled and its process killed; tells how long opening takes and what is left.
pub fn measure<E: Engine>(job: &Job, tell: fn(&str, f64)) -> Result<(), String> {
    let path = job.fresh("killed");
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .args(settings::child_arguments("--load", job))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let output = child.stdout.take().ok_or("the child has no output")?;
    let is_loaded = BufReader::new(output).lines().map_while(Result::ok).any(|l| l == LOADED);
    child.kill().map_err(|e| e.to_string())?;
    child.wait().map_err(|e| e.to_string())?;
    if !is_loaded {
        return Err("the child that was to fill a database failed".to_owned());
    }
    let begin = Instant::now();
    match open::<E>(job, &path) {
        Ok(engine) => {
            engine.session().get(&key(0), |_| {});
            tell("open-killed", begin.elapsed().as_secs_f64() * 1e3);
            tell("kept-killed", 100.0 * kept(&engine, job) as f64 / job.keys as f64);
            engine.close();
        }
        Err(message) => {
            eprintln!("{}: does not open after kill -9: {message}", job.engine);
            tell("kept-killed", 0.0);
        }
    }
    std::fs::remove_dir_all(path).map_err(|e| e.to_string())
}

/// How many keys have their values. A wrong value is a lost one.
fn kept(engine: &impl Engine, job: &Job) -> u64 {
    let (values, mut session) = (Values::new(job.value), engine.session());
    let (mut kept, mut wrong) = (0, 0);
    for number in 0..job.keys {
        session.get(&key(number), |value| match values.phase_of(number, value) {
            Some(1) => kept += 1,
            _ => wrong += 1,
        });
    }
    if wrong > 0 {
        eprintln!("{}: {wrong} wrong values after kill -9", job.engine);
    }
    kept
}
