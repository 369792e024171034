//! A whole local world for the bridge: a broker with mutual TLS, a local Lambda that runs the real function, simulated
//! sensors, and faults on request. The demo shows it, the end-to-end tests stand on it.
//!
//! Depends on the bridge, never the reverse. Listens on the loopback interface alone.

pub mod bench;
pub mod binaries;
pub mod broker;
pub mod bucket;
pub mod certs;
pub mod demo;
pub mod fleet;
pub mod front;
pub mod lab;
pub mod lambda;
pub mod leftovers;
pub mod observer;
pub mod oracle;
pub mod parts;
pub mod plot;
pub mod progress;
pub mod proxy;
pub mod queue;
pub mod replicas;
pub mod report;
pub mod scene;
pub mod scripted;
pub mod sensors;
pub mod sim;
pub mod soak;
pub mod tools;
pub mod wiretap;
pub mod world;
