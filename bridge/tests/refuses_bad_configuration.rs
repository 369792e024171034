//! The promise: a wrong configuration ends the bridge with exit code 2 before any connection, with a line for each mistake
//! that names its place, and without a word of a secret. Each row runs the real binary.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bridge::config::{Config, Overrides};

/// A stand-in for a secret, which must not appear in any output.
const SECRET: &str = "hunter2";

/// Far more than reading a file takes; only a bridge that starts to run uses it up.
const DEADLINE: Duration = Duration::from_mins(3);

/// A valid file; each row breaks one thing in it.
const GOOD: &str = r#"drain_timeout = "25s"
[admin]
listen = "127.0.0.1:0"
[mqtt]
url = "mqtts://localhost:1"
client_id = "bridge-1"
tls.ca_file = "ca.crt"
tls.cert_file = "bridge.crt"
tls.key_file = "bridge.key"
[[mapping]]
name = "sensor-data"
topic_filter = "sensor/data"
function = "sensor-handler:live"
receive_maximum = 256
[[mapping]]
name = "sensor-log"
topic_filter = "sensor/log"
function = "sensor-logger"
"#;

/// The files beside it hold just enough PEM to be looked into.
fn write_files(directory: &Path, toml: &str) {
    let files = [
        ("bridge.toml", toml),
        ("ca.crt", "-----BEGIN CERTIFICATE-----\n"),
        ("bridge.crt", "-----BEGIN CERTIFICATE-----\n"),
        ("bridge.key", "-----BEGIN PRIVATE KEY-----\n"),
        ("empty.crt", ""),
        ("encrypted.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
    ];
    for (name, content) in files {
        std::fs::write(directory.join(name), content).unwrap();
    }
    let longest = "x".repeat(65_536);
    for (name, content, mode) in [
        ("good.password", "hunter2\n", 0o600),
        ("group.password", "hunter2\n", 0o640),
        ("open.password", "hunter2\n", 0o644),
        ("empty.password", "\n", 0o600),
        ("long.password", longest.as_str(), 0o600),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Runs the bridge in `directory`, with nothing else in its environment, and gives what it said on standard error: of lines of JSON
/// the messages, as a terminal would have shown them.
fn refusal(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let said = raw_refusal(directory, arguments, environment);
    // Nothing here is a terminal.
    let is_text = environment.contains(&("BRIDGE_LOG", "text")) || !["run", "redrive"].contains(&arguments[0]);
    let shown = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(json) if !is_text => {
            let event = json["event"].as_str().unwrap();
            assert!(["usage.refused", "configuration.refused", "log.refused", "bridge.not_started"].contains(&event));
            assert!(json["timestamp"].is_string() && json["level"] == "ERROR", "{json}");
            format!("error: {}\n", json["message"].as_str().unwrap())
        }
        _ if is_text => format!("{line}\n"),
        _ => panic!("no JSON: {line}"),
    };
    let said: String = said.lines().map(shown).collect();
    assert!(said.lines().all(|line| line.starts_with("error: ")), "{said:?}");
    said
}

fn raw_refusal(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqtt-lambda-bridge"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let (mut said, mut printed) = (String::new(), String::new());
        stderr.read_to_string(&mut said).unwrap();
        stdout.read_to_string(&mut printed).unwrap();
        let _ = ended.send((said, printed));
    });
    let Ok((said, printed)) = end.recv_timeout(DEADLINE) else {
        child.kill().unwrap();
        panic!("still running: {arguments:?} {environment:?}");
    };
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said}");
    assert_eq!(printed, "", "nothing goes to standard output");
    assert!(said.lines().count() > 0 && said.ends_with('\n'), "{said:?}");
    assert!(!said.contains(SECRET), "{said:?}");
    said
}

/// Spoils the good file: `old` becomes `new`. The error must name the line, and begin with `expected` after it.
fn refuses(old: &str, new: &str, expected: &str) {
    let at = GOOD.find(old).unwrap_or_else(|| panic!("`{old}` is not in the good file"));
    let line = 1 + GOOD[..at].matches('\n').count();
    refuses_file(&GOOD.replacen(old, new, 1), &format!("bridge.toml:{line}: {expected}"));
}

