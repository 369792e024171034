//! Promise: when a failure destination cannot take a message, the next one does; the message is in exactly one of them
//! when it is acknowledged, and held while none takes it.

use crate::common;
use crate::common::{acknowledged, eventually, everywhere, fault, publish, willing};
use crate::messages::Messages;
use sandbox::bucket::{self, Bucket};
use sandbox::lambda::{Action, When};
use sandbox::queue::{Queue, Trouble};
use sandbox::world::{World, WorldBuilder};

/// A queue first, then a file; the function rejects everything.
async fn world(builder: WorldBuilder, queue: &Queue) -> World {
    let builder = builder.function(willing()).set("mapping.retry.max_attempts", "1");
    let world = builder.set("mapping.on_failure.sqs", &queue.url()).start().await.unwrap();
    fault(&world, When::Always, Action::function_error("SensorError", "cannot"));
    world
}

fn places(world: &World, queue: &Queue) -> (usize, usize) {
    (queue.messages().len(), world.dead_letters().unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn to_the_next_and_back_again() {
    everywhere(|builder| async move {
        let queue = Queue::start().await.unwrap();
        let world = world(builder, &queue).await;
        for (sent, trouble, expected) in [
            (3, None, (3, 0)),
            (6, Some(Trouble::Down), (3, 3)),
            (9, Some(Trouble::AccessDenied), (3, 6)),
            (12, None, (6, 6)),
        ] {
            queue.trouble(trouble);
            publish(&world, 3, |_| {}).await;
            acknowledged(&world, sent).await;
            assert_eq!(places(&world, &queue), expected, "{trouble:?}");
        }
        assert_eq!(world.counters().dead_letter_failures.get(), 6, "every failure is counted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_the_queue() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let queue = Queue::start().await.unwrap();
        let world = world(builder, &queue).await;
        let messages = Messages::start(&world, protocol);
        let large = vec![b'x'; 1024 * 1024];
        messages.publish(large.clone(), None).await;
        acknowledged(&world, 1).await;
        assert_eq!(places(&world, &queue), (0, 1));
        assert_eq!(world.dead_letters().unwrap()[0].payload_bytes().unwrap(), large);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_what_no_destination_can_ever_take_is_held_and_stops_nobody() {
    // More messages than lanes, so that no lane is free if a lane waits for such a message.
    const LANES: usize = 3;
    const HELD: usize = LANES + 1;
    const BEHIND: usize = 3;
    // All messages have one key, which those that are held must not keep.
    for ordering_key in [None, Some("topic[1]")] {
        everywhere(|builder| async move {
            let protocol = builder.protocol_spoken();
            let queue = Queue::start().await.unwrap();
            let builder = builder.set("mapping.receive_maximum", &(HELD + BEHIND).to_string());
            let mut world = world(builder.set("mapping.concurrency", &LANES.to_string()), &queue).await;
            assert!(world.drain_bridge(common::PATIENCE).await);
            world.unset("mapping.on_failure.file");
            ordering_key.into_iter().for_each(|key| world.set("mapping.ordering_key", key));
            world.start_bridge().await.unwrap();
            let messages = Messages::start(&world, protocol);
            for _ in 0..HELD {
                messages.publish(vec![b'x'; 1024 * 1024], None).await;
            }
            eventually("they are held", || world.counters().dead_letters_held.get() == i64::try_from(HELD).unwrap())
                .await;
            assert_eq!(world.bridge().unwrap().troubles(), Vec::<String>::new(), "there is room for others");
            publish(&world, BEHIND as u64, |_| {}).await;
            eventually("those behind are dead-lettered", || queue.messages().len() == BEHIND).await;
            assert_eq!(world.counters().acknowledged.get(), 0, "what is held, and by order what is behind it");
            let full = || world.bridge().unwrap().troubles().concat();
            let said = format!("{HELD} of {} messages held", HELD + BEHIND);
            eventually("no room is said", || full().contains(&said)).await;
            let counted = world.counters();
            world.crash_bridge();
            eventually("who is gone holds nothing", || counted.dead_letters_held.get() == 0).await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn held_while_all_fail() {
    everywhere(|builder| async move {
        let queue = Queue::start().await.unwrap();
        let mut world = world(builder, &queue).await;
        assert!(world.drain_bridge(common::PATIENCE).await);
        let directory = world.directory().join("gone");
        std::fs::create_dir(&directory).unwrap();
        let file = directory.join("letters.jsonl");
        world.set("mapping.on_failure.file", &file.display().to_string());
        world.start_bridge().await.unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        queue.trouble(Some(Trouble::Down));

        publish(&world, 1, |_| {}).await;
        eventually("both have failed, twice", || world.counters().dead_letter_failures.get() >= 4).await;
        assert_eq!(world.counters().acknowledged.get(), 0);
        std::fs::create_dir(&directory).unwrap();
        acknowledged(&world, 1).await;
        assert_eq!(sandbox::oracle::dead_letters(&file).unwrap().len() + queue.messages().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_queue_to_a_bucket_to_a_file() {
    everywhere(|builder| async move {
        let protocol = builder.protocol_spoken();
        let (queue, bucket) = (Queue::start().await.unwrap(), Bucket::start().await.unwrap());
        let world = world(builder.set("mapping.on_failure.s3", &bucket.url()), &queue).await;
        let places = || {
            let (queue, file) = places(&world, &queue);
            (queue, bucket.objects().len(), file)
        };
        for (sent, of_queue, of_bucket, expected) in [
            (3, None, Some(bucket::Trouble::Down), (3, 0, 0)),
            (6, Some(Trouble::Down), None, (3, 3, 0)),
            (9, Some(Trouble::Unavailable), Some(bucket::Trouble::SlowDown), (3, 3, 3)),
            (12, None, None, (6, 3, 3)),
        ] {
            queue.trouble(of_queue);
            bucket.trouble(of_bucket);
            publish(&world, 3, |_| {}).await;
            acknowledged(&world, sent).await;
            assert_eq!(places(), expected, "{of_queue:?} {of_bucket:?}");
        }
        assert_eq!(world.counters().dead_letter_failures.get(), 9, "every failure is counted");

        let messages = Messages::start(&world, protocol);
        messages.publish(vec![b'x'; 1024 * 1024], None).await;
        acknowledged(&world, 13).await;
        assert_eq!(places(), (6, 4, 3), "too large for the queue alone");
    })
    .await;
}
