//! Promise: whatever devices, brokers and their operators send, each message is handled, dead-lettered or expired exactly
//! once and then acknowledged; nothing panics; what no broker may send ends the connection with the right reason, and
//! costs no invocation; and logs stay what they are. The configuration has a test of its own, beside the bridge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step of a test that fails, fails the test")]

mod command_line;
mod logs;
mod metadata;
mod packet;
mod payload;
mod poison;
mod reasons;
mod topic;

#[path = "../common/mod.rs"]
mod common;
#[path = "../parts/stage.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod stage;
