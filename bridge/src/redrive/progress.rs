//! The progress of a redrive: one line that is overwritten on a terminal, and otherwise a log line from time to time.
//! Counts nothing itself.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use tracing::info;

use super::Summary;

/// How often a line is written over, and how often the log gets one.
const ON_TERMINAL: Duration = Duration::from_millis(100);
const IN_LOG: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    terminal: bool,
    begun: Instant,
    told: Instant,
    /// Whether there is a line to end.
    open: bool,
}

impl Progress {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { terminal: io::stderr().is_terminal(), begun: now, told: now, open: false }
    }

    pub(super) fn tell(&mut self, so_far: &Summary) {
        if self.told.elapsed() < if self.terminal { ON_TERMINAL } else { IN_LOG } {
            return;
        }
        self.told = Instant::now();
        let Summary { redriven, failed, skipped, .. } = so_far;
        if !self.terminal {
            info!(event = "redrive.progress", redriven, failed, skipped, "redriving");
            return;
        }
        let seconds = self.begun.elapsed().as_secs();
        // If the line cannot be written, it is left out.
        let _ = write!(io::stderr(), "\r{redriven} redriven, {failed} failed again, {skipped} skipped, {seconds} s ");
        self.open = true;
    }

    pub(super) fn end(&mut self) {
        if self.open {
            let _ = writeln!(io::stderr());
            self.open = false;
        }
    }
}
