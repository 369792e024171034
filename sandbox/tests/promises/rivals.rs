//! Promise: two processes with one client id do not fight over it. Matrix row F19, on the real binary.

use crate::common;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::{everywhere, sized, willing};
use crate::replica::{Replica, broker, events, mapping};
use serde_json::Value;

/// How long a broken connection waits at most; the window in which connections are counted has four times that.
const LONGEST: u64 = 2;

/// The most connections of one process in one window.
const MOST: usize = 10;

/// How often each is thrown out: more often than [`MOST`], or too many connections in a window could not be seen.
const TIMES: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn f19_two_processes_with_one_client_id_do_not_fight() {
    everywhere(|builder| async move {
        let longest = sized(LONGEST, 30);
        let protocol = builder.protocol_spoken();
        let world = builder.function(willing()).without_bridge().await.unwrap();
        let backoff = format!("backoff = \"{}ms..{longest}s\"", sized(100, 500));
        let config = broker(world.url(), &world.files, protocol, "same", &backoff) + &mapping("m", "sensor/data", "");
        let replicas = [Replica::launch(&world, "a", &config).await, Replica::launch(&world, "b", &config).await];
        let window = Duration::from_secs(4 * longest);
        let told = AtomicBool::new(false);
        let [a, b] = replicas.each_ref().map(|replica| fight(replica, &told, Duration::from_secs(60 * longest)));
        let (a, b) = tokio::join!(a, b);
        for connects in [a, b] {
            let within =
                |first: &Instant| connects.iter().filter(|at| **at >= *first && **at < *first + window).count();
            let most = connects.iter().map(within).max().unwrap();
            assert!(most <= MOST, "{most} connections within {window:?}: {connects:?}");
        }
    })
    .await;
}

/// Waits until one of the two has been thrown out so many times and has said loudly that another one has its client id;
/// returns when this one had connected. Where the broker gives no reason, the other may never be thrown out often enough to
/// notice: the one that has noticed waits longer before each attempt.
async fn fight(replica: &Replica, told: &AtomicBool, patience: Duration) -> Vec<Instant> {
    let loud = |line: &Value| {
        let reason = line["reason"].as_str().unwrap_or_default();
        line["level"] == "ERROR" && reason.contains("is another process running")
    };
    let (mut connects, mut counted) = (Vec::new(), 0.0);
    let watching = async {
        // The log summarises what repeats, the counters do not.
        while !told.load(Ordering::SeqCst) {
            let made = replica.metric("mqtt_lambda_bridge_connects_total{mapping=\"m\"} ").await.unwrap();
            while counted < made {
                connects.push(Instant::now());
                counted += 1.0;
            }
            let thrown_out = replica.metric("mqtt_lambda_bridge_session_taken_over_total{mapping=\"m\"} ").await;
            if thrown_out >= Some(TIMES.into()) && events(&replica.process).any(|line| loud(&line)) {
                told.store(true, Ordering::SeqCst);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let in_time = tokio::time::timeout(patience + common::PATIENCE, watching).await;
    assert!(in_time.is_ok(), "{:#?}", replica.process.log());
    connects
}
