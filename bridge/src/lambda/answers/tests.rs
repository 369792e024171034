//! What may be published, and what is refused.

use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::delivery::{RecordId, Ticket};
use crate::message::Message;

const FIXTURE: &str = include_str!("../../../../event/fixtures/response.json");
const RUN: u64 = 0x5b1f_0c7e_9a3d_2468;

fn delivery(sequence: u64, topic: &str, properties: Option<Properties>) -> Delivery {
    let (settler, _) = mpsc::channel(1);
    let message = Message {
        topic: topic.into(),
        payload: Bytes::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        dup: false,
        properties: properties.map(Arc::new),
    };
    Delivery::new(message, RecordId::Numbered { run: RUN, sequence }, Ticket { epoch: 1, slot: sequence }, settler)
}

fn asking(sequence: u64, response_topic: &str) -> Delivery {
    let correlation_data = Some(Bytes::from_static(&[0, 1, 2]));
    let properties =
        Properties { response_topic: Some(response_topic.into()), correlation_data, ..Properties::default() };
    delivery(sequence, "sensor/data", Some(properties))
}

fn topics(allow: &[&str]) -> ResponseTopics {
    ResponseTopics { allow: allow.iter().map(|filter| filter.parse().unwrap()).collect(), qos: Qos::AtLeastOnce }
}

/// Templates for the same topics, as far as these tests reply to them.
fn reply_topics(allow: &[&str]) -> Vec<String> {
    let names = ["1", "2", "3", "C-Client-01/reply", "C-Client-01/command"];
    let fill = |filter: &&str| names.map(|name| filter.replace("+/command", name).replace(['+', '#'], name));
    allow.iter().flat_map(fill).collect()
}

fn answers(response: &str, deliveries: &[Delivery], allow: &[&str]) -> Result<Answers, Refusal> {
    let response = serde_json::from_str(response).unwrap();
    let mut answers = Answers::of(&response, deliveries, &HashMap::new(), &topics(allow), Some(&reply_topics(allow)));
    // The first that is refused, as most tests have one answer alone.
    match answers.all.iter_mut().find_map(|answer| answer.refusal.take()) {
        Some(refusal) => Err(refusal),
        None => Ok(answers),
    }
}

/// The topic of one publish with this topic, as answer to records with these.
fn published(topic: &str, records: &[&str], allow: &str) -> Result<String, Refusal> {
    let deliveries: Vec<_> = (1..).zip(records).map(|(sequence, topic)| delivery(sequence, topic, None)).collect();
    let response = serde_json::json!({ "publish": [{ "topic": topic, "payload": 1 }] }).to_string();
    answers(&response, &deliveries, &[allow]).map(|answers| answers.all[0].outgoing.topic.to_string())
}

