//! What a function can answer: a record to be tried again, one to give up, a command to a device, and a reply to who
//! asked. `cargo run --example answers` prints it.

use mqtt_lambda_event::{Encoding, ItemFailure, Publish, Reply, Response};
use serde_json::value::to_raw_value;

fn main() -> Result<(), serde_json::Error> {
    let response = Response {
        batch_item_failures: vec![
            ItemFailure::retry("id-1", "table: throttled"),
            ItemFailure::give_up("id-2", "payload: not JSON"),
        ],
        publish: vec![Publish {
            item_identifier: Some("id-3".to_owned()),
            // The device's own name, out of the topic that its message came by.
            topic: "devices/{topic[1]}/command".to_owned(),
            payload: to_raw_value(&serde_json::json!({"set": "idle"}))?,
            encoding: Encoding::Json,
            qos: Some(1),
            retain: false,
        }],
        reply: vec![Reply {
            item_identifier: "id-4".to_owned(),
            payload: to_raw_value("stored")?,
            encoding: Encoding::Text,
        }],
    };
    println!("{}", serde_json::to_string_pretty(&response)?);
    Ok(())
}
