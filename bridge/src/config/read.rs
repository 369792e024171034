//! From a draft to the checked [`Config`]: each key is read once, with the default of the table where it is not given.
//! Opens no file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::draft::{Draft, Place, Section};
use super::keys::{self, Fallback, Key};
use super::{Admin, Batch, Config, ConfigError, InvalidValue, Mapping, Mqtt, OnFailure, Retry, Tls};

/// The name of the mapping that environment and flags describe without a file.
const UNNAMED: &str = "default";

/// The longest name of a mapping, in characters.
const MAX_NAME: usize = 63;

/// Reads a whole configuration.
pub(super) fn config(draft: &Draft) -> Result<Config, ConfigError> {
    let root = Reader { file: draft.file.as_deref(), section: &draft.root };
    let config = Config {
        drain_timeout: root.duration("drain_timeout")?,
        log: root.parse("log")?,
        admin: Admin { listen: root.with("admin.listen", listen)? },
        mqtt: mqtt(&root)?,
        mappings: draft.mappings.iter().map(|section| mapping(&root.of(section))).collect::<Result<_, _>>()?,
    };
    if config.mappings.is_empty() {
        let reason = "there is none; write a `[[mapping]]`, or give --topic-filter and --function";
        return Err(ConfigError::setting(&draft.file_name("mapping"), reason));
    }
    check_names(&draft.mappings, &config.mappings)?;
    Ok(config)
}

fn mqtt(root: &Reader<'_>) -> Result<Mqtt, ConfigError> {
    Ok(Mqtt {
        url: root.parse("mqtt.url")?,
        client_id: root.with("mqtt.client_id", client_id)?,
        protocol: root.parse("mqtt.protocol")?,
        session_expiry: root.duration("mqtt.session_expiry")?,
        keep_alive: root.duration("mqtt.keep_alive")?,
        connect_timeout: root.duration("mqtt.connect_timeout")?,
        backoff: root.parse("mqtt.backoff")?,
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
    };
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => Err(root.error("mqtt.tls.cert_file", "needs its private key; set `mqtt.tls.key_file`")),
        (None, Some(_)) => Err(root.error("mqtt.tls.key_file", "needs its certificate; set `mqtt.tls.cert_file`")),
        _ => Ok(tls),
    }
}

fn mapping(section: &Reader<'_>) -> Result<Mapping, ConfigError> {
    Ok(Mapping {
        name: section.with("mapping.name", name)?,
        topic_filter: section.parse("mapping.topic_filter")?,
        qos: section.parse("mapping.qos")?,
        function: section.parse("mapping.function")?,
        concurrency: section.number("mapping.concurrency")?,
        receive_maximum: section.number("mapping.receive_maximum")?,
        timeout: section.duration("mapping.timeout")?,
        batch: Batch {
            max_records: section.number("mapping.batch.max_records")?,
            max_window: section.duration("mapping.batch.max_window")?,
        },
        retry: Retry {
            max_attempts: section.number("mapping.retry.max_attempts")?,
            max_age: section.duration("mapping.retry.max_age")?,
            backoff: section.parse("mapping.retry.backoff")?,
        },
        on_failure: section.file("mapping.on_failure.file")?.map(OnFailure::File),
        max_outstanding_bytes: section.number("mapping.max_outstanding_bytes")?,
    })
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
    /// The longest that leaves room for the name of a mapping in a string of MQTT (MQTT 5, 1.5.4).
    const MAX_BYTES: usize = 65_535 - 1 - MAX_NAME;
    match text {
        "" => Err(InvalidValue::new("must not be empty; the broker keeps our messages under it")),
        _ if text.chars().any(char::is_control) => Err(InvalidValue::new("must not hold control characters")),
        _ if text.len() > MAX_BYTES => Err(InvalidValue::new(format!("longer than {MAX_BYTES} bytes"))),
        _ => Ok(text.to_owned()),
    }
}

