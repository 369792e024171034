//! ejabberd's MQTT service without anything else of it. Its sessions are in memory.

use std::io;

use super::install::{Program, ejabberd_libraries};
use super::launch::{Launch, Site};
use crate::tools::find_tool;

pub(super) fn prepare(_: &Program, site: &Site<'_>) -> io::Result<Launch> {
    let files = site.files;
    // ejabberd reads certificate and key from one file, in any order.
    let pem = [&files.broker.cert, &files.broker.key].map(std::fs::read_to_string);
    let [cert, key] = pem;
    let pem = site.write("broker.pem", &(cert? + &key?))?;
    let text = format!(
        "hosts: [localhost]\nloglevel: warning\ncertfiles: [{}]\nca_file: {}\n\
         listen:\n  - port: {}\n    ip: \"127.0.0.1\"\n    module: mod_mqtt\n    tls: true\n    tls_verify: true\n\
         auth_method: [anonymous]\nanonymous_protocol: login_anon\nallow_multiple_connections: true\n\
         access_rules:\n  local:\n    allow: all\n\
         modules:\n  mod_mqtt:\n    session_expiry: 1 hour\n    max_queue: 100000\n\
         {SPACES}access_publish:\n      \"#\": [{{allow: all}}]\n{SPACES}access_subscribe:\n      \"#\": [{{allow: all}}]\n",
        pem.display(),
        files.ca.display(),
        site.port,
    );
    let config = site.write("ejabberd.yml", &text)?;
    let libraries = ejabberd_libraries().unwrap_or_default();
    let program = find_tool("erl").map_err(io::Error::other)?;
    let spool = format!("\"{}\"", site.path("spool"));
    Ok(Launch::new(program)
        .args(["-noinput", "+S", "1:1", "-mnesia", "dir", &spool, "-s", "ejabberd"])
        .env("ERL_LIBS", libraries.display().to_string())
        .env("EJABBERD_CONFIG_PATH", config.display().to_string())
        .env("EJABBERD_LOG_PATH", site.path("ejabberd.log")))
}

const SPACES: &str = "    ";
