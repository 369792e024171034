//! From a draft to the checked [`Config`]: each key is read once, with the default of the table where it is not given.
//! Opens no file.

mod fit;
mod login;
mod mapping;
mod reader;

use std::net::SocketAddr;

use super::draft::Draft;
use super::{Admin, Config, ConfigError, InvalidValue, Mqtt, Tls, TlsVersion};
use crate::crypto;
use crate::secret::Secret;
use crate::topic::validate_topic_name;
use login::{Login, login};
use mapping::{MAX_NAME, mapping};
use reader::Reader;

/// Reads a whole configuration.
pub(super) fn config(draft: &Draft) -> Result<Config, ConfigError> {
    let root = Reader { file: draft.file.as_deref(), section: &draft.root };
    let mqtt = mqtt(&root, draft.password.clone())?;
    let read = |section| {
        let section = root.of(section);
        let mapping = mapping(&section)?;
        fit::mapping(&section, &mapping, mqtt.protocol).map(|()| mapping)
    };
    let mappings = draft.mappings.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let config = Config {
        drain_timeout: root.duration("drain_timeout")?,
        log: root.parse("log")?,
        admin: Admin { listen: root.with("admin.listen", listen)? },
        mqtt,
        mappings,
    };
    if config.mappings.is_empty() {
        let reason = "there is none; write a `[[mapping]]`, or give --topic-filter and --function";
        return Err(ConfigError::setting(&draft.file_name("mapping"), reason));
    }
    fit::sessions(&draft.mappings, &config.mappings)?;
    Ok(config)
}

fn mqtt(root: &Reader<'_>, password: Option<Secret>) -> Result<Mqtt, ConfigError> {
    let protocol = root.parse("mqtt.protocol")?;
    let Login { username, password_file, password } = login(root, password, protocol)?;
    Ok(Mqtt {
        url: root.parse("mqtt.url")?,
        client_id: root.with("mqtt.client_id", client_id)?,
        username,
        password_file,
        password,
        protocol,
        session_expiry: root.duration("mqtt.session_expiry")?,
        keep_alive: root.duration("mqtt.keep_alive")?,
        connect_timeout: root.duration("mqtt.connect_timeout")?,
        backoff: root.parse("mqtt.backoff")?,
        dropped_topic: root.maybe("mqtt.dropped_topic", topic)?,
        tls: tls(root)?,
    })
}

fn tls(root: &Reader<'_>) -> Result<Tls, ConfigError> {
    let tls = Tls {
        ca_file: root.file("mqtt.tls.ca_file")?,
        cert_file: root.file("mqtt.tls.cert_file")?,
        key_file: root.file("mqtt.tls.key_file")?,
        crl_file: root.file("mqtt.tls.crl_file")?,
        min_version: root.parse("mqtt.tls.min_version")?,
        cipher_suites: root.list("mqtt.tls.cipher_suites", crypto::cipher_suite)?,
        key_exchange_groups: root.list("mqtt.tls.key_exchange_groups", crypto::key_exchange_group)?,
    };
    let suites = &tls.cipher_suites;
    if tls.min_version == TlsVersion::V1_3 && !suites.is_empty() && !suites.iter().any(|suite| crypto::is_tls13(*suite))
    {
        let reason = "names no suite of TLS 1.3, which `mqtt.tls.min_version` asks for; add `TLS_AES_256_GCM_SHA384`";
        return Err(root.error("mqtt.tls.cipher_suites", reason));
    }
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => Err(root.error("mqtt.tls.cert_file", "needs its private key; set `mqtt.tls.key_file`")),
        (None, Some(_)) => Err(root.error("mqtt.tls.key_file", "needs its certificate; set `mqtt.tls.cert_file`")),
        _ => Ok(tls),
    }
}

fn listen(text: &str) -> Result<Option<SocketAddr>, InvalidValue> {
    if text == "off" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| InvalidValue::new("not an address; write for example `127.0.0.1:9464`, or `off`"))
}

fn client_id(text: &str) -> Result<String, InvalidValue> {
    /// The longest that leaves room for the name of a mapping and the number of a session in a string of MQTT (MQTT 5,
    /// 1.5.4).
    const MAX_BYTES: usize = 65_535 - "-".len() - MAX_NAME - "-64".len();
    match text {
        "" => Err(InvalidValue::new("must not be empty; the broker keeps our messages under it")),
        _ if text.chars().any(char::is_control) => Err(InvalidValue::new("must not hold control characters")),
        _ if text.len() > MAX_BYTES => Err(InvalidValue::new(format!("longer than {MAX_BYTES} bytes"))),
        _ => Ok(text.to_owned()),
    }
}

fn topic(text: &str) -> Result<String, InvalidValue> {
    validate_topic_name(text).map_err(|error| InvalidValue::new(format!("{}; name one topic", error.fault())))?;
    Ok(text.to_owned())
}

impl Draft {
    fn file_name(&self, key: &str) -> String {
        self.file.as_ref().map_or_else(|| key.to_owned(), |file| format!("{}: {key}", file.display()))
    }
}
