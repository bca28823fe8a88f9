//! Progress bars: on standard error, if that is a terminal, and nowhere else.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kv::db::Progress;

use crate::args::Shared;
use crate::cancel::Cancel;

/// A bar, which may be one that nobody sees.
pub struct Bar(ProgressBar);

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Things,
}

impl Bar {
    /// A bar for what is being done, of which there is `total`, as far as that is known.
    pub fn new(shared: &Shared, what: &str, unit: Unit, total: Option<u64>) -> Bar {
        if shared.quiet || !io::stderr().is_terminal() {
            return Bar(ProgressBar::hidden());
        }
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(total.unwrap_or(0)), target);
        // The templates are constants: where one is wrong, the bar looks otherwise.
        let style = ProgressStyle::with_template(template(unit, total.is_some()));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// A bar that the library moves.
    pub fn of_library(shared: &Shared, what: &str) -> Bar {
        Bar::new(shared, what, Unit::Bytes, Some(0))
    }

    /// Moves it.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// What the library is to call: it moves the bar and ends the call if that is asked for.
    pub fn follow<'a>(
        &'a self,
        cancel: &'a Cancel,
    ) -> impl FnMut(&Progress) -> ControlFlow<()> + 'a {
        move |now| {
            if self.0.length() != Some(now.total_bytes) {
                self.0.set_length(now.total_bytes);
            }
            self.0.set_position(now.done_bytes);
            cancel.flow()
        }
    }

    /// Says a line above the bar.
    pub fn say(&self, line: &str) {
        use std::io::Write;
        self.0.suspend(|| {
            // Where standard error cannot be written, nobody can be told.
            let _ = writeln!(io::stderr(), "{line}");
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn template(unit: Unit, has_end: bool) -> &'static str {
    match (unit, has_end) {
        (Unit::Bytes, true) => {
            "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
        }
        (Unit::Bytes, false) => "{msg} {spinner} {bytes}, {bytes_per_sec}",
        (Unit::Things, true) => "{msg} [{bar:30}] {pos} of {len}, {per_sec}, {eta} left",
        (Unit::Things, false) => "{msg} {spinner} {pos}, {per_sec}",
    }
}
