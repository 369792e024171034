//! The real bridge binary as a separate process, to be killed, stopped, continued and terminated.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A bridge in a process of its own. Killed when it is dropped.
#[derive(Debug)]
pub struct BridgeProcess {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    /// Whether its log is not read for now, with its end open.
    stalled: watch::Sender<bool>,
    reader: Option<JoinHandle<()>>,
}

/// How long the log of a process that has ended is waited for.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What a process uses of the machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: u64,
    /// The most that it ever was, in bytes.
    pub peak: u64,
    /// Open file descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// Of the process with this id, as the kernel counts it (`/proc`, so Linux alone).
    ///
    /// # Errors
    /// When it has ended, or there is no `/proc`.
    pub fn of(id: u32) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kibibytes.map(|kibibytes| kibibytes * 1024).ok_or_else(ended)
        };
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd"))?.count();
        Ok(Self { resident: bytes("VmRSS")?, peak: bytes("VmHWM")?, descriptors })
    }
}

/// Keeps the lines of a stream until its end.
async fn collect(
    stream: impl AsyncRead + Unpin,
    log: Arc<Mutex<Vec<String>>>,
    counted: watch::Sender<usize>,
    mut stalled: watch::Receiver<bool>,
) {
    let mut reader = BufReader::new(stream).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        // An error means that the process is gone, and nothing can resume it.
        let _ = stalled.wait_for(|stalled| !*stalled).await;
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        counted.send_modify(|count| *count += 1);
    }
}

impl BridgeProcess {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (counted, lines) = watch::channel(0);
        let stalled = watch::Sender::new(false);
        // Both streams in one log, as a container's log collector has them.
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(collect(stdout, Arc::clone(&log), counted.clone(), stalled.subscribe()));
        }
        let read = |stderr| tokio::spawn(collect(stderr, Arc::clone(&log), counted, stalled.subscribe()));
        let reader = child.stderr.take().map(read);
        Ok(Self { child, log, lines, stalled, reader })
    }

    /// Its process id; none once it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines contain `text`.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|line| line.contains(text)).count()
    }

    /// Reads its log no more: from now on it writes into a pipe that nobody holds the other end of.
    pub fn stop_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }

    /// Reads its log no more until it is told otherwise, and keeps it open: the pipe fills up.
    pub fn stall_log(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// What it uses.
    ///
    /// # Errors
    /// When it has ended, or there is no `/proc`.
    pub fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.id().ok_or_else(ended)?)
    }

    /// Waits for a line that contains `text`. False when none came in time, or the process has ended without one.
    pub async fn logged(&mut self, text: &str, within: Duration) -> bool {
        let found = |log: &Mutex<Vec<String>>| {
            log.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.contains(text))
        };
        let wait = async {
            while !found(&self.log) {
                if self.lines.changed().await.is_err() {
                    return found(&self.log);
                }
            }
            true
        };
        tokio::time::timeout(within, wait).await.unwrap_or(false)
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Sends a signal by name, such as `TERM`, `INT`, `STOP` or `CONT`.
    ///
    /// # Errors
    /// When the process has ended, or the system refuses.
    pub async fn signal(&self, name: &str) -> io::Result<()> {
        let id = self.id().ok_or_else(ended)?;
        let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().await?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill -{name}: {status}"))) }
    }

    /// Waits for its end, and for its last words in the log; `None` when it has not ended in time.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn exited(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let Ok(status) = tokio::time::timeout(within, self.child.wait()).await else { return Ok(None) };
        // Something that it started may hold its output open, and is not waited for.
        if let Some(reader) = &mut self.reader
            && tokio::time::timeout(LAST_WORDS, reader).await.is_ok()
        {
            self.reader = None;
        }
        status.map(Some)
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the process has ended")
}
