//! The two lower bounds for a bridge in Rust: receive and acknowledge only, and invoke by the AWS SDK only. Each is a
//! separate process, so that its CPU time can be measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::{Function, LambdaClient};
use clap::ValueEnum;
use rumqttc::mqttbytes::QoS;
use rumqttc::{
    AsyncClient, Broker, BrokerSessionResumePolicy, Event, Incoming, MqttOptions, TlsConfiguration, Transport,
};

use super::BenchError;
use super::received::Count;
use super::stub::mark;
use crate::certs::{IdentityFiles, client_config};

/// What the SDK's loop waits before it begins, so that whoever started it can look at its clock.
pub(super) const BEFORE: Duration = Duration::from_millis(500);
/// The size of an event with one message of a benchmark, in bytes.
const EVENT: usize = 350;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Subscribes with a session that stays, and acknowledges.
    Raw,
    /// Invokes.
    SdkLoop,
}

impl Peer {
    /// Runs until it is killed; the variables `PEER_…` say with whom, as those of the peers in other languages.
    ///
    /// # Errors
    /// When a variable is missing, or broker or endpoint refuse.
    pub async fn run(self) -> Result<(), BenchError> {
        let messages = number("PEER_MESSAGES")?;
        let patience = Duration::from_millis(number("PEER_PATIENCE_MS")?);
        match self {
            Self::Raw => {
                let identity = IdentityFiles { cert: said("PEER_CERT")?.into(), key: said("PEER_KEY")?.into() };
                let tls = client_config(said("PEER_CA")?.as_ref(), &identity)
                    .map_err(|error| BenchError::Tls(error.to_string()))?;
                let port = u16::try_from(number("PEER_PORT")?).map_err(std::io::Error::other)?;
                let mut options = MqttOptions::new(said("PEER_CLIENT_ID")?, Broker::tcp(said("PEER_HOST")?, port));
                options
                    .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))))
                    .set_clean_start(false)
                    // The broker has a session of an earlier run, of which this process knows nothing.
                    .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
                    .set_session_expiry_interval(Some(3_600))
                    .set_receive_maximum(Some(2_000));
                receive(options, &said("PEER_TOPIC")?, messages, patience).await
            }
            Self::SdkLoop => {
                let aws = Aws::local(LocalEndpoint { url: said("AWS_ENDPOINT_URL")? }).invoking(LambdaClient::Sdk);
                let function = said("PEER_FUNCTION")?.parse().map_err(std::io::Error::other)?;
                invoke(&aws, &function, messages, number("PEER_THREADS")?).await
            }
        }
    }
}

fn said(variable: &'static str) -> Result<String, BenchError> {
    std::env::var(variable).map_err(|_| BenchError::Peer(format!("{variable}: not said")))
}

fn number(variable: &'static str) -> Result<u64, BenchError> {
    said(variable)?.parse().map_err(|_| BenchError::Peer(format!("{variable}: not a number")))
}

async fn receive(options: MqttOptions, topic: &str, messages: u64, patience: Duration) -> Result<(), BenchError> {
    let (client, mut connection) = AsyncClient::builder(options).build();
    client.subscribe(topic, QoS::AtLeastOnce).await.map_err(|error| BenchError::Peer(error.to_string()))?;
    let count = Arc::new(Count::default());
    let mut first = None;
    loop {
        match connection.poll().await.map_err(|error| BenchError::Peer(error.to_string()))? {
            // A session that is there has its subscription.
            Event::Incoming(Incoming::ConnAck(ack)) if ack.session_present => eprintln!("subscribed"),
            Event::Incoming(Incoming::SubAck(_)) => eprintln!("subscribed"),
            Event::Incoming(Incoming::Publish(publish)) => {
                let begun = *first.get_or_insert_with(|| count.tell_once_quiet(messages, patience));
                count.note(publish.dup, messages, begun);
            }
            _ => {}
        }
    }
}

async fn invoke(aws: &Aws, function: &Function, messages: u64, concurrency: u64) -> Result<(), BenchError> {
    let client = aws.client(function, Duration::from_secs(30));
    // The first finds credentials and opens a connection; it has no message.
    client.invoke(b"{}".to_vec()).await.map_err(|error| BenchError::Peer(error.to_string()))?;
    eprintln!("subscribed");
    tokio::time::sleep(BEFORE).await;
    let (next, mut lanes) = (Arc::new(AtomicU64::new(0)), tokio::task::JoinSet::new());
    for _ in 0..concurrency {
        let (client, next) = (client.clone(), Arc::clone(&next));
        lanes.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= messages {
                    return Ok::<_, BenchError>(());
                }
                client.invoke(event(number)).await.map_err(|error| BenchError::Peer(error.to_string()))?;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(std::io::Error::other)??;
    }
    std::future::pending().await
}

fn event(number: u64) -> Vec<u8> {
    let head = format!("{{\"records\":[{{\"payload\":{{{},\"pad\":\"", mark(number));
    let padding = "x".repeat(EVENT.saturating_sub(head.len() + 5));
    format!("{head}{padding}\"}}}}]}}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_json_of_its_size() {
        let event = event(7);
        assert_eq!(event.len(), EVENT);
        assert!(serde_json::from_slice::<serde_json::Value>(&event).unwrap()["records"][0]["payload"]["at"].is_u64());
    }
}
