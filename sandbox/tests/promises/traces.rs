//! Promise: a delivery is one span from its receipt to its outcome, in its publisher's trace where it has one; the function and
//! X-Ray get its context; and a collector that is away costs spans and never a message. `.ci/traces` builds the bridge that this needs.

use std::sync::{Arc, Mutex};

use bridge::config::Protocol;
use bridge::message::Properties;
use event::{Event, ItemFailure, Response};
use sandbox::lambda::Answer;
use sandbox::world::{MAPPING, World};
use serde_json::Value;

use crate::common::{PATIENCE, answering, eventually, nothing_lost, publish};
use crate::given_binary::{stopped, subscribed};
use crate::messages::Messages;
use crate::trace_receiver::{Collector, Receiver, bridge, endpoint, free_port};

/// What stands in every payload, and must stand in no span.
const SECRET: &str = "hunter2-payload";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// The events of a function that takes all but messages that say `bad`, each with the trace header of its invocation.
type Seen = Arc<Mutex<Vec<(String, Event)>>>;

async fn world() -> (World, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let function = answering(move |call| {
        let event = call.event().unwrap();
        let is_bad = |record: &&event::Record| record.payload.get().contains("bad");
        let failed = |record: &event::Record| ItemFailure::retry(&record.id, "bad");
        let batch_item_failures = event.records.iter().filter(is_bad).map(failed).collect();
        kept.lock().unwrap().push((call.trace_id, event));
        Answer::json(&Response { batch_item_failures, ..Response::default() })
    });
    let world = World::builder().function(function).set("mapping.retry.backoff", "1ms..2ms");
    (world.without_bridge().await.unwrap(), seen)
}

