//! Promise: PUBACKs leave in the order of receipt (MQTT 5, 4.6.0-2), whatever the order in which functions finish.

use crate::common;
use std::time::Duration;

use crate::common::{acknowledged, acks, eventually, everywhere, publish, publishes, tapped};
use sandbox::lambda::{Answer, Call, Function};
use sandbox::world::FUNCTION;
use tokio::sync::watch;

const MESSAGES: u64 = 60;

/// Takes longer for early messages than for late ones, so that they finish in another order than they came.
fn unsteady() -> Function {
    Function::inline(FUNCTION, |call| async move {
        let sum: u64 = call.payload.iter().map(|byte| u64::from(*byte)).sum();
        tokio::time::sleep(Duration::from_millis(sum * 7919 % 150)).await;
        Answer::null()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn pubacks_follow_the_order_of_receipt() {
    everywhere(|builder| async move {
        let (world, tap) = tapped(builder.function(unsteady())).await;
        publish(&world, MESSAGES, |_| {}).await;
        acknowledged(&world, MESSAGES).await;
        eventually("all are on the wire", || acks(&tap.seen()).len() as u64 >= MESSAGES).await;
        let received: Vec<_> = publishes(&tap.seen()).into_iter().map(|(packet_id, ..)| packet_id).collect();
        let acknowledged: Vec<_> = acks(&tap.seen()).into_iter().map(|(packet_id, _)| packet_id).collect();
        assert_eq!(received, acknowledged);

        let log = world.lambda.log().invocations();
        let ends: Vec<_> = log.iter().map(|invocation| invocation.ended.unwrap()).collect();
        assert!(!ends.is_sorted(), "the functions finished in order, so this proved nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_invocation_holds_the_acknowledgements_and_not_the_invocations() {
    everywhere(|builder| async move {
        let (gate, open) = watch::channel(false);
        let function = Function::inline(FUNCTION, move |call: Call| {
            let mut open = open.clone();
            async move {
                if call.payload.windows(9).any(|window| window == b"-1\"},\"enc") {
                    // An error means that the test has ended.
                    let _ = open.wait_for(|open| *open).await;
                }
                Answer::null()
            }
        });
        let (world, tap) = tapped(builder.function(Function { timeout: common::PATIENCE, ..function })).await;
        publish(&world, 20, |_| {}).await;
        let log = world.lambda.log();
        log.wait_for(common::PATIENCE, |log| log.totals().succeeded >= 19).await.unwrap();
        assert_eq!(acks(&tap.seen()), [], "the first message is not done");
        gate.send_replace(true);
        acknowledged(&world, 20).await;
        eventually("all are on the wire", || acks(&tap.seen()).len() >= 20).await;
    })
    .await;
}
