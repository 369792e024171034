//! The one table of keys. The names of environment variables, the flags, the checks of numbers and durations and the
//! commented default are all made from it, so that nothing is said twice. Holds no value of any configuration.

use std::time::Duration;

use super::InvalidValue;
use super::values::{parse_duration, parse_size};

/// What each environment variable of the bridge begins with.
pub(crate) const VARIABLE_PREFIX: &str = "BRIDGE_";

/// The variable that names the file; no key.
pub(crate) const FILE_VARIABLE: &str = "BRIDGE_CONFIG";

/// The variable that holds the password for the broker. No key: in a file of settings, or as a flag, others could read it.
pub(crate) const PASSWORD_VARIABLE: &str = "BRIDGE_MQTT_PASSWORD";

/// What the path of each key of a mapping begins with.
pub(super) const MAPPING_PREFIX: &str = "mapping.";

/// The table of failure destinations, of which one stands in each table of the file. Elsewhere several may be given: then
/// they are tried in the order of their keys here.
pub(super) const ON_FAILURE: &str = "mapping.on_failure";

/// One key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its place in the file: `mqtt.tls.ca_file`, or `mapping.retry.max_age` in each `[[mapping]]`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Fallback,
    /// The long flag, without dashes.
    pub(crate) flag: Option<&'static str>,
    /// One sentence without a full stop.
    pub(crate) doc: &'static str,
}

/// What a key's value is, and between which bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    File,
    Range,
    Size,
    Switch,
    /// Texts: a list in the file, elsewhere one text in which commas part them.
    List,
    /// JSON objects: a list of tables in the file, elsewhere JSON.
    Json,
    Number(u64, u64),
    Duration(Duration, Duration),
    /// A duration that MQTT carries as a number of seconds.
    Seconds(Duration, Duration),
}

