//! The log: its format, its level, and its writer to standard error; and the writer of metric lines to standard output.
//! Logs nothing itself but the number of lost lines.

mod lossy;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;
use lossy::Lossy;

/// How long the end of the process waits for the last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Lines that nobody took in time.
static LOST: LazyLock<Counter> = LazyLock::new(Counter::default);

static LINES: OnceLock<Lossy> = OnceLock::new();

/// Standard output; none where there is no thread to be had for it.
static OUTPUT: OnceLock<Option<Lossy>> = OnceLock::new();

/// The log of this process. Dropping it waits, for a moment, until its lines are written.
#[derive(Debug)]
pub struct Logging(());

/// Sends log lines to standard error as `format` says; `RUST_LOG` sets the level, `info` when absent. Of crates that
/// are `talkative` only errors are logged, whatever it says.
///
/// # Errors
/// When `RUST_LOG` is not understood, or logging has been set up before.
pub fn start(format: LogFormat, talkative: &[&str]) -> Result<Logging, String> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let filter = filter.from_env().map_err(|cause| format!("RUST_LOG: {cause}"))?;
    let filter = quiet(filter, talkative)?;
    let stderr = io::stderr();
    let terminal = stderr.is_terminal();
    let json = is_json(format);
    let lines = lossy_copy(&stderr).map_err(|cause| format!("logging: {cause}"))?;
    let lines = LINES.get_or_init(|| lines);
    // A line that cannot be written is lost. Saying so where it cannot be written would end the bridge with a panic.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone()).log_internal_errors(false);
    let started = if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).try_init()
    };
    started.map_err(|cause| format!("logging: {cause}"))?;
    Ok(Logging(()))
}

/// Whether lines of this format are JSON, here.
#[must_use]
pub fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

/// Waits until all lines are written, for a moment at most.
pub fn flush() {
    for lines in LINES.get().into_iter().chain(OUTPUT.get().and_then(Option::as_ref)) {
        lines.flush(LAST_LINES);
    }
}

/// Writes a line to standard output, and never waits: a reader that stalls costs lines, as it does in the log.
pub fn print(line: &str) {
    let output = OUTPUT.get_or_init(|| lossy_copy(&io::stdout()).ok());
    match output {
        // Line and line end in one write.
        Some(output) => drop(output.make_writer().write_all(format!("{line}\n").as_bytes())),
        None => drop(LOST.inc()),
    }
}

/// A copy of the descriptor: the lock of the original is not held by a line that nobody reads.
fn lossy_copy(stream: &impl AsFd) -> io::Result<Lossy> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(descriptor) => Lossy::start(File::from(descriptor), LOST.clone()),
        // The stream is closed.
        Err(_) => Lossy::start(io::sink(), LOST.clone()),
    }
}

/// How many lines nobody took in time.
#[must_use]
pub fn lost() -> Counter {
    LOST.clone()
}

impl Drop for Logging {
    fn drop(&mut self) {
        flush();
    }
}

/// A later directive for a target takes the place of an earlier one.
fn quiet(filter: EnvFilter, talkative: &[&str]) -> Result<EnvFilter, String> {
    talkative.iter().try_fold(filter, |filter, target| {
        let directive = format!("{target}=error").parse().map_err(|cause| format!("RUST_LOG: {cause}"))?;
        Ok(filter.add_directive(directive))
    })
}
