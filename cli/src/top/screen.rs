//! The terminal: another screen while the command runs, and the one that was there afterwards,
//! whatever ends it.

use std::io::{self, Write};
use std::panic;
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};

use super::view::{Line, Look, COLUMNS};
use crate::cancel::Cancel;
use crate::fail::Failure;

/// Lines where nobody knows how many there are.
const ROWS: usize = 24;
/// How long nobody looks whether the command is to end.
const DEAF_FOR: Duration = Duration::from_millis(50);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is time to look at the database again.
    Look,
    /// The size has changed.
    Draw,
    /// Somebody wants it to end.
    End,
}

/// The other screen, until this is dropped.
pub struct Screen {
    has_colour: bool,
}

impl Screen {
    /// Goes to the other screen.
    pub fn enter(has_colour: bool) -> Result<Screen, Failure> {
        terminal::enable_raw_mode().map_err(|error| Failure::io("use the terminal", &error))?;
        // From here on it is left when something fails.
        let screen = Screen { has_colour };
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // So that what went wrong can be read.
            leave();
            before(info);
        }));
        let entered = execute!(io::stdout(), EnterAlternateScreen, DisableLineWrap, Hide);
        entered.map_err(|error| Failure::output(&error))?;
        Ok(screen)
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let size = terminal::size().ok().filter(|&(columns, rows)| columns > 0 && rows > 0);
        size.map_or((COLUMNS, ROWS), |(columns, rows)| (columns.into(), rows.into()))
    }

    /// Shows these lines, which fit.
    pub fn draw(&mut self, lines: &[Line]) -> Result<(), Failure> {
        self.try_draw(lines).map_err(|error| Failure::output(&error))
    }

    fn try_draw(&self, lines: &[Line]) -> io::Result<()> {
        // At once, so that a slow terminal does not show a half.
        let mut out = io::BufWriter::new(io::stdout());
        queue!(out, BeginSynchronizedUpdate)?;
        for (row, line) in (0..).zip(lines) {
            queue!(out, MoveTo(0, row), Print(self.painted(line)), Clear(ClearType::UntilNewLine))?;
        }
        if (lines.len()) < self.size().1 {
            queue!(out, MoveTo(0, lines.len() as u16), Clear(ClearType::FromCursorDown))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }

    fn painted(&self, line: &Line) -> String {
        if self.has_colour {
            painted(line)
        } else {
            line.text.clone()
        }
    }

    /// Waits until it is time to look, or something happens before.
    pub fn wait(&mut self, due: Instant, cancel: &Cancel) -> Result<Next, Failure> {
        loop {
            if cancel.is_asked() {
                return Ok(Next::End);
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Next::Look);
            }
            let failed = |error| Failure::io("read the terminal", &error);
            if event::poll(left.min(DEAF_FOR)).map_err(failed)? {
                match event::read().map_err(failed)? {
                    Event::Key(key) if key.kind == KeyEventKind::Press => {
                        let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
                        match key.code {
                            KeyCode::Char('c') if with_control => return Ok(Next::End),
                            KeyCode::Char('q') | KeyCode::Esc => return Ok(Next::End),
                            _ => (),
                        }
                    }
                    Event::Resize(..) => return Ok(Next::Draw),
                    _ => (),
                }
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Goes back. Twice does no harm.
fn leave() {
    // A terminal that is gone has no screen to go back to.
    let _ = execute!(io::stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// A line in colours.
fn painted(line: &Line) -> String {
    let text = &line.text;
    match line.look {
        Look::Plain => text.clone(),
        Look::Heading => format!("{BOLD}{text}{PLAIN}"),
        Look::Warning => format!("{RED}{text}{PLAIN}"),
        Look::Bar => {
            let Some((name, rest)) = text.split_once('[') else { return text.clone() };
            let (bar, rest) = rest.split_once(']').unwrap_or((rest, ""));
            let live = bar.trim_start_matches('#');
            let dead = live.trim_start_matches('-');
            let (green, yellow) =
                (&bar[..bar.len() - live.len()], &live[..live.len() - dead.len()]);
            let end = if text.contains(']') { "]" } else { "" };
            format!("{name}[{GREEN}{green}{YELLOW}{yellow}{PLAIN}{dead}{end}{rest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_change_no_character() {
        let texts = ["kv", "a [##--.. ] b", "a [##--", "a [", "[]", ""];
        for look in [Look::Plain, Look::Heading, Look::Bar, Look::Warning] {
            for text in texts {
                let mut shown = painted(&Line { text: text.to_owned(), look });
                for code in [BOLD, RED, GREEN, YELLOW, PLAIN] {
                    shown = shown.replace(code, "");
                }
                assert_eq!(shown, text, "{look:?}");
            }
        }
    }
}