fn name(text: &str) -> Result<String, InvalidValue> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > MAX_NAME || text.starts_with('-') || !text.bytes().all(allowed) {
        let reason = format!("write 1 to {MAX_NAME} lower-case letters, digits and `-`, with no `-` at the beginning");
        return Err(InvalidValue::new(reason));
    }
    Ok(text.to_owned())
}

/// Two mappings of one name would share a client id, and so take each other's session over for ever.
fn check_names(sections: &[Section], mappings: &[Mapping]) -> Result<(), ConfigError> {
    let mut seen = BTreeMap::new();
    for (mapping, section) in mappings.iter().zip(sections) {
        let place = section.settings.get("mapping.name").map(|setting| &setting.place);
        if let Some(first) = seen.insert(&mapping.name, place) {
            let first = match first {
                Some(Place::Line { line, .. }) => format!(" in line {line}"),
                Some(place) => format!(" by {place}"),
                None => String::new(),
            };
            let reason = format!("`{}` is the name of another mapping{first}; names must differ", mapping.name);
            return Err(ConfigError::setting(&place.map(ToString::to_string).unwrap_or_default(), &reason));
        }
    }
    Ok(())
}

/// Reads the keys of one section.
struct Reader<'a> {
    file: Option<&'a Path>,
    section: &'a Section,
}

impl<'a> Reader<'a> {
    fn of(&self, section: &'a Section) -> Self {
        Self { file: self.file, section }
    }

    /// The value of a key that has one, as `read` understands it.
    fn with<T, E: Display>(&self, path: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Result<T, ConfigError> {
        read(self.text(path)?).map_err(|reason| self.error(path, &reason))
    }

    fn parse<T: FromStr<Err: Display>>(&self, path: &str) -> Result<T, ConfigError> {
        self.with(path, str::parse)
    }

    fn duration(&self, path: &str) -> Result<Duration, ConfigError> {
        self.with(path, |text| key(path).kind.duration(text))
    }

    fn number<T: TryFrom<u64>>(&self, path: &str) -> Result<T, ConfigError> {
        self.with(path, |text| {
            let number = key(path).kind.number(text)?;
            T::try_from(number).map_err(|_| InvalidValue::new("the number is too large"))
        })
    }

    /// A path, which a file gives relative to itself.
    fn file(&self, path: &str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(setting) = self.section.settings.get(path) else { return Ok(None) };
        if setting.text.is_empty() {
            return Err(self.error(path, "must not be empty"));
        }
        let directory = match (&setting.place, self.file) {
            (Place::Line { .. }, Some(file)) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        Ok(Some(directory.join(&setting.text)))
    }

    fn text(&self, path: &str) -> Result<&'a str, ConfigError> {
        if let Some(setting) = self.section.settings.get(path) {
            return Ok(&setting.text);
        }
        match key(path).default {
            Fallback::Is(text) => Ok(text),
            _ if path == "mapping.name" && self.section.header.is_none() => Ok(UNNAMED),
            Fallback::Required(_) | Fallback::Absent(_) => Err(self.missing(path)),
        }
    }

    fn missing(&self, path: &str) -> ConfigError {
        let key = key(path);
        let flag = key.flag.map(|flag| format!(", --{flag}")).unwrap_or_default();
        let place = match &self.section.header {
            Some(Place::Line { file, line, .. }) => format!("{file}:{line}: {path}"),
            _ => path.to_owned(),
        };
        ConfigError::setting(&place, &format!("missing; set it in the file, or by {}{flag}", key.variable()))
    }

    fn error(&self, path: &str, reason: &(impl Display + ?Sized)) -> ConfigError {
        let place =
            self.section.settings.get(path).map_or_else(|| path.to_owned(), |setting| setting.place.to_string());
        ConfigError::setting(&place, reason)
    }
}

impl Draft {
    fn file_name(&self, key: &str) -> String {
        self.file.as_ref().map_or_else(|| key.to_owned(), |file| format!("{}: {key}", file.display()))
    }
}

#[expect(clippy::expect_used, reason = "only paths of the table are read here; a test reads all of them")]
fn key(path: &str) -> &'static Key {
    keys::find(path).expect("a path of the table")
}
