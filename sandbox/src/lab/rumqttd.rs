//! rumqttd as its Python package `iotcore` brings it. Its sessions are in memory, and each version of MQTT has a port
//! of its own: MQTT 5 the first, MQTT 3.1.1 the spare one.

use std::io;

use super::install::Program;
use super::launch::{Launch, Site};

const RUN: &str = "import sys; from iotcore.iotcore import IotCoreBroker; \
                   IotCoreBroker(config_path=sys.argv[1]).run_forever()";

pub(super) fn prepare(program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    let listener = |version: &str, port: u16| {
        let files = site.files;
        format!(
            "[{version}.1]\nname = \"{version}-1\"\nlisten = \"127.0.0.1:{port}\"\nnext_connection_delay_ms = 1\n\
             [{version}.1.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 1048576\n\
             max_inflight_count = 100\ndynamic_filters = true\n\
             [{version}.1.tls]\ncertpath = \"{}\"\nkeypath = \"{}\"\ncapath = \"{}\"\n",
            files.broker.cert.display(),
            files.broker.key.display(),
            files.ca.display(),
        )
    };
    let text = format!(
        "id = 0\n[router]\nid = 0\nmax_connections = 10010\nmax_outgoing_packet_count = 200\n\
         max_segment_size = 104857600\nmax_segment_count = 10\n{}{}",
        listener("v5", site.port),
        listener("v4", site.spare),
    );
    let config = site.write("rumqttd.toml", &text)?.display().to_string();
    Ok(Launch::new(&program.path).args(["-c", RUN, &config]))
}
