//! The bridge reports what CONNACK grants: a shorter session (F30), or another version of MQTT.

use std::time::Duration;

use sandbox::lambda::{Answer, Function};
use sandbox::world::FUNCTION;

use super::bench::{Bench, Seen, Stage};
use crate::common::eventually;
use crate::replica::Replica;

/// Longer than any limit of the lab.
const ASKED: Duration = Duration::from_hours(48);

fn willing() -> Function {
    Function::inline(FUNCTION, |_| async { Answer::null() })
}

pub async fn expiry_is_said(bench: Bench) -> Seen {
    let topic = format!("lab/{}/data", bench.name);
    let settings = format!("session_expiry = \"{}s\"", ASKED.as_secs());
    let mut stage = bench.stage_for(willing(), &topic, &settings, "").await;
    let bridge = stage.bridge().await;
    let mut seen = Seen::default();
    let (granted, clamped) = match bench.habits.longest_session {
        Some(longest) => (longest, true),
        None => (ASKED, false),
    };
    let gauge = gauge(&bridge).await;
    if clamped {
        eventually("a shorter session is said", || warned(&bridge)).await;
    }
    seen.must(clamped || !warned(&bridge), "a false warning");
    let expected = granted.as_secs_f64();
    seen.must(gauge == Some(expected), format!("the gauge of `{GAUGE}` is {gauge:?}, not {expected}"));
    seen.note = format!("asked for {} h, granted {} h", ASKED.as_secs() / 3600, granted.as_secs() / 3600);
    seen
}

/// A part of the metric's name.
const GAUGE: &str = "session_expiry";

fn warned(bridge: &Replica) -> bool {
    let said = |line: &String| {
        let line = line.to_lowercase();
        line.contains("\"warn\"") && line.contains("session") && (line.contains("expir") || line.contains("shorter"))
    };
    bridge.process.log().iter().any(said)
}

async fn gauge(bridge: &Replica) -> Option<f64> {
    let (_, metrics) = bridge.ask("GET", "/metrics").await;
    let line = metrics.lines().find(|line| !line.starts_with('#') && line.contains(GAUGE))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// A broker that speaks MQTT 3.1.1 alone: the bridge says what to set.
pub async fn mqtt_5_is_refused_helpfully(bench: Bench) -> Seen {
    let mut stage = bench.stage(willing(), "").await;
    let spoken = format!("protocol = \"{}\"", bench.protocol);
    stage.change(&spoken, "protocol = \"5\"");
    let bridge = launch_and_fail(&mut stage).await;
    let mut seen = Seen::default();
    let (status, answer) = bridge.ask("GET", "/readyz").await;
    seen.must(status == 503, "ready under MQTT 5");
    let helpful = |text: &str| text.contains("mqtt.protocol") && text.contains("3.1.1");
    let log = bridge.process.log();
    seen.must(helpful(&answer) || log.iter().any(|line| helpful(line)), "it does not say what to set");
    seen.note = answer.trim().replace('\n', "; ");
    seen
}

async fn launch_and_fail(stage: &mut Stage) -> Replica {
    let bridge = stage.launch().await;
    let has_failed = || ["broker.lost", "broker.refused"].iter().any(|event| bridge.process.count(event) > 0);
    eventually("it has failed to connect", has_failed).await;
    bridge
}
