//! Reads which unacknowledged messages are in the session that a bridge has left at the broker. It is a separate client
//! that acknowledges nothing, so that the next bridge still gets all messages, or takes them if there is no next
//! bridge.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bridge::config::{BrokerUrl, Protocol};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// How long the broker must be silent before the session counts as empty.
const QUIET: Duration = Duration::from_secs(1);
/// The same where a message that is missing would be called lost.
const VERY_QUIET: Duration = Duration::from_secs(5);
/// Enough for any session of the sandbox.
const WINDOW: u16 = u16::MAX;
const MAX_PACKET_SIZE: usize = 256 << 20;

/// The publishers' ids of the messages that wait in the session `client_id`. Gives up `within` this time.
pub async fn waiting(
    broker: &BrokerUrl,
    tls: Arc<ClientConfig>,
    protocol: Protocol,
    client_id: &str,
    within: Duration,
) -> BTreeSet<String> {
    collect(Link::open(broker, tls, protocol, client_id, Session::Kept), QUIET, within, |_| false).await
}

/// Takes the messages that wait in the session `client_id` until all that are `wanted` were there, and returns the
/// publishers' ids. They are acknowledged: a broker shows no more than its window of what is not.
pub async fn take(
    broker: &BrokerUrl,
    tls: Arc<ClientConfig>,
    protocol: Protocol,
    client_id: &str,
    wanted: &BTreeSet<String>,
    within: Duration,
) -> BTreeSet<String> {
    let link = Link::open(broker, tls, protocol, client_id, Session::Taken);
    collect(link, VERY_QUIET, within, |found| wanted.is_subset(found)).await
}

/// The ids that `link` brings until they are `enough`, the broker is `quiet` for so long, or the time is over.
async fn collect(
    mut link: Link,
    quiet: Duration,
    within: Duration,
    enough: impl Fn(&BTreeSet<String>) -> bool,
) -> BTreeSet<String> {
    let deadline = Instant::now() + within;
    let mut found = BTreeSet::new();
    let mut silence = deadline;
    while let Ok(next) = timeout_at(silence, link.next()).await {
        match next {
            Next::Connected => silence = deadline.min(Instant::now() + quiet),
            Next::Payload(payload) => {
                silence = deadline.min(Instant::now() + quiet);
                found.extend(message_id(&payload));
                if enough(&found) {
                    return found;
                }
            }
            Next::Other => {}
            Next::Broken => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    found
}

fn message_id(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(payload).ok()?["message_id"].as_str().map(str::to_owned)
}

/// Has the broker forget the session `client_id`, so that it collects no messages for a bridge that never comes back.
/// True when it has, `within` this time.
pub async fn forget(
    broker: &BrokerUrl,
    tls: Arc<ClientConfig>,
    protocol: Protocol,
    client_id: &str,
    within: Duration,
) -> bool {
    let mut link = Link::open(broker, tls, protocol, client_id, Session::New);
    let connected = async {
        loop {
            match link.next().await {
                Next::Connected => return,
                Next::Broken => tokio::time::sleep(Duration::from_millis(100)).await,
                Next::Payload(_) | Next::Other => {}
            }
        }
    };
    tokio::time::timeout(within, connected).await.is_ok()
}

/// What becomes of the session at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    /// It is taken up, and all that waits in it stays.
    Kept,
    /// It is taken up, and what is seen is acknowledged.
    Taken,
    /// It is replaced by one that ends with the connection.
    New,
}

enum Next {
    Connected,
    Payload(bytes::Bytes),
    Other,
    Broken,
}

#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Link {
    V5(rumqttc::EventLoop),
    V311(rumqttc_v4::EventLoop),
}

impl Link {
    fn open(broker: &BrokerUrl, tls: Arc<ClientConfig>, protocol: Protocol, client_id: &str, session: Session) -> Self {
        let new = session == Session::New;
        match protocol {
            Protocol::V5 => {
                use rumqttc::{
                    AckMode, Broker, BrokerSessionResumePolicy, EventLoop, MqttOptions, TlsConfiguration, Transport,
                };
                let mut options = MqttOptions::new(client_id, Broker::tcp(broker.host.as_str(), broker.port));
                options
                    .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
                    .set_clean_start(new)
                    .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
                    .set_session_expiry_interval(Some(if new { 0 } else { 3600 }))
                    .set_receive_maximum(Some(WINDOW))
                    .set_unlimited_incoming_packet_size()
                    .set_outgoing_inflight_upper_limit(1)
                    .set_ack_mode(if session == Session::Taken { AckMode::Automatic } else { AckMode::Manual });
                Self::V5(EventLoop::new(options, 1))
            }
            Protocol::V311 => {
                use rumqttc_v4::{AckMode, Broker, EventLoop, MqttOptions, TlsConfiguration, Transport};
                let mut options = MqttOptions::new(client_id, Broker::tcp(broker.host.as_str(), broker.port));
                options
                    .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
                    .set_clean_session(new)
                    .set_max_packet_size(MAX_PACKET_SIZE, MAX_PACKET_SIZE)
                    .set_ack_mode(if session == Session::Taken { AckMode::Automatic } else { AckMode::Manual });
                Self::V311(EventLoop::new(options, 1))
            }
        }
    }

    async fn next(&mut self) -> Next {
        match self {
            Self::V5(events) => {
                use rumqttc::{Event, Packet};
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => Next::Connected,
                    Ok(Event::Incoming(Packet::Publish(publish))) => Next::Payload(publish.payload),
                    Ok(_) => Next::Other,
                    Err(_) => Next::Broken,
                }
            }
            Self::V311(events) => {
                use rumqttc_v4::{Event, Packet};
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => Next::Connected,
                    Ok(Event::Incoming(Packet::Publish(publish))) => Next::Payload(publish.payload),
                    Ok(_) => Next::Other,
                    Err(_) => Next::Broken,
                }
            }
        }
    }
}