/// A message for each of these values of `traceparent`, numbered in this order.
async fn send(world: &World, traceparents: &[Option<&str>]) {
    let messages = Messages::start(world, Protocol::V5);
    for (number, traceparent) in traceparents.iter().enumerate() {
        let user = traceparent.map(|value| ("traceparent".to_owned(), value.to_owned())).into_iter().collect();
        let properties = Properties { user, ..Properties::default() };
        messages.publish(format!(r#"{{"number":{number},"secret":"{SECRET}"}}"#), Some(properties)).await;
    }
}

async fn records(seen: &Seen, count: usize) {
    let have = || seen.lock().unwrap().iter().map(|(_, event)| event.records.len()).sum::<usize>();
    eventually("the function has the messages", || have() >= count).await;
}

/// The context in the record with this number, the header of its invocation, and the span as the receiver got it.
fn span_of<'a>(seen: &[(String, Event)], spans: &'a [Value], number: usize) -> (String, String, Option<&'a Value>) {
    let is_it = |record: &event::Record| record.payload.get().contains(&format!("\"number\":{number},"));
    let found = seen.iter().find_map(|(header, event)| Some((header, event.records.iter().find(|r| is_it(r))?)));
    let (header, record) = found.unwrap();
    let traceparent = record.traceparent.clone().unwrap();
    let (trace, span) = (&traceparent[3..35], &traceparent[36..52]);
    let told = spans.iter().find(|told| told["trace"] == *trace && told["span"] == *span);
    if let Some(told) = told {
        assert_eq!(told["attributes"]["mqtt_lambda_bridge.record_id"], record.id);
    }
    (traceparent, header.clone(), told)
}

fn x_ray(traceparent: &str) -> String {
    let (trace, span, sampled) = (&traceparent[3..35], &traceparent[36..52], &traceparent[54..]);
    format!("Root=1-{}-{};Parent={span};Sampled={sampled}", &trace[..8], &trace[8..])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_one_span_and_its_context_goes_on() {
    let Some(bridge) = bridge() else { return };
    for (client, through_a_collector) in [("lean", false), ("sdk", false), ("lean", true)] {
        let (mut world, seen) = world().await;
        let receiver = Receiver::start(0).await;
        let collector = if through_a_collector { Some(Collector::before(&receiver).await) } else { None };
        let port = collector.as_ref().map_or(receiver.port, |collector| collector.port);
        world.set("trace.endpoint", &endpoint(port));
        world.set("lambda.client", client);
        let process = subscribed(&bridge, &world, []).await;
        let [sampled, unsampled] = ["01", "00"].map(|flags| format!("00-{TRACE}-{PARENT}-{flags}"));
        let bad = sampled.to_uppercase();
        send(&world, &[Some(&sampled), Some(&unsampled), Some(&bad), None]).await;
        records(&seen, 4).await;
        // Long before the window ends: a bridge that stops sends the spans that wait.
        stopped(process).await;
        let spans = receiver.spans(3).await;
        let seen = seen.lock().unwrap();
        for (number, is_publishers, is_sampled) in
            [(0, true, true), (1, true, false), (2, false, true), (3, false, true)]
        {
            let (traceparent, header, told) = span_of(&seen, &spans, number);
            assert_eq!(header, x_ray(&traceparent), "{client}");
            assert_eq!(traceparent[3..35] == *TRACE, is_publishers, "{traceparent}");
            assert!(!traceparent.contains(PARENT) && traceparent.ends_with("-01") == is_sampled, "{traceparent}");
            assert_eq!(told.is_some(), is_sampled, "{spans:#?}");
            let Some(told) = told else { continue };
            assert_eq!(told["parent"], if is_publishers { PARENT } else { "" });
            assert_eq!((&told["kind"], &told["status"]), (&"SPAN_KIND_CONSUMER".into(), &"STATUS_CODE_UNSET".into()));
            assert_eq!(told["name"], format!("process {MAPPING}"));
            assert_eq!(told["resource"]["service.name"], "mqtt-lambda-bridge");
            for (name, value) in [
                ("messaging.system", Value::from("mqtt")),
                ("messaging.destination.name", "sensor/data".into()),
                ("mqtt_lambda_bridge.mapping", MAPPING.into()),
                ("mqtt_lambda_bridge.outcome", "delivered".into()),
                ("mqtt_lambda_bridge.qos", 1.into()),
                ("mqtt_lambda_bridge.invocations", 1.into()),
            ] {
                assert_eq!(told["attributes"][name], value, "{name}");
            }
        }
        assert!(!Value::from(spans).to_string().contains(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_the_context_of_its_first_sampled_message_and_links_to_the_others() {
    let Some(bridge) = bridge() else { return };
    let (mut world, seen) = world().await;
    let receiver = Receiver::start(0).await;
    world.set("trace.endpoint", &endpoint(receiver.port));
    world.set("mapping.batch.max_records", "3");
    world.set("mapping.batch.max_window", "1m");
    world.set("mapping.concurrency", "1");
    let process = subscribed(&bridge, &world, []).await;
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    send(&world, &[Some(&unsampled), None, None]).await;
    records(&seen, 3).await;
    stopped(process).await;
    let spans = receiver.spans(2).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1, "one invocation");
    let (first, second) = (span_of(&seen, &spans, 1), span_of(&seen, &spans, 2));
    assert_eq!(first.1, x_ray(&first.0), "the invocation has the context of the first that is sampled");
    let link = |to: &str| serde_json::json!([{ "trace": &to[3..35], "span": &to[36..52] }]);
    assert_eq!((&first.2.unwrap()["links"], &second.2.unwrap()["links"]), (&link(&second.0), &link(&first.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_an_error_and_a_share_of_none_has_no_spans_of_its_own() {
    let Some(bridge) = bridge() else { return };
    let (mut world, seen) = world().await;
    let receiver = Receiver::start(0).await;
    world.set("trace.endpoint", &endpoint(receiver.port));
    world.set("trace.sampling", "0%");
    world.set("mapping.retry.max_attempts", "3");
    let process = subscribed(&bridge, &world, []).await;
    let messages = Messages::start(&world, Protocol::V5);
    messages.publish("\"without\"", None).await;
    let user = vec![("traceparent".to_owned(), format!("00-{TRACE}-{PARENT}-01"))];
    messages.publish("\"bad\"", Some(Properties { user, ..Properties::default() })).await;
    records(&seen, 4).await;
    stopped(process).await;
    let spans = receiver.spans(1).await;
    assert_eq!((&spans[0]["status"], &spans[0]["trace"]), (&"STATUS_CODE_ERROR".into(), &TRACE.into()));
    let attributes = &spans[0]["attributes"];
    assert_eq!(attributes["mqtt_lambda_bridge.outcome"], "dead_lettered");
    assert_eq!(attributes["mqtt_lambda_bridge.invocations"], 3);
    assert_eq!(world.dead_letters().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_no_message() {
    let Some(bridge) = bridge() else { return };
    let (mut world, _) = world().await;
    let port = free_port();
    world.set("trace.endpoint", &endpoint(port));
    let mut process = subscribed(&bridge, &world, []).await;
    for _ in 0..2 {
        let sensors = publish(&world, 20, |_| {}).await;
        nothing_lost(&world, &sensors).await;
    }
    assert!(process.logged("trace.not_exported", PATIENCE).await, "{:#?}", process.log());
    let receiver = Receiver::start(port).await;
    let sensors = publish(&world, 5, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    assert!(process.logged("trace.restored", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(process.count("trace.not_exported"), 1, "{:#?}", process.log());
    receiver.at_least(5).await;
    stopped(process).await;
}
