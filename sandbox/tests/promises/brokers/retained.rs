//! A retained message is handled once, however often the bridge connects and subscribes again (MQTT 5, 3.8.3.1: Retain
//! Handling 1).

use sandbox::lab::{Product, Shared};
use sandbox::lambda::{Answer, Function};
use sandbox::proxy::Proxy;
use sandbox::world::FUNCTION;
use serde_json::Value;

use super::bench::{Bench, Seen, Stage};
use super::device::announce;
use crate::common::{eventually, records};

/// How often the connection is cut, besides one restart of the bridge.
const CUTS: usize = 2;

pub async fn handled_once(bench: Bench) -> Seen {
    let topic = format!("lab/{}/data", bench.name);
    let (plain, mut seen) = repeated(&bench, "plain", &topic).await;
    seen.must(plain == 1, format!("{plain} invocations for one retained message"));
    seen.note = format!("{CUTS} cuts and a kill: {plain} invocation");
    // rumqttd 0.20 panics ("group must exists") once the only member of a group has connected again.
    let survives = bench.habits.product != Product::Rumqttd;
    if survives && bench.habits.shared(bench.protocol) == Shared::Works {
        // Some brokers send it to a shared subscription too, though MQTT 5 says no (4.8.2).
        let (shared, too) = repeated(&bench, "shared", &format!("$share/{}/{topic}", bench.name)).await;
        seen.must(shared <= 1, format!("{shared} invocations for one retained message, shared"));
        seen.wrong.extend(too.wrong);
        seen.note = format!("{}, {shared} on a shared subscription", seen.note);
    }
    seen
}

/// How often the function was invoked for a retained message over several connections.
async fn repeated(bench: &Bench, session: &str, filter: &str) -> (usize, Seen) {
    let function = Function::inline(FUNCTION, |_| async { Answer::null() });
    let mut stage = bench.stage_for(function, filter, "", "").await;
    // A session of its own, which has no other subscription.
    let client_id = format!("{}-{session}", bench.name);
    stage.change(&format!("client_id = \"{}\"", bench.name), &format!("client_id = \"{client_id}\""));
    announce(&stage, &stage.topic, b"retained").await;
    let proxy = Proxy::start(stage.world.url()).await.unwrap();
    let direct = stage.world.url().to_string();
    stage.change(&direct, &proxy.url().to_string());
    let mut markers = vec![];
    let mut bridge = stage.bridge().await;
    if !filter.starts_with('$') {
        stage.invoked(1).await;
    }
    markers.push(marked(&stage).await);
    let id = format!("{client_id}-m");
    for cut in 1..=CUTS {
        proxy.reset();
        eventually("it is connected again", || bridge.connected(&id).len() > cut).await;
        bridge.ready().await;
        markers.push(marked(&stage).await);
    }
    bridge.process.kill().await.unwrap();
    let _bridge = stage.bridge().await;
    markers.push(marked(&stage).await);
    let seen = stage.outcome(&markers.iter().collect::<Vec<_>>()).await;
    // The end of a connection may cost an acknowledgement: then the broker sends again what it had sent, and says so.
    let is_new = |record: &Value| record["payload"] == "retained" && record["dup"] == false;
    (records(&stage.world).into_iter().filter(is_new).count(), seen)
}

/// A message that arrives after all that the broker sends for the subscription.
async fn marked(stage: &Stage) -> sandbox::sensors::Sensors {
    let sensors = stage.publish(1).await;
    stage.outcome(&[&sensors]).await;
    sensors
}
