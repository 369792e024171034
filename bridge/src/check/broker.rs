//! Checks a broker for the mappings: the subscriptions, a message that comes back, and a topic for dead letters. Uses
//! client ids of its own, so that it does not touch the sessions of a running bridge.

use std::time::Duration;

use bytes::Bytes;

use super::connect::{Reached, link, reach};
use super::report::{Found, Refused, Walk};
use crate::config::{Config, Mapping, OnFailure, OnUnreadLetter};
use crate::mqtt::{Connector, Link, Visit, Welcome};
use crate::topic::TopicFilter;

/// A message that was confirmed comes back within this time, or not at all.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(5);
/// The hint for a dead-letter topic without subscribers.
const UNREAD: &str = "have its reader subscribe, with a session that outlives its absence; or, where a rule of the broker takes them, \
                      set `mapping.on_unread_letter = \"accept\"`";

/// The broker, with an open connection to it.
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
        let Reached { visit, welcome, connector } = reach(config, walk).await?;
        let (publisher, session_expiry) = (link(&config.mqtt, "check-publisher"), config.mqtt.session_expiry);
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
        let payload = payload();
        let probe = async {
            self.publish(topic, payload.clone()).await?;
            let came = self.visit.receives(&payload, COMES_BACK_WITHIN).await.map_err(|why| (why, None))?;
            judged(came, topic)
        };
        walk.step("probe", Some(&mapping.name), probe).await;
    }

    /// Whether the topics of this mapping that are failure destinations take a message, which their readers see.
    pub(super) async fn dead_letters(&self, mapping: &Mapping, tries: bool, walk: &mut Walk) {
        for place in &mapping.on_failure {
            let OnFailure::Topic(topic) = place else { continue };
            let look = async {
                if !tries {
                    let said = format!("topic `{topic}`: not tried, as its readers would see the message");
                    return Ok(Found::but(said, Some("--probe publishes one".to_owned())));
                }
                let is_heard = self.publish(topic, payload()).await?;
                match mapping.on_unread_letter {
                    OnUnreadLetter::Refuse if !is_heard => {
                        let said = format!("topic `{topic}`: nobody is subscribed to it, so the broker drops messages");
                        Err((said, Some(UNREAD)))
                    }
                    _ => Ok(Found::good(format!("topic `{topic}`: the broker has confirmed a message"))),
                }
            };
            walk.step("failure destination", Some(&mapping.name), look).await;
        }
    }

    /// Publishes from a separate connection, as the bridge does. Returns false if the broker says that nobody is
    /// subscribed.
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<bool, Refused> {
        let hint = "the client needs the right to publish there; for a probe of a topic filter alone, the bridge itself does not";
        let attempt = Visit::begin(&self.connector, &self.publisher, self.session_expiry).await;
        let (mut speaker, _) = attempt.opened.map_err(|why| (why, Some(hint)))?;
        let said = speaker.publish(topic, payload).await;
        speaker.leave().await;
        said.map_err(|why| (format!("publish to `{topic}`: {why}"), Some(hint)))
    }

    pub(super) async fn leave(self) {
        self.visit.leave().await;
    }
}

/// Known again when it comes back.
fn payload() -> Bytes {
    format!("{{\"mqttLambdaBridgeProbe\":\"{:032x}\"}}", fastrand::u128(..)).into()
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

/// The filter without `$share/group/`.
fn alone(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, filter)| filter)
}
