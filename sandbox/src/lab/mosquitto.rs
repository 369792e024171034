//! Mosquitto as the control of the lab, with its sessions on disk. The sandbox's own Mosquitto has more to set:
//! `broker/mosquitto.rs`.

use std::io;
use std::os::unix::fs::MetadataExt;

use super::install::Program;
use super::launch::{Launch, Site};

/// Where it saves, each second: `autosave_on_changes` does not count what is in flight to a connected client.
pub(super) const DATABASE: &str = "mosquitto.db";

pub(super) fn prepare(program: &Program, site: &Site<'_>) -> io::Result<Launch> {
    let files = site.files;
    // Started by root, Mosquitto gives its rights away and could no longer read a key that is root's alone.
    let user = if site.directory.metadata()?.uid() == 0 { "user root\n" } else { "" };
    let text = format!(
        "{user}persistence true\npersistence_location {}/\nautosave_interval 1\n\
         max_inflight_messages 1000\nmax_queued_messages 100000\nallow_anonymous true\n\
         listener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        site.directory.display(),
        site.port,
        files.ca.display(),
        files.broker.cert.display(),
        files.broker.key.display(),
    );
    let config = site.write("mosquitto.conf", &text)?.display().to_string();
    Ok(Launch::new(&program.path).args(["-c", &config]))
}
