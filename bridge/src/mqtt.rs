//! The MQTT side of the bridge. Each mapping has one or more [`Session`]s, which receive and acknowledge messages.
//! Three other clients have connections of their own: one [`Publisher`], one [`BrokerStats`], which reads how many
//! messages the broker has dropped, and one [`StatusTopic`], which publishes whether the bridge is online. Knows
//! nothing of functions: it hands out deliveries and receives their outcomes.

mod bounds;
mod broker_stats;
mod buffer;
mod choice;
mod connect;
mod connect_error;
mod connection;
mod connector;
mod decoder;
mod dial;
mod driver;
mod end;
mod failing;
mod first_bytes;
mod frame;
mod ill_formed;
mod keep_alive;
mod ledger;
mod link;
mod login;
mod packet;
mod property_section;
mod proxy;
mod publisher;
mod reconnect;
mod retire;
mod route;
mod session;
mod skip;
mod stage;
mod status_topic;
mod takeover;
mod tls;
mod transport;
mod v4;
mod v5;
mod visit;
mod websocket;
mod wire;

pub use broker_stats::BrokerStats;
pub use connect_error::ConnectError;
pub use connection::Connection;
pub use connector::{Connector, InMemory};
pub use link::Link;
pub use login::Credentials;
pub use publisher::Publisher;
pub use session::{Ended, Identifies, Session, Settings, Status};
pub use stage::{Passed, StageCell};
pub use status_topic::{StatusTopic, Told};
pub use tls::{LiveTls, Reminder, ShownCertificate, TlsError};
pub use visit::{Attempt, Visit, Welcome};
pub(crate) use websocket::TALKATIVE;
pub use websocket::open_websocket;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use {bounds::Bounds, decoder::Decoder, wire::Wire};
