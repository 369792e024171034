//! The way to the broker: its files, its name, the connection, the subscriptions, and a message that comes back. Uses client ids of
//! its own, so that the sessions of a bridge that runs stay where they are.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::net::lookup_host;

use super::report::{Found, Refused, Walk};
use crate::config::{Config, Mapping};
use crate::metrics::Metrics;
use crate::mqtt::{Connector, Link, LiveTls, Visit, Welcome};
use crate::topic::TopicFilter;

/// A message that was confirmed comes back within this time, or not at all.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(5);

/// The broker, with a visit under way.
pub(super) struct Broker {
    visit: Visit,
    welcome: Welcome,
    connector: Connector,
    publisher: Link,
    session_expiry: Duration,
}

impl Broker {
    /// Up to CONNACK. `None` when a step fails.
    pub(super) async fn reach(config: &Config, walk: &mut Walk) -> Option<Self> {
        let mqtt = &config.mqtt;
        let metrics = Metrics::new().tls();
        let tls = LiveTls::load(mqtt.tls.clone(), metrics.clone());
        let tls = tls.map_err(|error| (error.to_string(), None));
        let made = tls.and_then(|tls| Connector::of(mqtt, tls).map_err(|error| (error, None)));
        let connector = match made {
            Ok(connector) => connector,
            Err(refused) => {
                walk.found("tls files", None, Err(refused));
                return None;
            }
        };
        let ends = metrics.ends().into_iter();
        let ends: Vec<_> = ends.map(|(of, at)| format!("{of} until {}", date(at))).collect();
        walk.found("tls files", None, Ok(Found::good(format!("read; {}", ends.join(", ")))));
        let first = mqtt.url.first()?;
        let (host, port) = (first.host.as_str(), first.port);
        let resolve = async {
            let hint = "check mqtt.url, and that this machine resolves the name";
            let found = lookup_host((host, port)).await;
            let found = found.map_err(|error| (format!("{host}: no address found: {error}"), Some(hint)))?;
            let addresses: Vec<_> = found.map(|address| address.ip().to_string()).collect();
            Ok(Found::good(format!("{host}: {}", addresses.join(", "))))
        };
        // Behind a proxy it is the proxy that resolves.
        if mqtt.proxy.is_none() && !walk.step("dns", None, resolve).await {
            return None;
        }
        let link = |role: &str| Link {
            client_id: format!("{}-{role}", mqtt.client_id),
            protocol: mqtt.protocol,
            keep_alive: mqtt.keep_alive,
            connect_timeout: mqtt.connect_timeout,
            backoff: mqtt.backoff,
        };
        let mut begun = None;
        let connect = async {
            let opened = Visit::begin(&connector, &link("check"), mqtt.session_expiry).await;
            let (visit, welcome) = opened.map_err(|why| (why, None))?;
            let found = Found::but(format!("accepted; {}", welcome.tls), shortened(&welcome, mqtt.session_expiry));
            begun = Some((visit, welcome));
            Ok(found)
        };
        walk.step("connect", None, connect).await;
        let (visit, welcome) = begun?;
        let (publisher, session_expiry) = (link("check-publisher"), mqtt.session_expiry);
        Some(Self { visit, welcome, connector, publisher, session_expiry })
    }

    /// Whether the broker grants the subscriptions of this mapping.
    pub(super) async fn subscribe(&mut self, mapping: &Mapping, walk: &mut Walk) {
        for filter in &mapping.topic_filter {
            self.subscribe_to(filter, mapping, walk).await;
        }
    }

    async fn subscribe_to(&mut self, filter: &TopicFilter, mapping: &Mapping, walk: &mut Walk) {
        let qos = mapping.qos;
        let Self { visit, welcome, .. } = self;
        let subscribe = async {
            if filter.is_shared() && !welcome.shared {
                return Err((
                    "the broker has no shared subscriptions".to_owned(),
                    Some("use one session, and a filter without $share"),
                ));
            }
            if filter.as_str().contains(['+', '#']) && !welcome.wildcards {
                return Err((
                    "the broker takes no wildcards".to_owned(),
                    Some("name the topics one by one, a mapping each"),
                ));
            }
            let hint = "check the broker's access list for this client; `check` uses the client id `{client_id}-check`";
            // Not as a member of a shared subscription: that would take messages from the others.
            visit.subscribe(alone(filter.as_str()), qos).await.map_err(|why| (why, Some(hint)))?;
            Ok(Found::good(format!("`{}` granted with QoS {}", alone(filter.as_str()), qos as u8)))
        };
        walk.step("subscribe", Some(&mapping.name), subscribe).await;
    }

    /// Whether a message comes back through the subscription of this mapping.
    pub(super) async fn probe(&mut self, mapping: &Mapping, topic: Option<&str>, walk: &mut Walk) {
        let mut filters = mapping.topic_filter.iter().map(|filter| alone(filter.as_str()));
        let Some(topic) = topic.or_else(|| filters.find(|filter| !filter.contains(['+', '#']))) else {
            let said = "not tried: the topic filter has wildcards".to_owned();
            walk.found(
                "probe",
                Some(&mapping.name),
                Ok(Found::but(said, Some("name a topic with --probe-topic".to_owned()))),
            );
            return;
        };
        let Self { visit, connector, publisher, session_expiry, .. } = self;
        let payload = Bytes::from(format!("{{\"mqttLambdaBridgeProbe\":\"{:032x}\"}}", fastrand::u128(..)));
        let probe = async {
            let hint = "the client needs the right to publish there for a probe; the bridge itself does not";
            let (mut speaker, _) =
                Visit::begin(connector, publisher, *session_expiry).await.map_err(|why| (why, Some(hint)))?;
            let said = speaker.publish(topic, payload.clone()).await;
            let came = match said {
                Ok(()) => visit.receives(&payload, COMES_BACK_WITHIN).await.map_err(|why| (why, None)),
                Err(why) => Err((format!("publish to `{topic}`: {why}"), Some(hint))),
            };
            speaker.leave().await;
            judged(came?, topic)
        };
        walk.step("probe", Some(&mapping.name), probe).await;
    }

    pub(super) async fn leave(self) {
        self.visit.leave().await;
    }
}

fn judged(came: bool, topic: &str) -> Result<Found, Refused> {
    let hint = "the broker confirmed it and sent nothing: its access list may deny reading or publishing silently, or the topic filter \
                does not match this topic";
    if came {
        Ok(Found::good(format!("published to `{topic}`, and it came back")))
    } else {
        Err((format!("published to `{topic}`, and it did not come back within {COMES_BACK_WITHIN:?}"), Some(hint)))
    }
}

fn shortened(welcome: &Welcome, asked: Duration) -> Option<String> {
    let granted = welcome.session_expiry.filter(|granted| *granted < asked)?;
    Some(format!(
        "the broker keeps a session for {granted:?}, not for {asked:?}: raise its limit, or lower mqtt.session_expiry"
    ))
}

/// The filter without `$share/group/`.
fn alone(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, filter)| filter)
}

fn date(at: u64) -> String {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
