//! An event source mapping for MQTT: subscribes to a broker over verified TLS and invokes a Lambda function for its
//! messages, acknowledging each only after its outcome.
//!
//! The way of a message: [`mqtt`] receives it and books it, a [`delivery`] of it goes to a lane of its [`mapping`],
//! [`lambda`] carries it to the function, [`dead_letter`] keeps it if the function will not have it, and its outcome
//! goes back to the session, which acknowledges in receive order. ARCHITECTURE.md draws the whole.

pub mod admin;
pub mod aws;
pub mod backoff;
pub mod check;
pub mod cli;
mod clock;
pub mod config;
pub mod content;
mod crypto;
pub mod dead_letter;
pub mod delivery;
#[cfg(test)]
mod docs;
pub mod foreign;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod kubernetes;
pub mod lambda;
pub mod latest;
pub mod logging;
pub mod mapping;
pub mod message;
pub mod metrics;
pub mod mqtt;
mod notify;
pub mod otlp;
pub mod outgoing;
pub mod panics;
pub mod payload;
pub mod redrive;
mod repeats;
mod secret;
pub mod shutdown;
mod supervisor;
pub mod topic;
mod tunnel;

pub use supervisor::{Bridge, Exit, ServeError, StartError, serve};
