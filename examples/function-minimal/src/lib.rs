//! A function for the MQTT bridge to start from: handles readings, and answers record by record. It does not depend on
//! a Lambda runtime, so that a test calls it directly.

use mqtt_lambda_event::{Event, ItemFailure, Payload, Record, Response};
use serde::Deserialize;

/// What a device publishes.
#[derive(Debug, Deserialize)]
struct Reading {
    temperature: f64,
}

/// Handles each record of the event. The bridge retries only those that the response names.
#[must_use]
pub fn handle(event: &Event) -> Response {
    let failed = |record: &Record| take(record).err().map(|reason| ItemFailure::give_up(&record.id, reason));
    Response { batch_item_failures: event.records.iter().filter_map(failed).collect(), ..Response::default() }
}

/// The work for one message. Return `ItemFailure::retry` for errors that another attempt may fix.
fn take(record: &Record) -> Result<(), String> {
    let Ok(Payload::Json(text)) = record.payload() else { return Err("payload: not JSON".to_owned()) };
    // The error of the parser may repeat what it has read.
    let reading: Reading = serde_json::from_str(text.get()).map_err(|_| "payload: no reading".to_owned())?;
    println!("{}: {} degrees", record.id, reading.temperature);
    Ok(())
}
