//! Promise: messages of one ordering key reach the function in receive order, under failures, batches and lost
//! connections, while other keys go on.

use crate::common;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{acknowledged, eventually, everywhere, nothing_lost, publish, sized, tapped};
use event::{ItemFailure, Record, Response};
use sandbox::lambda::{Answer, Function};
use sandbox::world::{FUNCTION, WorldBuilder};

/// What the function has taken, by device, in the order in which it did: the publisher's numbers.
type Taken = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// Fails at random, after a random while. Within an event it stops a device at its first failure, as a function must
/// that wants its effects in order.
fn unsteady(taken: Taken, failures_in_100: u64) -> Function {
    Function::inline(FUNCTION, move |call| {
        let taken = Arc::clone(&taken);
        async move {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
            let (mut failures, mut stopped) = (Vec::new(), Vec::new());
            for record in call.event().unwrap().records {
                let (device, number) = read(&record);
                if stopped.contains(&device) || fastrand::u64(0..100) < failures_in_100 {
                    failures.push(ItemFailure::retry(record.id, "unlucky"));
                    stopped.push(device);
                } else {
                    taken.lock().unwrap().entry(device).or_default().push(number);
                }
            }
            Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
        }
    })
}

fn read(record: &Record) -> (String, u64) {
    let payload: serde_json::Value = serde_json::from_str(record.payload.get()).unwrap();
    let number = payload["message_id"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    (payload["device_id"].as_str().unwrap().to_owned(), number)
}

fn ordered(builder: WorldBuilder, taken: &Taken) -> WorldBuilder {
    builder
        .set("mapping.ordering_key", "payload:/device_id")
        .set("mapping.retry.max_attempts", "1000")
        .set("mapping.retry.backoff", "1ms..5ms")
        .set("mapping.concurrency", "20")
        .function(unsteady(Arc::clone(taken), 10))
}

/// Every device's messages once each, in the order of publication. How many each device has is the sensors' affair.
fn assert_in_order(taken: &Taken, devices: usize, messages: u64) {
    let taken = taken.lock().unwrap();
    assert!(taken.len() > devices / 2, "only {} devices", taken.len());
    for (device, numbers) in taken.iter() {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{device}: {numbers:?}");
    }
    assert_eq!(taken.values().map(|numbers| numbers.len() as u64).sum::<u64>(), messages);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_random_failures() {
    everywhere(|builder| async move {
        let taken = Taken::default();
        let world = ordered(builder, &taken).start().await.unwrap();
        let messages = sized(600, 10_000);
        publish(&world, messages, |options| (options.count, options.rate) = (50, 1_000.0)).await;
        acknowledged(&world, messages).await;
        assert_in_order(&taken, 50, messages);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_random_failures_in_batches() {
    everywhere(|builder| async move {
        let taken = Taken::default();
        let builder = ordered(builder, &taken).set("mapping.batch.max_records", "20");
        let world = builder.set("mapping.batch.max_window", "10ms").start().await.unwrap();
        let messages = sized(600, 2_000);
        publish(&world, messages, |options| (options.count, options.rate) = (10, 2_000.0)).await;
        acknowledged(&world, messages).await;
        assert_in_order(&taken, 10, messages);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_lost_connections() {
    everywhere(|builder| async move {
        let taken = Taken::default();
        let (world, tap) = tapped(ordered(builder, &taken)).await;
        let mut sensors =
            world.sensors(|options| (options.count, options.rate, options.total) = (10, 300.0, Some(600))).unwrap();
        for cut in 1..=3 {
            eventually("some more are through", || sensors.registry().counts().acked >= cut * 120).await;
            tap.cut();
        }
        tokio::time::timeout(common::PATIENCE, sensors.finished()).await.unwrap();
        nothing_lost(&world, &sensors).await;
        eventually("all is settled", || world.counters().outstanding.get() == 0).await;
        // A message whose PUBACK was lost comes again behind others: only the first time counts.
        let firsts: BTreeMap<_, Vec<u64>> = taken
            .lock()
            .unwrap()
            .iter()
            .map(|(device, numbers)| {
                let mut firsts = Vec::new();
                numbers.iter().for_each(|n| {
                    if !firsts.contains(n) {
                        firsts.push(*n);
                    }
                });
                (device.clone(), firsts)
            })
            .collect();
        assert!(firsts.values().all(|numbers| numbers.is_sorted()), "{firsts:?}");
        assert_eq!(firsts.values().map(Vec::len).sum::<usize>(), 600);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_fails_holds_nobody_else() {
    everywhere(|builder| async move {
        let taken = Taken::default();
        let seen = Arc::clone(&taken);
        let stubborn = Function::inline(FUNCTION, move |call| {
            let seen = Arc::clone(&seen);
            async move {
                let event = call.event().unwrap();
                let (device, number) = read(&event.records[0]);
                if device == "sensor-01" {
                    return Answer::error("Stubborn", "never");
                }
                seen.lock().unwrap().entry(device).or_default().push(number);
                Answer::null()
            }
        });
        let world = ordered(builder, &taken).function(stubborn).start().await.unwrap();
        publish(&world, 100, |options| (options.count, options.rate) = (4, 200.0)).await;
        eventually("all others are through", || taken.lock().unwrap().values().map(Vec::len).sum::<usize>() >= 60)
            .await;
        let ids: std::collections::BTreeSet<_> = world
            .lambda
            .log()
            .invocations()
            .iter()
            .filter(|invocation| invocation.payload.windows(11).any(|window| window == b"\"sensor-01\""))
            .flat_map(|invocation| invocation.record_ids.iter().cloned())
            .collect();
        assert_eq!(ids.len(), 1, "a later message of the failing key was invoked: {ids:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_given_up_holds_those_behind_it() {
    everywhere(|builder| async move {
        let taken = Taken::default();
        let (seen, refused) = (Arc::clone(&taken), Arc::new(Mutex::new(false)));
        // Gives the first message up once, and takes everything else each time it sees it.
        let function = Function::inline(FUNCTION, move |call| {
            let (seen, refused) = (Arc::clone(&seen), Arc::clone(&refused));
            async move {
                let mut failures = Vec::new();
                for record in call.event().unwrap().records {
                    let (device, number) = read(&record);
                    if number == 1 && !std::mem::replace(&mut *refused.lock().unwrap(), true) {
                        failures.push(ItemFailure::give_up(record.id, "not now"));
                    } else {
                        seen.lock().unwrap().entry(device).or_default().push(number);
                    }
                }
                Answer::json(&Response { batch_item_failures: failures, ..Response::default() })
            }
        });
        let builder = ordered(builder, &taken).set("mapping.batch.max_records", "5");
        let builder = builder.set("mapping.batch.max_window", "5s").function(function);
        let mut world = builder.without_bridge().await.unwrap();
        world.unset("mapping.on_failure.file");
        world.start_bridge().await.unwrap();
        publish(&world, 5, |_| {}).await;
        acknowledged(&world, 5).await;
        let taken = taken.lock().unwrap();
        let numbers = taken.values().next().unwrap();
        let last_times: Vec<_> = (1..=5).map(|number| numbers.iter().rposition(|n| *n == number)).collect();
        assert!(last_times.is_sorted(), "1 was taken after those behind it: {numbers:?}");
    })
    .await;
}

/// F48.
#[tokio::test(flavor = "multi_thread")]
async fn f48_a_drain_between_the_halves_of_a_batch_lets_no_half_overtake() {
    everywhere(|builder| async move {
        let (taken, alone) = (Taken::default(), Arc::new(Mutex::new(false)));
        let (seen, asked) = (Arc::clone(&taken), Arc::clone(&alone));
        // Fails whenever the first message is in the event.
        let function = Function::inline(FUNCTION, move |call| {
            let (seen, asked) = (Arc::clone(&seen), Arc::clone(&asked));
            async move {
                let records: Vec<_> = call.event().unwrap().records.iter().map(read).collect();
                if records.iter().any(|(_, number)| *number == 1) {
                    *asked.lock().unwrap() |= records.len() == 1;
                    return Answer::error("Unready", "not the first one yet");
                }
                for (device, number) in records {
                    seen.lock().unwrap().entry(device).or_default().push(number);
                }
                Answer::null()
            }
        });
        let builder = ordered(builder, &taken)
            .set("mapping.batch.max_records", "4")
            .set("mapping.batch.max_window", "5s")
            .set("mapping.retry.backoff", "30s..60s");
        let mut world = builder.function(function).start().await.unwrap();
        publish(&world, 4, |_| {}).await;
        eventually("the first is alone and waits for its next attempt", || *alone.lock().unwrap()).await;
        assert!(world.drain_bridge(common::PATIENCE).await, "it drains");
        assert_eq!(*taken.lock().unwrap(), BTreeMap::new(), "the second half went before the first");
    })
    .await;
}
