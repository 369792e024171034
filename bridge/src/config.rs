//! The configuration: a TOML file, the environment and flags become one [`Config`], or a list of all mistakes, each
//! with its place. Opens no connection, and never repeats a value that may be a secret.
//!
//! A new key is one entry of a section: of [`Config`] below, of `mqtt.rs` or of `mapping.rs`.

mod broker_url;
mod bucket_url;
mod circles;
mod collector_url;
mod draft;
mod error;
mod field;
mod file;
mod function;
pub(crate) mod key;
pub(crate) mod keys;
mod mapping;
mod mqtt;
mod on_failure;
mod overlay;
mod private_key;
mod proxy;
mod rate;
mod reader;
mod reference;
mod sampling;
mod schema;
mod section;
mod tls_files;
mod token_uri;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use broker_url::authority;
pub use broker_url::{BrokerUrl, Carrier};
pub use bucket_url::BucketUrl;
pub use circles::circles;
pub use collector_url::CollectorUrl;
pub use error::ConfigError;
pub(crate) use error::{in_words, unknown};
pub use field::{MessageId, OrderingKey};
pub use function::Function;
pub use mapping::{Batch, Mapping, ResponseTopics, Retry};
pub(crate) use mqtt::MOST_URLS;
pub use mqtt::{Mqtt, StatusTopic, Tls};
pub use on_failure::OnFailure;
pub use overlay::Overrides;
pub use private_key::PrivateKey;
pub use proxy::Proxy;
pub use rate::Rate;
pub use reference::{commented_default, minimal};
pub use sampling::Sampling;
pub use schema::schema;
pub use token_uri::TokenUri;
pub use values::{
    ContentEncoding, Format, InvalidValue, Invocation, LambdaClient, LogFormat, OnRefusedAnswer, OnUnreadLetter,
    Prefer, Protocol, Qos, Range, StatusFormat, TlsVersion, WhenDegraded,
};

use error::Mistakes;
use key::Kind::{self, Period, Text};
use reader::Reader;
use section::{Section, keys_of, section};
use values::{HOUR, MONTH, MS, SECOND};

section! {
    /// The whole configuration, checked.
    pub struct Config in "", checked by mapping::whole {
        /// How long a stop may take; messages without an outcome by then stay un-acknowledged and come back at the next
        /// start.
        pub drain_timeout: Duration = key { Period(MS, HOUR).is("25s").flag("drain-timeout").live(), duration };
        /// How log lines are written: `text`, `json`, or `auto`, which is text on a terminal and JSON elsewhere.
        pub log: LogFormat = key { Kind::of::<LogFormat>().is("auto").flag("log"), choice };
        /// The endpoint for operators.
        pub admin: Admin = subsection {};
        /// The way to Lambda.
        pub lambda: Lambda = subsection {};
        /// Metrics for CloudWatch.
        pub cloudwatch: CloudWatch = subsection {};
        /// Traces of deliveries.
        pub trace: Trace = subsection {};
        /// The broker and the sessions with it.
        pub mqtt: Mqtt = subsection {};
        /// At least one mapping; their names differ.
        pub mappings: Vec<Mapping> = other { keys_of::<Mapping>(), mapping::mappings, None };
    }
}

