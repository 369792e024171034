//! Promise: an SQS queue stores messages that the function rejects, byte for byte and confirmed by their MD5, before
//! they are acknowledged; while the queue fails, the bridge holds the message.

use crate::common;
use std::time::Duration;

use crate::common::{acknowledged, answering, eventually, everywhere, publish};
use crate::messages::Messages;
use bridge::dead_letter::DeadLetter;
use bridge::message::Properties;
use bytes::Bytes;
use event::{Encoding, ItemFailure, Response};
use sandbox::lambda::{Answer, Function};
use sandbox::queue::{Queue, Trouble};
use sandbox::world::{FUNCTION, MAPPING, World, WorldBuilder};

async fn world(builder: WorldBuilder, function: Function, queue: &Queue) -> World {
    let mut world = builder.function(function).without_bridge().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.sqs", &queue.url());
    world.start_bridge().await.unwrap();
    world
}

fn refusing() -> Function {
    answering(|call| {
        let records = call.event().unwrap().records;
        let failures = records.iter().map(|record| ItemFailure::give_up(&record.id, "no \u{ffff} use")).collect();
        Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
    })
}

/// Rejects readings that sensors mark as broken, and accepts the rest.
fn picky() -> Function {
    answering(|call| {
        let event = call.event().unwrap();
        let bad = event.records.iter().filter(|record| record.payload.get().contains("\"broken\""));
        let failures = bad.map(|record| ItemFailure::give_up(&record.id, "bad")).collect();
        Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
    })
}

fn letters(queue: &Queue) -> Vec<DeadLetter> {
    queue.messages().iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_original_bytes_and_properties() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let queue = Queue::start().await.unwrap();
        let world = world(builder, refusing(), &queue).await;
        let messages = Messages::start(&world, protocol);
        let binary: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let payloads = [Bytes::from(binary), Bytes::from("{ \"a\" :\t1 }\u{1}\u{fffe}\u{7f}\r\n"), Bytes::new()];
        let properties = Properties {
            content_type: Some("application/octet-stream".into()),
            response_topic: Some("answers/1".into()),
            correlation_data: Some(Bytes::from_static(&[0, 255])),
            user: vec![("b".into(), "2".into()), ("a".into(), "1".into()), ("b".into(), "3".into())],
            ..Properties::default()
        };
        for (sent, payload) in (1..).zip(&payloads) {
            messages.publish(payload.clone(), Some(properties.clone())).await;
            acknowledged(&world, sent).await;
        }
        let letters = letters(&queue);
        assert_eq!(letters.len(), payloads.len());
        for (letter, payload) in letters.iter().zip(&payloads) {
            assert_eq!(Bytes::from(letter.payload_bytes().unwrap()), payload);
            assert_eq!((letter.mapping.as_str(), letter.function.as_str(), letter.qos), (MAPPING, FUNCTION, 1));
            assert_eq!((letter.error_type.as_str(), letter.attempts), ("Function.ItemFailure", 1));
            assert_eq!(letter.error_message, "no \u{ffff} use");
            if protocol == bridge::config::Protocol::V5 {
                // The embedded broker adds a user property of its own.
                assert!(letter.user_properties.starts_with(&properties.user), "{:?}", letter.user_properties);
                assert_eq!(letter.content_type, properties.content_type);
                assert_eq!(letter.response_topic, properties.response_topic);
                assert_eq!(letter.correlation_data.as_deref(), Some("AP8="));
            }
        }
        assert_eq!(letters[0].encoding, Encoding::Base64);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_queue_gets_a_group_for_each_mapping() {
    everywhere(|builder| async move {
        let queue = Queue::start_fifo().await.unwrap();
        let world = world(builder, refusing(), &queue).await;
        let sensors = publish(&world, 20, |_| {}).await;
        acknowledged(&world, 20).await;
        assert_eq!((queue.messages().len(), sensors.published()), (20, 20));
        assert!(queue.messages().iter().all(|message| message.group.as_deref() == Some(MAPPING)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_in_trouble_holds_its_messages_while_others_flow() {
    let troubles =
        [Trouble::Down, Trouble::Unavailable, Trouble::AccessDenied, Trouble::Slow(Duration::from_millis(300))];
    everywhere(|builder| async move {
        let queue = Queue::start().await.unwrap();
        let world = world(builder, picky(), &queue).await;
        let mut handled = 0;
        for (round, trouble) in (1..).zip(troubles) {
            queue.trouble(Some(trouble));
            let failures = world.counters().dead_letter_failures.get();
            publish(&world, 1, |options| options.bad_every = Some(1)).await;
            publish(&world, 5, |_| {}).await;
            handled += 5;
            let succeeded = || common::Fate::of(&world).handled.len();
            eventually("the others are handled", || succeeded() == handled).await;
            if !matches!(trouble, Trouble::Slow(_)) {
                let failed = || world.counters().dead_letter_failures.get() > failures;
                eventually("the queue has failed", failed).await;
                assert_eq!(world.counters().acknowledged.get(), (round - 1) * 6, "{trouble:?}");
                queue.trouble(None);
            }
            acknowledged(&world, round * 6).await;
            assert_eq!(letters(&queue).len() as u64, round, "{trouble:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_sum_is_no_confirmation() {
    everywhere(|builder| async move {
        let queue = Queue::start().await.unwrap();
        let world = world(builder, refusing(), &queue).await;
        queue.trouble(Some(Trouble::WrongSum));
        publish(&world, 1, |_| {}).await;
        eventually("it is tried again", || queue.messages().len() >= 2).await;
        assert_eq!(world.counters().acknowledged.get(), 0);
        queue.trouble(None);
        acknowledged(&world, 1).await;
    })
    .await;
}

/// A world whose function rejects everything, with the queue and then the file as destinations.
async fn chained(builder: WorldBuilder, queue: &Queue) -> World {
    let builder = builder.function(refusing()).set("mapping.on_failure.sqs", &queue.url());
    builder.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_queue_that_takes_less_is_asked_at_the_start_and_sent_nothing_larger() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let queue = Queue::start().await.unwrap();
        queue.limit(20_000, false);
        let world = chained(builder, &queue).await;
        let messages = Messages::start(&world, protocol);
        messages.publish(vec![b'x'; 30_000], None).await;
        acknowledged(&world, 1).await;
        assert_eq!((queue.attempts(), queue.asked(), world.dead_letters().unwrap().len()), (0, 1, 1));
        messages.publish(vec![b'x'; 10_000], None).await;
        acknowledged(&world, 2).await;
        assert_eq!((queue.attempts(), queue.messages().len(), world.dead_letters().unwrap().len()), (1, 1, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_a_limit_that_was_not_known_is_learnt_from_a_refusal() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let queue = Queue::start().await.unwrap();
        let world = chained(builder, &queue).await;
        eventually("it was asked", || queue.asked() == 1).await;
        let messages = Messages::start(&world, protocol);
        let mut sent = 0;
        // The bridge asks for the limit again; if that is denied, it reads it from the error.
        for (limit, is_reticent) in [(50_000, false), (20_000, true)] {
            queue.limit(limit, is_reticent);
            let before = queue.attempts();
            for _ in 0..3 {
                sent += 1;
                messages.publish(vec![b'x'; limit], None).await;
                acknowledged(&world, sent).await;
            }
            assert_eq!((queue.attempts() - before, queue.messages().len()), (1, 0), "the others were not even sent");
        }
        assert_eq!(world.dead_letters().unwrap().len(), 6);
    })
    .await;
}
