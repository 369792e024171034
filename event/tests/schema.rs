//! The promise: `schema.json`, of which the models of other languages are made, says what the types of this crate say.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use mqtt_lambda_event::{Encoding, Event, ItemFailure, Publish, Record, Reply, Response};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// Whether a value is valid for this definition of the schema.
fn takes(name: &str, value: &Value) -> bool {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", schema()).unwrap();
    let definition = compiler.compile(&format!("schema.json#/$defs/{name}"), &mut schemas).unwrap();
    schemas.validate(value, definition).is_ok()
}

/// A record with every field.
fn whole() -> Record {
    Record {
        id: "1".into(),
        topic: "t".into(),
        qos: 2,
        retain: true,
        dup: true,
        received_at: "2026-11-20T12:00:00.123Z".into(),
        user_properties: vec![("a".into(), "b".into())],
        content_type: Some("text/plain".into()),
        response_topic: Some("r".into()),
        correlation_data: Some("AA==".into()),
        subscription: Some("t/#".into()),
        decompressed: Some("gzip".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        payload: to_raw_value("x").unwrap(),
        encoding: Encoding::Text,
    }
}

/// Everything that the types can say, by the name that the schema has for it.
fn said() -> Vec<(&'static str, Value)> {
    let failure = ItemFailure::give_up("1", "why");
    let publish = Publish {
        item_identifier: Some("1".into()),
        topic: "t".into(),
        payload: to_raw_value("x").unwrap(),
        encoding: Encoding::Base64,
        qos: Some(1),
        retain: true,
    };
    let reply = Reply { item_identifier: "1".into(), payload: to_raw_value("x").unwrap(), encoding: Encoding::Text };
    let (failure_said, publish_said, reply_said) = (json!(failure), json!(publish), json!(reply));
    let response = Response { batch_item_failures: vec![failure], publish: vec![publish], reply: vec![reply] };
    let event = Event { event_source: "mqtt".into(), mapping: "m".into(), records: vec![whole()] };
    vec![
        ("Event", json!(event)),
        ("Record", json!(whole())),
        ("Response", json!(response)),
        ("ItemFailure", failure_said),
        ("Publish", publish_said),
        ("Reply", reply_said),
    ]
}

#[test]
fn the_fixtures_are_as_the_schema_says() {
    let fixture = |text| serde_json::from_str::<Value>(text).unwrap();
    assert!(takes("Event", &fixture(include_str!("../fixtures/event.json"))));
    assert!(takes("Response", &fixture(include_str!("../fixtures/response.json"))));
    assert!(!takes("Event", &fixture(include_str!("../fixtures/response.json"))));
}

#[test]
fn the_schema_has_every_field_of_the_types_and_no_other() {
    let schema = schema();
    for (name, value) in said() {
        let fields: BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
        let known: BTreeSet<_> = schema["$defs"][name]["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, known, "{name}");
        assert!(takes(name, &value), "{name}: {value}");
    }
}

#[test]
fn what_is_required_is_what_the_types_cannot_do_without() {
    let schema = schema();
    for (name, value) in said() {
        let required: Vec<_> = schema["$defs"][name]["required"].as_array().cloned().unwrap_or_default();
        for field in value.as_object().unwrap().keys() {
            let mut less = value.clone();
            less.as_object_mut().unwrap().remove(field);
            let needed = match name {
                "Event" => serde_json::from_value::<Event>(less).is_err(),
                "Record" => serde_json::from_value::<Record>(less).is_err(),
                "Response" => serde_json::from_value::<Response>(less).is_err(),
                "Publish" => serde_json::from_value::<Publish>(less).is_err(),
                "Reply" => serde_json::from_value::<Reply>(less).is_err(),
                // Its absence is a failure of the whole batch, which no function should say by mistake.
                _ => field == "itemIdentifier",
            };
            assert_eq!(required.contains(&json!(field)), needed, "{name}.{field}");
        }
    }
}

#[test]
fn every_encoding_is_in_the_schema() {
    let known = schema()["$defs"]["Encoding"]["enum"].clone();
    assert_eq!(known, json!([Encoding::Json, Encoding::Text, Encoding::Base64]));
}
