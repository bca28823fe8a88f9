//! Makes a failing history smaller: leaves out steps as long as it still fails, halves first, then
//! smaller portions (delta debugging, Zeller and Hildebrandt 2002).

use std::time::{Duration, Instant};

use super::plan::{At, Plan};
use super::try_run;

/// The smallest history found that fails, and how it fails. `plan` failed as `failure` says after
/// it had begun these steps.
pub fn minimise(plan: &Plan, failure: String, begun: &[At], limit: Duration) -> (Plan, String) {
    let deadline = Instant::now() + limit;
    let mut smallest = (plan.clone(), failure);
    let mut steps = begun.to_vec();
    let mut portion = steps.len().div_ceil(2);
    while portion > 0 && Instant::now() < deadline {
        let mut from = 0;
        let mut has_shrunk = false;
        while from < steps.len() && Instant::now() < deadline {
            let to = (from + portion).min(steps.len());
            let candidate = smallest.0.without(&steps[from..to]);
            let outcome = try_run(&candidate, false);
            let is_smaller = outcome.begun.len() < steps.len();
            if let Some(failure) = outcome.failure.filter(|_| is_smaller) {
                smallest = (candidate, failure);
                // What it did not come to is not needed either.
                steps.retain(|step| outcome.begun.contains(step));
                has_shrunk = true;
            } else {
                from = to;
            }
        }
        portion = match portion {
            1 if has_shrunk => 1,
            portion => portion / 2,
        };
    }
    smallest
}
