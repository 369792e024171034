//! A foreign process with all its children: starts, terminates and kills it. Knows nothing of MQTT.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::launch::Launch;

/// How much of its log an error shows.
const TAIL: usize = 1_000;

/// The process group of a program. Killed as a whole when it is dropped.
#[derive(Debug)]
pub(super) struct Daemon(Child);

impl Daemon {
    /// Starts it in `directory`, with nothing of our environment but `PATH`, and with its output added to `log`.
    pub(super) fn spawn(launch: &Launch, directory: &Path, log: &Path) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", directory)
            .env("LANG", "C.UTF-8")
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A process group of its own: Ctrl-C does not reach it, and a kill reaches its children too.
            .process_group(0);
        Ok(Self(command.spawn()?))
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// SIGTERM to the program itself, which ends its children as it sees fit.
    pub(super) fn terminate(&self) -> io::Result<()> {
        signal("-TERM", &self.0.id().to_string())
    }

    /// SIGKILL to it and to all its children.
    pub(super) fn kill(&self) -> io::Result<()> {
        signal("-KILL", &format!("-{}", self.0.id()))
    }

    /// Waits for its end; false when it has not come in time.
    pub(super) async fn ended(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An error means that the whole group has ended.
        let _ = self.kill();
        let _ = self.0.wait();
    }
}

fn signal(name: &str, whom: &str) -> io::Result<()> {
    let status = Command::new("kill").args([name, "--", whom]).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill {name}: {status}"))) }
}

/// The end of a log, on one line.
pub(super) fn tail(log: &PathBuf) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let last = &text[text.len().saturating_sub(TAIL)..];
    String::from_utf8_lossy(last).trim().replace('\n', " | ")
}
