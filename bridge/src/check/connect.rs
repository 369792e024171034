//! Checks the connection to one broker step by step, from the TLS files to CONNACK. Subscribes to nothing.

use std::time::{Duration, UNIX_EPOCH};

use tokio::net::lookup_host;

use super::report::{Found, Refused, Walk};
use crate::config::{BrokerUrl, Config, Mqtt};
use crate::metrics::Metrics;
use crate::mqtt::{Attempt, Connector, Link, LiveTls, Reminder, Visit, Welcome};

/// A visit that has begun, and the way for others.
pub(super) struct Reached {
    pub(super) visit: Visit,
    pub(super) welcome: Welcome,
    pub(super) connector: Connector,
}

/// The link of a client of `check`; its client id is none of the bridge's.
pub(super) fn link(mqtt: &Mqtt, role: &str) -> Link {
    Link {
        client_id: format!("{}-{role}", mqtt.client_id),
        protocol: mqtt.protocol,
        keep_alive: mqtt.keep_alive,
        connect_timeout: mqtt.connect_timeout,
        backoff: mqtt.backoff,
    }
}

/// Up to CONNACK. `None` when a step fails.
pub(super) async fn reach(config: &Config, walk: &mut Walk) -> Option<Reached> {
    let mqtt = &config.mqtt;
    let connector = match files(mqtt) {
        Ok((connector, found)) => {
            walk.found("tls files", None, Ok(found));
            connector
        }
        Err(refused) => {
            walk.found("tls files", None, Err(refused));
            return None;
        }
    };
    let broker = mqtt.url.first()?;
    // Behind a proxy it is the proxy that resolves.
    if mqtt.proxy.is_none() && !walk.step("dns", None, resolve(broker)).await {
        return None;
    }
    let Attempt { steps, peer, opened } = Visit::begin(&connector, &link(mqtt, "check"), mqtt.session_expiry).await;
    let last = steps.len().saturating_sub(1);
    for (place, passed) in steps.iter().enumerate() {
        let found = match &opened {
            Err(why) if place == last => Err((why.clone(), hint(passed.step))),
            // DNS has a step of its own in the report.
            _ if passed.step == "dns" => continue,
            opened => Ok(found(passed.step, peer.as_deref(), opened.as_ref().ok().map(|(_, welcome)| welcome), mqtt)),
        };
        walk.took(passed.step, None, passed.took, found);
    }
    match opened {
        Ok((visit, welcome)) => Some(Reached { visit, welcome, connector }),
        Err(why) => {
            // Without the password no connection was tried.
            if steps.is_empty() {
                walk.found("password", None, Err((why, None)));
            }
            None
        }
    }
}

/// Reads them as the bridge does.
fn files(mqtt: &Mqtt) -> Result<(Connector, Found), Refused> {
    let metrics = Metrics::new().tls();
    let tls = LiveTls::load(mqtt.tls.clone(), metrics.clone()).map_err(|error| (error.to_string(), None))?;
    let reminders = tls.reminders();
    if let Some(Reminder { said, .. }) = reminders.iter().find(|reminder| reminder.has_ended) {
        return Err((said.clone(), Some("renew it; the bridge takes up new files without a restart")));
    }
    let ends = metrics.ends().into_iter();
    let ends: Vec<_> = ends.map(|(of, at)| format!("{} until {}", of.replace('_', " "), date(at))).collect();
    let ends = if ends.is_empty() { "the system's authorities".to_owned() } else { ends.join(", ") };
    let reminder = reminders.first().map(|reminder| format!("renew it in time: {}", reminder.said));
    let connector = Connector::of(mqtt, tls).map_err(|error| (error, None))?;
    Ok((connector, Found::but(format!("read; {ends}"), reminder)))
}

async fn resolve(broker: &BrokerUrl) -> Result<Found, Refused> {
    let (host, hint) = (broker.host.as_str(), "check mqtt.url, and that this machine resolves the name");
    let found = lookup_host((host, broker.port)).await;
    let found = found.map_err(|error| (format!("{host}: no address found: {error}"), Some(hint)))?;
    let addresses: Vec<_> = found.map(|address| address.ip().to_string()).collect();
    Ok(Found::good(format!("{host}: {}", addresses.join(", "))))
}

/// A hint, if the reason does not already say how to fix it.
fn hint(step: &str) -> Option<&'static str> {
    match step {
        "tcp" => Some(
            "check host and port of mqtt.url, that the broker runs, and what filters traffic on the way: firewall, security group, route",
        ),
        "proxy" => Some("check mqtt.proxy, and what the proxy allows"),
        _ => None,
    }
}

/// What a passed step has found; without CONNACK, a later step has failed.
fn found(step: &str, peer: Option<&str>, welcome: Option<&Welcome>, mqtt: &Mqtt) -> Found {
    match (step, welcome) {
        ("tcp", _) => Found::good(format!("connected to {}", peer.unwrap_or("the broker"))),
        ("proxy", _) => Found::good("it opens the way to the broker".to_owned()),
        ("tls", Some(welcome)) => tls(welcome),
        ("tls", None) => Found::good("the broker's certificate is verified".to_owned()),
        ("websocket", _) => Found::good("the server speaks MQTT over it".to_owned()),
        (_, Some(welcome)) => {
            Found::but(granted(welcome, mqtt.session_expiry), shortened(welcome, mqtt.session_expiry))
        }
        (_, None) => Found::good("done".to_owned()),
    }
}

fn tls(welcome: &Welcome) -> Found {
    let Some(shown) = &welcome.certificate else { return Found::good(welcome.tls.clone()) };
    let said = format!(
        "{}; the broker's certificate `{}` of `{}` is valid until {}, the first of {}",
        welcome.tls, shown.subject, shown.issuer, shown.until, shown.chain
    );
    let soon = shown.ends_soon.then(|| format!("the broker's certificate ends on {}: have it renewed", shown.until));
    Found::but(said, soon)
}

/// What CONNACK says, where it says something.
fn granted(welcome: &Welcome, asked: Duration) -> String {
    let kept = welcome.session_expiry.unwrap_or(asked);
    let mut said = vec![format!("accepted; sessions are kept for {}", humantime::format_duration(kept))];
    said.extend(welcome.keep_alive.map(|time| format!("the broker wants a keep alive of {time:?}")));
    said.push(format!("QoS up to {} may be published", welcome.max_qos as u8));
    said.extend(welcome.max_packet_size.map(|size| format!("packets of up to {size} bytes")));
    said.extend((!welcome.shared).then(|| "no shared subscriptions".to_owned()));
    said.extend((!welcome.wildcards).then(|| "no wildcards".to_owned()));
    said.join(", ")
}

fn shortened(welcome: &Welcome, asked: Duration) -> Option<String> {
    let granted = welcome.session_expiry.filter(|granted| *granted < asked)?;
    let (granted, asked) = (humantime::format_duration(granted), humantime::format_duration(asked));
    Some(format!(
        "the broker keeps a session for {granted}, not for {asked}: raise its limit, or lower mqtt.session_expiry"
    ))
}

fn date(at: u64) -> String {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
