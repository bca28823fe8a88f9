//! Random histories of every kind, each from a seed: run, judged, and made smaller if they fail.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod backup;
pub mod crash;
pub mod damage;
pub mod fault;
pub mod minimise;
pub mod plan;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::seed;
use crate::common::trace::{Tally, Trace};
use plan::{At, Kind, Plan};

/// What has become of a history.
pub struct Outcome {
    pub tally: Tally,
    /// The steps that were begun, in order.
    pub begun: Vec<At>,
    /// What was wrong.
    pub failure: Option<String>,
}

/// Runs a history.
///
/// # Panics
/// If something is wrong.
pub fn run(plan: &Plan, trace: &Arc<Trace>) {
    match plan.kind {
        Kind::Crash | Kind::Expiry | Kind::Damage => crash::run(plan, trace),
        Kind::Backup => backup::run(plan, trace),
        Kind::Fault => fault::run(plan, trace),
    }
    trace.count_history();
}

/// Runs a history; answers how many states were examined.
///
/// # Panics
/// If something is wrong.
pub fn run_seed(kind: Kind, seed: u64) -> u64 {
    let trace = Arc::default();
    run(&Plan::new(kind, seed), &trace);
    let tally = trace.tally();
    tally.states + tally.damaged
}

/// Runs histories of a kind, each with a seed of its own: until they have had so many states, or
/// for KV_CRASH_SECONDS.
///
/// # Panics
/// If something is wrong.
#[allow(clippy::print_stdout, reason = "how many states were examined is worth knowing")]
pub fn run_all(kind: Kind, least: u64) {
    let limit = std::env::var("KV_CRASH_SECONDS").ok().and_then(|text| text.parse().ok());
    let (start, first) = (Instant::now(), seed());
    let is_over = |states: u64| match limit {
        Some(seconds) => start.elapsed() >= Duration::from_secs(seconds),
        None => states >= least,
    };
    let (mut states, mut histories) = (0, 0);
    while !is_over(states) {
        states += run_seed(kind, first.wrapping_add(histories));
        histories += 1;
    }
    let seconds = start.elapsed().as_secs_f32();
    println!("{states} states of {histories} histories in {seconds:.1} s, seed {first}");
}

/// Runs a history, and keeps what is wrong. With `tells`, its steps are printed.
pub fn try_run(plan: &Plan, tells: bool) -> Outcome {
    let trace = Arc::new(Trace::new(tells));
    let result = catch_unwind(AssertUnwindSafe(|| run(plan, &trace)));
    let failure = result.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let other = || panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(other).unwrap_or_else(|| "a panic without words".to_owned())
    });
    Outcome { tally: trace.tally(), begun: trace.begun(), failure }
}