fn refuses_file(toml: &str, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), toml);
    let said = refusal(directory.path(), &["run", "--config", "bridge.toml"], &[]);
    assert!(said.starts_with(&format!("error: {expected}")), "{said:?} does not begin with {expected:?}");
    assert_eq!(said.lines().count(), 1, "one thing is wrong: {said:?}");
}

#[test]
fn the_unspoilt_file_is_good() {
    let directory = tempfile::tempdir().unwrap();
    for toml in [GOOD.to_owned(), GOOD.replace('\n', "\r\n")] {
        write_files(directory.path(), &toml);
        let path = directory.path().join("bridge.toml");
        assert_eq!(Config::load(Some(&path), [], Overrides::default()).unwrap().mappings.len(), 2);
    }
}

#[test]
fn unknown_and_duplicate_keys() {
    refuses("client_id", "clientid", "mqtt.clientid: unknown key; did you mean `client_id`?");
    refuses("[admin]", "[adminn]", "adminn: unknown key; did you mean `admin`?");
    refuses(
        "receive_maximum",
        "password = \"hunter2\"\nreceive_maximum",
        "mapping.password: no password stands here, where others",
    );
    refuses("receive_maximum", "topic_filter", "topic_filter: duplicate key");
    refuses("[mqtt]", "[admin]\n[mqtt]", "admin: duplicate key");
}

#[test]
fn files_that_are_not_toml() {
    refuses("url = \"mqtts://localhost:1\"", "url = mqtts://user:hunter2@localhost", "not valid TOML: ");
    refuses("\"bridge-1\"", "\"hunter2", "not valid TOML: ");
    refuses("name = \"sensor-data\"", "hunter2", "not valid TOML: ");
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("binary.toml"), b"\xff\xfe").unwrap();
    let refused = |arguments: &[&str], environment: &[_]| refusal(directory.path(), arguments, environment);
    assert_eq!(refused(&["run", "--config", "absent.toml"], &[]), "error: absent.toml: no such file\n");
    assert_eq!(refused(&["run", "--config", "binary.toml"], &[]), "error: binary.toml: not UTF-8 text\n");
    assert_eq!(refused(&["run", "--config="], &[]), "error: --config: must not be empty\n");
    assert_eq!(refused(&["run"], &[("BRIDGE_CONFIG", "absent.toml")]), "error: absent.toml: no such file\n");
}

#[test]
fn brokers_without_verified_tls() {
    let url = "mqtts://localhost:1";
    refuses(url, "mqtt://localhost:1", "mqtt.url: `mqtt://` is not encrypted; write `mqtts://host:8883`");
    refuses(url, "mqtts://user:hunter2@localhost", "mqtt.url: must not hold a user name or password");
    refuses(url, "mqtt://user:hunter2@localhost", "mqtt.url: `mqtt://` is not encrypted");
    refuses(url, "mqtts://localhost:0", "mqtt.url: the port must be a number from 1 to 65535");
    refuses(url, "mqtts://localhost\\r\\n", "mqtt.url: the host must be");
    for key in
        ["insecure = true", "tls.insecure = true", "tls.verify = false", "tls.skip_verify = true", "no-verify = 1"]
    {
        let name = key.split_once(" = ").unwrap().0;
        let expected = format!("mqtt.{name}: there is no switch that weakens TLS");
        refuses("client_id", &format!("{key} #"), &expected);
    }
}

#[test]
fn certificate_files_that_cannot_serve() {
    refuses("\"ca.crt\"", "\"empty.crt\"", "mqtt.tls.ca_file: empty.crt: the file is empty");
    refuses("\"ca.crt\"", "\"absent.crt\"", "mqtt.tls.ca_file: absent.crt: no such file");
    refuses("\"ca.crt\"", "\"bridge.key\"", "mqtt.tls.ca_file: bridge.key: holds no `-----BEGIN CERTIFICATE-----`");
    refuses("\"bridge.key\"", "\"encrypted.key\"", "mqtt.tls.key_file: encrypted.key: the key is encrypted; ");
}

