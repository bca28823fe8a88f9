//! top: rates, latencies, segments and garbage of a database that another process has open, from
//! what it publishes (the option publish_stats_ms). The database is not opened.

mod lines;
mod rates;
mod screen;
mod state;
mod view;

use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::args::{Shared, Top};
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::output::{remark, Out};
use crate::time::unix_ms;
use crate::watch::{sleep, LINES};
use lines::Form;
use rates::Rates;
use screen::{Next, Screen};
use state::{State, Writer};
use view::Frame;

/// Shows what a database does, until Ctrl-C, or until it is closed.
pub fn top(args: &Top, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let followed = Followed::begin(&args.db)?;
    if args.once || shared.json || !io::stdout().is_terminal() {
        return print(args, shared, &cancel, followed);
    }
    show(args, shared, &cancel, followed)
}

/// A line each interval, or one alone.
fn print(
    args: &Top,
    shared: &Shared,
    cancel: &Cancel,
    mut followed: Followed,
) -> Result<Outcome, Failure> {
    let mut out = Out::new();
    if args.once {
        let rates = followed.rates();
        match shared.json {
            true => out.json(&lines::as_json(&rates, Form::Whole))?,
            false => {
                for line in view::all(&rates, &frame(args, view::COLUMNS, usize::MAX)) {
                    out.line(&line.text)?;
                }
            }
        }
        out.flush()?;
        return Ok(Outcome::Done);
    }
    for line in 0_u64.. {
        if !sleep(args.interval, cancel) {
            break;
        }
        if !followed.look()? {
            remark(shared, &closed(args));
            break;
        }
        let rates = followed.rates();
        if shared.json {
            out.json(&lines::as_json(&rates, Form::Short))?;
        } else {
            if line.is_multiple_of(LINES) && !shared.quiet {
                out.line(lines::HEADER)?;
            }
            out.line(&lines::as_text(&rates))?;
        }
        out.flush()?;
    }
    Ok(Outcome::Done)
}

/// A screen that is drawn again each interval.
fn show(
    args: &Top,
    shared: &Shared,
    cancel: &Cancel,
    mut followed: Followed,
) -> Result<Outcome, Failure> {
    let mut screen = Screen::enter(has_colour(args))?;
    let mut due = Instant::now() + args.interval;
    loop {
        let (columns, rows) = screen.size();
        screen.draw(&view::all(&followed.rates(), &frame(args, columns, rows)))?;
        match screen.wait(due, cancel)? {
            Next::End => return Ok(Outcome::Done),
            Next::Draw => (),
            Next::Look => {
                due = Instant::now() + args.interval;
                if !followed.look()? {
                    drop(screen);
                    remark(shared, &closed(args));
                    return Ok(Outcome::Done);
                }
            }
        }
    }
}

fn frame(args: &Top, columns: usize, rows: usize) -> Frame<'_> {
    Frame { path: &args.db, interval: args.interval, columns, rows, is_once: args.once }
}

fn closed(args: &Top) -> String {
    format!("{} was closed", args.db.display())
}

/// Whether colours are wanted: https://no-color.org has the variable.
fn has_colour(args: &Top) -> bool {
    !args.no_color && env::var_os("NO_COLOR").is_none_or(|said| said.is_empty())
}

/// The last two states of a database.
struct Followed {
    path: PathBuf,
    before: State,
    /// Until when that one held.
    before_ms: u64,
    now: State,
    /// Until when this one is known to hold.
    now_ms: u64,
}

impl Followed {
    /// The first look: what has happened since the database was opened.
    fn begin(path: &Path) -> Result<Followed, Failure> {
        let Some(now) = State::read(path)? else {
            let what = format!(
                "{} publishes no figures: no process has it open with the option \
                 publish_stats_ms. The program sets it before kv_open(): \
                 kv_options_set(options, \"publish_stats_ms\", \"1000\")",
                path.display()
            );
            return Err(Failure::no("not_published", what));
        };
        must_run(path, &now)?;
        let before = now.at_opening();
        let (before_ms, now_ms) = (before.unix_ms, now.unix_ms);
        Ok(Followed { path: path.to_owned(), before, before_ms, now, now_ms })
    }

    /// Looks again: what has happened since the last look. Answers `false` if it was closed.
    fn look(&mut self) -> Result<bool, Failure> {
        let Some(found) = State::read(&self.path)? else { return Ok(false) };
        must_run(&self.path, &found)?;
        if found.unix_ms != self.now.unix_ms || found.pid != self.now.pid {
            self.before = std::mem::replace(&mut self.now, found);
            self.before_ms = self.now_ms;
            if !self.before.is_of_the_same_open(&self.now) {
                self.before = self.now.at_opening();
                self.before_ms = self.before.unix_ms;
            }
            self.now_ms = self.now.unix_ms;
        } else if self.now.age_ms() > 2 * self.now.interval_ms {
            // It publishes when figures have changed, so they have not.
            self.before = self.now.clone();
            self.before_ms = self.now_ms;
            self.now_ms = unix_ms().saturating_sub(self.now.interval_ms);
        }
        Ok(true)
    }

    fn rates(&self) -> Rates<'_> {
        let ms = self.now_ms.saturating_sub(self.before_ms);
        Rates { before: &self.before, now: &self.now, seconds: ms as f64 / 1000.0 }
    }
}

/// An error if the process that wrote these figures is gone.
fn must_run(path: &Path, state: &State) -> Result<(), Failure> {
    if state.writer() != Writer::IsGone {
        return Ok(());
    }
    let what = format!(
        "the figures of {} are {:.1} s old, and process {}, which wrote them, is gone: it has not \
         closed the database. The next open removes them",
        path.display(),
        state.age_ms() as f64 / 1000.0,
        state.pid
    );
    Err(Failure::no("stale", what))
}
