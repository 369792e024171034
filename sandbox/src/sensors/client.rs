//! One MQTT connection that publishes, under either version of the protocol. Never subscribes.

use std::sync::Arc;
use std::time::Duration;

use bridge::config::{BrokerUrl, Carrier};
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Protocol, websocket};

/// Messages that one device may have under way without a PUBACK.
pub(super) const WINDOW: u16 = 256;

const KEEP_ALIVE_SECONDS: u16 = 10;
const MAX_PACKET_SIZE: usize = 8 << 20;
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Publishes; the connection behind it lives in a task of its own, because its future must never be dropped.
pub(crate) struct Client {
    requests: Requests,
    connected: watch::Receiver<bool>,
}

/// The way to that task, under either version.
enum Requests {
    V5(rumqttc::AsyncClient),
    V311(rumqttc_v4::AsyncClient),
}

/// The answer that is still to come for one publication.
pub(crate) enum Notice {
    V5(rumqttc::PublishNotice),
    V311(rumqttc_v4::PublishNotice),
}

impl Client {
    /// Connects as `id`, and again with back-off for as long as the task is not done, which is after [`disconnect`].
    ///
    /// Each connection starts a new session, so nothing of the device stays with the broker.
    ///
    /// [`disconnect`]: Client::disconnect
    pub(crate) fn connect(
        protocol: Protocol,
        id: &str,
        broker: &BrokerUrl,
        tls: &Arc<ClientConfig>,
        login: Option<&(String, String)>,
    ) -> (Self, JoinHandle<()>) {
        match protocol {
            Protocol::V5 => Self::connect_v5(id, broker, tls, login),
            Protocol::V311 => Self::connect_v311(id, broker, tls, login),
        }
    }