#[test]
fn passwords_that_cannot_serve() {
    let refuses = |line: &str, expected: &str| refuses("client_id", &format!("{line}\nclient_id"), expected);
    refuses(
        "password = \"hunter2\"",
        "mqtt.password: no password stands here, where others could read it; write it to",
    );
    refuses("username = \"\"", "mqtt.username: must not be empty");
    refuses("username = \"hunter2\\u0000\"", "mqtt.username: must not hold control characters");
    let file = |name: &str, expected: &str| {
        refuses(&format!("password_file = \"{name}.password\""), &format!("mqtt.password_file: {expected}"));
    };
    file("absent", "absent.password: no such file");
    file("empty", "empty.password: the password is empty");
    file("long", "long.password: longer than 65535 bytes");
    file("open", "open.password: every user may read or change it (mode 0644); run `chmod 600`");
}

#[test]
fn lists_of_topic_filters_that_cannot_be_subscribed_to() {
    let refuses = |list: &str, expected: &str| {
        refuses(
            "topic_filter = \"sensor/log\"",
            &format!("topic_filter = {list}"),
            &format!("mapping.topic_filter: {expected}"),
        );
    };
    refuses("[]", "the list is empty; write one at least");
    refuses("[\"a\", 7]", "is a list of other things than strings");
    refuses("7", "is a number without quotes; write a string, or a list of strings");
    refuses("[\"a\", \"b\", \"a\"]", "names one value twice");
    refuses("[\"a\", \"a/#/b\"]", "topic filter `a/#/b`");
    let many: Vec<_> = (0..1001).map(|number| format!("\"{number}\"")).collect();
    refuses(&format!("[{}]", many.join(",")), "holds 1001; 1000 are the most");
}

#[test]
fn programs_that_cannot_give_a_password() {
    let refuses = |lines: &str, expected: &str| {
        refuses("client_id", &format!("{lines}\nclient_id"), &format!("mqtt.password_command{expected}"));
    };
    refuses("password_command = [\"token\"]", ": the program must be a whole path, such as `/usr/local/bin/");
    refuses("password_command = [\"/nowhere/token\", \"hunter2\"]", ": /nowhere/token: no such file");
    refuses("password_command = [\"/etc\"]", ": /etc: not a program");
    refuses("password_command = [\"/etc/passwd\"]", ": /etc/passwd: nobody may run it; run `chmod +x`");
    refuses("password_command = [\"/bin/sh\", \"hunter2\\u0000\"]", ": must not hold NUL");
    refuses("password_command_env = [\"AWS_REGION=x\"]", "_env: not the name of a variable; ");
    refuses("password_command_env = [\"BRIDGE_MQTT_PASSWORD\"]", "_env: a variable of the bridge itself, ");
    let twice = "password_command = [\"/bin/sh\"]\npassword_file = \"good.password\"";
    let twice = GOOD.replacen("client_id", &format!("{twice}\nclient_id"), 1);
    refuses_file(&twice, "bridge.toml:7: mqtt.password_file: mqtt.password_command is set, too; keep one of them");
    let nameless = "password_command = [\"/bin/sh\"]\nprotocol = \"3.1.1\"";
    refuses(nameless, ": MQTT 3.1.1 knows no password without a user name; set `mqtt.username`");
}

#[test]
fn a_program_that_everybody_may_change_gives_no_password() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("token");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o757)).unwrap();
    let open = format!("password_command = [\"{}\"]\nclient_id", program.display());
    let expected = format!("mqtt.password_command: {}: every user may change it (mode 0757)", program.display());
    refuses("client_id", &open, &expected);
}

