//! A function for the MQTT bridge to begin with: takes readings, and answers record by record. Knows no Lambda runtime, so that a test calls
//! it directly.

use mqtt_lambda_event::{Event, ItemFailure, Payload, Record, Response};
use serde::Deserialize;

/// What a device publishes.
#[derive(Debug, Deserialize)]
struct Reading {
    temperature: f64,
}

/// Takes each record of the event. Those that fail are named, and no other is sent again.
#[must_use]
pub fn handle(event: &Event) -> Response {
    let failed = |record: &Record| take(record).err().map(|reason| ItemFailure::give_up(&record.id, reason));
    Response { batch_item_failures: event.records.iter().filter_map(failed).collect(), ..Response::default() }
}

/// Does with one message what the function is for. Whatever another attempt could help is an `ItemFailure::retry` instead.
fn take(record: &Record) -> Result<(), String> {
    let Ok(Payload::Json(text)) = record.payload() else { return Err("payload: not JSON".to_owned()) };
    // The error of the parser may repeat what it has read.
    let reading: Reading = serde_json::from_str(text.get()).map_err(|_| "payload: no reading".to_owned())?;
    println!("{}: {} degrees", record.id, reading.temperature);
    Ok(())
}
