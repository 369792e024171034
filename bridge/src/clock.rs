//! The one clock of everything that waits: tokio's, which tests and simulated worlds can control. Its instants are
//! those of the standard library, so that pure code needs no runtime.

use std::time::{Duration, Instant};

/// This moment.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A duration as a line of the log shows it: in whole milliseconds.
#[must_use]
pub fn whole(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_nanos(u64::from(time.subsec_nanos() % 1_000_000)))
}