/// A password is for a file of its own, or for one variable; and one of them is enough.
#[test]
fn passwords_in_variables_and_flags() {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), GOOD);
    let run = ["run", "--config", "bridge.toml"];
    let refused = |more: &[&str], environment: &[(&str, &str)], expected: &str| {
        let said = refusal(directory.path(), &[&run, more].concat(), environment);
        assert!(said.starts_with(&format!("error: {expected}")), "{said:?} does not begin with {expected:?}");
    };
    let given = ("BRIDGE_MQTT_PASSWORD", SECRET);
    let old = ("BRIDGE_MQTT_PROTOCOL", "3.1.1");
    refused(&["--password=hunter2"], &[], "--password: no password stands here");
    refused(&["--password-file", "good.password"], &[given], "--password-file: BRIDGE_MQTT_PASSWORD is set, too");
    refused(&[], &[("BRIDGE_MQTT_PASSWORD", "")], "BRIDGE_MQTT_PASSWORD: the password is empty");
    let nameless = "MQTT 3.1.1 knows no password without a user name; set `mqtt.username`";
    refused(&[], &[given, old], &format!("BRIDGE_MQTT_PASSWORD: {nameless}"));
    refused(&["--password-file", "good.password"], &[old], &format!("--password-file: {nameless}"));
    for (file, protocol, username) in [("good", "5", None), ("group", "5", Some("u")), ("good", "3.1.1", Some("u"))] {
        let path = directory.path().join(format!("{file}.password"));
        let flags = Overrides::default().set("mqtt.password_file", path.display().to_string());
        let flags = flags.set("mqtt.protocol", protocol);
        let flags = username.into_iter().fold(flags, |flags, name| flags.set("mqtt.username", name));
        let config = Config::load(Some(&directory.path().join("bridge.toml")), [], flags).unwrap();
        assert!(!format!("{config:?}").contains(SECRET));
    }
    let given = [("BRIDGE_MQTT_PASSWORD".into(), "hunter2\n".into())];
    let config = Config::load(Some(&directory.path().join("bridge.toml")), given, Overrides::default()).unwrap();
    assert_eq!(config.mqtt.password.as_ref().unwrap().bytes(), SECRET.as_bytes());
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn values_out_of_bounds() {
    refuses(
        "receive_maximum = 256",
        "receive_maximum = 0",
        "mapping.receive_maximum: out of bounds; allowed is 1 to 65535",
    );
    refuses("receive_maximum = 256", "concurrency = 0", "mapping.concurrency: out of bounds");
    refuses("receive_maximum = 256", "qos = 3", "mapping.qos: ");
    refuses("receive_maximum = 256", "timeout = \"16m\"", "mapping.timeout: out of bounds; allowed is 1s to 15m");
    refuses("receive_maximum = 256", "retry.backoff = \"30s..1s\"", "mapping.retry.backoff: the range ends before");
    refuses("receive_maximum = 256", "max_outstanding_bytes = \"64MB\"", "mapping.max_outstanding_bytes: not a size");
    refuses("\"25s\"", "25", "drain_timeout: is a number without quotes; write it in quotes");
    refuses("client_id", "keep_alive = \"1s\" #", "mqtt.keep_alive: out of bounds");
    refuses("127.0.0.1:0", "localhost", "admin.listen: not an address");
    refuses("[admin]", "trace.sampling = \"5\"\n[admin]", "trace.sampling: not a share; write `0%` to `100%`");
}

#[test]
fn a_collector_that_cannot_serve() {
    let refuses = |url: &str, expected: &str| {
        refuses("[admin]", &format!("trace.endpoint = \"{url}\"\n[admin]"), &format!("trace.endpoint: {expected}"));
    };
    refuses("http://127.0.0.1:4318", "names no path; write for example `http://127.0.0.1:4318/v1/traces`");
    refuses("grpc://127.0.0.1:4317/v1/traces", "not the URL of a collector; write for example");
    refuses("http://hunter2@collector/v1/traces", "must not hold a user name or password");
    if !cfg!(feature = "otlp") {
        refuses(
            "http://collector/v1/traces",
            "this bridge is built without OpenTelemetry; build it with `--features otlp`",
        );
    }
}

