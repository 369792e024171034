//! The promise: what the bridge takes a broker for is decided by this table, row by row. Shown by
//! `cargo test -p sandbox --test tls_table -- --nocapture`: one line a case, with the words of the refusal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step of a test that fails, fails the test")]

mod certificates;
mod handshakes;
mod names;
mod ours;
mod table;

#[path = "../common/mod.rs"]
mod common;
#[path = "../parts/tls_peer.rs"]
mod peer;
#[path = "../parts/tls_pki.rs"]
mod pki;
