//! Looks into the session that a bridge has left at the broker: which messages wait there un-acknowledged. A client of
//! its own, which acknowledges nothing, so that the next bridge still gets them all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bridge::config::{BrokerUrl, Protocol};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// How long the broker must be silent before the session counts as empty.
const QUIET: Duration = Duration::from_secs(1);
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
    let deadline = Instant::now() + within;
    let mut found = BTreeSet::new();
    let mut link = Link::open(broker, tls, protocol, client_id, Session::Kept);
    let mut quiet = deadline;
    while let Ok(payload) = timeout_at(quiet, link.next()).await {
        match payload {
            Next::Connected => quiet = deadline.min(Instant::now() + QUIET),
            Next::Payload(payload) => {
                quiet = deadline.min(Instant::now() + QUIET);
                let id = serde_json::from_slice::<Value>(&payload)
                    .ok()
                    .and_then(|v| Some(v["message_id"].as_str()?.to_owned()));
                found.extend(id);
            }
            Next::Other => {}
            Next::Broken => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    found
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

/// Whether the session at the broker is taken up, or replaced by one that ends with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Kept,
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
                    .set_ack_mode(AckMode::Manual);
                Self::V5(EventLoop::new(options, 1))
            }
            Protocol::V311 => {
                use rumqttc_v4::{AckMode, Broker, EventLoop, MqttOptions, TlsConfiguration, Transport};
                let mut options = MqttOptions::new(client_id, Broker::tcp(broker.host.as_str(), broker.port));
                options
                    .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
                    .set_clean_session(new)
                    .set_max_packet_size(MAX_PACKET_SIZE, MAX_PACKET_SIZE)
                    .set_ack_mode(AckMode::Manual);
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