#[test]
fn settings_that_mean_nothing() {
    let refuses = |line: &str, expected: &str| refuses("receive_maximum = 256", line, expected);
    refuses("invocation = \"async\"", "mapping.invocation: unknown value; write `request-response`");
    refuses("ordering_key = \"device_id\"", "mapping.ordering_key: not an ordering key; write for example `topic[1]`");
    refuses("ordering_key = \"payload:device_id\"", "mapping.ordering_key: not a JSON Pointer (RFC 6901); ");
    refuses("message_id = \"topic[1]\"", "mapping.message_id: not a message id; write for example");
    refuses("rate_limit = \"0/s\"", "mapping.rate_limit: must be more than 0");
    refuses("rate_limit = 500", "mapping.rate_limit: is a number without quotes; write it in quotes");
    refuses("batch.bisect_on_error = 1", "mapping.batch.bisect_on_error: is a number without quotes; write `true`");
    refuses("filter = \"{}\"", "mapping.filter: is a string; write a list of tables");
    refuses("filter = [1979-05-27]", "mapping.filter: holds a date");
    refuses("filter = [\"hunter2\"]", "mapping.filter: each pattern must be a table");
    refuses("response.allow = \"a\"", "mapping.response.allow: is a string; write a list of strings");
    refuses("response.allow = [\"$share/a/b\"]", "mapping.response.allow: `$share/…` is for subscriptions; ");
    refuses("response.qos = 2", "mapping.response.qos: out of bounds; allowed is 0 to 1");
    refuses("reply = \"yes\"", "mapping.reply: is a string; write `true` or `false` without quotes");
}

#[test]
fn failure_destinations_that_cannot_serve() {
    let refuses = |line: &str, expected: &str| refuses("receive_maximum = 256", line, expected);
    let one = "mapping.on_failure: each table must name exactly one destination; ";
    refuses("on_failure = { file = \"a\", topic = \"b\" }", one);
    refuses("on_failure = [{ file = \"a\" }, {}]", one);
    refuses("on_failure = \"a\"", "mapping.on_failure: is a string; write a table, or a list of tables");
    refuses("on_failure = { s4 = \"a\" }", "mapping.on_failure.s4: unknown key");
    refuses("on_failure.file = \"\"", "mapping.on_failure.file: must not be empty");
    refuses("on_failure.sqs = \"dead-letters\"", "mapping.on_failure.sqs: not the URL of a queue; ");
    let secret = "on_failure.sqs = \"https://user:hunter2@localhost/1/q\"";
    refuses(secret, "mapping.on_failure.sqs: must not hold a user name or password");
    refuses("on_failure.s3 = \"dead-letters\"", "mapping.on_failure.s3: not the address of a bucket; ");
    refuses("on_failure.s3 = \"s3://dead-letters/a\"", "mapping.on_failure.s3: the prefix must end in `/`; ");
    let secret = "on_failure.s3 = \"https://user:hunter2@localhost/dead-letters/\"";
    refuses(secret, "mapping.on_failure.s3: must not hold a user name or password");
    refuses(
        "on_failure.topic = \"dead/#\"",
        "mapping.on_failure.topic: topic `dead/#`: `+` and `#` are for topic filters",
    );
}

#[test]
fn settings_that_do_not_fit_together() {
    let refuses = |line: &str, expected: &str| refuses("receive_maximum = 256", line, expected);
    refuses("sessions = 65", "mapping.sessions: out of bounds; allowed is 1 to 64");
    refuses("sessions = 2", "mapping.sessions: needs a shared subscription, or each session gets every message; ");
    refuses(
        "on_failure.topic = \"sensor/data\"",
        "mapping.on_failure.topic: the mapping's own topic filter `sensor/data` matches topics of",
    );
    refuses("reply = true", "mapping.reply: needs topics that it may answer to; set `reply_topics`");
    let scattered =
        GOOD.replace("\"sensor/data\"", "\"$share/g/sensor/data\"\nsessions = 2\nordering_key = \"topic[1]\"");
    refuses_file(&scattered, "bridge.toml:14: mapping.ordering_key: needs `sessions = 1`: the broker would spread");
    let both = GOOD
        .replace("\"sensor/data\"", "\"$share/g/sensor/data\"\nsessions = 2")
        .replace("\"sensor-log\"", "\"sensor-data-2\"");
    refuses_file(
        &both,
        "bridge.toml:17: mapping.name: a session of `sensor-data-2` and one of `sensor-data` in line 11",
    );
    let old = GOOD
        .replace("[mqtt]", "[mqtt]\nprotocol = \"3.1.1\"")
        .replace("receive_maximum = 256", "message_id = \"property:a\"");
    refuses_file(&old, "bridge.toml:15: mapping.message_id: MQTT 3.1.1 has no user properties; ");
}

