//! Publishes any bytes with any properties, which sensors never do, and does not count them.

use std::time::Duration;

use bridge::config::{Protocol, Range};
use bridge::message::Properties;
use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, Link, LiveTls, Publisher};
use bridge::outgoing::{Outgoing, PublishHandle};
use bridge::shutdown::{self, Announcer};
use bytes::Bytes;
use sandbox::world::World;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(3);

pub struct Messages {
    handle: PublishHandle,
    _announcer: Announcer,
    _task: JoinHandle<()>,
}

impl Messages {
    pub fn start(world: &World, protocol: Protocol) -> Self {
        let settings = Link {
            client_id: "messages".into(),
            protocol,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            backoff: Range { min: Duration::from_millis(10), max: Duration::from_millis(50) },
        };
        let tls = LiveTls::load(world.files.bridge_tls(&world.files.device), Metrics::new().tls()).unwrap();
        let (announcer, listener) = shutdown::channel();
        let (publisher, handle, _) =
            Publisher::new(settings, Connector::new(world.url().clone(), tls).unwrap(), listener);
        Self { handle, _announcer: announcer, _task: tokio::spawn(publisher.run()) }
    }

    /// Returns when the broker has confirmed it.
    pub async fn publish(&self, payload: impl Into<Bytes>, properties: Option<Properties>) {
        let properties = properties.map(Box::new);
        self.send(Outgoing { properties, ..Outgoing::new("sensor/data", payload) }).await;
    }

    /// The same, for any topic and flags.
    pub async fn send(&self, outgoing: Outgoing) {
        timeout(PATIENCE, self.handle.publish(outgoing)).await.expect("a verdict in time").unwrap();
    }
}