    fn connect_v5(
        id: &str,
        broker: &BrokerUrl,
        tls: &Arc<ClientConfig>,
        login: Option<&(String, String)>,
    ) -> (Self, JoinHandle<()>) {
        use rumqttc::{
            AsyncClient, Broker, ConnectionError, Event, Incoming, MqttOptions, TlsConfiguration, Transport,
        };
        let mut options = MqttOptions::new(id, Broker::tcp(broker.host.as_str(), broker.port));
        if let Carrier::WebSocket { .. } = broker.carrier {
            let (broker, tls) = (broker.clone(), Arc::clone(tls));
            // Plain TCP for the client: the connector below adds TLS and WebSocket.
            options.set_transport(Transport::tcp());
            options.set_socket_connector(move |_, _| websocket::dial(broker.clone(), Arc::clone(&tls)));
        } else {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(tls))));
        }
        options
            .set_keep_alive(KEEP_ALIVE_SECONDS)
            .set_clean_start(true)
            .set_request_channel_capacity(usize::from(WINDOW))
            .set_max_request_batch(usize::from(WINDOW))
            .set_outgoing_inflight_upper_limit(WINDOW);
        if let Some((user, password)) = login {
            options.set_credentials(user.clone(), password.clone());
        }
        let (client, mut connection) = AsyncClient::builder(options).build();
        let (connects, connected) = watch::channel(false);
        let id = id.to_owned();
        let task = tokio::spawn(async move {
            let mut backoff = Backoff::new(id);
            loop {
                match connection.poll().await {
                    Ok(event) => {
                        if let Event::Incoming(Incoming::ConnAck(_)) = event {
                            connects.send_replace(true);
                        }
                        backoff.reset();
                    }
                    Err(ConnectionError::RequestsDone) => return,
                    Err(error) => backoff.wait(&error).await,
                }
            }
        });
        (Self { requests: Requests::V5(client), connected }, task)
    }

    fn connect_v311(
        id: &str,
        broker: &BrokerUrl,
        tls: &Arc<ClientConfig>,
        login: Option<&(String, String)>,
    ) -> (Self, JoinHandle<()>) {
        use rumqttc_v4::{
            AsyncClient, Broker, ConnectionError, Event, MqttOptions, Packet, TlsConfiguration, Transport,
        };
        let mut options = MqttOptions::new(id, Broker::tcp(broker.host.as_str(), broker.port));
        if let Carrier::WebSocket { .. } = broker.carrier {
            let (broker, tls) = (broker.clone(), Arc::clone(tls));
            // Plain TCP for the client: the connector below adds TLS and WebSocket.
            options.set_transport(Transport::tcp());
            options.set_socket_connector(move |_, _| websocket::dial(broker.clone(), Arc::clone(&tls)));
        } else {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(tls))));
        }
        options
            .set_keep_alive(KEEP_ALIVE_SECONDS)
            .set_clean_session(true)
            .set_request_channel_capacity(usize::from(WINDOW))
            .set_max_request_batch(usize::from(WINDOW))
            .set_max_packet_size(MAX_PACKET_SIZE, MAX_PACKET_SIZE)
            .set_inflight(WINDOW);
        if let Some((user, password)) = login {
            options.set_credentials(user.clone(), password.clone());
        }
        let (client, mut connection) = AsyncClient::builder(options).build();
        let (connects, connected) = watch::channel(false);
        let id = id.to_owned();
        let task = tokio::spawn(async move {
            let mut backoff = Backoff::new(id);
            loop {
                match connection.poll().await {
                    Ok(event) => {
                        if let Event::Incoming(Packet::ConnAck(_)) = event {
                            connects.send_replace(true);
                        }
                        backoff.reset();
                    }
                    Err(ConnectionError::RequestsDone) => return,
                    Err(error) => backoff.wait(&error).await,
                }
            }
        });
        (Self { requests: Requests::V311(client), connected }, task)
    }

    /// Returns once a broker has accepted the connection (CONNACK) for the first time. False: its task has ended
    /// without one.
    pub(crate) async fn connected(&mut self) -> bool {
        self.connected.wait_for(|connected| *connected).await.is_ok()
    }

    /// Hands a message with QoS 1 to the connection, waiting while its window is full. `None`: there is no connection
    /// any more, nor will there be.
    pub(crate) async fn publish(&self, topic: &str, payload: Bytes) -> Option<Notice> {
        match &self.requests {
            Requests::V5(client) => {
                let options = rumqttc::PublishOptions::at_least_once();
                client.publish_tracked(topic, payload, options).await.ok().map(Notice::V5)
            }
            Requests::V311(client) => {
                let options = rumqttc_v4::PublishOptions::at_least_once();
                client.publish_tracked(topic, payload, options).await.ok().map(Notice::V311)
            }
        }
    }

    /// Asks the connection to say good-bye and to end. Everything that was published must be confirmed.
    ///
    /// At once: the library's other way waits, without a ping, until its own books are empty, which they never are if
    /// the broker has confirmed out of order (`outgoing_pub_ack` of rumqttc-next 0.34, under both versions of MQTT).
    pub(crate) async fn disconnect(&self) {
        // An error means that the connection has ended already.
        match &self.requests {
            Requests::V5(client) => drop(client.disconnect_now().await),
            Requests::V311(client) => drop(client.disconnect_now().await),
        }
    }
}

/// Why a message has to be published again.
#[derive(Debug)]
pub(crate) enum Unconfirmed {
    /// The session it belonged to is gone.
    SessionLost,
    /// The broker answered with a reason of failure (MQTT 5, section 3.4.2.1).
    Refused(rumqttc::PubAckReason),
}

impl Notice {
    /// Waits for the PUBACK.
    pub(crate) async fn confirmed(self) -> Result<(), Unconfirmed> {
        use rumqttc::PublishNoticeError::V5PubAck;
        match self {
            Self::V5(notice) => notice.wait_completion_async().await.map_err(|error| match error {
                V5PubAck(reason) => Unconfirmed::Refused(reason),
                _ => Unconfirmed::SessionLost,
            }),
            Self::V311(notice) => notice.wait_completion_async().await.map_err(|_| Unconfirmed::SessionLost),
        }
    }
}

/// Waits between attempts to connect; the MQTT client itself has no back-off.
struct Backoff {
    id: String,
    next: Duration,
}

impl Backoff {
    fn new(id: String) -> Self {
        Self { id, next: MIN_BACKOFF }
    }

    fn reset(&mut self) {
        self.next = MIN_BACKOFF;
    }

    async fn wait(&mut self, error: &(dyn std::error::Error + Sync)) {
        tracing::debug!(device = self.id, %error, "sensor: not connected");
        sleep(self.next).await;
        self.next = (self.next * 2).min(MAX_BACKOFF);
    }
}
