//! Unusual payloads, with the real function: it accepts a reading and rejects everything else.

use bridge::config::Protocol;
use sandbox::lambda::SYNC_LIMIT;
use sandbox::scripted::Message;

use crate::common::willing;
use crate::stage::{Played, Stage, both};

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Handled,
    DeadLettered,
}

use Fate::{DeadLettered, Handled};

fn reading(more: &str) -> Vec<u8> {
    format!(r#"{{"device_id":"d","temperature":1.5,"status":"OK"{more}}}"#).into_bytes()
}

fn deep(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn rows() -> Vec<(&'static str, Vec<u8>, Fate)> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        ("a reading", reading(""), Handled),
        ("empty", vec![], DeadLettered),
        ("white space", bytes(" \r\n\t"), DeadLettered),
        ("NUL", vec![0], DeadLettered),
        ("NUL after a reading", [reading(""), vec![0]].concat(), DeadLettered),
        ("an escaped NUL in a field nobody reads", reading(r#","x":"\u0000""#), Handled),
        (
            "an escaped NUL in the device's name",
            bytes(r#"{"device_id":"\u0000","temperature":1,"status":"OK"}"#),
            DeadLettered,
        ),
        ("not UTF-8", vec![0xff, 0xfe, 0x80], DeadLettered),
        ("a reading that is not UTF-8", [reading(",\"x\":\"").as_slice(), b"\xc3\x28\"}"].concat(), DeadLettered),
        ("a byte order mark", [b"\xef\xbb\xbf".to_vec(), reading("")].concat(), DeadLettered),
        ("UTF-16", reading("").into_iter().flat_map(|byte| [byte, 0]).collect(), DeadLettered),
        ("10,000 lists", bytes(&deep(10_000)), DeadLettered),
        ("10,000 lists in a field nobody reads", reading(&format!(r#","x":{}"#, deep(10_000))), DeadLettered),
        ("as many lists as every function can read", reading(&format!(r#","x":{}"#, deep(59))), Handled),
        ("one list more", reading(&format!(r#","x":{}"#, deep(60))), DeadLettered),
        ("10,000 objects", bytes(&format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000))), DeadLettered),
        ("10,000 lists that never end", bytes(&"[".repeat(10_000)), DeadLettered),
        ("a key that is there twice, and read", reading(r#","temperature":2.5"#), DeadLettered),
        ("a key that is there twice, and not read", reading(r#","x":1,"x":2"#), Handled),
        ("1e999", bytes("1e999"), DeadLettered),
        ("a temperature of 1e999", bytes(r#"{"device_id":"d","temperature":1e999,"status":"OK"}"#), DeadLettered),
        ("1e999 in a field nobody reads", reading(r#","x":1e999"#), DeadLettered),
        ("a number of 100,000 digits", reading(&format!(r#","x":{}"#, "9".repeat(100_000))), DeadLettered),
        ("a number of 1,000 digits", reading(&format!(r#","x":0.{}"#, "9".repeat(999))), Handled),
        ("NaN", bytes(r#"{"device_id":"d","temperature":NaN,"status":"OK"}"#), DeadLettered),
        ("a lone surrogate", bytes(r#""\ud800""#), DeadLettered),
        (
            "a lone surrogate in the device's name",
            bytes(r#"{"device_id":"\ud800","temperature":1,"status":"OK"}"#),
            DeadLettered,
        ),
        ("a lone surrogate in a field nobody reads", reading(r#","x":"\ud800""#), DeadLettered),
        ("U+2028, which older JavaScript took for a line feed", reading(",\"x\":\"\u{2028}\""), Handled),
        ("null", bytes("null"), DeadLettered),
        ("half a reading", reading("")[..20].to_vec(), DeadLettered),
        ("two readings", [reading(""), reading("")].concat(), DeadLettered),
        ("what would end the record", bytes(r#""},{"id":"forged","payload":{}}]}"#), DeadLettered),
        ("what would end the event", bytes(r#"1}],"mapping":"other","records":[{"payload":2"#), DeadLettered),
        ("keys of the event", reading(r#","records":[],"eventSource":"aws:sqs","batchItemFailures":[]"#), Handled),
        ("an escape sequence of a terminal", b"\x1b[2J\x1b]0;title\x07".to_vec(), DeadLettered),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payload_is_handled_or_dead_lettered_exactly_once_and_acknowledged() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b).await;
        let mut peer = stage.fresh().await?;
        for (id, (name, payload, fate)) in (1..).zip(rows()) {
            peer.publish(&Message::new(id, payload.clone())).await?;
            assert_eq!(peer.ack().await?.packet_id, id, "{name}");
            let expected = if fate == Handled { (1, 0) } else { (0, 1) };
            assert_eq!(stage.fate_of(&payload), expected, "{name}: handled and dead-lettered");
        }
        assert_eq!(stage.world.counters().retries.get(), 0, "none of them is worth another attempt");
        assert_eq!(stage.broker.connections(), 1);
        Ok(())
    })
    .await;
}

/// All of them in one event: none affects the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_payload_costs_its_neighbours_nothing() -> Played {
    let adjust = |b: sandbox::world::WorldBuilder| {
        b.set("mapping.batch.max_records", "100").set("mapping.batch.max_window", "1s").set("mapping.concurrency", "1")
    };
    let stage = Stage::start(Protocol::V5, adjust).await;
    let mut peer = stage.fresh().await?;
    for (id, (_, payload, _)) in (1..).zip(rows()) {
        peer.publish(&Message::new(id, payload)).await?;
    }
    for id in (1..).take(rows().len()) {
        assert_eq!(peer.ack().await?.packet_id, id);
    }
    let letters = stage.world.dead_letters().unwrap();
    for (name, payload, fate) in rows() {
        let count = letters.iter().filter(|letter| letter.payload_bytes().as_deref() == Some(&payload[..])).count();
        assert_eq!(count, usize::from(fate == DeadLettered), "{name}");
    }
    assert!(stage.world.lambda.log().totals().invoked < 10, "they shared events");
    Ok(())
}

/// Lambda accepts 6,291,456 bytes; a larger event goes to the failure destination, without an invocation.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_may_be_as_large_as_lambda_takes_and_no_larger() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.fresh().await?;
        let mut next = 0;
        // Sizes include the quotes. Ids have one digit here, so that the rest of the event always has the same length.
        let mut publish = async |payload: Vec<u8>| {
            next += 1;
            peer.publish(&Message::new(next, payload)).await?;
            peer.ack().await.map(|ack| assert_eq!(ack.packet_id, next))
        };
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
        publish(text(100)).await?;
        let around = stage.world.lambda.log().invocations()[0].payload.len() - 100;
        for (room, expected) in [(1, (1, 0)), (0, (1, 0))] {
            let payload = text(SYNC_LIMIT - around - room);
            publish(payload.clone()).await?;
            assert_eq!(stage.fate_of(&payload), expected);
            assert_eq!(stage.world.lambda.log().invocations().last().unwrap().payload.len(), SYNC_LIMIT - room);
        }
        let payload = text(SYNC_LIMIT - around + 1);
        publish(payload.clone()).await?;
        assert_eq!(stage.fate_of(&payload), (0, 1), "one byte too many");
        assert_eq!(stage.world.dead_letters().unwrap()[0].error_type, "TooLarge");
        assert_eq!(stage.world.lambda.log().totals().invoked, 3);

        // Binary grows by a third.
        for (bytes, expected) in [(4_700_000, (1, 0)), (4_800_000, (0, 1))] {
            let payload: Vec<u8> = (0..=255).cycle().take(bytes).collect();
            publish(payload.clone()).await?;
            assert_eq!(stage.fate_of(&payload), expected, "{bytes} bytes of binary");
        }
        assert_eq!(stage.broker.connections(), 1);
        Ok(())
    })
    .await;
}
