//! One worker: runs its part of the histories, and tells of each.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::histories::minimise::minimise;
use crate::histories::plan::Plan;
use crate::histories::try_run;
use crate::Request;

/// How long a failing history is made smaller.
const MINIMISING: Duration = Duration::from_secs(90);

/// The history of a number.
fn plan_of(request: &Request, number: u64) -> Plan {
    // Neighbouring seeds share no histories.
    let seed = request.seed.wrapping_mul(1 << 32).wrapping_add(number);
    Plan::new(request.kinds[number as usize % request.kinds.len()], seed)
}

/// Runs every history whose turn it is, until the time is over or one fails.
pub fn work(request: &Request, worker: u64) -> ExitCode {
    // What is wrong is told by whoever ran the history.
    std::panic::set_hook(Box::new(|_| ()));
    let start = Instant::now();
    let mut number = worker;
    while start.elapsed() < Duration::from_secs(request.seconds) {
        let plan = plan_of(request, number);
        println!("begin {plan}");
        let outcome = try_run(&plan, false);
        if let Some(failure) = outcome.failure {
            tell_failure(&plan, failure, &outcome.begun);
            return ExitCode::FAILURE;
        }
        let tally = outcome.tally;
        let nested = tally.nested.map(|count| count.to_string()).join(" ");
        println!("done {} {} {nested}", tally.states, tally.damaged);
        number += request.workers;
    }
    ExitCode::SUCCESS
}

fn tell_failure(plan: &Plan, failure: String, begun: &[(usize, usize)]) {
    println!("a history fails after {} steps: {plan}", begun.len());
    println!("{failure}");
    let again = try_run(plan, false);
    let Some(failure) = again.failure else {
        println!("(run again, it does not: it depends on its threads)");
        println!("replay: {plan}");
        return;
    };
    println!("making it smaller, for {} s at most ...", MINIMISING.as_secs());
    let (smallest, failure) = minimise(plan, failure, &again.begun, MINIMISING);
    let left = try_run(&smallest, false).begun.len();
    println!("it still fails with {left} steps:\n{failure}");
    println!("replay: make torture REPLAY={smallest}");
}

/// Runs one history, and prints its steps and what is wrong.
pub fn replay(plan: &str) -> ExitCode {
    let plan: Plan = match plan.parse() {
        Ok(plan) => plan,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::from(2);
        }
    };
    let outcome = try_run(&plan, true);
    match outcome.failure {
        Some(failure) => {
            println!("FAILED: {failure}");
            ExitCode::FAILURE
        }
        None => {
            println!("nothing is wrong: {} crash states", outcome.tally.states);
            ExitCode::SUCCESS
        }
    }
}
