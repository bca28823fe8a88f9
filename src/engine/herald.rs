//! The herald: takes notices from whoever has seen something, whatever locks he holds, and delivers
//! them on a thread of its own, where none is held.
//!
//! Between the two is a ring that is allocated once. When it is full, what comes is dropped and
//! counted, and the listeners are told how many. The last quarter of it is kept for warnings and
//! errors. Where nobody listens there is no ring and no thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::notice::{Event, Figures, Level, Listeners, Notice, Text};
use crate::storage::process;

/// Notices that wait to be delivered.
const CAPACITY: usize = 256;
/// Of these, so many are for warnings and errors only.
const KEPT: usize = CAPACITY / 4;
/// Damage that is met again is not told again, as far as so many places are remembered.
const PLACES: usize = 64;

thread_local! {
    /// The herald for which this thread delivers, if it does.
    static DELIVERS: Cell<usize> = const { Cell::new(0) };
}

/// Who takes notices.
#[derive(Default)]
pub struct Herald {
    listeners: Listeners,
    ring: Mutex<Ring>,
    rung: Condvar,
    /// Notices that found the ring full.
    dropped: AtomicU64,
    /// Whether the disk was full when somebody last needed room.
    is_full: AtomicBool,
    /// Damage that was told.
    damage: Mutex<VecDeque<Text>>,
}

#[derive(Default)]
struct Ring {
    notices: VecDeque<Notice>,
    /// How many of the dropped ones the listeners know of.
    dropped_told: u64,
    stop: bool,
}

impl Herald {
    /// One for these listeners.
    pub fn new(listeners: Listeners) -> Result<Herald> {
        let capacity = if listeners.is_empty() { 0 } else { CAPACITY };
        let mut ring = Ring::default();
        ring.notices.try_reserve_exact(capacity)?;
        Ok(Herald { listeners, ring: Mutex::new(ring), ..Herald::default() })
    }

    /// Takes a line for the log.
    pub fn log(&self, level: Level, words: fmt::Arguments<'_>) {
        if self.listeners.want(level, None) {
            self.take(level, None, Figures::default(), words);
        }
    }

    /// Takes an event, which is a line for the log too.
    pub fn tell(&self, level: Level, event: Event, figures: Figures, words: fmt::Arguments<'_>) {
        if self.listeners.want(level, Some(event)) {
            self.take(level, Some(event), figures, words);
        }
    }

    /// Takes note of damage, once.
    pub fn tell_damage(&self, error: &Error) {
        if error.kind() != Kind::Corrupt || !self.listeners.want(Level::Error, Some(Event::Damaged))
        {
            return;
        }
        let text = Text::new(format_args!("{error}"));
        {
            let mut damage = self.damage.lock();
            if damage.iter().any(|known| known.as_str() == text.as_str()) {
                return;
            }
            if damage.len() == PLACES {
                damage.pop_front();
            }
            damage.push_back(text);
        }
        let (file, offset) = error.place().unwrap_or_default();
        let name = file.rsplit('/').next().unwrap_or_default();
        let segment = name::parse_segment(name).or(name::parse_hint(name)).unwrap_or(0);
        let figures = Figures { segment, bytes: offset, ..Figures::default() };
        self.tell(Level::Error, Event::Damaged, figures, format_args!("{error}"));
    }

    /// Takes note of whether there was room when somebody needed it; tells it when that changes.
    pub fn tell_room(&self, failure: Option<&Error>) {
        let is_full = failure.is_some_and(|error| error.kind() == Kind::NoSpace);
        if failure.is_some() && !is_full {
            return;
        }
        if self.is_full.swap(is_full, Ordering::Relaxed) == is_full {
            return;
        }
        let none = Figures::default();
        match failure {
            Some(error) => self.tell(Level::Warn, Event::DiskFull, none, format_args!("{error}")),
            None => {
                let words = format_args!("there is room again for writes");
                self.tell(Level::Info, Event::DiskHasRoom, none, words);
            }
        }
    }

    /// Tells of a backup, made or not.
    pub fn tell_backup(&self, path: &Path, took: Duration, failure: Option<&Error>) {
        let path = path.display();
        match failure {
            None => self.log(Level::Info, format_args!("{path}: a backup, made in {took:.1?}")),
            Some(error) => {
                let level = if error.kind() == Kind::Cancelled { Level::Info } else { Level::Warn };
                self.log(level, format_args!("{path}: no backup could be made: {error}"));
            }
        }
    }

