//! The fault matrix: one test a row, named after it. What each row promises, and where rows that are proved elsewhere
//! have their test, stands in docs/guarantees.md; `table.rs` holds that page to the truth.
//!
//! `FULL_SIZE=1` runs every row in its full size.

mod broker;
mod fleet;
mod lambda;
mod limits;
mod line;
mod machine;
mod process;
mod replicas;
mod rings;
mod scene;
mod soak;
mod table;
