//! What the tests of the real binary share: a Lambda Runtime API that hands it events, and tables for it to write to.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

pub mod function;
pub mod http;
pub mod moto;
pub mod table;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Far more than anything here takes; a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `there` gives a value.
pub fn eventually<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = there() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An id as the bridge gives them.
pub fn numbered(n: usize) -> String {
    format!("5b1f0c7e9a3d2468-{n}")
}

/// A time of 2026-11-20, by its hour, minute and second.
pub fn at(time: &str) -> String {
    format!("2026-11-20T{time}.000Z")
}

/// A record with a reading of `device`.
pub fn record(id: &str, device: &str, temperature: f64, received_at: &str) -> Value {
    json!({
        "id": id, "topic": "sensor/data", "qos": 1, "retain": false, "dup": false, "receivedAt": received_at,
        "payload": { "device_id": device, "temperature": temperature, "status": "OK" }, "encoding": "json",
    })
}

/// The same, from a device that tells when it measured.
pub fn timed(id: &str, device: &str, temperature: f64, received_at: &str, measured_at: &str) -> Value {
    let mut record = record(id, device, temperature, received_at);
    record["payload"]["timestamp"] = measured_at.into();
    record
}

/// An event of these records.
pub fn event(records: &[Value]) -> Value {
    json!({ "eventSource": "mqtt", "mapping": "sensor-data", "records": records })
}

/// The ids and the rest of the failures in an answer.
pub fn failures(answer: &Value) -> Vec<(&str, bool, &str)> {
    let failures = answer["batchItemFailures"].as_array().unwrap().iter();
    let parts = |f: &'static str| move |failure: &Value| failure[f].as_bool().unwrap_or(true);
    failures
        .map(|f| (f["itemIdentifier"].as_str().unwrap(), parts("retry")(f), f["reason"].as_str().unwrap()))
        .collect()
}
