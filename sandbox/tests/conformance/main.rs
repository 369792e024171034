//! Promise: the bridge keeps the rules that MQTT has for a client, also with a broker that does not keep its own. Each test
//! names the rule, by its number in MQTT 5; where MQTT 3.1.1 has it too, both versions are played.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step of a test that fails, fails the test")]

mod acks;
mod connect;
mod reasons;
mod receive_maximum;
mod sessions;
mod subscribe;

#[path = "../common/mod.rs"]
mod common;
#[path = "../parts/messages.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod messages;
#[path = "../parts/stage.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod stage;
