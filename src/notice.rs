//! What an open database tells the program that uses it: notices of a fixed size, and who listens
//! to them. Plain data, for all rooms.

use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is lost or refused: damage, no more writes.
    Error = 1,
    /// Something needs a look: a full disk, a torn end of the log, slowed writers.
    Warn = 2,
    /// What happens seldom: opening, compaction, closing.
    Info = 3,
    /// What happens often: each segment, each hint.
    Debug = 4,
}

/// What happened, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Notices were dropped before this one, since they were not taken fast enough.
    Dropped = 1,
    /// The database is open.
    Opened = 2,
    /// What a crash had left at the end of the log was cut off.
    TailCut = 3,
    /// A full segment is on the medium for good.
    Sealed = 4,
    /// Compaction has put what was live of some segments in their place.
    Compacted = 5,
    /// Damage was met.
    Damaged = 6,
    /// Writers were made to pause.
    Stalled = 7,
    /// A write found no room.
    DiskFull = 8,
    /// After that, there is room again.
    DiskHasRoom = 9,
    /// The database refuses writes from now on.
    ReadOnly = 10,
    /// The database is closed.
    Closed = 11,
}

/// The numbers of an event; what each means depends on it, and 0 is no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The segment it is about.
    pub segment: u64,
    /// How many.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How long it took.
    pub duration_ns: u64,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// What it is, if programs are told; else it is for people only.
    pub event: Option<Event>,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Its numbers.
    pub figures: Figures,
    /// The same in words.
    pub text: Text,
}

/// Bytes of a text, with its NUL.
const TEXT_SIZE: usize = 512;

/// A text of bounded length, NUL-terminated: what does not fit is cut off.
#[derive(Clone)]
pub struct Text {
    /// None of the first `len` is NUL; all others are.
    bytes: [u8; TEXT_SIZE],
    len: usize,
}

impl Text {
    /// The text, as far as it fits. It allocates nothing.
    pub fn new(words: fmt::Arguments<'_>) -> Text {
        let mut text = Text { bytes: [0; TEXT_SIZE], len: 0 };
        // An error means that the text was cut, or that its own formatting failed.
        let _ = fmt::write(&mut text, words);
        text
    }

    /// For C.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// For Rust.
    pub fn as_str(&self) -> &str {
        self.as_c_str().to_str().unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for c in more.chars() {
            let end = self.len + c.len_utf8();
            if end >= TEXT_SIZE {
                return Err(fmt::Error);
            }
            // A path can hold what a C string cannot.
            let c = if c == '\0' { '?' } else { c };
            c.encode_utf8(&mut self.bytes[self.len..end]);
            self.len = end;
        }
        Ok(())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A function that is told.
pub type Listener = Arc<dyn Fn(&Notice) + Send + Sync>;

/// Who is told.
#[derive(Clone, Default)]
pub struct Listeners {
    /// Told of all that matters at least so much.
    pub log: Option<(Level, Listener)>,
    /// Told of every event.
    pub events: Option<Listener>,
}

impl Listeners {
    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.log.is_none() && self.events.is_none()
    }

    /// Whether somebody wants to be told.
    pub fn want(&self, level: Level, event: Option<Event>) -> bool {
        let to_log = self.log.as_ref().is_some_and(|(most, _)| level <= *most);
        to_log || (event.is_some() && self.events.is_some())
    }

    /// Tells whom it concerns.
    pub fn tell(&self, notice: &Notice) {
        if let Some((_, log)) = self.log.as_ref().filter(|(most, _)| notice.level <= *most) {
            log(notice);
        }
        if let Some(events) = self.events.as_ref().filter(|_| notice.event.is_some()) {
            events(notice);
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.log.as_ref().map(|(level, _)| level);
        f.debug_struct("Listeners")
            .field("log", &level)
            .field("events", &self.events.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_whole_character_and_ends_with_nul() {
        assert_eq!(Text::new(format_args!("{} of {}", 1, "nine")).as_str(), "1 of nine");
        assert_eq!(Text::new(format_args!("")).as_c_str(), c"");
        assert_eq!(Text::new(format_args!("a\0b")).as_c_str(), c"a?b");
        for (unit, len) in [("x", 511), ("é", 510), ("€", 510), ("𝄞", 508)] {
            let text = Text::new(format_args!("{}", unit.repeat(600)));
            assert_eq!(text.as_str(), unit.repeat(len / unit.len()));
            assert_eq!(text.as_c_str().count_bytes(), len);
        }
    }

    #[test]
    fn listeners_get_what_they_asked_for() {
        let listener: Listener = Arc::new(|_| ());
        let log = Listeners { log: Some((Level::Warn, Arc::clone(&listener))), events: None };
        assert!(log.want(Level::Error, None) && log.want(Level::Warn, Some(Event::Stalled)));
        assert!(!log.want(Level::Info, None) && !log.want(Level::Debug, Some(Event::Sealed)));
        let events = Listeners { log: None, events: Some(listener) };
        assert!(!events.want(Level::Error, None) && events.want(Level::Debug, Some(Event::Sealed)));
        assert!(!Listeners::default().want(Level::Error, Some(Event::Damaged)));
        assert!(Listeners::default().is_empty() && !events.is_empty());
    }
}
