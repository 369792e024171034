//! Mosquitto as a child process with a directory of its own. Reads no configuration of the machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::port::ReservedPort;
use super::{Autosave, BrokerError, BrokerOptions, PATIENCE};
use crate::certs::PkiFiles;
use crate::tools;

const NAME: &str = "mosquitto";

/// Lines of its log that an error shows.
const LOG_TAIL: usize = 8;

/// A Mosquitto process and what belongs to it.
#[derive(Debug)]
pub struct Mosquitto {
    program: PathBuf,
    version: String,
    port: ReservedPort,
    /// Of the listener for those who know a password.
    second: ReservedPort,
    /// Of the listeners for WebSocket: with TLS, and without it behind a front that ends TLS.
    websocket: [ReservedPort; 2],
    child: Option<Child>,
    directory: TempDir,
}

impl Mosquitto {
    pub(super) async fn start(files: &PkiFiles, options: BrokerOptions) -> Result<Self, BrokerError> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => tools::find_tool(NAME)?,
        };
        let directory = tempfile::tempdir().map_err(BrokerError::Directory)?;
        let port = ReservedPort::new().map_err(BrokerError::Port)?;
        let second = ReservedPort::new().map_err(BrokerError::Port)?;
        let websocket =
            [ReservedPort::new().map_err(BrokerError::Port)?, ReservedPort::new().map_err(BrokerError::Port)?];
        let ports = [&port, &second, &websocket[0], &websocket[1]].map(|port| port.address().port());
        let rules: Vec<_> = options.allowed.iter().map(|pattern| format!("pattern readwrite {pattern}")).collect();
        fs::write(rules_file(directory.path()), rules.join("\n") + "\n").map_err(BrokerError::Directory)?;
        let text = config(files, &options, ports, directory.path());
        fs::write(directory.path().join("mosquitto.conf"), text).map_err(BrokerError::Directory)?;
        let version = Self::version_of(&program).await.ok().flatten().unwrap_or_else(|| "Mosquitto".to_owned());
        let mut broker = Self { program, version, port, second, websocket, child: None, directory };
        broker.run().await?;
        Ok(broker)
    }

    pub(super) fn port(&self) -> u16 {
        self.port.address().port()
    }

    /// Where it listens with [`BrokerOptions::passwords`].
    #[must_use]
    pub fn password_port(&self) -> u16 {
        self.second.address().port()
    }

    /// Where it speaks WebSocket over TLS, with [`BrokerOptions::websockets`].
    #[must_use]
    pub fn wss_port(&self) -> u16 {
        self.websocket[0].address().port()
    }

    /// Where it speaks WebSocket without TLS on 127.0.0.1, for a front that ends TLS, with
    /// [`BrokerOptions::websockets`].
    #[must_use]
    pub fn ws_port(&self) -> u16 {
        self.websocket[1].address().port()
    }

    /// "Mosquitto 2.0.11", from the first line of this program's help; `None` when it is another program.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn version_of(program: &Path) -> std::io::Result<Option<String>> {
        let help = Command::new(program).arg("-h").stdin(Stdio::null()).output().await?;
        Ok(named_version(&String::from_utf8_lossy(&help.stdout)))
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Where Mosquitto writes its log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        log_file(self.directory.path())
    }

    pub(super) async fn run(&mut self) -> Result<(), BrokerError> {
        let told_before = self.log().len();
        let mut child = Command::new(&self.program)
            .arg("-c")
            .arg(self.directory.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C on the terminal is for us: the bridge drains while the broker still runs.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.failed(&error.to_string()))?;
        let deadline = Instant::now() + PATIENCE;
        // It listens before it has read its certificates, so that a connection alone says nothing.
        while !self.log().get(told_before..).is_some_and(|log| log.contains(" running")) {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.failed(&status.to_string()));
            }
            if Instant::now() >= deadline {
                return Err(self.failed("it did not run in time"));
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.child = Some(child);
        Ok(())
    }

    /// SIGTERM: Mosquitto saves its sessions and ends.
    pub(super) async fn stop(&mut self) -> Result<(), BrokerError> {
        self.signal("TERM").await?;
        if let Some(child) = &mut self.child
            && timeout(PATIENCE, child.wait()).await.is_err()
        {
            return self.kill().await;
        }
        self.child = None;
        Ok(())
    }

    /// SIGKILL: Mosquitto keeps what its last autosave wrote.
    pub(super) async fn kill(&mut self) -> Result<(), BrokerError> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.map_err(signal_error)?;
        }
        Ok(())
    }

    /// SIGHUP: Mosquitto reads certificates and revocation list again; connections stay.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn reload(&mut self) -> Result<(), BrokerError> {
        self.signal("HUP").await
    }

    /// Returns once everything that it has taken so far is on disk. SIGUSR1 has it written at once.
    ///
    /// # Errors
    /// When it does not run, keeps nothing, or writes nothing in time.
    pub async fn save(&mut self) -> Result<(), BrokerError> {
        let before = self.saved();
        self.signal("USR1").await?;
        self.next_save(before).await
    }

    /// Returns once it has written by itself what it has taken so far, which takes [`Autosave::EachSecond`].
    ///
    /// # Errors
    /// As [`Mosquitto::save`].
    pub async fn autosaved(&self) -> Result<(), BrokerError> {
        // The first save from now on may have begun before now; the second has not.
        self.next_save(self.saved()).await?;
        self.next_save(self.saved()).await
    }

    /// Forgets all sessions and messages, as a disk that is lost does. It must not run.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self) -> Result<(), BrokerError> {
        match fs::remove_file(self.database()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BrokerError::Directory(error)),
            _ => Ok(()),
        }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("mosquitto.db")
    }

    /// Names the last save: each makes a new file and gives it the old one's name.
    fn saved(&self) -> Option<(u64, i64)> {
        self.database().metadata().ok().map(|meta| (meta.ino(), meta.mtime_nsec()))
    }

    async fn next_save(&self, before: Option<(u64, i64)>) -> Result<(), BrokerError> {
        let saved = async {
            while self.saved().is_none_or(|now| Some(now) == before) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, saved).await.map_err(|_| self.failed("it saved nothing in time"))
    }

    async fn signal(&self, name: &str) -> Result<(), BrokerError> {
        let Some(id) = self.child.as_ref().and_then(Child::id) else { return Ok(()) };
        let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().await;
        status.map(drop).map_err(signal_error)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn failed(&self, reason: &str) -> BrokerError {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n  ");
        BrokerError::Start { broker: NAME, reason: format!("{reason}; the end of its log:\n  {tail}") }
    }
}