section! {
    /// `[admin]`: the status page, `/livez`, `/readyz` and `/metrics`.
    pub struct Admin in "admin.", checked by token {
        /// Where the status page, /livez, /readyz and /metrics are served: address and port, or `off`.
        pub listen: Option<SocketAddr> = key { Text.is("127.0.0.1:9464").flag("admin-listen"), with(listen) };
        /// Host names that requests may use, beside addresses and `localhost`; others are rejected, so that no web page
        /// can read it.
        pub allowed_hosts: Vec<String> = key { Kind::List.absent(r#"["bridge.example"]"#), list(host_name) };
        /// The file of mode 0600 with the token that pause, resume and retire require; read again for each of them.
        pub token_file: Option<PathBuf> = key { Kind::File.absent("admin.token"), file };
        /// What /readyz answers for a degraded mapping: `ready` (200), or `unready` (503).
        pub degraded: WhenDegraded = key { Kind::of::<WhenDegraded>().is("ready"), choice };
        /// How long every invocation of a mapping must have failed before the mapping counts as degraded.
        pub degraded_after: Duration = key { Period(SECOND, MONTH).is("5m"), duration };
        /// How long a mapping may be subscribed without ever receiving a message before /readyz and the log mention it.
        pub silent_after: Duration = key { Period(SECOND, MONTH).is("2h"), duration };
    }
}

section! {
    /// `[lambda]`: the way to Lambda.
    pub struct Lambda in "lambda." {
        /// Which client sends invocations: `lean`, the bridge's own client, or `sdk`, the AWS SDK, which takes four
        /// times the CPU.
        pub client: LambdaClient = key { Kind::of::<LambdaClient>().is("lean"), choice };
        /// Whether the bridge asks Lambda by invocations of the type `DryRun`: at the start, whether it may invoke each
        /// function; and whether a message alone is refused; `false` for emulators that would run the function.
        pub dry_run: bool = key { Kind::Switch.is("true"), switch };
    }
}

section! {
    /// `[cloudwatch]`: metrics as lines on standard output, in the embedded metric format.
    pub struct CloudWatch in "cloudwatch." {
        /// The namespace of the metrics. Without it no such lines are written.
        pub namespace: Option<String> = key { Text.absent("mqtt-lambda"), maybe(namespace) };
        /// How often each mapping writes a line.
        pub interval: Duration = key { Period(SECOND, HOUR).is("1m"), duration };
    }
}

section! {
    /// `[trace]`: a span for each delivery, sent to a collector by OTLP.
    pub struct Trace in "trace.", checked by is_built {
        /// Where spans are sent by OTLP over HTTP, as JSON; a bridge that is built with the feature `otlp` alone can.
        /// Without it there are no traces.
        pub endpoint: Option<CollectorUrl> = key { Text.absent("http://127.0.0.1:4318/v1/traces"), maybe(str::parse) };
        /// Of how many messages without a `traceparent` there is a trace; a `traceparent` decides for its own message.
        pub sampling: Sampling = key { Text.is("100%"), with(str::parse) };
    }
}

fn is_built(trace: &Trace, reader: &mut Reader<'_>) {
    if trace.endpoint.is_some() && !cfg!(feature = "otlp") {
        let reason =
            "this bridge is built without OpenTelemetry; build it with `--features otlp`, or leave the key out";
        reader.mistake("trace.endpoint", &reason);
    }
}

/// CloudWatch API reference, `PutMetricData`, `Namespace`.
fn namespace(text: &str) -> Result<String, InvalidValue> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
    if !(1..=255).contains(&text.len()) || !text.bytes().all(is_part) || text.starts_with("AWS/") {
        return Err(InvalidValue::new(
            "not a namespace; write 1 to 255 letters, digits and `.-_/#:`, not beginning with `AWS/`",
        ));
    }
    Ok(text.to_owned())
}

fn listen(text: &str) -> Result<Option<SocketAddr>, InvalidValue> {
    if text == "off" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| InvalidValue::new("not an address; write for example `127.0.0.1:9464`, or `off`"))
}

fn host_name(text: &str) -> Result<String, InvalidValue> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() || !text.bytes().all(is_part) {
        return Err(InvalidValue::new("not a host name; write it alone, without scheme and port: `bridge.example`"));
    }
    Ok(text.to_owned())
}

fn token(admin: &Admin, reader: &mut Reader<'_>) {
    if reader.looks_into_files {
        tls_files::check_token(admin, reader);
    }
}