fn reply_to(id: &str) -> String {
    format!(r#"{{"reply":[{{"itemIdentifier":"{id}","payload":{{"ok":true}}}}]}}"#)
}

#[test]
fn the_fixture_is_published_and_replied() {
    let deliveries = [asking(1, "devices/C-Client-01/reply")];
    let answers = answers(FIXTURE, &deliveries, &["devices/+/command", "devices/#"]).unwrap();
    let seen: Vec<_> =
        answers.all.iter().map(|a| &a.outgoing).map(|o| (&*o.topic, &*o.payload, o.qos as u8, o.retain)).collect();
    assert_eq!(
        seen,
        [
            ("devices/C-Client-01/command", &br#"{ "set": "idle" }"#[..], 1, true),
            ("devices/C-Client-01/raw", &[0x00, 0xff], 1, false),
            ("devices/C-Client-01/reply", b"stored", 1, false),
        ]
    );
    let properties = answers.all[2].outgoing.properties.as_deref().unwrap();
    assert_eq!(properties.correlation_data.as_deref(), Some(&[0, 1, 2][..]));
    assert!(answers.refused.is_empty());
}

#[test]
fn only_allowed_topics_pass() {
    assert_eq!(published("devices/a/command", &["t"], "devices/+/command").unwrap(), "devices/a/command");
    assert_eq!(published("devices/a/x", &["t"], "devices/+/command"), Err(Refusal::NotAllowed("devices/a/x".into())));
    let nothing_allowed = answers(r#"{"publish":[{"topic":"a","payload":1}]}"#, &[], &[]).unwrap_err();
    assert!(nothing_allowed.to_string().contains("`response.allow`"), "{nothing_allowed}");
}

#[test]
fn what_would_break_the_connection_does_not_pass_even_where_all_is_allowed() {
    for bad in ["", "a/+", "a/#", "a\0b"] {
        assert!(matches!(published(bad, &["t"], "#"), Err(Refusal::Invalid(_))), "{bad:?}");
    }
    for bad in ["a\nb", "a/\u{85}", "a/\u{fdd0}", "a/\u{1fffe}", "a/\u{ffff}"] {
        assert!(matches!(published(bad, &["t"], "#"), Err(Refusal::Character(_))), "{bad:?}");
    }
    assert_eq!(published("$SYS/x", &["t"], "$SYS/#"), Err(Refusal::Dollar("$SYS/x".into())));
    assert_eq!(published("{topic[0]}/x", &["$SYS/b"], "$SYS/#"), Err(Refusal::Dollar("$SYS/x".into())));
    assert!(published("größe/{a}", &["t"], "#").is_ok());
}

#[test]
fn templates_take_levels_of_the_records_topic() {
    let record = ["devices/C-1/data"];
    assert_eq!(published("devices/{topic[1]}/command", &record, "devices/+/command").unwrap(), "devices/C-1/command");
    assert_eq!(published("{topic[2]}/{topic[0]}", &record, "#").unwrap(), "data/devices");
    for bad in ["{topic[3]}", "{topic[x]}", "{topic[+1]}", "{topic[]}", "{topic[1]", "{topic[99999999999999999999]}"] {
        assert!(matches!(published(bad, &record, "#"), Err(Refusal::Template { .. })), "{bad}");
    }
}

#[test]
fn a_template_needs_records_that_agree() {
    let topic = "devices/{topic[1]}/command";
    assert!(published(topic, &["devices/a/data", "devices/a/state"], "#").is_ok());
    for others in [["devices/a/data", "devices/b/data"], ["devices/a/data", "devices"]] {
        let refusal = published(topic, &others, "#").unwrap_err();
        assert!(refusal.to_string().contains("the records of this event differ"), "{refusal}");
    }
}

#[test]
fn the_mappings_qos_stands_in_and_2_is_refused() {
    let publish = |qos: &str| answers(&format!(r#"{{"publish":[{{"topic":"a","payload":1{qos}}}]}}"#), &[], &["#"]);
    assert_eq!(publish("").unwrap().all[0].outgoing.qos, Qos::AtLeastOnce);
    assert_eq!(publish(r#","qos":0"#).unwrap().all[0].outgoing.qos, Qos::AtMostOnce);
    assert_eq!(publish(r#","qos":2"#).unwrap_err(), Refusal::Qos { topic: "a".into(), qos: 2 });
}

#[test]
fn a_payload_must_be_what_its_encoding_says() {
    let wrong = r#"{"publish":[{"topic":"a","payload":"%","encoding":"base64"}]}"#;
    assert!(matches!(answers(wrong, &[], &["#"]), Err(Refusal::Payload { .. })));
}

#[test]
fn a_reply_needs_a_record_that_asks_and_has_not_failed() {
    let deliveries = [asking(1, "r/1"), asking(2, "r/2"), delivery(3, "t", None)];
    let id = |sequence| RecordId::Numbered { run: RUN, sequence }.to_string();
    let count = |reply: &str, failed: &[usize], enabled: bool| {
        let failure = |index: &usize| (*index, Failure { kind: "k".into(), message: "m".into(), retry: true });
        let failures = failed.iter().map(failure).collect();
        let response = serde_json::from_str(reply).unwrap();
        Answers::of(
            &response,
            &deliveries,
            &failures,
            &topics(&["r/+"]),
            enabled.then_some(&reply_topics(&["r/+"])[..]),
        )
        .all
        .iter()
        .filter(|a| a.refusal.is_none())
        .count()
    };
    assert_eq!(count(&reply_to(&id(2)), &[0], true), 1);
    assert_eq!(count(&reply_to(&id(2)), &[1], true), 0, "a failed record is answered by the attempt that succeeds");
    assert_eq!(count(&reply_to(&id(3)), &[], true), 0, "nobody asked");
    assert_eq!(count(&reply_to(&id(2)), &[], false), 0, "the mapping gives no replies");
    assert_eq!(count(&reply_to(&id(9)), &[], true), 0);
    let unknown = answers(&reply_to(&id(9)), &deliveries, &["r/+"]);
    assert_eq!(unknown.unwrap_err(), Refusal::UnknownRecord(id(9).into()));
}

#[test]
fn a_response_topic_that_is_not_allowed_is_refused_and_the_rest_is_published() {
    let deliveries = [asking(1, "$SYS/broker"), asking(2, "others/secret"), asking(3, "r/3")];
    let replies: Vec<_> =
        deliveries.iter().map(|d| serde_json::json!({ "itemIdentifier": d.id.to_string(), "payload": 1 })).collect();
    let answers = answers(&serde_json::json!({ "reply": replies }).to_string(), &deliveries, &["r/+"]).unwrap();
    assert_eq!(answers.all.len(), 1);
    let expected = [(0, Refusal::Dollar("$SYS/broker".into())), (1, Refusal::NoReplyTopic("others/secret".into()))];
    assert_eq!(answers.refused, expected);
}

/// A device chooses the Response Topic of its message, and must not have its answer sent to another device.
#[test]
fn a_reply_goes_to_the_records_own_topics_alone() {
    let with = |topic: &str, response_topic: &str| {
        let mut delivery = asking(1, response_topic);
        delivery.message.topic = topic.into();
        delivery
    };
    let refused = |topic: &str, response_topic: &str| {
        let deliveries = [with(topic, response_topic)];
        let response = serde_json::from_str(&reply_to(&deliveries[0].id.to_string())).unwrap();
        let templates = ["devices/{topic[1]}/reply".to_owned(), "replies/{topic[1]}".to_owned()];
        let answers =
            Answers::of(&response, &deliveries, &HashMap::new(), &topics(&["devices/+/reply"]), Some(&templates));
        (answers.all.len(), answers.refused)
    };
    assert_eq!(refused("devices/a/data", "devices/a/reply"), (1, vec![]));
    assert_eq!(refused("devices/a/data", "replies/a"), (1, vec![]));
    let other = |topic: &str| (0, vec![(0, Refusal::NoReplyTopic(topic.into()))]);
    assert_eq!(refused("devices/a/data", "devices/b/reply"), other("devices/b/reply"), "allowed for `publish` alone");
    assert_eq!(refused("devices", "devices//reply"), other("devices//reply"), "the record's topic has no such level");
}

/// F37.
#[test]
fn f37_one_bad_answer_touches_one_record() {
    let deliveries: Vec<_> = (1..=100).map(|n| delivery(n, &format!("devices/{n}/data"), None)).collect();
    let publish: Vec<_> = (1..=100)
        .map(|n| {
            let topic = if n == 7 { "elsewhere" } else { "devices/{topic[1]}/command" };
            let id = RecordId::Numbered { run: RUN, sequence: n }.to_string();
            serde_json::json!({ "itemIdentifier": id, "topic": topic, "payload": n })
        })
        .collect();
    let response = serde_json::from_value(serde_json::json!({ "publish": publish })).unwrap();
    let failed = Failure { kind: "".into(), message: "".into(), retry: true };
    let failures = HashMap::from([(9, failed)]);
    let answers = Answers::of(&response, &deliveries, &failures, &topics(&["devices/+/command"]), None);
    let refused: Vec<_> = answers.all.iter().filter(|a| a.refusal.is_some()).map(|a| a.record).collect();
    assert_eq!((answers.all.len(), refused), (99, vec![Some(6)]), "the tenth has failed, so nothing is said of it");
    assert_eq!(answers.all[0].outgoing.topic, "devices/1/command");
}

/// F46.
#[test]
fn f46_the_work_of_many_answers_is_linear() {
    const RECORDS: usize = 10_000;
    let sequences = || 0..RECORDS as u64;
    let deliveries: Vec<_> = sequences().map(|n| asking(n, "r/1")).collect();
    let id = |sequence| RecordId::Numbered { run: RUN, sequence }.to_string();
    let publish: Vec<_> = sequences()
        // Each its own topic, about all records: their topics have to agree in that level.
        .map(|n| serde_json::json!({ "topic": format!("r/{{topic[1]}}/{n}"), "payload": n }))
        // Each about the same record.
        .chain(
            sequences()
                .map(|n| serde_json::json!({ "itemIdentifier": id(7), "topic": "r/{topic[0]}/x", "payload": n })),
        )
        .collect();
    let replies: Vec<_> =
        sequences().rev().map(|n| serde_json::json!({ "itemIdentifier": id(n), "payload": n })).collect();
    let response = serde_json::json!({ "publish": publish, "reply": replies }).to_string();
    let (answers, work) = crate::lambda::work::of(|| answers(&response, &deliveries, &["r/#"]).unwrap());
    let records: Vec<_> = answers.all.iter().map(|answer| answer.record).collect();
    assert_eq!(records[2 * RECORDS..], sequences().rev().map(|n| usize::try_from(n).ok()).collect::<Vec<_>>());
    assert_eq!(answers.all[0].outgoing.topic, "r/data/0");
    // Once to find them by their ids, once for what their topics have in common, once for each reply.
    assert!(work <= 3 * RECORDS + 1, "{work} records looked at");
}

#[test]
fn a_template_grows_no_longer_than_a_topic() {
    let level = "x".repeat(60_000);
    let refusal = published(&"{topic[0]}".repeat(100), &[&level], "#").unwrap_err();
    assert!(refusal.to_string().ends_with("longer than 65,535 bytes once it is filled"), "{refusal}");
}

proptest! {
    #[test]
    fn whatever_is_published_is_an_allowed_topic_name(
        topic in "(a/)?([a/{}$+#t0\n]|\\{topic\\[[01]\\]\\}){0,8}",
        record in "[ab/$\n]{1,8}",
    ) {
        if let Ok(topic) = published(&topic, &[&record], "a/#") {
            prop_assert!(validate_topic_name(&topic).is_ok());
            prop_assert!(topic == "a" || topic.starts_with("a/"), "{}", topic);
            prop_assert!(!topic.contains('\n'));
        }
    }
}
