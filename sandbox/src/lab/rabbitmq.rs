//! RabbitMQ with its MQTT plugin: users by the name in their certificate, queues on disk, names at an epmd of its own.
//!
//! It may have a root of its own (a Debian whose version we are not): then it finds all its files below that.

use std::io;

use super::install::Program;
use super::launch::{Launch, Site};

/// Users without a password: only a certificate opens their door.
const DEFINITIONS: &str = r#"{
  "vhosts": [{"name": "/"}],
  "users": [
    {"name": "bridge", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""},
    {"name": "device", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
  ],
  "permissions": [
    {"user": "bridge", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "device", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
  ]
}
"#;

pub(super) fn prepare(program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    let within = |path: String| match &program.root {
        Some(root) => path.trim_start_matches(root.to_string_lossy().as_ref()).to_owned(),
        None => path,
    };
    let at = |name: &str| within(site.path(name));
    let text = configuration(site, &within, program.root.is_some());
    site.write("rabbitmq.conf", &text)?;
    site.write("enabled_plugins", "[rabbitmq_mqtt].\n")?;
    site.write("definitions.json", DEFINITIONS)?;
    let names = site.spare.to_string();
    let epmd =
        inside(program, "/usr/bin/epmd").args(["-port", &names, "-address", "127.0.0.1", "-relaxed_command_check"]);
    let server = inside(program, "/usr/lib/rabbitmq/bin/rabbitmq-server")
        .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOG_BASE", at("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
        .env("RABBITMQ_NODENAME", format!("lab{names}@localhost"))
        // Any port will do: epmd tells it to those that connect.
        .env("RABBITMQ_DIST_PORT", (30_000 + site.port % 2_000).to_string())
        .env("ERL_EPMD_PORT", names)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("HOME", at(""))
        .env("RABBITMQ_CONF_ENV_FILE", at("none"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("none"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1")
        // Makes the script exec the server, so that signals reach it.
        .env("RUNNING_UNDER_SYSTEMD", "1");
    Ok(Launch { companion: Some(Box::new(epmd)), ..server })
}

fn configuration(site: &Site<'_>, within: &dyn Fn(String) -> String, is_4: bool) -> String {
    let files = site.files;
    let path = |path: &std::path::Path| within(path.display().to_string());
    let mut lines = vec![
        "listeners.tcp = none".to_owned(),
        "mqtt.listeners.tcp = none".to_owned(),
        format!("mqtt.listeners.ssl.1 = 127.0.0.1:{}", site.port),
        "mqtt.ssl_cert_login = true".to_owned(),
        "ssl_cert_login_from = common_name".to_owned(),
        "mqtt.allow_anonymous = false".to_owned(),
        "mqtt.prefetch = 100".to_owned(),
        format!("ssl_options.cacertfile = {}", path(&files.ca)),
        format!("ssl_options.certfile = {}", path(&files.broker.cert)),
        format!("ssl_options.keyfile = {}", path(&files.broker.key)),
        "ssl_options.verify = verify_peer".to_owned(),
        "ssl_options.fail_if_no_peer_cert = true".to_owned(),
        format!("load_definitions = {}", within(site.path("definitions.json"))),
    ];
    if is_4 {
        lines.push("mqtt.max_session_expiry_interval_seconds = 86400".to_owned());
    }
    lines.join("\n") + "\n"
}

/// The command that runs a program where it is installed.
fn inside(program: &Program, path: &str) -> Launch {
    match &program.root {
        Some(root) => Launch::new(&program.path).args([root.to_string_lossy().as_ref(), path]),
        None => Launch::new(path),
    }
}
