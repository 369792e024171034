//! The data for a span when its delivery has an outcome. Never the payload.

use std::fmt::Display;
use std::time::{Instant, SystemTime};

/// The end of a delivery.
#[derive(Clone, Copy)]
pub struct Ended<'a> {
    /// The topic it was published to.
    pub topic: &'a str,
    /// The topic filter that it came by, as far as is known.
    pub subscription: Option<&'a str>,
    /// Its name towards the function.
    pub record: &'a dyn Display,
    /// The quality of service.
    pub qos: u8,
    /// The outcome, as metrics call it.
    pub outcome: &'static str,
    /// Whether that is a failure.
    pub failed: bool,
    /// When it was received, by both clocks.
    pub received: (SystemTime, Instant),
}
