//! Promise: messages that the function rejects are in the failure destination, byte for byte and with the reason,
//! before they are acknowledged; other messages are not delayed.

use crate::common;
use crate::common::{acknowledged, answering, everywhere, fault, nothing_lost, publish, willing};
use event::{ItemFailure, Response};
use sandbox::lambda::{Action, Answer, When};
use sandbox::world::{FUNCTION, MAPPING};

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_function_error_after_the_attempts_with_the_original_bytes() {
    everywhere(|builder| async move {
        let world = builder.function(willing()).set("mapping.retry.max_attempts", "3").start().await.unwrap();
        fault(&world, When::Always, Action::function_error("SensorError", "cannot"));
        let sensors = publish(&world, 4, |_| {}).await;
        acknowledged(&world, 4).await;
        let letters = world.dead_letters().unwrap();
        assert_eq!(letters.len(), 4);
        for letter in &letters {
            assert_eq!((letter.mapping.as_str(), letter.function.as_str()), (MAPPING, FUNCTION));
            assert_eq!((letter.topic.as_str(), letter.qos, letter.attempts), ("sensor/data", 1, 3));
            assert_eq!((letter.error_type.as_str(), letter.error_message.as_str()), ("SensorError", "cannot"));
            let sent = world.lambda.log().invocations();
            let bytes = letter.payload_bytes().unwrap();
            assert!(sent.iter().any(|i| i.payload.windows(bytes.len()).any(|window| window == bytes)));
            assert!(letter.received_at <= letter.first_attempt_at && letter.first_attempt_at <= letter.last_attempt_at);
        }
        assert!(common::Fate::of(&world).lost(&sensors).is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_readings_go_straight_there_and_good_ones_flow() {
    everywhere(|builder| async move {
        let world = builder.start().await.unwrap();
        let sensors = publish(&world, 50, |options| options.bad_every = Some(10)).await;
        acknowledged(&world, 50).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.dead.len(), fate.extra()), (45, 5, 0));
        for letter in world.dead_letters().unwrap() {
            assert_eq!((letter.error_type.as_str(), letter.attempts), ("Function.ItemFailure", 1));
            assert!(letter.error_message.contains("temperature"), "{}", letter.error_message);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_an_event_that_lambda_rejects_is_not_tried_again() {
    everywhere(|builder| async move {
        let world = builder.function(willing()).start().await.unwrap();
        for status in [400, 413] {
            let before = world.counters().acknowledged.get();
            fault(&world, When::Always, Action::status(status));
            publish(&world, 1, |_| {}).await;
            acknowledged(&world, before + 1).await;
            world.lambda.faults().clear();
        }
        let letters = world.dead_letters().unwrap();
        assert_eq!(letters.iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [1, 1]);
        assert!(letters.iter().all(|letter| letter.error_type == "Rejected"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_a_destination_that_fails_holds_its_messages_while_others_flow() {
    everywhere(|builder| async move {
        let picky = answering(|call| {
            let event = call.event().unwrap();
            let bad = event.records.iter().filter(|record| record.payload.get().contains("\"broken\""));
            let failures = bad.map(|record| ItemFailure::give_up(&record.id, "bad")).collect();
            Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
        });
        let mut world = builder.function(picky).without_bridge().await.unwrap();
        let blocked = world.directory().join("gone");
        std::fs::create_dir(&blocked).unwrap();
        let file = blocked.join("letters.jsonl");
        world.set("mapping.on_failure.file", &file.display().to_string());
        world.start_bridge().await.unwrap();
        std::fs::remove_dir_all(&blocked).unwrap();

        let sensors = publish(&world, 10, |_| {}).await;
        acknowledged(&world, 10).await;
        let poison = publish(&world, 1, |options| options.bad_every = Some(1)).await;
        let after = publish(&world, 5, |_| {}).await;
        common::eventually("the destination has failed", || world.counters().dead_letter_failures.get() > 0).await;
        let log = world.lambda.log();
        log.wait_for(common::PATIENCE, |log| log.totals().succeeded >= 16).await.unwrap();
        assert_eq!(world.counters().acknowledged.get(), 10, "the poison holds itself and, by order, what is behind it");

        std::fs::create_dir(&blocked).unwrap();
        acknowledged(&world, 16).await;
        assert_eq!(sandbox::oracle::dead_letters(&file).unwrap().len(), 1);
        assert_eq!((sensors.published(), poison.published(), after.published()), (10, 1, 5));
    })
    .await;
}