#[test]
fn what_a_payload_alone_has_no_room_for() {
    let raw = |setting: &str, key: &str, why: &str| {
        let setting = format!("format = \"raw\"\n{setting}");
        let said = format!(
            "cannot be combined with `format = \"raw\"`, which {why}; leave it out, or write `format = \"records\"`"
        );
        let file = GOOD.replacen("receive_maximum = 256", &setting, 1);
        refuses_file(&file, &format!("bridge.toml:15: mapping.{key}: {said}"));
    };
    raw("batch.max_records = 100", "batch.max_records", "carries one message an invocation");
    raw("batch.max_window = \"1s\"", "batch.max_window", "carries one message an invocation");
    raw("reply = true\nreply_topics = [\"a\"]", "reply", "reads no `reply` in the function's answer");
    raw("response.allow = [\"a\"]", "response.allow", "reads no `publish` in the function's answer");
    refuses("receive_maximum = 256", "format = \"json\"", "mapping.format: unknown value; write `records` or `raw`");
}

#[test]
fn names_that_cannot_serve() {
    refuses("\"bridge-1\"", "\"\"", "mqtt.client_id: must not be empty");
    refuses("\"bridge-1\"", "\"bridge\\r\\n1\"", "mqtt.client_id: must not hold control characters");
    refuses("sensor-handler:live", "https://example/f", "mapping.function: not a function; write a name");
    refuses("sensor-handler:live", "", "mapping.function: not a function");
    refuses("sensor/data", "a/#/b", "mapping.topic_filter: topic filter `a/#/b`: `#` must be the last level");
    refuses("sensor/data", "$share//b", "mapping.topic_filter: topic filter `$share//b`: ");
    refuses("sensor-log", "sensor-data", "mapping.name: `sensor-data` is the name of another mapping in line 11");
    refuses("sensor-log", "Sensor Log", "mapping.name: write 1 to 63 lower-case letters");
    for own in ["publisher", "broker-stats"] {
        refuses(
            "\"sensor-log\"",
            &format!("\"{own}\""),
            &format!("mapping.name: `{own}` is the name of a connection of the bridge itself"),
        );
    }
    refuses(
        "client_id",
        "dropped_topic = \"$SYS/#\"\nclient_id",
        "mqtt.dropped_topic: `+` and `#` are for topic filters only; name one topic",
    );
}

#[test]
fn what_is_missing() {
    let mapping = GOOD.split_once("[[mapping]]").unwrap().1;
    refuses_file(
        &format!("[[mapping]]{mapping}"),
        "mqtt.url: missing; set it in the file, or by BRIDGE_MQTT_URL, --url",
    );
    refuses_file("mqtt.url = \"mqtts://localhost\"\n", "bridge.toml: mapping: there is none; ");
    let nameless = GOOD.replacen("name = \"sensor-log\"\n", "", 1);
    refuses_file(&nameless, "bridge.toml:15: mapping.name: missing; ");
    let certificate_alone = GOOD.replacen("tls.key_file = \"bridge.key\"\n", "", 1);
    refuses_file(&certificate_alone, "bridge.toml:8: mqtt.tls.cert_file: needs its private key; ");
}

#[test]
fn all_mistakes_have_a_line_each() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = GOOD.replace("client_id", "clientid").replace("receive_maximum", "qos = 3\nfilter");
    write_files(directory.path(), &wrong.replace("\"bridge.key\"", "\"absent.key\""));
    let environment = [("BRIDGE_LOG", SECRET), ("BRIDGE_MAPPING_SENSOR_LOG_REPLY", "true")];
    let said = refusal(directory.path(), &["run", "--config", "bridge.toml", "--drain-timeout", SECRET], &environment);
    let expected = [
        "bridge.toml:6: mqtt.clientid: unknown key; did you mean `client_id`?",
        "bridge.toml:9: mqtt.tls.key_file: absent.key: no such file",
        "bridge.toml:14: mapping.qos: out of bounds; allowed is 0 to 2",
        "bridge.toml:15: mapping.filter: is a number without quotes; write a list of tables",
        "--drain-timeout: not a duration; write for example `500ms`, `30s` or `10m`",
        "BRIDGE_LOG: unknown value; write `auto`, `text` or `json`",
        "BRIDGE_MAPPING_SENSOR_LOG_REPLY: needs topics that it may answer to; set `reply_topics`",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected.map(|line| format!("error: {line}")));
}

