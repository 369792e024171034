//! A shared subscription works, or the bridge reports its refusal; where a refusal is not visible, the bridge warns
//! (F31).

use std::time::Duration;

use sandbox::lab::Shared;

use super::bench::{Bench, Seen, Stage, slow};
use crate::common::{Fate, eventually};

pub async fn shared_or_refused(bench: Bench) -> Seen {
    let filter = format!("$share/{0}/lab/{0}/data", bench.name);
    let mut stage = bench.stage_for(slow(Duration::from_millis(5)), &filter, "", "").await;
    match bench.habits.shared(bench.protocol) {
        Shared::Works => works(&bench, &mut stage).await,
        Shared::Refused => refused(&mut stage).await,
        Shared::TakenLiterally => taken_literally(&mut stage).await,
    }
}

/// Two replicas, each of which gets a part of the messages.
async fn works(bench: &Bench, stage: &mut Stage) -> Seen {
    let one = stage.bridge().await;
    stage.change(&format!("client_id = \"{}\"", bench.name), &format!("client_id = \"{}-two\"", bench.name));
    let two = stage.bridge().await;
    let sensors = stage.publish(200).await;
    let mut seen = stage.outcome(&[&sensors]).await;
    seen.nothing_lost(bench.again(&[&one, &two]));
    let part = two.metric("mqtt_lambda_bridge_received_total{mapping=\"m\"}").await.unwrap_or_default();
    seen.must(part > 0.0 && part < 200.0, format!("the second replica has had {part} of 200"));
    seen.note = format!("two replicas, {part} of 200 to the second");
    seen
}

/// Never ready, and says that the subscription is the cause.
async fn refused(stage: &mut Stage) -> Seen {
    let bridge = stage.launch().await;
    let names_it = |line: &String| line.contains("shared subscription") || line.contains("$share/");
    let told = |line: &String| line.contains("\"ERROR\"") || line.contains("\"WARN\"");
    eventually("the refusal is told", || bridge.process.log().iter().any(|line| told(line) && names_it(line))).await;
    let mut seen = Seen::default();
    let (status, answer) = bridge.ask("GET", "/readyz").await;
    seen.must(status == 503, format!("ready: {answer}"));
    seen.must(!answer.contains("another process"), format!("taken for a rival: {answer}"));
    seen.note = format!("refused: {}", answer.trim().replace('\n', "; "));
    seen
}

/// The broker grants it, so the bridge can only warn.
async fn taken_literally(stage: &mut Stage) -> Seen {
    let bridge = stage.bridge().await;
    let warned = |line: &String| line.contains("\"WARN\"") && line.contains("$share") && line.contains("3.1.1");
    let mut seen = Seen::default();
    eventually("`$share` under MQTT 3.1.1 is warned of", || bridge.process.log().iter().any(warned)).await;
    let sensors = stage.publish(5).await;
    // A message that is published to the filter's own text would arrive; nobody does that.
    let fate = Fate::of(&stage.world);
    seen.must(fate.handled.is_empty(), "the broker knows shared subscriptions: its habits are others");
    seen.note = format!("granted, and {} of 5 have not come", fate.lost(&sensors).len());
    seen
}
