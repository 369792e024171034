//! A simulated world: the bridge's real code, a model broker and a model AWS on one thread with a virtual clock, and
//! every fault drawn from a seed. The same seed makes the same world, event for event. Opens no socket.
//!
//! It judges interleavings. What it cannot show is how real brokers, TLS and processes behave: that is for the tests
//! with real parts.

mod broker;
mod campaign;
mod chance;
mod cloud;
pub mod command;
mod letter;
mod link;
mod mapping;
mod oracle;
mod plan;
mod process;
mod record;
mod settings;
mod shrink;
mod sites;
mod stage;
mod timeline;
mod watcher;

pub use broker::Habits;
pub use campaign::{Campaign, Tally, play};
pub use plan::{Faults, Plan, Profile};
pub use record::{Line, Violation};
pub use shrink::{Less, shrink};
pub use stage::{Outcome, run};
