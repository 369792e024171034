//! `POST /retire` with a backlog ends, and loses nothing, also where the broker drops its queue at UNSUBSCRIBE (F40).

use std::time::Duration;

use crate::bench::{Bench, Seen, slow};
use crate::common::{Fate, PATIENCE};

/// For each that runs at once: a broker that sends one at a time takes as long with a tenth of it.
const MESSAGES: u64 = 30;

pub async fn retire(bench: Bench<'_>) -> Seen {
    let mut stage = bench.stage(slow(Duration::from_millis(100)), "receive_maximum = 10").await;
    let mut bridge = stage.bridge().await;
    let sensors = stage.publish(MESSAGES * u64::from(bench.habits.running())).await;
    let backlog = Fate::of(&stage.world).lost(&sensors).len();
    assert_eq!(bridge.ask("POST", "/retire").await.0, 202);
    let status = bridge.process.exited(PATIENCE).await.unwrap();
    let mut seen = Seen::default();
    seen.must(status.is_some(), "it does not end");
    if let Some(status) = status {
        seen.must(status.success(), format!("{status}"));
    }
    let fate = Fate::of(&stage.world);
    (seen.lost, seen.extra) = (fate.lost(&sensors).len(), fate.extra());
    seen.nothing_lost(0);
    seen.must(backlog > 10, format!("a backlog of {backlog} proves nothing"));
    seen.note = format!("a backlog of {backlog}");
    seen
}
