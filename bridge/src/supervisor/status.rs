//! The content of the status topic: nothing before the bridge was ready once, then its state, at most once a second.
//! Contains no text from a broker, a function or a device.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::settings::status_link;
use crate::admin::{Standing, Watched};
use crate::config::{self, StatusFormat};
use crate::mqtt::{Connector, StatusTopic, Told};
use crate::shutdown::{Listener, Phase};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts to tell, where that is configured.
pub(super) fn start(
    mqtt: &config::Mqtt,
    connector: &Connector,
    mappings: watch::Receiver<Vec<Watched>>,
    shutdown: &Listener,
    tasks: &mut JoinSet<()>,
) {
    let Some(topic) = mqtt.status_topic() else { return };
    let (format, will_delay) = (mqtt.status.format, mqtt.status.will_delay);
    let told = Told { topic, offline: offline(format), will_delay };
    let (say, online) = watch::channel(None);
    tasks.spawn(watch_mappings(format, mappings, say, shutdown.clone()));
    let teller = StatusTopic::new(status_link(mqtt), told, online, connector.clone(), shutdown.clone());
    tasks.spawn(teller.run());
}

async fn watch_mappings(
    format: StatusFormat,
    mappings: watch::Receiver<Vec<Watched>>,
    say: watch::Sender<Option<Bytes>>,
    mut shutdown: Listener,
) {
    let since = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let (mut looks, mut started) = (interval(LOOK_EVERY), false);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.reached(Phase::Stopping) => return,
            _ = looks.tick() => {}
        }
        let all = mappings.borrow().clone();
        started |= !all.is_empty() && all.iter().all(|watched| watched.trouble().is_none());
        if started {
            let now = Some(online(format, &since, &all));
            say.send_if_modified(|said| {
                let changed = *said != now;
                *said = now;
                changed
            });
        }
    }
}

/// The status as JSON.
#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mappings: Option<BTreeMap<&'a str, &'static str>>,
}

fn written(format: StatusFormat, report: &Report<'_>) -> Bytes {
    match format {
        StatusFormat::Text => Bytes::from_static(report.status.as_bytes()),
        // A report of strings alone always serializes.
        StatusFormat::Json => serde_json::to_vec(report).unwrap_or_default().into(),
    }
}

/// Nobody knows when a Will is published, so it does not say since when.
fn offline(format: StatusFormat) -> Bytes {
    let version = env!("CARGO_PKG_VERSION");
    written(format, &Report { status: "offline", version, since: None, mappings: None })
}

fn online(format: StatusFormat, since: &str, all: &[Watched]) -> Bytes {
    let mut mappings: BTreeMap<&str, &'static str> = BTreeMap::new();
    // Without the publisher, which belongs to no mapping.
    for watched in all.iter().filter(|watched| watched.about.is_some()) {
        let (name, found) = (watched.mapping.as_str(), state(watched));
        let state = mappings.entry(name).or_insert(found);
        // One session that is not ready says more than others that are.
        if *state == READY {
            *state = found;
        }
    }
    let (since, mappings) = (Some(since), Some(mappings));
    written(format, &Report { status: "online", version: env!("CARGO_PKG_VERSION"), since, mappings })
}

const READY: &str = "ready";

fn state(watched: &Watched) -> &'static str {
    match watched.standing {
        Standing::Retires => "retiring",
        Standing::Changes => "changing",
        Standing::Stays if watched.trouble().is_some() => "not ready",
        Standing::Stays if watched.paused.as_ref().is_some_and(crate::latest::Latest::get) => "paused",
        Standing::Stays => READY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_word_and_json_says_more() {
        assert_eq!(online(StatusFormat::Text, "s", &[]), "online");
        assert_eq!(offline(StatusFormat::Text), "offline");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(offline(StatusFormat::Json), format!(r#"{{"status":"offline","version":"{version}"}}"#));
        let expected = format!(r#"{{"status":"online","version":"{version}","since":"s","mappings":{{}}}}"#);
        assert_eq!(online(StatusFormat::Json, "s", &[]), expected);
    }
}
