//! A subscriber with a persistent session that acknowledges when the test says so.

use std::sync::Arc;
use std::time::Duration;

use sandbox::certs::PkiFiles;
use sandbox::sensors::Protocol;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(3);

pub struct Subscriber {
    client: Connected,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    connection: JoinHandle<()>,
}

enum Connected {
    V5(rumqttc::AsyncClient),
    V311(rumqttc_v4::AsyncClient),
}

#[derive(Debug)]
pub enum Delivery {
    Subscribed,
    V5(rumqttc::Publish),
    V311(rumqttc_v4::Publish),
}

impl Delivery {
    pub fn dup(&self) -> bool {
        match self {
            Self::Subscribed => false,
            Self::V5(publish) => publish.dup,
            Self::V311(publish) => publish.dup,
        }
    }

    pub fn payload(&self) -> String {
        let payload = match self {
            Self::Subscribed => panic!("no message"),
            Self::V5(publish) => &publish.payload,
            Self::V311(publish) => &publish.payload,
        };
        String::from_utf8(payload.to_vec()).unwrap()
    }
}

/// What a subscriber asks for.
#[derive(Clone, Copy)]
pub struct Want {
    pub protocol: Protocol,
    pub qos: u8,
    pub receive_maximum: u16,
}

impl Subscriber {
    /// Connects as the bridge, subscribes to `topic`, and returns when the broker has confirmed that.
    pub async fn start(port: u16, files: &PkiFiles, want: Want, topic: &str) -> Self {
        let (deliveries, received) = mpsc::unbounded_channel();
        let tls = Arc::new(files.client_config(&files.bridge).unwrap());
        let (client, connection) = match want.protocol {
            Protocol::V5 => v5(port, tls, want, topic, deliveries),
            Protocol::V311 => v311(port, tls, want, topic, deliveries),
        };
        let mut subscriber = Self { client, deliveries: received, connection };
        assert!(matches!(subscriber.next().await, Delivery::Subscribed));
        subscriber
    }

    pub async fn next(&mut self) -> Delivery {
        timeout(PATIENCE, self.deliveries.recv()).await.expect("a delivery in time").expect("a connection")
    }

    pub async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }

    /// Deliveries within `window`, to show that there are none.
    pub async fn during(&mut self, window: Duration) -> usize {
        let mut count = 0;
        let _ = timeout(window, async {
            while self.deliveries.recv().await.is_some() {
                count += 1;
            }
        })
        .await;
        count
    }

    pub async fn ack(&self, delivery: &Delivery) {
        match (&self.client, delivery) {
            (Connected::V5(client), Delivery::V5(publish)) => client.ack(publish).await.unwrap(),
            (Connected::V311(client), Delivery::V311(publish)) => client.ack(publish).await.unwrap(),
            _ => panic!("a delivery of another subscriber"),
        }
    }

    /// Cuts the connection without a DISCONNECT.
    pub async fn crash(self) {
        self.connection.abort();
        let _ = self.connection.await;
    }
}

fn v5(
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    want: Want,
    topic: &str,
    deliveries: mpsc::UnboundedSender<Delivery>,
) -> (Connected, JoinHandle<()>) {
    use rumqttc::{
        AckMode, AsyncClient, Broker, BrokerSessionResumePolicy, Event, MqttOptions, Packet, QoS, TlsConfiguration,
        Transport,
    };
    let mut options = MqttOptions::new("subscriber", Broker::tcp("localhost", port));
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
        .set_clean_start(false)
        .set_session_expiry_interval(Some(300))
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
        .set_receive_maximum(Some(want.receive_maximum))
        .set_max_packet_size(Some(8 << 20))
        .set_ack_mode(AckMode::Manual);
    let (client, mut connection) = AsyncClient::builder(options).build();
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(want.qos)];
    let (subscriber, topic) = (client.clone(), topic.to_owned());
    let task = tokio::spawn(async move {
        loop {
            match connection.poll().await {
                // A resumed session holds its subscription; this client refuses a SUBSCRIBE then.
                Ok(Event::Incoming(Packet::ConnAck(ack))) if ack.session_present => {
                    let _ = deliveries.send(Delivery::Subscribed);
                }
                Ok(Event::Incoming(Packet::ConnAck(_))) => subscriber.try_subscribe(topic.as_str(), qos).unwrap(),
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(deliveries.send(Delivery::Subscribed)),
                Ok(Event::Incoming(Packet::Publish(publish))) => drop(deliveries.send(Delivery::V5(publish))),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    (Connected::V5(client), task)
}

fn v311(
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    want: Want,
    topic: &str,
    deliveries: mpsc::UnboundedSender<Delivery>,
) -> (Connected, JoinHandle<()>) {
    use rumqttc_v4::{AckMode, AsyncClient, Broker, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
    let mut options = MqttOptions::new("subscriber", Broker::tcp("localhost", port));
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)))
        .set_clean_session(false)
        .set_max_packet_size(8 << 20, 8 << 20)
        .set_ack_mode(AckMode::Manual);
    let (client, mut connection) = AsyncClient::builder(options).build();
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(want.qos)];
    let (subscriber, topic) = (client.clone(), topic.to_owned());
    let task = tokio::spawn(async move {
        loop {
            match connection.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(ack))) if ack.session_present => {
                    let _ = deliveries.send(Delivery::Subscribed);
                }
                Ok(Event::Incoming(Packet::ConnAck(_))) => subscriber.try_subscribe(topic.as_str(), qos).unwrap(),
                Ok(Event::Incoming(Packet::SubAck(_))) => drop(deliveries.send(Delivery::Subscribed)),
                Ok(Event::Incoming(Packet::Publish(publish))) => drop(deliveries.send(Delivery::V311(publish))),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    (Connected::V311(client), task)
}
