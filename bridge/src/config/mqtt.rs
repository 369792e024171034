//! The settings of the way to the broker, which all mappings have in common.

use std::path::PathBuf;
use std::time::Duration;

use rustls::{CipherSuite, NamedGroup};

use super::{BrokerUrl, Protocol, Range, TlsVersion};
use crate::secret::Secret;

/// `[mqtt]`: the broker and the sessions with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    /// The broker; required.
    pub url: BrokerUrl,
    /// The stem of every client id, which names the broker-side sessions and so must stay the same over restarts;
    /// default `mqtt-lambda-bridge`.
    pub client_id: String,
    /// The user name for the broker; default none.
    pub username: Option<String>,
    /// The file that holds the password alone, read anew for each connection; default none. Under MQTT 3.1.1 a password
    /// comes with a user name (3.1.2-22).
    pub password_file: Option<PathBuf>,
    /// The password, where it came as a variable; never beside a file.
    pub password: Option<Secret>,
    /// The version of MQTT; default 5.
    pub protocol: Protocol,
    /// How long the broker keeps a session without a connection: whole seconds, at least one; default 1 h. MQTT 3.1.1
    /// has no such setting, there the broker decides.
    pub session_expiry: Duration,
    /// How long the connection may be silent: whole seconds from 5 to 65,535; default 30 s.
    pub keep_alive: Duration,
    /// How long TCP, TLS and CONNACK together may take; default 10 s.
    pub connect_timeout: Duration,
    /// The pause before the next attempt to connect; default 500 ms to 30 s.
    pub backoff: Range,
    /// The topic on which the broker counts the messages that it has dropped; default none, and then nobody reads it.
    pub dropped_topic: Option<String>,
    /// Certificates and keys.
    pub tls: Tls,
}

impl Mqtt {
    /// The client id of a mapping's session, of which `index` counts from 0: `{client_id}-{mapping}` for the first,
    /// `{client_id}-{mapping}-2` for the second.
    #[must_use]
    pub fn client_id_for(&self, mapping: &str, index: usize) -> String {
        format!("{}-{}", self.client_id, session_name(mapping, index))
    }
}

impl Mqtt {
    /// The client id of the one connection that publishes. No mapping may be called `publisher`.
    #[must_use]
    pub fn publisher_client_id(&self) -> String {
        format!("{}-{PUBLISHER}", self.client_id)
    }
}

impl Mqtt {
    /// The client id of the connection that reads the broker's own count. No mapping may be called `broker-stats`.
    #[must_use]
    pub fn broker_stats_client_id(&self) -> String {
        format!("{}-{BROKER_STATS}", self.client_id)
    }
}

/// What tells the reader of the broker's own count from all sessions of one bridge.
pub(super) const BROKER_STATS: &str = "broker-stats";

/// What tells the publisher from all sessions of one bridge. Without a dot, which some brokers refuse in a client id.
pub(super) const PUBLISHER: &str = "publisher";

/// What tells a session from all others of one bridge.
pub(super) fn session_name(mapping: &str, index: usize) -> String {
    if index == 0 { mapping.to_owned() } else { format!("{mapping}-{}", index + 1) }
}

/// `[mqtt.tls]`: whom to trust and who we are. Nothing here turns verification off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM certificates of the authorities to trust; `None`, the default, stands for the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM certificate chain of the bridge, for mutual TLS; comes with `key_file`; default none.
    pub cert_file: Option<PathBuf>,
    /// PEM private key of the bridge, not encrypted; comes with `cert_file`; default none.
    pub key_file: Option<PathBuf>,
    /// PEM revocation lists of the authorities; default none.
    pub crl_file: Option<PathBuf>,
    /// The oldest version of TLS to speak; default 1.2.
    pub min_version: TlsVersion,
    /// The cipher suites to offer, the first preferred; empty, the default, for the provider's own choice.
    pub cipher_suites: Vec<CipherSuite>,
    /// The key exchange groups to offer, the first preferred; empty, the default, for the provider's own choice, in which
    /// X25519MLKEM768 comes first.
    pub key_exchange_groups: Vec<NamedGroup>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_further_sessions_have_a_number() {
        assert_eq!(session_name("sensor-data", 0), "sensor-data");
        assert_eq!(session_name("sensor-data", 1), "sensor-data-2");
        assert_eq!(session_name("sensor-data", 63), "sensor-data-64");
    }
}
