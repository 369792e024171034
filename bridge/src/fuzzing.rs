//! The entry points for untrusted bytes, each with the checks that must hold for any input. The property tests beside
//! it call them with an everyday number of cases, the fuzz targets in `fuzz/` for as long as you like. Only tests and
//! the feature `fuzzing` compile it.

mod contract;
mod settings;
mod source;
mod wire;

pub use contract::{dead_letter, event, response};
pub use settings::{configuration, filter};
pub use wire::mqtt;

/// What must hold for any bytes, or panics.
pub type Target = fn(&[u8]);

/// Every entry point under the name of its fuzz target.
pub const TARGETS: &[(&str, Target)] = &[
    ("configuration", configuration),
    ("dead_letter", dead_letter),
    ("event", event),
    ("filter", filter),
    ("mqtt", mqtt),
    ("response", response),
];

#[cfg(test)]
mod tests;
