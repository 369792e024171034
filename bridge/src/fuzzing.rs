//! The entry points for bytes that somebody else has chosen, each with what must hold for any bytes at all. Called by the
//! property tests beside it at their everyday size, and by the fuzz targets in `fuzz/` for as long as one likes. Not part
//! of what is deployed: only tests and the feature `fuzzing` compile it.

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
