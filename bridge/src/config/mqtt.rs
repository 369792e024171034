//! The settings of the connection to the broker, which all mappings share: each key is defined once, with its values
//! and their checks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::{CipherSuite, NamedGroup};

use super::broker_url::{BrokerUrl, host};
use super::key::Kind::{self, File, List, Period, Seconds, Text, Texts};
use super::key::{PASSWORD_VARIABLE, VARIABLE_PREFIX};
use super::private_key::PrivateKey;
use super::proxy::Proxy;
use super::reader::Reader;
use super::section::section;
use super::tls_files;
use super::values::{HOUR, InvalidValue, MS, Prefer, Protocol, Range, SECOND, StatusFormat, TlsVersion, YEAR, plain};
use crate::crypto;
use crate::secret::Secret;
use crate::topic::validate_topic_name;

section! {
    /// `[mqtt]`: the broker and the sessions with it.
    pub struct Mqtt in "mqtt.", checked by login {
        /// The broker, always over verified TLS: `mqtts://host[:port]`, or `wss://host[:port]/path`; the port is 8883
        /// or 443 unless written. Several are a list, and are tried in its order.
        pub url: Vec<BrokerUrl> = key { Texts.required("mqtts://broker.example:8883").flag("url"), texts(str::parse) };
        /// Whether a client that is connected to another broker than the first returns to the first, or stays: `first`
        /// or `stay`.
        pub prefer: Prefer = key { Kind::of::<Prefer>().is("first"), choice };
        /// How long a client stays at another broker before it checks whether the first is reachable again, and how
        /// often after that.
        pub return_after: Duration = key { Period(SECOND, YEAR).is("5m"), duration };
        /// The application protocols to offer by ALPN over `mqtts://`, the first preferred; the broker must take one of
        /// them.
        pub alpn: Vec<String> = key { List.absent(r#"["mqtt"]"#), list(application_protocol) };
        /// The HTTP proxy through which the broker is reached: `http://host:port`. No variable such as `HTTPS_PROXY` is
        /// read for it.
        pub proxy: Option<Proxy> = key { Text.absent("http://proxy.example:3128"), maybe(str::parse) };
        /// The file of mode 0600 that holds `user:password` for that proxy, read again for each connection.
        pub proxy_credentials_file: Option<PathBuf> = key { File.absent("proxy.credentials"), file };
        /// The beginning of the client ids `{client_id}-{mapping}`; keep it, as it names the sessions that the broker
        /// holds.
        pub client_id: String = key { Text.is("mqtt-lambda-bridge").flag("client-id"), with(client_id) };
        /// The client ids of replicas that are to leave for good. One of these gives up its subscriptions, finishes
        /// what the broker has for it, and then waits idle for SIGTERM, so that it can be removed without loss.
        pub retiring: Vec<String> = key { List.absent(r#"["bridge-2"]"#).live(), list(client_id) };
        /// The user name for a broker that requires one, with or without a client certificate.
        pub username: Option<String> = key { Text.absent("bridge-1").flag("username"), maybe(username) };
        /// The file of mode 0600 that holds its password or token alone, read again for each connection; or
        /// `BRIDGE_MQTT_PASSWORD`.
        pub password_file: Option<PathBuf> = key { File.absent("bridge.password").flag("password-file"), file };
        /// The program that prints the password or token, in place of a file, with its arguments; run for each
        /// connection.
        pub password_command: Vec<String> =
            key { List.absent(r#"["/usr/local/bin/broker-token", "--audience", "mqtt"]"#), list(argument) };
        /// The environment variables that the program gets beside `HOME`, `LANG`, `PATH`, `TMPDIR` and `TZ`.
        pub password_command_env: Vec<String> = key { List.absent(r#"["AWS_REGION"]"#), list(variable) };
        /// How long the program may run; then it is killed, with all that it has started.
        pub password_command_timeout: Duration = key { Period(MS, HOUR).is("10s"), duration };
        /// The password, where it came as a variable; never beside a file.
        pub password: Option<Secret> = other { vec![], Reader::password, Some(PASSWORD_VARIABLE) };
        /// The version of MQTT: `5` or `3.1.1`.
        pub protocol: Protocol = key { Kind::of::<Protocol>().is("5").flag("protocol"), choice };
        /// How long the broker keeps messages for a bridge that is away; longer than the worst outage.
        pub session_expiry: Duration = key { Seconds(SECOND, YEAR).is("1h").flag("session-expiry"), duration };
        /// How long a connection may be silent before a ping.
        pub keep_alive: Duration = key { Seconds(SECOND * 5, SECOND * 65_535).is("30s"), duration };
        /// How long TCP, TLS and CONNACK together may take.
        pub connect_timeout: Duration = key { Period(MS, HOUR).is("10s"), duration };
        /// The pause before the next attempt to connect: the first, and the longest.
        pub backoff: Range = key { Kind::Range.is("500ms..30s"), with(str::parse) };
        /// How long after CONNACK a broker may send again what an earlier connection left un-acknowledged; MQTT 3.1.1 only.
        /// `0s` where it does so at once, as most do; above NATS's `ack_wait`. No filter and no session is given up before.
        pub redelivery_timer: Duration = key { Period(Duration::ZERO, HOUR).is("35s"), duration };
        /// Where the broker counts the messages that it has dropped; the example is Mosquitto's. Read at QoS 0, for a
        /// warning.
        pub dropped_topic: Option<String> = key { Text.absent("$SYS/broker/publish/messages/dropped"), maybe(topic) };
        /// The status of the bridge, published to a topic.
        pub status: StatusTopic = subsection {};
        /// Certificates and keys.
        pub tls: Tls = subsection {};
    }
}

section! {
    /// `[mqtt.status]`: a retained topic that says whether the bridge is online.
    pub struct StatusTopic in "mqtt.status." {
        /// The status topic; `{client_id}` stands for the client id. Without it no status is published.
        pub topic: Option<String> = key { Text.absent("bridges/{client_id}/status"), maybe(status_topic) };
        /// The format of the status: `text` is `online` or `offline`; `json` adds version, times and the state of each
        /// mapping.
        pub format: StatusFormat = key { Kind::of::<StatusFormat>().is("text"), choice };
        /// How long the broker waits for a new connection before it publishes `offline`; MQTT 5 only.
        pub will_delay: Duration = key { Seconds(Duration::ZERO, HOUR).is("5s"), duration };
    }
}

section! {
    /// `[mqtt.tls]`: whom to trust and who we are. Nothing here turns verification off.
    pub struct Tls in "mqtt.tls.", checked by pairs {
        /// The certificate authorities to trust, in PEM; the system's own by default.
        pub ca_file: Option<PathBuf> = key { File.absent("ca.crt").flag("ca-file"), file };
        /// The bridge's certificate chain for mutual TLS, in PEM; comes with the key.
        pub cert_file: Option<PathBuf> = key { File.absent("bridge.crt").flag("cert-file"), file };
        /// The bridge's private key: a file in PEM, not encrypted, or the `pkcs11:` URI of a key in a token; comes with
        /// the certificate.
        pub key_file: Option<PrivateKey> = key { File.absent("bridge.key").flag("key-file"), private_key };
        /// The name to verify the broker's certificate against, and to send as SNI, in place of the URL's host.
        pub server_name: Option<String> = key { Text.absent("broker.example"), maybe(host) };
        /// The authorities' revocation lists, in PEM.
        pub crl_file: Option<PathBuf> = key { File.absent("ca.crl").flag("crl-file"), file };
        /// The oldest version of TLS to speak: `1.2` or `1.3`.
        pub min_version: TlsVersion = key { Kind::of::<TlsVersion>().is("1.2"), choice };
        /// The cipher suites to offer by IANA's names, the first preferred; in the variable, commas part them.
        pub cipher_suites: Vec<CipherSuite> =
            key { List.absent(r#"["TLS_AES_256_GCM_SHA384"]"#), list(crypto::cipher_suite) };
        /// The key exchange groups to offer, the first preferred; X25519MLKEM768 comes first unless given.
        pub key_exchange_groups: Vec<NamedGroup> =
            key { List.absent(r#"["X25519MLKEM768", "X25519"]"#), list(crypto::key_exchange_group) };
    }
}

impl Mqtt {
    /// Whether this very bridge is to leave for good.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retiring.contains(&self.client_id)
    }

    /// The client id of a mapping's session, of which `index` counts from 0: `{client_id}-{mapping}` for the first,
    /// `{client_id}-{mapping}-2` for the second.
    #[must_use]
    pub fn client_id_for(&self, mapping: &str, index: usize) -> String {
        format!("{}-{}", self.client_id, session_name(mapping, index))
    }

    /// The client id of the one connection that publishes. No mapping may be called `publisher`.
    #[must_use]
    pub fn publisher_client_id(&self) -> String {
        format!("{}-{PUBLISHER}", self.client_id)
    }

    /// The client id of the connection that tells the status. No mapping may be called `bridge-status`.
    #[must_use]
    pub fn status_client_id(&self) -> String {
        format!("{}-{STATUS}", self.client_id)
    }

    /// The topic of the status, with the client id in it.
    #[must_use]
    pub fn status_topic(&self) -> Option<String> {
        self.status.topic.as_ref().map(|topic| topic.replace(CLIENT_ID, &self.client_id))
    }

    /// The client id of the connection that reads the broker's own count. No mapping may be called `broker-stats`.
    #[must_use]
    pub fn broker_stats_client_id(&self) -> String {
        format!("{}-{BROKER_STATS}", self.client_id)
    }
}

/// The most URLs that `mqtt.url` may hold.
pub(crate) const MOST_URLS: usize = 8;

/// The suffix of the status client's id, which no session of the bridge has.
pub(super) const STATUS: &str = "bridge-status";

/// The suffix of the client id that reads the broker's count, which no session of the bridge has.
pub(super) const BROKER_STATS: &str = "broker-stats";

/// The suffix of the publisher's client id, which no session of the bridge has. Without a dot, which some brokers
/// refuse in a client id.
pub(super) const PUBLISHER: &str = "publisher";

/// The longest name of a mapping, in characters.
pub(super) const MAX_NAME: usize = 63;

/// The longest string of MQTT (MQTT 5, 1.5.4).
const MAX_STRING: usize = 65_535;

/// The suffix of a session's client id, which no other session of the bridge has.
pub(super) fn session_name(mapping: &str, index: usize) -> String {
    if index == 0 { mapping.to_owned() } else { format!("{mapping}-{}", index + 1) }
}

fn client_id(text: &str) -> Result<String, InvalidValue> {
    // Leaves room for the name of a mapping and the number of a session.
    const MAX_BYTES: usize = MAX_STRING - "-".len() - MAX_NAME - "-64".len();
    plain(text, MAX_BYTES, "must not be empty; the broker keeps our messages under it")
}

fn username(text: &str) -> Result<String, InvalidValue> {
    plain(text, MAX_STRING, "must not be empty; leave it out for none")
}

/// RFC 7301, section 3.1.
fn application_protocol(text: &str) -> Result<String, InvalidValue> {
    plain(text, 255, "must not be empty; write for example `mqtt`")
}

fn topic(text: &str) -> Result<String, InvalidValue> {
    validate_topic_name(text).map_err(|error| InvalidValue::new(format!("{}; name one topic", error.fault())))?;
    Ok(text.to_owned())
}

fn argument(text: &str) -> Result<String, InvalidValue> {
    if text.contains('\0') { Err(InvalidValue::new("must not hold NUL")) } else { Ok(text.to_owned()) }
}

/// No other program should get the bridge's own variables; the password may be among them.
fn variable(text: &str) -> Result<String, InvalidValue> {
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err(InvalidValue::new("not the name of a variable; write it alone, without a value: `AWS_REGION`"));
    }
    if text.starts_with(VARIABLE_PREFIX) {
        return Err(InvalidValue::new("a variable of the bridge itself, which may hold its password; name another"));
    }
    Ok(text.to_owned())
}

/// What stands for the client id in a topic.
const CLIENT_ID: &str = "{client_id}";

fn status_topic(text: &str) -> Result<String, InvalidValue> {
    topic(&text.replace(CLIENT_ID, "x"))?;
    Ok(text.to_owned())
}

/// The login for a broker that requires a user name: which keys fit together, and whether the files are usable.
fn login(mqtt: &Mqtt, reader: &mut Reader<'_>) {
    if let Some(Err(reason)) = mqtt.status_topic().as_deref().map(topic) {
        reader.mistake("mqtt.status.topic", &format!("with the client id in it: {reason}"));
    }
    let given = [
        ("mqtt.password_file", mqtt.password_file.is_some()),
        ("mqtt.password_command", !mqtt.password_command.is_empty()),
        (PASSWORD_VARIABLE, mqtt.password.is_some()),
    ];
    let mut given = given.into_iter().filter_map(|(place, is_given)| is_given.then_some(place));
    if let Some(place) = given.next() {
        if let Some(other) = given.next() {
            reader.mistake(place, &format!("{other} is set, too; keep one of them"));
        }
        // MQTT 3.1.1, 3.1.2-22: no password without a user name.
        if mqtt.protocol == Protocol::V311 && mqtt.username.is_none() {
            let reason =
                "MQTT 3.1.1 knows no password without a user name; set `mqtt.username`, or `mqtt.protocol` to `5`";
            reader.mistake(place, &reason);
        }
    }
    if mqtt.password_command.first().is_some_and(|program| !Path::new(program).is_absolute()) {
        let reason = "the program must be a whole path, such as `/usr/local/bin/broker-token`";
        reader.mistake("mqtt.password_command", &reason);
    } else if reader.looks_into_files {
        tls_files::check_program(mqtt, reader);
    }
    urls(mqtt, reader);
    if mqtt.proxy.is_none() && mqtt.proxy_credentials_file.is_some() {
        reader.mistake("mqtt.proxy_credentials_file", &"is for a proxy; set `mqtt.proxy`");
    }
    if reader.looks_into_files {
        tls_files::check(mqtt, reader);
        tls_files::check_proxy(mqtt, reader);
    }
}

/// Settings that have no effect with several brokers.
fn urls(mqtt: &Mqtt, reader: &mut Reader<'_>) {
    let urls = &mqtt.url;
    if urls.len() > MOST_URLS {
        reader.mistake("mqtt.url", &format!("names {} brokers; {MOST_URLS} is the most", urls.len()));
    }
    if let Some(twice) = urls.iter().enumerate().find_map(|(at, url)| urls[..at].contains(url).then_some(url)) {
        reader.mistake("mqtt.url", &format!("names {twice} twice; keep one of them"));
    }
    if urls.len() > 1 && mqtt.prefer == Prefer::First && mqtt.return_after >= mqtt.session_expiry {
        let reason =
            "must be shorter than `mqtt.session_expiry`, or the first broker has forgotten the session by then";
        reader.mistake("mqtt.return_after", &reason);
    }
}

/// What TLS can do nothing with.
fn pairs(tls: &Tls, reader: &mut Reader<'_>) {
    let suites = &tls.cipher_suites;
    if tls.min_version == TlsVersion::V1_3 && !suites.is_empty() && !suites.iter().any(|suite| crypto::is_tls13(*suite))
    {
        let reason = "names no suite of TLS 1.3, which `mqtt.tls.min_version` asks for; add `TLS_AES_256_GCM_SHA384`";
        reader.mistake("mqtt.tls.cipher_suites", &reason);
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => reader.mistake("mqtt.tls.cert_file", &"needs its private key; set `mqtt.tls.key_file`"),
        (None, Some(_)) => reader.mistake("mqtt.tls.key_file", &"needs its certificate; set `mqtt.tls.cert_file`"),
        (Some(_), Some(PrivateKey::Token(_))) if !cfg!(feature = "pkcs11") => {
            let reason = "this bridge is built without PKCS #11; build it with `--features pkcs11`, or name a file";
            reader.mistake("mqtt.tls.key_file", &reason);
        }
        _ => {}
    }
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