    /// Notices that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    #[cold]
    fn take(
        &self,
        level: Level,
        event: Option<Event>,
        figures: Figures,
        words: fmt::Arguments<'_>,
    ) {
        let notice = Notice { level, event, unix_ms: unix_ms(), figures, text: Text::new(words) };
        let mut ring = self.ring.lock();
        let kept = if level <= Level::Warn { 0 } else { KEPT };
        if ring.notices.len() >= CAPACITY - kept {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        ring.notices.push_back(notice);
        drop(ring);
        self.rung.notify_one();
    }

    /// The next notice to deliver; waits for it. None if there is none any more.
    fn next(&self) -> Option<Notice> {
        let mut ring = self.ring.lock();
        loop {
            let dropped = self.dropped();
            let untold = dropped - ring.dropped_told;
            if untold > 0 {
                ring.dropped_told = dropped;
                drop(ring);
                return Some(notice_of_dropped(untold));
            }
            if let Some(notice) = ring.notices.pop_front() {
                return Some(notice);
            }
            if ring.stop {
                return None;
            }
            self.rung.wait(&mut ring);
        }
    }

    /// Delivers notices until it is stopped and none is left.
    fn deliver(&self) {
        DELIVERS.set(std::ptr::from_ref(self).addr());
        while let Some(notice) = self.next() {
            // A listener's panic is its own affair.
            let _ = catch_unwind(AssertUnwindSafe(|| self.listeners.tell(&notice)));
        }
    }

    fn stop(&self) {
        self.ring.lock().stop = true;
        self.rung.notify_one();
    }
}

#[cold]
fn notice_of_dropped(count: u64) -> Notice {
    Notice {
        level: Level::Warn,
        event: Some(Event::Dropped),
        unix_ms: unix_ms(),
        figures: Figures { count, ..Figures::default() },
        text: Text::new(format_args!(
            "{count} messages were dropped, since they were not taken fast enough"
        )),
    }
}

/// Milliseconds since 1970, by the system's clock.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Nanoseconds, for figures.
pub fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The thread that delivers; dropping it delivers the rest.
pub struct Delivery {
    herald: Arc<Herald>,
    thread: Option<JoinHandle<()>>,
}

impl Delivery {
    /// Starts it, if somebody listens.
    pub fn start(listeners: &Listeners) -> Result<Delivery> {
        let herald = Arc::new(Herald::new(listeners.clone())?);
        if listeners.is_empty() {
            return Ok(Delivery { herald, thread: None });
        }
        let delivering = Arc::clone(&herald);
        let thread = process::spawn_quiet("libkv-tell", move || delivering.deliver())?;
        Ok(Delivery { herald, thread: Some(thread) })
    }

    /// Whether it delivers anything.
    pub fn has_listeners(&self) -> bool {
        self.thread.is_some()
    }

    /// Who takes the notices.
    pub fn herald(&self) -> &Arc<Herald> {
        &self.herald
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.herald.stop();
        // A listener that drops the database cannot wait for itself: the rest is told later.
        let is_mine = DELIVERS.get() == Arc::as_ptr(&self.herald).addr();
        if let Some(thread) = self.thread.take().filter(|_| !is_mine) {
            // Panics were caught where they were.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    /// Listeners that keep what they are told, and wait for the lock before.
    fn listeners(level: Level) -> (Listeners, Arc<Mutex<Vec<Notice>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        let log = move |notice: &Notice| keep.lock().push(notice.clone());
        (Listeners { log: Some((level, Arc::new(log))), events: None }, heard)
    }

    #[test]
    fn everything_is_delivered_in_order_when_it_ends() {
        let (listeners, heard) = listeners(Level::Info);
        let delivery = Delivery::start(&listeners).unwrap();
        for number in 0..100 {
            delivery.herald().log(Level::Info, format_args!("{number}"));
            delivery.herald().log(Level::Debug, format_args!("not wanted"));
        }
        drop(delivery);
        let texts: Vec<String> = heard.lock().iter().map(|n| n.text.as_str().to_owned()).collect();
        assert_eq!(texts, (0..100).map(|number: u32| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn what_finds_the_ring_full_is_counted_and_that_is_told() {
        let (listeners, heard) = listeners(Level::Info);
        let delivery = Delivery::start(&listeners).unwrap();
        let held = heard.lock();
        for _ in 0..1000 {
            delivery.herald().log(Level::Info, format_args!("often"));
        }
        // The listener waits with one of them.
        let taken = 1000 - delivery.herald().dropped();
        assert!((CAPACITY - KEPT) as u64 <= taken && taken <= (CAPACITY - KEPT + 1) as u64);
        delivery.herald().log(Level::Error, format_args!("there is room for this"));
        let dropped = delivery.herald().dropped();
        assert_eq!(dropped, 1000 - taken);
        drop(held);
        drop(delivery);
        let heard = heard.lock();
        let told = heard.iter().filter(|notice| notice.event == Some(Event::Dropped));
        assert_eq!(told.map(|notice| notice.figures.count).sum::<u64>(), dropped);
        assert_eq!(heard.iter().filter(|n| n.text.as_str() == "often").count() as u64, taken);
        assert_eq!(heard.last().map(|n| n.level), Some(Level::Error));
    }

    #[test]
    fn the_same_damage_and_the_same_full_disk_are_told_once() {
        let (listeners, heard) = listeners(Level::Debug);
        let delivery = Delivery::start(&listeners).unwrap();
        let herald = delivery.herald();
        let damage = Error::corrupt("00000001.seg", 4096, "checksum");
        let full = Error::new(Kind::NoSpace, "the disk is full");
        for _ in 0..3 {
            herald.tell_damage(&damage);
            herald.tell_room(Some(&full));
            herald.tell_room(Some(&damage));
        }
        herald.tell_room(None);
        herald.tell_room(None);
        herald.tell_room(Some(&full));
        herald.tell_damage(&Error::corrupt("00000001.seg", 8192, "checksum"));
        drop(delivery);
        let events: Vec<Event> = heard.lock().iter().filter_map(|notice| notice.event).collect();
        use Event::{Damaged, DiskFull, DiskHasRoom};
        assert_eq!(events, [Damaged, DiskFull, DiskHasRoom, DiskFull, Damaged]);
    }

    #[test]
    fn a_panic_of_a_listener_ends_nothing() {
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let listener = move |_: &Notice| {
            counting.fetch_add(1, Ordering::SeqCst);
            std::panic::resume_unwind(Box::new("a listener's"));
        };
        let listeners = Listeners { log: None, events: Some(Arc::new(listener)) };
        let delivery = Delivery::start(&listeners).unwrap();
        for _ in 0..3 {
            let figures = Figures::default();
            delivery.herald().tell(Level::Info, Event::Sealed, figures, format_args!("sealed"));
        }
        drop(delivery);
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }
}