impl Config {
    /// Loads a configuration: `overrides` win over `environment`, the environment over the file, the file over the
    /// defaults. Of the environment only variables that begin with `BRIDGE_` are read; without `file`,
    /// `BRIDGE_CONFIG` may name one.
    ///
    /// Paths in the file are relative to it, all others to the working directory. The certificate files are looked
    /// into.
    ///
    /// # Errors
    /// All that is wrong, each with the line, variable or flag that says it. Of a file that is not TOML, its syntax alone;
    /// what settings mean together is judged where each of them is good.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let variables: BTreeMap<_, _> = overlay::of_bridge(environment).collect();
        let named = variables.get(keys::FILE_VARIABLE).map(PathBuf::from);
        let mut mistakes = Mistakes::default();
        let draft = match (file, named.as_deref()) {
            (Some(path), _) => file::read(path, "--config", &mut mistakes),
            (None, Some(path)) => file::read(path, keys::FILE_VARIABLE, &mut mistakes),
            (None, None) => Some(draft::Draft::default()),
        };
        let is_read = draft.is_some();
        let mut draft = draft.unwrap_or_default();
        overlay::environment(&mut draft, variables, &mut mistakes);
        overlay::flags(&mut draft, overrides, &mut mistakes);
        // The log format is known even if the rest of the configuration is invalid.
        let log = LogFormat::named(draft.root.given.get("log").and_then(|given| given.text.as_deref()));
        let made = if is_read { read(&draft, mistakes, true) } else { mistakes.or(None) };
        made.map_err(|error| error.with_log(log))
    }

    /// The keys that differ and hold for the life of a process: where the broker and the admin endpoint are, who we are
    /// there, and how log lines are written. All others can change while the bridge runs.
    #[must_use]
    pub fn fixed_keys_changed(&self, new: &Self) -> Vec<&'static str> {
        let mut changed = Vec::new();
        self.fixed(new, &mut changed);
        changed
    }
}

fn read(draft: &draft::Draft, mistakes: Mistakes, looks_into_files: bool) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(draft, mistakes, looks_into_files);
    let config = Config::read(&mut reader);
    reader.mistakes.or(config)
}

/// Reads the text of a file, and opens none of the files that it names.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_text(text: &str) -> Result<Config, ConfigError> {
    let mut mistakes = Mistakes::default();
    match file::parse(Path::new("b.toml"), text, &mut mistakes) {
        Some(draft) => read(&draft, mistakes, false),
        None => mistakes.or(None),
    }
}

/// What is wrong with the text of a file, but for keys that this build has no feature for.
#[cfg(test)]
pub(crate) fn mistakes_in(text: &str) -> Vec<String> {
    let mistakes = read_text(text).err().map(|error| error.lines().collect::<Vec<_>>()).unwrap_or_default();
    mistakes.into_iter().filter(|mistake| !mistake.contains("this bridge is built without")).collect()
}

#[cfg(test)]
mod tests {
    use super::key::{Change, Fallback, Key};
    use super::keys::KEYS;
    use super::*;

    fn minimal() -> Overrides {
        let overrides = Overrides::default().set("mqtt.url", "mqtts://broker");
        overrides.set("mapping.topic_filter", "sensor/data").set("mapping.function", "f")
    }

    fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn from_text(text: &str) -> Result<Config, String> {
        let mut mistakes = Mistakes::default();
        let draft = file::parse(Path::new("conf/bridge.toml"), text, &mut mistakes).unwrap();
        super::read(&draft, mistakes, false).map_err(|error| error.to_string())
    }

    const FILE: &str =
        "[mqtt]\nurl = \"mqtts://b\"\n[[mapping]]\nname = \"a\"\ntopic_filter = \"t\"\nfunction = \"f\"\n";

    #[test]
    fn three_settings_are_enough() {
        let config = Config::load(None, [], minimal()).unwrap();
        assert_eq!(config.drain_timeout, Duration::from_secs(25));
        assert_eq!(config.admin.listen.unwrap().to_string(), "127.0.0.1:9464");
        assert_eq!(config.mqtt.client_id_for(&config.mappings[0].name, 0), "mqtt-lambda-bridge-default");
        assert_eq!(config.mappings[0].max_outstanding_bytes, 64 << 20);
        assert_eq!(config.mappings[0].on_failure, []);
    }

