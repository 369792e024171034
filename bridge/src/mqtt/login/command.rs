//! Runs the program whose output is the password: with a small environment, a time limit, and a limit for its output.
//! Shows nothing of its output, and of its standard error one line, without secrets.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config;
use crate::foreign::Foreign;
use crate::secret::{MAX_PASSWORD_BYTES, Secret, in_words};

/// A password and its line end.
const MAX_OUTPUT: usize = MAX_PASSWORD_BYTES + b"\r\n".len();

/// The bytes that are read of its standard error; the rest is dropped.
const MAX_COMPLAINT: usize = 1024;

/// What the program finds in its environment, where the bridge has it. Never the bridge's own password and cloud keys.
const ENVIRONMENT: [&str; 5] = ["HOME", "LANG", "PATH", "TMPDIR", "TZ"];

/// All sessions of a bridge connect at once when a broker comes back. More programs than these wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(8);

/// The program, and how it is run.
#[derive(Debug, Clone)]
pub(super) struct PasswordCommand {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<String>,
    patience: Duration,
}

impl PasswordCommand {
    /// The one of a configuration, if there is one.
    pub(super) fn of(mqtt: &config::Mqtt) -> Option<Self> {
        let (program, arguments) = mqtt.password_command.split_first()?;
        let environment = ENVIRONMENT.iter().map(ToString::to_string).chain(mqtt.password_command_env.clone());
        Some(Self {
            program: program.into(),
            arguments: arguments.to_vec(),
            environment: environment.collect(),
            patience: mqtt.password_command_timeout,
        })
    }

    /// How it is called in messages: without its arguments, which may say more than a log should.
    pub(super) fn name(&self) -> String {
        self.program.display().to_string()
    }

    /// Runs it to its end. Dropping the future kills it and all that it has started in its group.
    ///
    /// # Errors
    /// When it cannot be started, fails, takes too long, or says what cannot be a password.
    pub(super) async fn run(&self) -> Result<Secret, String> {
        // The semaphore is never closed.
        let _turn = TURNS.acquire().await;
        let ended = timeout(self.patience, self.output()).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(self.patience);
            Err(format!(
                "still running after {limit}, and killed; `mqtt.password_command_timeout` says how long it may take"
            ))
        });
        ended.map_err(|cause| format!("{}: {cause}", self.name()))
    }

    async fn output(&self) -> Result<Secret, String> {
        let mut running = self.start().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "cannot be started: no such file, or its interpreter is missing".to_owned(),
            kind => format!("cannot be started: {kind}"),
        })?;
        let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
        let (output, complaint) = tokio::try_join!(password(stdout), complaint(stderr))?;
        let status = running.0.wait().await.map_err(|error| in_words(&error))?;
        if status.success() {
            return Secret::password(output);
        }
        Err(failed(status, &complaint, &Zeroizing::new(output)))
    }

    fn start(&self) -> std::io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        for name in &self.environment {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map(Running)
    }
}

/// Everything that it has to say, in a buffer that never grows and so leaves no copies behind.
async fn password(stdout: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut output = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + 1));
    if let Some(stdout) = stdout {
        let mut limited = stdout.take(MAX_OUTPUT as u64 + 1);
        while limited.read_buf(&mut *output).await.map_err(|error| in_words(&error))? > 0 {}
    }
    match output.len() {
        0..=MAX_OUTPUT => Ok(std::mem::take(&mut *output)),
        _ => {
            Err(format!("its output is longer than {MAX_PASSWORD_BYTES} bytes, the longest password that MQTT carries"))
        }
    }
}

/// Reads to the end, so that it never waits for a reader.
async fn complaint(stderr: Option<impl AsyncRead + Unpin>) -> Result<Zeroizing<Vec<u8>>, String> {
    let (mut kept, mut read) = (Zeroizing::new(Vec::with_capacity(MAX_COMPLAINT)), Zeroizing::new([0; MAX_COMPLAINT]));
    let Some(mut stderr) = stderr else { return Ok(kept) };
    loop {
        match stderr.read(&mut *read).await.map_err(|error| in_words(&error))? {
            0 => return Ok(kept),
            bytes => {
                let wanted = bytes.min(MAX_COMPLAINT - kept.len());
                kept.extend_from_slice(&read[..wanted]);
            }
        }
    }
}

/// With the first line of its complaint, unless that repeats what it was about to give.
fn failed(status: ExitStatus, complaint: &[u8], output: &[u8]) -> String {
    let (said, output) =
        (String::from_utf8_lossy(complaint), Zeroizing::new(String::from_utf8_lossy(output).into_owned()));
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let repeats = output.lines().map(str::trim).any(|secret| !secret.is_empty() && line.contains(secret));
    Foreign::behind(&format!("failed with {status}"), if repeats { "" } else { line }).to_string()
}

/// A program that runs. Dropped before its end was seen, it is killed with its group.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The process is not reaped yet, so its id cannot belong to another one.
        #[cfg(unix)]
        if let Some(group) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // Processes that have already ended need not be killed.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
#[path = "command/tests.rs"]
mod tests;
