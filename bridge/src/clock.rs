//! The one clock of everything that waits: tokio's, which tests and simulated worlds can hold. Its moments are those of the
//! standard library, so that what is pure needs no runtime.

use std::time::Instant;

/// This moment.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