#[test]
fn variables() {
    let rows = [
        ("BRIDGE_MQTT_CLIENTID", "x", "BRIDGE_MQTT_CLIENTID: unknown variable; did you mean `BRIDGE_MQTT_CLIENT_ID`?"),
        ("BRIDGE_MQTT_URL", "mqtts://user:hunter2@b", "BRIDGE_MQTT_URL: must not hold a user name or password"),
        ("BRIDGE_MQTT_URL", "hunter2", "BRIDGE_MQTT_URL: not a URL"),
        ("BRIDGE_MQTT_PASSWD", "hunter2", "BRIDGE_MQTT_PASSWD: unknown variable; did you mean `BRIDGE_MQTT_PASSWORD`?"),
        ("BRIDGE_MQTT_TLS_VERIFY", "false", "BRIDGE_MQTT_TLS_VERIFY: there is no switch that weakens TLS"),
        ("BRIDGE_MQTT_CLIENT_ID", "", "BRIDGE_MQTT_CLIENT_ID: must not be empty"),
        ("BRIDGE_MAPPING_QOS", "1", "BRIDGE_MAPPING_QOS: the file has 2 mappings; write `BRIDGE_MAPPING_<NAME>_QOS`"),
        ("BRIDGE_MAPPING_SENSOR_LOG_QOS", "3", "BRIDGE_MAPPING_SENSOR_LOG_QOS: "),
        ("BRIDGE_MAPPING_SENSOR_LOG_REPLY", "yes", "BRIDGE_MAPPING_SENSOR_LOG_REPLY: write `true` or `false`"),
        ("BRIDGE_MAPPING_SENSOR_LOG_FILTER", "hunter2", "BRIDGE_MAPPING_SENSOR_LOG_FILTER: not JSON from line 1"),
        (
            "BRIDGE_MAPPING_SENSOR_LOG_RESPONSE_ALLOW",
            "a,,b",
            "BRIDGE_MAPPING_SENSOR_LOG_RESPONSE_ALLOW: topic filter ``: ",
        ),
        ("BRIDGE_MAPPING_SENSOR_LOG_ON_FAILURE_TOPIC", "#", "BRIDGE_MAPPING_SENSOR_LOG_ON_FAILURE_TOPIC: topic `#`: "),
        ("RUST_LOG", "a=hunter2=b", "RUST_LOG: "),
    ];
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), GOOD);
    for (name, value, expected) in rows {
        let said = refusal(directory.path(), &["run", "--config", "bridge.toml"], &[(name, value)]);
        assert!(said.starts_with(&format!("error: {expected}")), "{said:?} does not begin with {expected:?}");
    }
}

#[test]
fn command_lines() {
    let rows: [(&[&str], &str); 16] = [
        (&["run", "--urll", "x"], "--urll: unknown flag; did you mean `--url`?"),
        (&["run", "--password", SECRET], "--password: no password stands here"),
        (&["run", "--password=hunter2"], "--password: no password stands here"),
        (&["run", SECRET], "an argument is no flag"),
        (&["run", "--url", "mqtts://user:hunter2@b"], "--url: must not hold a user name or password"),
        (&["run", "--url", "mqtt://b"], "--url: `mqtt://` is not encrypted"),
        (&["run", "--url"], "--url: needs a value"),
        (&["run", "--insecure"], "--insecure: there is no switch that weakens TLS"),
        (&["run", "--config", "bridge.toml", "--qos", "1"], "--qos: the file has 2 mappings"),
        (&["run", "--url", "mqtts://b", "--topic-filter", "a"], "mapping.function: missing; "),
        (
            &["run", "--url", "mqtts://b", "--ca-file", "empty.crt", "--topic-filter", "a", "--function", "f"],
            "--ca-file: ",
        ),
        (
            &["run", "--url", "mqtts://b", "--topic-filter", "a", "--function", "f", "--ordering-key", "a"],
            "--ordering-key: ",
        ),
        (
            &["run", "--url", "mqtts://b", "--topic-filter", "a", "--function", "f", "--rate-limit", "1/h"],
            "--rate-limit: ",
        ),
        (
            &["run", "--url", "mqtts://b", "--topic-filter", "a", "--function", "f", "--on-failure-sqs", SECRET],
            "--on-failure-sqs: ",
        ),
        (
            &["run", "--url", "mqtts://b", "--topic-filter", "a", "--function", "f", "--on-failure-s3", SECRET],
            "--on-failure-s3: ",
        ),
        (&["rum"], "unknown command; `mqtt-lambda-bridge --help` lists them"),
    ];
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), GOOD);
    for (arguments, expected) in rows {
        let said = refusal(directory.path(), arguments, &[]);
        assert!(said.starts_with(&format!("error: {expected}")), "{said:?} does not begin with {expected:?}");
    }
}

