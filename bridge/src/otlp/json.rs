//! Spans as the JSON of OTLP over HTTP (OTLP 1.x, "JSON Protobuf Encoding"): ids in hexadecimal, numbers of 64 bits as
//! strings, names in lower camel case. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::context::Context;
use super::span::Span;

/// `SPAN_KIND_CONSUMER`.
const CONSUMER: u8 = 5;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// Flags of a span or link: whether it is known that the parent, or the linked span, belongs to another process, and
/// whether it does.
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// What says who exports: the attributes of the resource.
pub(super) fn resource(instance: &str) -> Value {
    json!({ "attributes": [
        text("service.name", env!("CARGO_PKG_NAME")),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", instance),
    ]})
}

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &Value, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<_> = spans.iter().map(span).collect();
    let scope = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    let request = json!({ "resourceSpans": [{
        "resource": resource,
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }]});
    request.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let remote = if span.parent.is_some() { IS_REMOTE } else { 0 };
    let mut made = json!({
        "traceId": span.context.trace.to_string(),
        "spanId": span.context.span.to_string(),
        "flags": flags(span.context) | KNOWS_REMOTE | remote,
        "name": span.kin.name,
        "kind": CONSUMER,
        "startTimeUnixNano": nanoseconds(span.begun),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes(span),
    });
    if let Some(parent) = span.parent {
        made["parentSpanId"] = parent.to_string().into();
    }
    if !span.links.to.is_empty() {
        made["links"] = span.links.to.iter().map(|context| link(*context)).collect();
        made["droppedLinksCount"] = span.links.dropped.into();
    }
    if span.failed {
        made["status"] = json!({ "code": ERROR, "message": span.outcome });
    }
    made
}

fn link(context: Context) -> Value {
    json!({
        "traceId": context.trace.to_string(),
        "spanId": context.span.to_string(),
        "flags": flags(context) | KNOWS_REMOTE,
    })
}

fn flags(context: Context) -> u32 {
    u32::from(context.sampled)
}

/// By the semantic conventions of messaging where they have a name.
fn attributes(span: &Span) -> Vec<Value> {
    let mut attributes = vec![
        text("messaging.system", "mqtt"),
        text("messaging.operation.type", "process"),
        text("messaging.operation.name", "process"),
        text("messaging.destination.name", &span.topic),
        text("mqtt_lambda_bridge.mapping", &span.kin.mapping),
        text("mqtt_lambda_bridge.record_id", &span.record),
        text("mqtt_lambda_bridge.outcome", span.outcome),
        number("mqtt_lambda_bridge.qos", span.qos.into()),
        number("mqtt_lambda_bridge.invocations", span.invocations),
    ];
    attributes.extend(span.subscription.as_ref().map(|filter| text("messaging.destination.subscription.name", filter)));
    attributes
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u32) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn nanoseconds(since_1970: Duration) -> String {
    since_1970.as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::span::{Kin, Links};
    use super::*;

    fn context(text: &str) -> Context {
        Context::parse(text).unwrap()
    }

    fn whole() -> Span {
        let parent = context("00-0af7651916cd43dd8448eb211c80319c-00000000000000a1-01");
        let other = context("00-0af7651916cd43dd8448eb211c80319d-00000000000000b2-01");
        Span {
            kin: Arc::new(Kin::of("m")),
            context: context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            parent: Some(parent.span),
            begun: Duration::new(1_763_640_000, 7),
            ended: Duration::new(1_763_640_001, 8),
            topic: "a/\"b".into(),
            subscription: Some("a/+".into()),
            record: "1-2".into(),
            qos: 1,
            outcome: "dead_lettered",
            failed: true,
            invocations: 3,
            links: Links { to: vec![other], dropped: 4 },
        }
    }

    /// The names and forms are those of the specification's own example, and of its `.proto` files.
    #[test]
    fn a_span_is_written_as_the_specification_has_it() {
        let made: Value = serde_json::from_slice(&request(&resource("bridge-1"), &[whole()])).unwrap();
        let resource = &made["resourceSpans"][0]["resource"]["attributes"];
        assert_eq!(resource[0], json!({ "key": "service.name", "value": { "stringValue": "mqtt-lambda-bridge" } }));
        assert_eq!(resource[2], json!({ "key": "service.instance.id", "value": { "stringValue": "bridge-1" } }));
        let scope = &made["resourceSpans"][0]["scopeSpans"][0];
        assert_eq!(scope["scope"]["name"], "mqtt-lambda-bridge");
        let mut span = scope["spans"][0].clone();
        let attributes = span["attributes"].take();
        let expected = json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "b7ad6b7169203331",
            "parentSpanId": "00000000000000a1",
            "flags": 0x301,
            "name": "process m",
            "kind": 5,
            "startTimeUnixNano": "1763640000000000007",
            "endTimeUnixNano": "1763640001000000008",
            "attributes": null,
            "links": [{ "traceId": "0af7651916cd43dd8448eb211c80319d", "spanId": "00000000000000b2", "flags": 0x101 }],
            "droppedLinksCount": 4,
            "status": { "code": 2, "message": "dead_lettered" },
        });
        assert_eq!(span, expected);
        let of = |name: &str| {
            let all = attributes.as_array().unwrap();
            all.iter().find(|attribute| attribute["key"] == name).map(|attribute| attribute["value"].clone())
        };
        for (name, value) in [
            ("messaging.system", "mqtt"),
            ("messaging.destination.name", "a/\"b"),
            ("messaging.destination.subscription.name", "a/+"),
            ("mqtt_lambda_bridge.mapping", "m"),
            ("mqtt_lambda_bridge.record_id", "1-2"),
            ("mqtt_lambda_bridge.outcome", "dead_lettered"),
        ] {
            assert_eq!(of(name), Some(json!({ "stringValue": value })), "{name}");
        }
        assert_eq!(of("mqtt_lambda_bridge.qos"), Some(json!({ "intValue": "1" })));
        assert_eq!(of("mqtt_lambda_bridge.invocations"), Some(json!({ "intValue": "3" })));
    }

    #[test]
    fn what_is_not_there_is_not_written() {
        let bare = Span { parent: None, subscription: None, failed: false, links: Links::default(), ..whole() };
        let made = span(&bare);
        for name in ["parentSpanId", "links", "droppedLinksCount", "status"] {
            assert_eq!(made.get(name), None, "{name}");
        }
        assert_eq!(made["flags"], 0x101);
        assert!(!made.to_string().contains("subscription"));
    }
}
