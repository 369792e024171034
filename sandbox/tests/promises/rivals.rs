//! Promise: two processes with one client id do not fight over it. Matrix row F19, on the real binary.

use crate::common;
use std::time::Duration;

use crate::common::{everywhere, sized, willing};
use crate::replica::{Replica, broker, events, mapping};
use serde_json::Value;

/// How long a broken connection waits at most; the window in which connections are counted has four times that.
const LONGEST: u64 = 2;

/// The most connections of one process in one window.
const MOST: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn f19_two_processes_with_one_client_id_do_not_fight() {
    everywhere(|builder| async move {
        let longest = sized(LONGEST, 30);
        let protocol = builder.protocol_spoken();
        let world = builder.function(willing()).without_bridge().await.unwrap();
        let backoff = format!("backoff = \"{}ms..{longest}s\"", sized(100, 500));
        let config = broker(world.url(), &world.files, protocol, "same", &backoff) + &mapping("m", "sensor/data", "");
        let replicas = [Replica::launch(&world, "a", &config).await, Replica::launch(&world, "b", &config).await];
        for replica in &replicas {
            told_loudly(replica, 3, Duration::from_secs(20 * longest)).await;
        }
        for replica in &replicas {
            let times: Vec<_> = events(&replica.process).filter(|line| line["message"] == "connected").collect();
            let times: Vec<_> = times.iter().map(time_of).collect();
            let window = Duration::from_secs(4 * longest);
            let within =
                |first: &Duration| times.iter().filter(|time| **time >= *first && **time < *first + window).count();
            let most = times.iter().map(within).max().unwrap();
            assert!(most <= MOST, "{most} connections within {window:?}: {times:?}");
        }
    })
    .await;
}

/// Waits until this process has said so many times that another one has its client id; each time it rests long.
async fn told_loudly(replica: &Replica, times: usize, patience: Duration) {
    let loud = |line: &Value| {
        let reason = line["reason"].as_str().unwrap_or_default();
        line["level"] == "ERROR" && reason.contains("is another process running")
    };
    let waiting = async {
        while events(&replica.process).filter(loud).count() < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(patience + common::PATIENCE, waiting).await;
    assert!(told.is_ok(), "{:#?}", replica.process.log());
}

/// When a line was logged, since the epoch.
fn time_of(line: &Value) -> Duration {
    let time = humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
    time.duration_since(std::time::UNIX_EPOCH).unwrap()
}
