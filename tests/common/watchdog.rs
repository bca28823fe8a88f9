//! A watchdog: ends a test that waits for ever, and says in what.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is being done, and since when.
type Watched = Arc<Mutex<Option<(String, Instant)>>>;

/// Watches until it is dropped.
pub struct Watchdog(Watched);

impl Watchdog {
    /// Ends the process when one thing has taken longer than `patience`.
    #[allow(clippy::print_stderr, reason = "nobody else could say it")]
    pub fn start(patience: Duration) -> Watchdog {
        let watched: Watched = Arc::new(Mutex::new(Some((String::new(), Instant::now()))));
        let dog = Arc::clone(&watched);
        std::thread::spawn(move || loop {
            std::thread::sleep(Duration::from_millis(250));
            match &*dog.lock().expect("no panic") {
                Some((what, since)) if since.elapsed() > patience => {
                    eprintln!("it has hung for {patience:?}: {what}");
                    std::process::abort();
                }
                Some(_) => {}
                None => return,
            }
        });
        Watchdog(watched)
    }

    /// Says what is being done now.
    pub fn begin(&self, what: &str) {
        *self.0.lock().expect("no panic") = Some((what.to_owned(), Instant::now()));
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Ok(mut watched) = self.0.lock() {
            *watched = None;
        }
    }
}
