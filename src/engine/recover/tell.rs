//! What is told of an open: how the database was found, and what was cut off.

use std::time::Instant;

use super::{FoundTail, Recovery};
use crate::engine::herald::ns;
use crate::engine::Engine;
use crate::format::name;
use crate::notice::{Event, Figures, Level};

impl Engine {
    /// Tells that the database is open.
    pub(super) fn tell_opened(&self, began: Instant, exists: bool, was_closed: bool, from: &str) {
        let (way, from) = match (exists, was_closed) {
            (false, _) => ("it is new", ""),
            (true, true) => ("it had been closed; its index comes from ", from),
            (true, false) => ("it had not been closed; its index comes from ", from),
        };
        let took = began.elapsed();
        let (mut segments, mut bytes) = (0_u64, 0);
        self.table.look_at_all(|segment| {
            segments += 1;
            bytes += segment.len();
        });
        let keys = self.len() as u64;
        let figures = Figures { count: keys, bytes, duration_ns: ns(took), segment: 0 };
        let words = format_args!(
            "{}: opened in {took:.1?}: {keys} keys in {segments} segments of {bytes} bytes; \
             {way}{from}",
            self.storage.path(),
        );
        self.herald.tell(Level::Info, Event::Opened, figures, words);
    }
}

impl Recovery {
    /// Tells that the end of the log was torn.
    pub(super) fn tell_tail_cut(&self, tail: &FoundTail) {
        let Some(what) = tail.torn else { return };
        let id = tail.segment.header.id;
        let figures = Figures { segment: id, bytes: tail.len, ..Figures::default() };
        let words = format_args!(
            "{}/{}: a crash tore the end of the log, which ends at byte {} now ({what})",
            self.storage.path(),
            name::segment(id),
            tail.len,
        );
        self.herald.tell(Level::Warn, Event::TailCut, figures, words);
    }
}
