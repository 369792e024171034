//! A publisher that shares no code with the bridge: `mosquitto_pub`, the command-line client of Mosquitto.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::Protocol;
use crate::certs::PkiFiles;

const PATIENCE: Duration = Duration::from_mins(1);

/// `mosquitto_pub` did not publish everything.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// It could not be run.
    #[error("mosquitto_pub: cannot be run: {0}")]
    Run(#[from] io::Error),
    /// It failed.
    #[error("mosquitto_pub: {status}: {stderr}")]
    Failed {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// It did not end in time.
    #[error("mosquitto_pub: not done after {} s; does the broker confirm?", PATIENCE.as_secs())]
    Late,
}

/// Publishes each of `payloads`, which hold no line break, with QoS 1 to `topic`, as the device of `files`; returns
/// when the broker on `port` has confirmed all. `program` is what [`tools::require`](crate::tools::require) found.
///
/// # Errors
/// When the program cannot be run, fails, or is not done within a minute.
pub async fn mosquitto_pub(
    program: &Path,
    port: u16,
    files: &PkiFiles,
    protocol: Protocol,
    topic: &str,
    payloads: &[String],
) -> Result<(), ForeignError> {
    let version = match protocol {
        Protocol::V5 => "mqttv5",
        Protocol::V311 => "mqttv311",
    };
    let mut child = Command::new(program)
        .args(["-h", "localhost", "-p", &port.to_string(), "-V", version, "-q", "1", "-t", topic, "-l", "--cafile"])
        .arg(&files.ca)
        .arg("--cert")
        .arg(&files.device.cert)
        .arg("--key")
        .arg(&files.device.key)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let lines: String = payloads.iter().flat_map(|payload| [payload.as_str(), "\n"]).collect();
    let stdin = child.stdin.take();
    let work = async {
        if let Some(mut stdin) = stdin {
            // An error means that it ended early; its exit status and output say why.
            let _ = stdin.write_all(lines.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = timeout(PATIENCE, work).await.map_err(|_| ForeignError::Late)??;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ForeignError::Failed { status: output.status, stderr })
}
