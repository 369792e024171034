//! Without faults each message is handled once, even if the broker sends it again by a timer (F28).

use std::time::Duration;

use sandbox::lambda::{Answer, Function};
use sandbox::world::FUNCTION;

use super::bench::{Bench, Seen, slow};

const MESSAGES: u64 = 500;

/// More than twice the lab's timer (`sandbox::lab`, NATS): each message comes three times.
const LONG: Duration = Duration::from_secs(12);

pub async fn five_hundred_once(bench: Bench) -> Seen {
    let mut stage = bench.stage(Function::inline(FUNCTION, |_| async { Answer::null() }), "").await;
    let bridge = stage.bridge().await;
    let sensors = stage.publish(MESSAGES).await;
    let mut seen = stage.outcome(&[&sensors]).await;
    // On a busy machine a timer may be over before the broker has read the acknowledgement.
    let by_timer = if bench.habits.sends_again_by.is_some() { stage.sent_again() } else { 0 };
    seen.nothing_lost(by_timer + bench.again(&[&bridge]));
    let sessions = bridge.connected(&format!("{}-m", bench.name)).len();
    seen.must(sessions == 1, format!("connected {sessions} times"));
    seen.note = format!("{MESSAGES} messages");
    seen
}

pub async fn sent_again_on_the_same_connection(bench: Bench) -> Seen {
    let mut stage = bench.stage(slow(LONG), "").await;
    let _bridge = stage.bridge().await;
    let sensors = stage.publish(3).await;
    let mut seen = stage.outcome(&[&sensors]).await;
    // All copies have arrived; new messages must not be taken for copies.
    let later = stage.publish(3).await;
    let after = stage.outcome(&[&sensors, &later]).await;
    seen = Seen { lost: after.lost, extra: after.extra, ..seen };
    seen.nothing_lost(0);
    seen.note = format!("3 and 3 messages, a function of {} s", LONG.as_secs());
    seen
}
