//! NATS with JetStream, which keeps the sessions, and a timer for messages without an acknowledgement that is short
//! enough for a test to see.

use std::io;
use std::time::Duration;

use super::install::Program;
use super::launch::{Launch, Site};

/// After this it sends again what is not acknowledged; 30 s by default.
pub const ACK_WAIT: Duration = Duration::from_secs(5);

pub(super) fn prepare(program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    let files = site.files;
    let text = format!(
        "listen: \"127.0.0.1:{}\"\nserver_name: lab\njetstream {{ store_dir: \"{}\" }}\n\
         mqtt {{\n  listen: \"127.0.0.1:{}\"\n  ack_wait: \"{}s\"\n  max_ack_pending: 1000\n\
         \x20 tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true, timeout: 10 }}\n}}\n",
        site.spare,
        site.path("jetstream"),
        site.port,
        ACK_WAIT.as_secs(),
        files.broker.cert.display(),
        files.broker.key.display(),
        files.ca.display(),
    );
    let config = site.write("nats.conf", &text)?.display().to_string();
    Ok(Launch::new(&program.path).args(["-c", &config]))
}
