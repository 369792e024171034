//! Promise: an S3 bucket stores messages that the function rejects, an object each, byte for byte and confirmed by its
//! SHA-256, before they are acknowledged; while the bucket fails, the bridge holds the message.

use crate::common;
use std::time::Duration;

use crate::common::{acknowledged, answering, eventually, everywhere, publish};
use crate::messages::Messages;
use bridge::dead_letter::DeadLetter;
use bridge::message::Properties;
use bytes::Bytes;
use event::{Encoding, ItemFailure, Response};
use sandbox::bucket::{Bucket, Trouble};
use sandbox::lambda::{Answer, Function};
use sandbox::world::{FUNCTION, MAPPING, World, WorldBuilder};

async fn world(builder: WorldBuilder, function: Function, bucket: &Bucket) -> World {
    let mut world = builder.function(function).without_bridge().await.unwrap();
    world.unset("mapping.on_failure.file");
    world.set("mapping.on_failure.s3", &bucket.url());
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

/// The letters, in the order of a listing.
fn letters(bucket: &Bucket) -> Vec<DeadLetter> {
    bucket.objects().iter().map(|object| serde_json::from_slice(&object.body).unwrap()).collect()
}

fn payloads(bucket: &Bucket) -> Vec<Bytes> {
    letters(bucket).iter().map(|letter| Bytes::from(letter.payload_bytes().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_original_bytes_and_properties() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let bucket = Bucket::start().await.unwrap();
        let world = world(builder, refusing(), &bucket).await;
        let messages = Messages::start(&world, protocol);
        // Larger than an SQS message may be.
        let binary: Vec<u8> = (0..=255).cycle().take(1_500_000).collect();
        let sent = [Bytes::from(binary), Bytes::from("{ \"a\" :\t1 }\u{1}\u{fffe}\u{7f}\r\n"), Bytes::new()];
        let properties = Properties {
            content_type: Some("application/octet-stream".into()),
            response_topic: Some("answers/1".into()),
            correlation_data: Some(Bytes::from_static(&[0, 255])),
            user: vec![("b".into(), "2".into()), ("a".into(), "1".into()), ("b".into(), "3".into())],
            ..Properties::default()
        };
        for (number, payload) in (1..).zip(&sent) {
            messages.publish(payload.clone(), Some(properties.clone())).await;
            acknowledged(&world, number).await;
        }
        assert_eq!(payloads(&bucket), sent);
        let letters = letters(&bucket);
        for letter in &letters {
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
async fn listed_in_the_order_of_receipt() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let bucket = Bucket::start().await.unwrap();
        let world = world(builder, refusing(), &bucket).await;
        let messages = Messages::start(&world, protocol);
        let sent: Vec<_> = (0..40).map(|number| Bytes::from(format!("{number}"))).collect();
        for payload in &sent {
            messages.publish(payload.clone(), None).await;
        }
        acknowledged(&world, 40).await;
        assert_eq!(payloads(&bucket), sent);
        let start = format!("-{MAPPING}-");
        assert!(
            bucket.objects().iter().all(|object| object.key.starts_with("letters/20") && object.key.contains(&start))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_each_whatever_the_publisher_calls_it() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let bucket = Bucket::start().await.unwrap();
        let world = world(builder.set("mapping.message_id", "payload:/id"), refusing(), &bucket).await;
        let messages = Messages::start(&world, protocol);
        let body = |number| Bytes::from(format!("{{\"id\":\"../../a b?#%2F\\u0000ä\",\"number\":{number}}}"));
        for number in 0..20 {
            messages.publish(body(number), None).await;
        }
        acknowledged(&world, 20).await;
        let mut kept = payloads(&bucket);
        kept.sort_by_key(Bytes::len);
        let sent: Vec<_> = (0..20).map(body).collect();
        assert!(kept.len() == 20 && sent.iter().all(|payload| kept.contains(payload)), "one was written over");
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        for object in bucket.objects() {
            assert!(object.key.strip_prefix("letters/").unwrap().bytes().all(harmless), "{}", object.key);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_trouble_holds_its_messages_while_others_flow() {
    let troubles = [
        Trouble::Down,
        Trouble::SlowDown,
        Trouble::AccessDenied,
        Trouble::NoSuchBucket,
        Trouble::Slow(Duration::from_millis(300)),
    ];
    everywhere(|builder| async move {
        let bucket = Bucket::start().await.unwrap();
        let world = world(builder, picky(), &bucket).await;
        let mut handled = 0;
        for (round, trouble) in (1..).zip(troubles) {
            bucket.trouble(Some(trouble));
            let failures = world.counters().dead_letter_failures.get();
            publish(&world, 1, |options| options.bad_every = Some(1)).await;
            publish(&world, 5, |_| {}).await;
            handled += 5;
            let succeeded = || common::Fate::of(&world).handled.len();
            eventually("the others are handled", || succeeded() == handled).await;
            if !matches!(trouble, Trouble::Slow(_)) {
                let failed = || world.counters().dead_letter_failures.get() > failures;
                eventually("the bucket has failed", failed).await;
                assert_eq!(world.counters().acknowledged.get(), (round - 1) * 6, "{trouble:?}");
                // A failure destination that is down does not make the bridge unready.
                assert!(world.bridge().unwrap().troubles().is_empty(), "{trouble:?}");
                bucket.trouble(None);
            }
            acknowledged(&world, round * 6).await;
            assert_eq!(letters(&bucket).len() as u64, round, "{trouble:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_never_came_makes_no_second_object() {
    everywhere(|builder| async move {
        let bucket = Bucket::start().await.unwrap();
        let world = world(builder, refusing(), &bucket).await;
        bucket.trouble(Some(Trouble::CutAfterStoring));
        publish(&world, 1, |_| {}).await;
        let puts = || bucket.objects().iter().map(|object| object.puts).sum::<u32>();
        eventually("it is put again", || puts() >= 2).await;
        assert_eq!(world.counters().acknowledged.get(), 0);
        bucket.trouble(None);
        acknowledged(&world, 1).await;
        assert_eq!(bucket.objects().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_said_of_these_bytes_is_no_confirmation() {
    everywhere(|builder| async move {
        let bucket = Bucket::start().await.unwrap();
        let world = world(builder, refusing(), &bucket).await;
        for (sent, trouble) in (1..).zip([Trouble::WrongSum, Trouble::NoSum]) {
            bucket.trouble(Some(trouble));
            publish(&world, 1, |_| {}).await;
            let again = || {
                let objects = bucket.objects();
                objects.len() as u64 == sent && objects.last().is_some_and(|newest| newest.puts >= 2)
            };
            eventually("it is put again", again).await;
            assert_eq!(world.counters().acknowledged.get(), sent - 1, "{trouble:?}");
            bucket.trouble(None);
            acknowledged(&world, sent).await;
        }
    })
    .await;
}