/// What holds when a key is not given; `Required` and `Absent` carry an example, as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fallback {
    Required(&'static str),
    Absent(&'static str),
    Is(&'static str),
}

use Fallback::{Absent, Is, Required};
use Kind::{File, Json, List, Number, Seconds, Size, Switch, Text};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MONTH: Duration = Duration::from_hours(30 * 24);
/// As `humantime` counts it, so that it is shown as `1year`. Far below what a session expiry can say (MQTT 5,
/// 3.1.2.11.2), but who needs more does not come back.
const YEAR: Duration = Duration::from_hours(8_766);

#[rustfmt::skip] // A table reads as a table.
pub(crate) const KEYS: &[Key] = &[
    key("drain_timeout", Kind::Duration(MS, HOUR), Is("25s"), Some("drain-timeout"),
        "How long a stop may take; what is not done by then is left for the next start"),
    key("log", Text, Is("auto"), Some("log"),
        "How log lines are written: `text`, `json`, or `auto`, which is text on a terminal and JSON elsewhere"),
    key("admin.listen", Text, Is("127.0.0.1:9464"), Some("admin-listen"),
        "Where /livez, /readyz and /metrics are served: address and port, or `off`"),
    key("mqtt.url", Text, Required("mqtts://broker.example:8883"), Some("url"),
        "The broker, always over verified TLS: `mqtts://host[:port]`; the port is 8883 unless written"),
    key("mqtt.client_id", Text, Is("mqtt-lambda-bridge"), Some("client-id"),
        "The stem of the client ids `{client_id}-{mapping}`; keep it, it names the sessions that the broker holds for us"),
    key("mqtt.username", Text, Absent("bridge-1"), Some("username"),
        "The user name for a broker that wants one; beside the certificate or in its place"),
    key("mqtt.password_file", File, Absent("bridge.password"), Some("password-file"),
        "The file of mode 0600 that holds its password or token alone, read anew for each connection; or BRIDGE_MQTT_PASSWORD"),
    key("mqtt.protocol", Text, Is("5"), Some("protocol"),
        "The version of MQTT: `5` or `3.1.1`"),
    key("mqtt.session_expiry", Seconds(SECOND, YEAR), Is("1h"), Some("session-expiry"),
        "How long the broker keeps messages for a bridge that is away; longer than the worst outage"),
    key("mqtt.keep_alive", Seconds(Duration::from_secs(5), Duration::from_secs(65_535)), Is("30s"), None,
        "How long a connection may be silent before a ping"),
    key("mqtt.connect_timeout", Kind::Duration(MS, HOUR), Is("10s"), None,
        "How long TCP, TLS and CONNACK together may take"),
    key("mqtt.backoff", Kind::Range, Is("500ms..30s"), None,
        "The pause before the next attempt to connect: the first, and the longest"),
    key("mqtt.dropped_topic", Text, Absent("$SYS/broker/publish/messages/dropped"), None,
        "Where the broker counts the messages that it has dropped; the example is Mosquitto's. Read at QoS 0, for a warning"),
    key("mqtt.tls.ca_file", File, Absent("ca.crt"), Some("ca-file"),
        "The authorities to trust, in PEM; the system's own unless given"),
    key("mqtt.tls.cert_file", File, Absent("bridge.crt"), Some("cert-file"),
        "The bridge's certificate chain for mutual TLS, in PEM; comes with the key"),
    key("mqtt.tls.key_file", File, Absent("bridge.key"), Some("key-file"),
        "The bridge's private key, in PEM, not encrypted; comes with the certificate"),
    key("mqtt.tls.crl_file", File, Absent("ca.crl"), Some("crl-file"),
        "The authorities' revocation lists, in PEM"),
    key("mqtt.tls.min_version", Text, Is("1.2"), None,
        "The oldest version of TLS to speak: `1.2` or `1.3`"),
    key("mqtt.tls.cipher_suites", List, Absent(r#"["TLS_AES_256_GCM_SHA384"]"#), None,
        "The cipher suites to offer by IANA's names, the first preferred; in the variable, commas part them"),
    key("mqtt.tls.key_exchange_groups", List, Absent(r#"["X25519MLKEM768", "X25519"]"#), None,
        "The key exchange groups to offer, the first preferred; X25519MLKEM768 comes first unless given"),
    key("mapping.name", Text, Required("sensor-data"), None,
        "What logs, metrics, events and the client id call it: lower-case letters, digits and `-`"),
    key("mapping.topic_filter", Text, Required("sensor/data"), Some("topic-filter"),
        "What to subscribe to; `$share/group/filter` shares the messages among several bridges"),
    key("mapping.former_topic_filters", List, Absent(r#"["sensor/old"]"#), None,
        "Filters that this mapping had before: the session is unsubscribed from them, and keeps everything else"),
    key("mapping.qos", Number(0, 2), Is("1"), Some("qos"),
        "The quality of service to ask for; with 0 messages can be lost"),
    key("mapping.sessions", Number(1, 64), Is("1"), None,
        "How many MQTT sessions share the subscription; more than one needs a `$share/group/filter`"),
    key("mapping.filter", Json, Absent(r#"[{ payload = { temperature = [{ numeric = [">", 30] }] } }]"#), None,
        "Patterns in the syntax of Lambda's FilterCriteria, of which a message must match one; in the variable, JSON"),
    key("mapping.function", Text, Required("sensor-handler"), Some("function"),
        "The Lambda function: a name, `name:alias`, or an ARN"),
    key("mapping.invocation", Text, Is("request-response"), None,
        "`request-response` waits for the function's answer; `event` only for Lambda to queue the event"),
    key("mapping.format", Text, Is("records"), None,
        "`records`: an event of records with all that is known of each message; `raw`: the payload of one message alone"),
    key("mapping.concurrency", Number(1, 10_000), Is("64"), Some("concurrency"),
        "How many invocations may run at once"),
    key("mapping.receive_maximum", Number(1, 65_535), Is("256"), Some("receive-maximum"),
        "How many messages the broker may send ahead of our acknowledgements"),
    key("mapping.ordering_key", Text, Absent("topic[1]"), Some("ordering-key"),
        "What messages have in common that keep their order: `topic[1]`, `payload:/device_id` or `property:device`"),
    key("mapping.rate_limit", Text, Absent("500/s"), Some("rate-limit"),
        "How many messages go to the function in a second or a minute: `500/s`, `100/m` or `0.5/s`"),
    key("mapping.message_id", Text, Absent("payload:/message_id"), None,
        "Where the publisher says which message it is: `payload:/message_id` or `property:message-id`"),
    key("mapping.max_outstanding_bytes", Size, Is("64MiB"), None,
        "How many bytes of payload may wait for their outcome"),
    key("mapping.timeout", Kind::Duration(SECOND, Duration::from_mins(15)), Is("30s"), Some("timeout"),
        "How long one invocation may take; a little longer than the function's own timeout"),
    key("mapping.batch.max_records", Number(1, 10_000), Is("1"), Some("batch-max-records"),
        "The most messages that one invocation carries"),
    key("mapping.batch.max_window", Kind::Duration(Duration::ZERO, Duration::from_mins(5)), Is("0ms"), Some("batch-max-window"),
        "How long the first message of a batch waits for others"),
    key("mapping.batch.bisect_on_error", Switch, Is("true"), None,
        "Whether a batch that the function failed is tried again as two halves, so that one bad message fails no others"),
    key("mapping.retry.max_attempts", Number(1, 1_000_000), Is("5"), Some("max-attempts"),
        "The most attempts of one delivery, the first included; what does not reach the function is none"),
    key("mapping.retry.max_age", Kind::Duration(MS, MONTH), Is("10m"), None,
        "The age from which on a delivery gets no further attempt"),
    key("mapping.retry.backoff", Kind::Range, Is("200ms..30s"), None,
        "The pause before the next attempt: the first, and the longest"),
    key("mapping.on_failure.sqs", Text, Absent("https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters"), Some("on-failure-sqs"),
        "The SQS queue for messages that no attempt could deliver; a list of destinations is tried in its order"),
    key("mapping.on_failure.s3", Text, Absent("s3://my-bucket/dead-letters/"), Some("on-failure-s3"),
        "The S3 bucket and prefix for such messages; it gets an object each"),
    key("mapping.on_failure.topic", Text, Absent("dead/letters"), None,
        "The topic of the same broker for such messages; the mapping must not subscribe to it"),
    key("mapping.on_failure.file", File, Absent("dead-letters.jsonl"), Some("on-failure-file"),
        "The file for messages that no attempt could deliver; it grows by a line each"),
    key("mapping.response.allow", List, Absent(r#"["devices/+/command"]"#), None,
        "The topics that the function's response may publish to; in the variable, commas part them"),
    key("mapping.response.qos", Number(0, 1), Is("1"), None,
        "The quality of service of what it publishes, where it names none"),
    key("mapping.on_refused_answer", Text, Is("dead-letter"), None,
        "What becomes of an answer that the broker refuses: `dead-letter` or `drop`"),
    key("mapping.reply", Switch, Is("false"), None,
        "Whether a message with a Response Topic is answered there; the topic must be one of those below"),
    key("mapping.reply_topics", List, Absent(r#"["devices/{topic[1]}/reply"]"#), None,
        "Where replies may go: topics without wildcards; `{topic[1]}` stands for that level of the record's own topic"),
];

const fn key(path: &'static str, kind: Kind, default: Fallback, flag: Option<&'static str>, doc: &'static str) -> Key {
    Key { path, kind, default, flag, doc }
}

/// The key at `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The keys of failure destinations.
pub(super) fn on_failure() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.path.strip_prefix(ON_FAILURE).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether keys stand below `path`, which makes it a table.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

impl Key {
    /// The environment variable, for a mapping the one of a configuration with a single mapping.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }

    /// The environment variable for one mapping of several.
    pub(super) fn variable_of(&self, mapping: &str) -> Option<String> {
        let path = self.path.strip_prefix(MAPPING_PREFIX)?;
        let name = format!("{VARIABLE_PREFIX}MAPPING_{mapping}_{path}");
        Some(name.replace(['.', '-'], "_").to_uppercase())
    }

    /// Whether it belongs to a mapping.
    pub(super) fn is_of_mapping(&self) -> bool {
        self.path.starts_with(MAPPING_PREFIX)
    }
}

impl Kind {
    /// What `--help` calls the value.
    pub(crate) fn value_name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::File => "FILE",
            Self::Range => "RANGE",
            Self::Size => "SIZE",
            Self::Switch => "BOOLEAN",
            Self::List => "LIST",
            Self::Json => "JSON",
            Self::Number(..) => "NUMBER",
            Self::Duration(..) | Self::Seconds(..) => "DURATION",
        }
    }

    /// The bounds in words, when it has any.
    pub(crate) fn bounds(self) -> Option<String> {
        match self {
            Self::Number(min, max) => Some(format!("{min} to {max}")),
            Self::Duration(min, max) | Self::Seconds(min, max) => {
                Some(format!("{} to {}", humantime::format_duration(min), humantime::format_duration(max)))
            }
            Self::Text | Self::File | Self::Range | Self::Size | Self::Switch | Self::List | Self::Json => None,
        }
    }

    /// Reads a whole number between the bounds; of a size, its bytes.
    pub(super) fn number(self, text: &str) -> Result<u64, InvalidValue> {
        let number = match self {
            Self::Size => parse_size(text)?,
            _ => text.parse().map_err(|_| InvalidValue::new("not a whole number"))?,
        };
        match self {
            Self::Number(min, max) if !(min..=max).contains(&number) => Err(self.out_of_bounds()),
            Self::Size if number == 0 => Err(InvalidValue::new("must be at least one byte")),
            _ => Ok(number),
        }
    }

    /// Reads a duration between the bounds.
    pub(super) fn duration(self, text: &str) -> Result<Duration, InvalidValue> {
        let duration = parse_duration(text)?;
        match self {
            Self::Duration(min, max) | Self::Seconds(min, max) if !(min..=max).contains(&duration) => {
                Err(self.out_of_bounds())
            }
            Self::Seconds(..) if duration.subsec_nanos() > 0 => Err(InvalidValue::new("must be whole seconds")),
            _ => Ok(duration),
        }
    }

    fn out_of_bounds(self) -> InvalidValue {
        InvalidValue::new(format!("out of bounds; allowed is {}", self.bounds().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn paths_variables_and_flags_are_unique() {
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        let flags: Vec<_> = KEYS.iter().filter_map(|key| key.flag).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
        assert!(!variables.contains(FILE_VARIABLE) && !variables.contains(PASSWORD_VARIABLE));
    }

    #[test]
    fn keys_of_one_table_stand_together() {
        // The commented default opens a table where the first of its keys stands.
        let mut tables: Vec<_> =
            KEYS.iter().map(|key| key.path.split_once('.').map_or("", |(table, _)| table)).collect();
        tables.dedup();
        assert_eq!(tables.iter().collect::<BTreeSet<_>>().len(), tables.len(), "{tables:?}");
    }

    #[test]
    fn variables_follow_the_path() {
        assert_eq!(find("mqtt.tls.ca_file").unwrap().variable(), "BRIDGE_MQTT_TLS_CA_FILE");
        let key = find("mapping.retry.max_attempts").unwrap();
        assert_eq!(key.variable(), "BRIDGE_MAPPING_RETRY_MAX_ATTEMPTS");
        assert_eq!(key.variable_of("sensor-data").unwrap(), "BRIDGE_MAPPING_SENSOR_DATA_RETRY_MAX_ATTEMPTS");
        assert_eq!(find("log").unwrap().variable_of("sensor-data"), None);
    }

    #[test]
    fn both_bounds_are_allowed_and_nothing_beyond() {
        let number = Number(1, 10);
        assert_eq!((number.number("1"), number.number("10")), (Ok(1), Ok(10)));
        assert_eq!(number.number("0").unwrap_err().to_string(), "out of bounds; allowed is 1 to 10");
        assert!(number.number("11").is_err() && number.number("-1").is_err() && number.number("1.5").is_err());

        let seconds = Seconds(Duration::from_secs(5), Duration::from_mins(1));
        assert_eq!(seconds.duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds.duration("1m"), Ok(Duration::from_mins(1)));
        assert_eq!(seconds.duration("61s").unwrap_err().to_string(), "out of bounds; allowed is 5s to 1m");
        assert_eq!(seconds.duration("5500ms").unwrap_err().to_string(), "must be whole seconds");
        assert!(Size.number("0").is_err());
    }

    #[test]
    fn failure_destinations_have_their_order() {
        let paths: Vec<_> = on_failure().filter_map(|key| key.path.strip_prefix("mapping.on_failure.")).collect();
        assert_eq!(paths, ["sqs", "s3", "topic", "file"]);
    }
}
