//! The promise: filters, `message_id` and all other readers of a payload read it in place. A parsed tree of `[0,0,…]`
//! takes seventeen times the bytes.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]
#![cfg(target_os = "linux")]

use std::fs;

use bridge::config::{MessageId, Qos};
use bridge::mapping::filter::Filters;
use bridge::mapping::has_id;
use bridge::message::Message;
use bridge::payload::Look;
use serde_json::{Value, json};

/// The bytes of the payload; its tree would take seventeen times as many.
const PAYLOAD: usize = 1 << 20;

/// The most memory that this process has had at once, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn message() -> Message {
    let zeroes = "0,".repeat(PAYLOAD / 2);
    Message {
        topic: "sensor/data".into(),
        payload: format!(r#"{{"samples":[{zeroes}0],"id":"m-1","status":"ALARM"}}"#).into(),
        qos: Qos::AtLeastOnce,
        retain: false,
        dup: false,
        properties: None,
    }
}

/// The only test of this program, so that nothing else allocates meanwhile.
#[test]
fn a_long_list_takes_no_memory_beside_its_own_also_where_a_pattern_or_an_id_is_about_it() {
    let message = message();
    let filters = |pattern: Value| Filters::parse(&[json!({ "payload": pattern })]).unwrap();
    let before = peak();
    assert!(filters(json!({ "status": ["ALARM"] })).matches(&message));
    assert!(filters(json!({ "samples": [0], "status": ["ALARM"] })).matches(&message));
    assert!(!filters(json!({ "samples": [1] })).matches(&message));
    assert!(!filters(json!({ "samples": { "a": [1] } })).matches(&message));
    assert!(has_id(&message, &MessageId::Payload("/id".into())));
    assert!(!has_id(&message, &MessageId::Payload("/samples".into())));
    assert!(Look::at(&message.payload).json().unwrap().at("/samples/500000").is_some());
    let taken = peak() - before;
    assert!(taken < PAYLOAD / 2, "{taken} bytes for a payload of {PAYLOAD}");

    // The allocations that a tree would make, which this test would see.
    let tree: Value = serde_json::from_slice(&message.payload).unwrap();
    assert!(tree["samples"].is_array() && peak() - before > 8 * PAYLOAD, "the measure is blind");
}
