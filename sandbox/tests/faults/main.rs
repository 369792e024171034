//! The fault matrix: one test a row, named after it. What each row promises, and where rows that are proved elsewhere
//! have their test, stands in docs/guarantees.md; `table.rs` holds that page to the truth.
//!
//! `FULL_SIZE=1` runs every row in its full size.

#![allow(clippy::large_futures, reason = "each is polled once, in a test")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step of a test that fails, fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod broker;
mod lambda;
mod limits;
mod line;
mod machine;
mod process;
#[path = "../parts/replica.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod replica;
mod replicas;
mod rings;
mod scene;
mod soak;
mod table;
