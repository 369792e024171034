//! The MQTT side of the bridge: one [`Session`] a mapping, which receives, books and acknowledges. Knows nothing of
//! functions: it hands out deliveries and hears of outcomes.

mod connection;
mod keep_alive;
mod ledger;
mod packet;
mod session;
mod tls;
mod v4;
mod v5;
mod wire;

pub use connection::{ConnectError, Connector};
pub use session::{Session, Settings, Status};
pub use tls::{TlsError, client_config};
