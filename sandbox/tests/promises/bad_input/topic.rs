//! Unusual topics that MQTT allows. Forbidden ones are in `packet.rs`.

use event::Event;
use sandbox::scripted::Message;

use crate::common::willing;
use crate::stage::{Stage, both};

fn rows() -> Vec<(&'static str, String)> {
    vec![
        ("a line feed", "sensor/\n/data".into()),
        ("a forged log line", "x\n{\"level\":\"ERROR\",\"message\":\"forged\"}".into()),
        ("an escape sequence of a terminal", "\u{1b}[2Jsensor\u{9b}31m".into()),
        ("all other control characters", (1..32).chain(127..160).filter_map(char::from_u32).collect()),
        ("non-characters", "\u{fffe}\u{ffff}\u{10ffff}".into()),
        ("a shared subscription without a name", "$share//x".into()),
        ("a shared subscription", "$share/group/x".into()),
        ("the broker's own", "$SYS/broker/uptime".into()),
        ("nothing but slashes", "////".into()),
        ("a space", " ".into()),
        ("quotes and backslashes", "\"\\\",\"payload\":1,\"x\":\"".into()),
        ("JSON escapes", "\\u0000\\n".into()),
        ("the longest", "x".repeat(65_535)),
        ("the longest, of the longest characters", "\u{1f980}".repeat(65_535 / 4)),
        ("as many levels as fit", "/".repeat(65_535)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_topic_is_carried_as_it_is_and_acknowledged() {
    both(|protocol| async move {
        // A filter looks at each level, too.
        let filter = r#"[{"topicLevels":[{"anything-but":"none"}]}]"#;
        let adjust = |b: sandbox::world::WorldBuilder| {
            b.function(willing()).set("mapping.filter", filter).set("mapping.ordering_key", "topic[1]")
        };
        let stage = Stage::start(protocol, adjust).await;
        let mut peer = stage.fresh().await?;
        for (id, (name, topic)) in (1..).zip(rows()) {
            peer.publish(&Message::new(id, name).topic(topic.clone())).await?;
            assert_eq!(peer.ack().await?.packet_id, id, "{name}");
            assert_eq!(stage.fate_of(name.as_bytes()), (1, 0), "{name}");
            let invocation = stage.world.lambda.log().invocations().pop().unwrap();
            let event: Event = serde_json::from_slice(&invocation.payload).unwrap();
            assert_eq!(event.records[0].topic, topic, "{name}");
        }
        assert_eq!(stage.broker.connections(), 1);
        Ok(())
    })
    .await;
}

/// A dead letter holds the topic as it was, too: one line, whatever the topic holds.
#[tokio::test(flavor = "multi_thread")]
async fn each_topic_is_kept_as_it_is_in_its_dead_letter() {
    both(|protocol| async move {
        // The real function accepts readings only as JSON.
        let stage = Stage::start(protocol, |b| b).await;
        let mut peer = stage.fresh().await?;
        for (id, (name, topic)) in (1..).zip(rows()) {
            peer.publish(&Message::new(id, name).topic(topic)).await?;
            assert_eq!(peer.ack().await?.packet_id, id, "{name}");
        }
        let letters = stage.world.dead_letters().unwrap();
        let kept: Vec<_> = letters.into_iter().map(|letter| (letter.payload, letter.topic)).collect();
        let sent: Vec<_> = rows().into_iter().map(|(name, topic)| (name.to_owned(), topic)).collect();
        assert_eq!(kept, sent);
        Ok(())
    })
    .await;
}