#[test]
fn errors_are_json_where_the_log_is_and_text_where_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let in_file = |format: &str| format!("log = \"{format}\"\n{}", GOOD.replace("client_id", "clientid"));
    let run = &["run", "--config", "bridge.toml"][..];
    let with = |more: &'static [&'static str]| [run, more].concat();
    let rows = [
        // The file's `log` applies even if other keys are invalid; a flag wins over a variable, and that over the file.
        (in_file("json"), with(&[]), None, Some("configuration.refused")),
        (in_file("text"), with(&[]), None, None),
        (in_file("text"), with(&[]), Some("json"), Some("configuration.refused")),
        (in_file("json"), with(&["--log", "text"]), Some("json"), None),
        // A file that cannot be parsed sets no format; without a terminal it is JSON.
        ("log = \"text\"\nno TOML".to_owned(), with(&[]), None, Some("configuration.refused")),
        ("no TOML".to_owned(), with(&[]), Some("text"), None),
        (in_file("xml"), with(&[]), None, Some("configuration.refused")),
        (in_file("text"), with(&["--urll=x"]), None, Some("usage.refused")),
        (in_file("json"), with(&["--urll=x", "--log=text"]), None, None),
        (format!("log = \"json\"\n{GOOD}"), with(&[]), None, Some("bridge.not_started")),
        (format!("log = \"text\"\n{GOOD}"), with(&[]), None, None),
        // `check` has no log; its error is text for the caller.
        (in_file("json"), vec!["check", "--config", "bridge.toml"], Some("json"), None),
    ];
    for (toml, arguments, variable, event) in rows {
        write_files(directory.path(), &toml);
        let environment = variable.map(|format| ("BRIDGE_LOG", format)).into_iter();
        let environment: Vec<_> = environment.chain([("AWS_EC2_METADATA_DISABLED", "true")]).collect();
        let said = raw_refusal(directory.path(), &arguments, &environment);
        let last = said.lines().last().unwrap();
        let found =
            serde_json::from_str::<serde_json::Value>(last).ok().map(|json| json["event"].as_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), event, "{arguments:?} {variable:?} {toml}: {said}");
        assert!(event.is_some() || last.starts_with("error: "), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let argument = std::ffi::OsStr::from_bytes(b"mqtts://\xff");
    let output =
        Command::new(env!("CARGO_BIN_EXE_mqtt-lambda-bridge")).args(["run", "--url"]).arg(argument).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&said["event"], &said["message"]), (&"usage.refused".into(), &"an argument is not UTF-8 text".into()));
}

/// Every user of the machine can read the arguments of a process, so no flag may take a secret.
#[test]
fn no_flag_asks_for_a_secret() {
    let output = Command::new(env!("CARGO_BIN_EXE_mqtt-lambda-bridge")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let flags: Vec<_> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(flags.contains(&"--key-file"), "{help}");
    // A user name is no secret, and --password-file takes a path.
    let flags: Vec<_> = flags.into_iter().filter(|flag| *flag != "--password-file").collect();
    for word in ["pass", "secret", "token", "credential", "insecure", "verif"] {
        assert!(!flags.iter().any(|flag| flag.contains(word)), "{word} in {flags:?}");
    }
}
