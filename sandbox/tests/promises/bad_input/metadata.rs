//! What may come with a payload: flags, QoS 0, and the properties of MQTT 5.

use bridge::config::Protocol;
use event::{Encoding, Event, Record};
use rumqttc::mqttbytes::v5::PublishProperties;
use sandbox::scripted::Message;

use crate::common::{eventually, willing};
use crate::stage::{Played, Stage, both};

/// The only record of the latest event.
fn latest(stage: &Stage) -> Record {
    let invocation = stage.world.lambda.log().invocations().pop().expect("an invocation");
    let event: Event = serde_json::from_slice(&invocation.payload).expect("an event");
    assert_eq!(event.records.len(), 1);
    event.records.into_iter().next().unwrap()
}

/// The policy for retained messages: one like any other, and the function sees that it was retained.
#[tokio::test(flavor = "multi_thread")]
async fn retained_and_repeated_messages_are_messages_and_say_what_they_are() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.fresh().await?;
        let message = |id: u16| Message::new(id, format!("m{id}"));
        let rows = [
            (message(1), (false, false)),
            (message(2).retained(), (true, false)),
            (message(3).again(), (false, true)),
            (message(4).retained().again(), (true, true)),
        ];
        for (message, (retain, dup)) in rows {
            peer.publish(&message).await?;
            assert_eq!(peer.ack().await?.packet_id, message.packet_id);
            assert_eq!(stage.fate_of(&message.payload), (1, 0));
            let record = latest(&stage);
            assert_eq!((record.retain, record.dup, record.qos), (retain, dup, 1));
        }
        assert_eq!(stage.world.counters().redelivered.get(), 2, "as the broker says");
        Ok(())
    })
    .await;
}

/// A subscription at QoS 1 carries what is published at QoS 0. It is delivered and counted, and there is nothing to
/// acknowledge.
#[tokio::test(flavor = "multi_thread")]
async fn qos_0_is_delivered_and_counted_and_never_acknowledged() {
    both(|protocol| async move {
        let stage = Stage::start(protocol, |b| b.function(willing())).await;
        let mut peer = stage.fresh().await?;
        for number in 0..5 {
            peer.publish(&Message::new(0, format!("m{number}")).qos(0)).await?;
        }
        stage.invoked(5).await;
        let counters = stage.world.counters();
        eventually("all are delivered", || counters.delivered.get() == 5).await;
        peer.publish(&Message::new(1, "last")).await?;
        assert_eq!(peer.ack().await?.packet_id, 1);
        assert_eq!((counters.received.get(), counters.delivered.get(), counters.acknowledged.get()), (6, 6, 1));
        assert_eq!(stage.broker.acks(1), [1]);
        eventually("nothing is held", || counters.outstanding.get() == 0).await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_expired_on_its_way_is_acknowledged_and_not_invoked() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing())).await;
    let mut peer = stage.fresh().await?;
    let properties = PublishProperties { message_expiry_interval: Some(0), ..PublishProperties::default() };
    peer.publish(&Message::new(1, "late").properties(properties)).await?;
    assert_eq!(peer.ack().await?.packet_id, 1);
    let counters = stage.world.counters();
    assert_eq!((counters.expired.get(), stage.world.lambda.log().totals().invoked), (1, 0));
    assert_eq!(stage.world.dead_letters().unwrap(), []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_that_nobody_expects_are_carried_as_they_are() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing())).await;
    let mut peer = stage.fresh().await?;
    let none = PublishProperties::default;
    let many: Vec<_> = (0..1000).map(|n| (format!("name {}", n % 10), format!("\u{1b}[31m\"{n}\"\n"))).collect();
    let long = "x".repeat(65_535);
    let rows: Vec<(&str, PublishProperties)> = vec![
        ("1,000 user properties", PublishProperties { user_properties: many, ..none() }),
        ("empty user property", PublishProperties { user_properties: vec![(String::new(), String::new())], ..none() }),
        (
            "the longest user property",
            PublishProperties { user_properties: vec![(long.clone(), long.clone())], ..none() },
        ),
        ("the longest content type", PublishProperties { content_type: Some(long), ..none() }),
        ("a response topic with wildcards", PublishProperties { response_topic: Some("a/#".into()), ..none() }),
        ("an empty response topic", PublishProperties { response_topic: Some(String::new()), ..none() }),
        ("binary correlation data", PublishProperties { correlation_data: Some(vec![0, 255, 10].into()), ..none() }),
        ("a payload format of 7", PublishProperties { payload_format_indicator: Some(7), ..none() }),
        (
            "several subscription identifiers",
            PublishProperties { subscription_identifiers: vec![1, 2, 268_435_455], ..none() },
        ),
        ("the longest expiry", PublishProperties { message_expiry_interval: Some(u32::MAX), ..none() }),
    ];
    for (id, (name, properties)) in (1..).zip(rows) {
        peer.publish(&Message::new(id, name).properties(properties.clone())).await?;
        assert_eq!(peer.ack().await?.packet_id, id, "{name}");
        assert_eq!(stage.fate_of(name.as_bytes()), (1, 0), "{name}");
        let record = latest(&stage);
        assert_eq!(record.user_properties, properties.user_properties, "{name}");
        assert_eq!(record.content_type, properties.content_type, "{name}");
        assert_eq!(record.response_topic, properties.response_topic, "{name}");
        assert_eq!(record.correlation_data.is_some(), properties.correlation_data.is_some(), "{name}");
    }
    assert_eq!(stage.broker.connections(), 1);
    Ok(())
}

/// 3.3.2.3.2: a receiver may check that what is said to be text is text. Refusing it would lose it, so it is carried as
/// the bytes that it is.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_said_to_be_text_are_carried_as_bytes() -> Played {
    let stage = Stage::start(Protocol::V5, |b| b.function(willing())).await;
    let mut peer = stage.fresh().await?;
    let properties = PublishProperties { payload_format_indicator: Some(1), ..PublishProperties::default() };
    peer.publish(&Message::new(1, b"\xff\xfe".to_vec()).properties(properties)).await?;
    assert_eq!(peer.ack().await?.packet_id, 1);
    assert_eq!((stage.fate_of(b"\xff\xfe"), latest(&stage).encoding), ((1, 0), Encoding::Base64));
    Ok(())
}