    #[test]
    fn flag_wins_over_environment_over_file_over_default() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.toml");
        std::fs::write(&path, format!("{FILE}qos = 0\nconcurrency = 2\nreceive_maximum = 3\n")).unwrap();
        let variables = environment(&[("BRIDGE_MAPPING_QOS", "2"), ("BRIDGE_MAPPING_CONCURRENCY", "9")]);
        let config = Config::load(Some(&path), variables, Overrides::default().set("mapping.qos", "1")).unwrap();
        let mapping = &config.mappings[0];
        assert_eq!((mapping.qos, mapping.concurrency, mapping.receive_maximum), (Qos::AtLeastOnce, 9, 3));
    }

    #[test]
    fn the_environment_may_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.toml");
        std::fs::write(&path, FILE).unwrap();
        let variables = environment(&[("BRIDGE_CONFIG", path.to_str().unwrap())]);
        assert_eq!(Config::load(None, variables, Overrides::default()).unwrap().mappings[0].name, "a");
        let error = Config::load(None, environment(&[("BRIDGE_CONFIG", "")]), Overrides::default()).unwrap_err();
        assert_eq!(error.to_string(), "BRIDGE_CONFIG: must not be empty");
    }

    /// A value that is allowed for the key and is not the one of the commented default.
    fn other_value(key: &Key) -> String {
        let list = |text| serde_json::from_str::<Vec<String>>(text).unwrap().join(",");
        match (key.kind, key.default) {
            (Kind::List, Fallback::Absent(example)) => list(example),
            (Kind::Json, _) => "{}".to_owned(),
            (_, Fallback::Absent(example)) => example.to_owned(),
            (Kind::Choice(names), Fallback::Is(text)) => names().into_iter().find(|name| name != text).unwrap(),
            (Kind::Number(min, max), Fallback::Is(text)) if text == max.to_string() => min.to_string(),
            (Kind::Number(_, max), _) => max.to_string(),
            (Period(_, max) | Kind::Seconds(_, max), _) => humantime::format_duration(max).to_string(),
            (Kind::Range, _) => "1s..2s".to_owned(),
            (Kind::Size, _) => "7".to_owned(),
            (Kind::Switch, Fallback::Is(text)) => (text == "false").to_string(),
            _ if key.path == "admin.listen" => "off".to_owned(),
            _ if key.path == "trace.sampling" => "5%".to_owned(),
            _ if key.path == "mqtt.url" => "mqtts://another".to_owned(),
            _ => "another".to_owned(),
        }
    }

    /// What must be given beside the key.
    fn companions(path: &str) -> Overrides {
        let none = Overrides::default();
        match path {
            "mqtt.tls.cert_file" | "mqtt.tls.key_file" => {
                none.set("mqtt.tls.cert_file", "a.crt").set("mqtt.tls.key_file", "a.key")
            }
            "mqtt.proxy_credentials_file" => none.set("mqtt.proxy", "http://p:1"),
            "mapping.sessions" => none.set("mapping.topic_filter", "$share/group/sensor/data"),
            "mapping.reply" => none.set("mapping.reply_topics", "replies"),
            _ => none,
        }
    }

    /// The keys that this build takes.
    fn keys() -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(|key| cfg!(feature = "otlp") || key.path != "trace.endpoint")
    }

    /// The commented default with these flags.
    fn default_with(overrides: Overrides) -> Config {
        let mut mistakes = Mistakes::default();
        let mut draft = file::parse(Path::new("b.toml"), &reference::commented_default(), &mut mistakes).unwrap();
        overlay::flags(&mut draft, overrides, &mut mistakes);
        super::read(&draft, mistakes, false).unwrap()
    }

    #[test]
    fn every_key_is_read() {
        for key in keys() {
            let beside = companions(key.path);
            let changed = default_with(beside.clone().set(key.path, other_value(key)));
            assert_ne!(changed, default_with(beside), "{}", key.path);
        }
    }

    #[test]
    fn every_key_that_needs_a_restart_is_named_and_no_other() {
        for key in keys() {
            let beside = companions(key.path);
            let changed = default_with(beside.clone().set(key.path, other_value(key)));
            let fixed: &[&str] = if key.change() == Change::Restart { &[key.path] } else { &[] };
            assert_eq!(default_with(beside).fixed_keys_changed(&changed), fixed);
        }
        let live: Vec<_> = KEYS.iter().filter(|key| key.change() == Change::Nothing).map(|key| key.path).collect();
        assert_eq!(live, ["drain_timeout", "mqtt.retiring"]);
    }

    #[test]
    fn a_password_in_the_environment_needs_a_restart() {
        let with = |password: &str| Config::load(None, environment(&[("BRIDGE_MQTT_PASSWORD", password)]), minimal());
        let (one, other) = (with("hunter2").unwrap(), with("hunter3").unwrap());
        assert_eq!(one.fixed_keys_changed(&other), ["BRIDGE_MQTT_PASSWORD"]);
        assert_eq!(one.fixed_keys_changed(&with("hunter2").unwrap()), Vec::<&str>::new());
    }

    #[test]
    fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.toml");
        let text = "log = 3\n[[mapping]]\nname = \"A\"\nqos = 7\nsessions = 2\ntopic_filter = \"a/#/b\"\n[mqtt]\nurll = \"x\"\n\
                    tls.cert_file = \"absent\"\n[[mapping]]\nname = \"b\"\nfunction = \"f\"\ntopic_filter = \"t\"\nreply = true\n\
                    rate_limit = \"0/s\"\nresponse.qos = 1\n[[mapping]]\nname = \"c\"\nfunction = \"f\"\ntopic_filter = \"t\"\nreply = true\n";
        std::fs::write(&path, text).unwrap();
        let variables = environment(&[("BRIDGE_MQTT_KEEP_ALIVE", "1s"), ("BRIDGE_QOS", "1")]);
        let flags = Overrides::default().set("admin.listen", "x");
        let error = Config::load(Some(&path), variables, flags).unwrap_err();
        let begins = |line: String| {
            let line = line.replace(path.to_str().unwrap(), "f");
            line.split(": ").take(2).collect::<Vec<_>>().join(": ")
        };
        assert_eq!(
            error.lines().map(begins).collect::<Vec<_>>(),
            [
                "f:1: log",
                "f:2: mapping.function",
                "f:3: mapping.name",
                "f:4: mapping.qos",
                "f:6: mapping.topic_filter",
                "f:8: mqtt.urll",
                "f:9: mqtt.tls.cert_file",
                "f:15: mapping.rate_limit",
                "f:21: mapping.reply",
                "BRIDGE_QOS: unknown variable; did you mean `BRIDGE_LOG`?",
                "--admin-listen: not an address; write for example `127.0.0.1:9464`, or `off`",
                "mqtt.url: missing; set it in the file, or by BRIDGE_MQTT_URL, --url",
                "BRIDGE_MQTT_KEEP_ALIVE: out of bounds; allowed is 5s to 18h 12m 15s",
            ]
        );
        let whole = error.to_string();
        assert!(whole.starts_with("13 mistakes: (1) ") && !whole.contains('\n'), "{whole}");
    }

    const EVERYTHING: &str = r#"invocation = "event"