fn named_version(help: &str) -> Option<String> {
    let version = help.lines().next()?.strip_prefix("mosquitto version ")?;
    Some(format!("Mosquitto {}", version.split_whitespace().next()?))
}

fn config(files: &PkiFiles, options: &BrokerOptions, [port, second, wss, ws]: [u16; 4], directory: &Path) -> String {
    let mut lines = vec!["per_listener_settings true".to_owned()];
    lines.extend(listener(files, port));
    lines.extend([
        "use_identity_as_username true".to_owned(),
        "allow_anonymous false".to_owned(),
        format!("max_queued_messages {}", options.max_queued_messages),
        format!("max_inflight_messages {}", options.max_inflight),
        format!("log_dest file {}", log_file(directory).display()),
        "log_timestamp_format %Y-%m-%dT%H:%M:%S".to_owned(),
        format!("persistence {}", options.persistence),
        format!("persistence_location {}/", directory.display()),
        // On changes the interval counts changes, not seconds: a SIGKILL finds what was acknowledged on disk.
        format!("autosave_on_changes {}", options.autosave == Autosave::OnChange),
        "autosave_interval 1".to_owned(),
    ]);
    if options.check_revocation {
        lines.push(format!("crlfile {}", files.crl.display()));
    }
    if !options.allowed.is_empty() {
        lines.push(format!("acl_file {}", rules_file(directory).display()));
    }
    lines.extend(options.max_packet_size.map(|bytes| format!("max_packet_size {bytes}")));
    // Started by root, Mosquitto gives its rights away and could no longer read a key that is root's alone.
    if directory.metadata().is_ok_and(|meta| meta.uid() == 0) {
        lines.push("user root".to_owned());
    }
    if let Some(passwords) = &options.passwords {
        lines.extend(listener(files, second));
        lines.push("allow_anonymous false".to_owned());
        lines.push(format!("password_file {}", passwords.display()));
    }
    if options.websockets {
        lines.extend(listener(files, wss));
        lines.extend(
            ["protocol websockets", "use_identity_as_username true", "allow_anonymous false"].map(str::to_owned),
        );
        lines.push(format!("listener {ws} 127.0.0.1"));
        lines.extend(["protocol websockets", "allow_anonymous true"].map(str::to_owned));
    }
    lines.join("\n") + "\n"
}

/// One that asks for a certificate.
fn listener(files: &PkiFiles, port: u16) -> [String; 6] {
    [
        format!("listener {port} 127.0.0.1"),
        format!("cafile {}", files.ca.display()),
        format!("certfile {}", files.broker.cert.display()),
        format!("keyfile {}", files.broker.key.display()),
        "tls_version tlsv1.2".to_owned(),
        "require_certificate true".to_owned(),
    ]
}

fn rules_file(directory: &Path) -> PathBuf {
    directory.join("rules")
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("mosquitto.log")
}

fn signal_error(source: std::io::Error) -> BrokerError {
    BrokerError::Signal { broker: NAME, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_mosquitto_alone() {
        assert_eq!(named_version("mosquitto version 2.0.11\n\nmosquitto is").as_deref(), Some("Mosquitto 2.0.11"));
        for help in ["", "mosquitto_pub is a simple client\n", "Usage: sh\n"] {
            assert_eq!(named_version(help), None, "{help}");
        }
    }
}
