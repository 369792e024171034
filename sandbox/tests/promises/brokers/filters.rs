//! A filter that a reload has removed is given up at the broker, and nothing is lost of what waits there for it: not while it is
//! fetched, also where the broker drops its queue at UNSUBSCRIBE (F40), and not by a drain in between, which fetches nothing.

use std::time::Duration;

use super::bench::{Bench, Seen, Stage, slow_until_open};
use crate::common::{Fate, PATIENCE, eventually};

/// So many waves of the messages that may be in flight: on a busy machine several pass before a restart.
const WAVES: u64 = 12;
/// A drain that waits for one wave has the time to find the broker's queue empty, if it were to look.
const WAVE: Duration = Duration::from_secs(5);

pub async fn removed(bench: Bench) -> Seen {
    let (topic, other) = (format!("lab/{}/data", bench.name), format!("lab/{}/other", bench.name));
    // A broker that never answers UNSUBSCRIBE is asked three times.
    let (function, gate) = slow_until_open(WAVE);
    let mut stage = bench.stage_for(function, &topic, "connect_timeout = \"3s\"", "receive_maximum = 10").await;
    let (both, one) = (format!("[\"{topic}\", \"{other}\"]"), format!("[\"{other}\"]"));
    stage.change(&format!("\"{topic}\""), &both);
    let mut bridge = stage.bridge().await;
    let wave = u64::from(bench.habits.running().min(10));
    let sensors = stage.publish(WAVES * wave).await;
    let left = |stage: &Stage| Fate::of(&stage.world).lost(&sensors).len();

    // The mapping restarts, takes the next wave, and drains.
    stage.change(&both, &one);
    bridge.reload(stage.config()).await;
    let id = format!("{}-m", bench.name);
    eventually("it is connected again", || bridge.connected(&id).len() >= 2).await;
    stage.invoked(wave + 1).await;
    let backlog = left(&stage);
    bridge.process.signal("TERM").await.unwrap();
    let status = bridge.process.exited(PATIENCE).await.unwrap();
    let given_up_early = bridge.logged("session.unsubscribed").len();

    // Without a drain it is given up, behind all that waits for it.
    stage.change(&one, &both);
    let mut bridge = stage.launch().await;
    eventually("it is connected", || !bridge.connected(&id).is_empty()).await;
    stage.change(&both, &one);
    bridge.reload(stage.config()).await;
    eventually("it is connected again", || bridge.connected(&id).len() >= 2).await;
    let behind = left(&stage);
    gate.send_replace(true);
    let mut seen = stage.outcome(&[&sensors]).await;
    let given_up =
        || bridge.logged("session.unsubscribed").len() + bridge.logged("session.unsubscribe_unanswered").len();
    eventually("the filter is given up", || given_up() == 1).await;

    seen.must(status.is_some_and(|status| status.success()), format!("the drain ends with {status:?}"));
    seen.must(given_up_early == 0, "a drain gave the filter up");
    seen.nothing_lost(usize::try_from(2 * wave).unwrap());
    seen.must(backlog > 0 && behind > 0, format!("a backlog of {backlog} and then {behind} proves nothing"));
    seen.note = format!("a backlog of {backlog} at the drain, then {behind}");
    seen
}