ordering_key = "payload:/device_id"
rate_limit = "500/s"
sessions = 1
message_id = "property:message-id"
batch.bisect_on_error = false
filter = [{ payload = { temperature = [{ numeric = [">", 30] }] } }, { userProperties.aB = ["c"] }]
on_failure = [{ sqs = "https://localhost/1/q" }, { file = "dead.jsonl" }]
"#;

    #[test]
    fn what_a_mapping_may_say_is_read_with_its_type() {
        let config = from_text(&format!("{}{EVERYTHING}", FILE.replace("\"t\"", "\"$share/g/t\""))).unwrap();
        let mapping = &config.mappings[0];
        assert_eq!((mapping.invocation, mapping.sessions), (Invocation::Event, 1));
        assert_eq!(mapping.ordering_key, Some(OrderingKey::Payload("/device_id".to_owned())));
        assert_eq!(mapping.message_id, Some(MessageId::Property("message-id".to_owned())));
        assert_eq!(mapping.rate_limit.unwrap().interval(), Duration::from_millis(2));
        assert!(!mapping.batch.bisect_on_error);
        let hot = serde_json::json!({ "payload": { "temperature": [{ "numeric": [">", 30] }] } });
        assert_eq!(mapping.filter, [hot, serde_json::json!({ "userProperties": { "aB": ["c"] } })]);
        let queue = OnFailure::Sqs("https://localhost/1/q".to_owned());
        assert_eq!(mapping.on_failure, [queue, OnFailure::File("conf/dead.jsonl".into())]);
    }

    #[test]
    fn the_examples_are_good() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples");
        let mut loaded = 0;
        for example in std::fs::read_dir(examples).unwrap() {
            // The other examples are functions, without a bridge.toml.
            let Ok(text) = std::fs::read_to_string(example.unwrap().path().join("bridge.toml")) else { continue };
            from_text(&text).unwrap();
            loaded += 1;
        }
        assert!(loaded >= 6, "{loaded}");
    }

    #[test]
    fn answers_are_for_allowed_topics_alone() {
        let config = from_text(&format!(
            "{FILE}reply = true\nreply_topics = [\"d/{{topic[0]}}\"]\nresponse = {{ allow = [\"a,b/+\", \"c\"], qos = 0 }}\n"
        ));
        let mapping = &config.unwrap().mappings[0];
        let allowed: Vec<_> = mapping.response.allow.iter().map(crate::topic::TopicFilter::as_str).collect();
        assert_eq!((allowed.as_slice(), mapping.response.qos), (&["a,b/+", "c"][..], Qos::AtMostOnce));
        assert!(mapping.reply);
        let variables = environment(&[("BRIDGE_MAPPING_RESPONSE_ALLOW", "a/b, c")]);
        let config = Config::load(None, variables, minimal()).unwrap();
        let allowed: Vec<_> = config.mappings[0].response.allow.iter().map(crate::topic::TopicFilter::as_str).collect();
        assert_eq!((allowed.as_slice(), config.mappings[0].response.qos), (&["a/b", "c"][..], Qos::AtLeastOnce));
    }

    #[test]
    fn failure_destinations_from_outside_stand_in_place_of_those_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.toml");
        std::fs::write(&path, format!("{FILE}on_failure = [{{ sqs = \"https://localhost/1/q\" }}]\n")).unwrap();
        let variables =
            [("BRIDGE_MAPPING_ON_FAILURE_FILE", "dead"), ("BRIDGE_MAPPING_ON_FAILURE_TOPIC", "dead/letters")];
        let flags = Overrides::default().set("mapping.on_failure.sqs", "https://localhost/1/flag");
        let on_failure = |variables: &[_], flags| {
            Config::load(Some(&path), environment(variables), flags).unwrap().mappings.remove(0).on_failure
        };
        let (file, topic) = (OnFailure::File("dead".into()), OnFailure::Topic("dead/letters".to_owned()));
        let sqs = |name: &str| OnFailure::Sqs(format!("https://localhost/1/{name}"));
        assert_eq!(on_failure(&[], Overrides::default()), [sqs("q")]);
        assert_eq!(on_failure(&variables[..1], Overrides::default()), std::slice::from_ref(&file));
        assert_eq!(on_failure(&variables, flags), [sqs("flag"), topic, file]);
    }

    #[test]
    fn patterns_in_the_environment_are_json() {
        let filter = |text: &str| {
            let variables = environment(&[("BRIDGE_MAPPING_FILTER", text)]);
            Config::load(None, variables, minimal()).map(|config| config.mappings[0].filter.clone())
        };
        let pattern = serde_json::json!({ "qos": [1] });
        assert_eq!(filter(r#"{"qos":[1]}"#).unwrap(), std::slice::from_ref(&pattern));
        assert_eq!(filter(r#"[{"qos":[1]},{"qos":[1]}]"#).unwrap(), [pattern.clone(), pattern]);
        let error = filter("qos = [1]").unwrap_err().to_string();
        assert!(error.starts_with("BRIDGE_MAPPING_FILTER: not JSON from line 1, column 1 on; "), "{error}");
    }

    #[test]
    fn paths_in_a_file_are_relative_to_it() {
        let config = from_text(&format!("{FILE}on_failure.file = \"dead.jsonl\"\n")).unwrap();
        assert_eq!(config.mappings[0].on_failure, [OnFailure::File("conf/dead.jsonl".into())]);
        let config = from_text(&format!("{FILE}on_failure.file = \"/var/dead.jsonl\"\n")).unwrap();
        assert_eq!(config.mappings[0].on_failure, [OnFailure::File("/var/dead.jsonl".into())]);
        let config = Config::load(None, [], minimal().set("mapping.on_failure.file", "dead.jsonl")).unwrap();
        assert_eq!(config.mappings[0].on_failure, [OnFailure::File("dead.jsonl".into())]);
    }

    #[test]
    fn what_is_missing_says_where_it_can_be_set() {
        let error = Config::load(None, [], Overrides::default()).unwrap_err();
        assert_eq!(
            error.lines().collect::<Vec<_>>(),
            [
                "mqtt.url: missing; set it in the file, or by BRIDGE_MQTT_URL, --url",
                "mapping: there is none; write a `[[mapping]]`, or give --topic-filter and --function",
            ]
        );
        let nameless = FILE.replace("name = \"a\"\n", "");
        let error = from_text(&nameless).unwrap_err();
        assert_eq!(error, "conf/bridge.toml:3: mapping.name: missing; set it in the file, or by BRIDGE_MAPPING_NAME");
        let error = from_text("[mqtt]\nurl = \"mqtts://b\"\n").unwrap_err();
        assert!(error.starts_with("conf/bridge.toml: mapping: there is none; write"), "{error}");
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        let twice = format!("{FILE}[[mapping]]\nname = \"a\"\ntopic_filter = \"t\"\nfunction = \"f\"\n");
        let error = from_text(&twice).unwrap_err();
        assert_eq!(
            error,
            "conf/bridge.toml:8: mapping.name: `a` is the name of another mapping in line 4; names must differ"
        );
        let error =
            from_text(&format!("mqtt.tls.key_file = \"k\"\n{}", FILE.replace("[mqtt]\n", "mqtt."))).unwrap_err();
        assert_eq!(error, "conf/bridge.toml:1: mqtt.tls.key_file: needs its certificate; set `mqtt.tls.cert_file`");
    }

    /// The bridge that is deployed cannot use one, and says so before it starts.
    #[test]
    fn a_key_in_a_token_needs_a_bridge_that_is_built_for_it() {
        let with = |key: &str| {
            let rest = FILE.replace("[mqtt]\n", "mqtt.");
            from_text(&format!("mqtt.tls.cert_file = \"c\"\nmqtt.tls.key_file = \"{key}\"\n{rest}"))
        };
        match with("pkcs11:token=t;object=k?module-path=/m.so") {
            Ok(config) => {
                assert!(cfg!(feature = "pkcs11") && matches!(config.mqtt.tls.key_file, Some(PrivateKey::Token(_))));
            }
            Err(error) => {
                let wanted =
                    "conf/bridge.toml:2: mqtt.tls.key_file: this bridge is built without PKCS #11; build it with";
                assert!(!cfg!(feature = "pkcs11") && error.starts_with(wanted), "{error}");
            }
        }
        let error = with("pkcs11:token=t?pin-value=hunter2").unwrap_err();
        let wanted = "conf/bridge.toml:2: mqtt.tls.key_file: a PIN in a configuration";
        assert!(error.starts_with(wanted) && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_collector_needs_a_bridge_that_is_built_for_it() {
        let with = |url: &str| from_text(&format!("[trace]\nendpoint = \"{url}\"\nsampling = \"5%\"\n{FILE}"));
        match with("http://127.0.0.1:4318/v1/traces") {
            Ok(config) => {
                assert!(cfg!(feature = "otlp") && config.trace.endpoint.is_some());
                assert_eq!(config.trace.sampling, "5%".parse().unwrap());
            }
            Err(error) => {
                let wanted =
                    "conf/bridge.toml:2: trace.endpoint: this bridge is built without OpenTelemetry; build it with";
                assert!(!cfg!(feature = "otlp") && error.starts_with(wanted), "{error}");
            }
        }
        let error = with("http://user:hunter2@collector/v1/traces").unwrap_err();
        assert!(error.starts_with("conf/bridge.toml:2: trace.endpoint: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn names_and_client_ids_are_checked() {
        for name in ["", "-a", "A", "a_b", "a b", "ä", &"a".repeat(64)] {
            assert!(Config::load(None, [], minimal().set("mapping.name", name)).is_err(), "{name}");
        }
        assert!(Config::load(None, [], minimal().set("mapping.name", "0-9".repeat(21))).is_ok());
        for id in ["", "a\r\nb", &"a".repeat(65_500)] {
            let error = Config::load(None, [], minimal().set("mqtt.client_id", id)).unwrap_err().to_string();
            assert!(error.starts_with("--client-id: ") && error.len() < 100, "{error}");
        }
    }

    #[test]
    fn admin_may_be_off() {
        assert_eq!(Config::load(None, [], minimal().set("admin.listen", "off")).unwrap().admin.listen, None);
        assert!(Config::load(None, [], minimal().set("admin.listen", "9464")).is_err());
    }
}
