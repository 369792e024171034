//! Log lines: JSON for a log collector, text for a person at a terminal.
//!
//! Decides the form and the level only; what is logged is decided where it happens.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, the fields at its top level.
    Json,
    /// One line of text, the values quoted and escaped.
    Text,
}

/// Starts logging to stdout: text when it is a terminal, JSON otherwise. Panics are logged as one line, too.
///
/// The level is `AWS_LAMBDA_LOG_LEVEL` (what Lambda's advanced logging controls set), else `RUST_LOG`, else info.
///
/// # Panics
/// When logging was started before.
pub fn start() {
    let stdout = std::io::stdout;
    let format = if stdout().is_terminal() { Format::Text } else { Format::Json };
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].into_iter().find_map(|name| std::env::var(name).ok());
    tracing_subscriber::util::SubscriberInitExt::init(subscriber(format, level.as_deref(), stdout));
    std::panic::set_hook(Box::new(log_panic));
}

/// The subscriber behind [`start`], for any writer. A `level` that is none is read as info.
pub fn subscriber<W>(format: Format, level: Option<&str>, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = level.and_then(|level| EnvFilter::try_new(level).ok()).unwrap_or_else(|| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        Format::Json => Box::new(lines.json().flatten_event(true).with_span_list(false).finish()),
        Format::Text => Box::new(lines.finish()),
    }
}

/// The panic hook that [`start`] sets. The standard one prints the message as it is, over several lines; this one
/// cannot be used to forge a line.
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(location, reason = message, "panic");
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use event::Event;
    use serde_json::{Value, json};

    use super::*;
    use tokio::time::Instant;

    use crate::reading::Reading;
    use crate::store::{Checked, Store};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        /// What `store` writes for a reading whose every string wants to be a line of its own.
        fn of_hostile_reading(format: Format) -> String {
            const HOSTILE: &str = "a\nERROR \u{1b}[2J\u{9b}2J\"b\r";
            let event: Event = serde_json::from_str(include_str!("../../event/fixtures/event.json")).unwrap();
            let mut record = event.records.into_iter().next().unwrap();
            record.topic = HOSTILE.to_owned();
            let mut reading = Reading::of(&record).unwrap();
            // The rules of a reading forbid this; the log must not depend on them.
            reading.device_id = HOSTILE.to_owned();
            let checked = [Checked { record: &record, reading, breach: None }];
            // Without a table the future never waits.
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            Self::written(format, || drop(runtime.block_on(Store::Log.keep(&checked, Instant::now()))))
        }

        fn written(format: Format, write: impl FnOnce()) -> String {
            let lines = Self::default();
            let writer = lines.clone();
            tracing::subscriber::with_default(subscriber(format, None, move || writer.clone()), write);
            let bytes = lines.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        }
    }

    #[test]
    fn a_reading_is_one_json_line_with_its_fields_on_top() {
        let log = Lines::of_hostile_reading(Format::Json);
        let (line, rest) = log.split_once('\n').unwrap();
        assert_eq!(rest, "");
        assert!(!line.contains('\u{1b}'), "{line:?}");
        let line: Value = serde_json::from_str(line).unwrap();
        for (field, value) in [
            ("level", json!("INFO")),
            ("message", json!("reading")),
            ("device_id", json!("a\nERROR \u{1b}[2J\u{9b}2J\"b\r")),
            ("temperature", json!(24.5)),
            ("status", json!("OK")),
            ("record", json!("5b1f0c7e9a3d2468-1")),
        ] {
            assert_eq!(line[field], value, "{field} in {line}");
        }
    }

    #[test]
    fn a_reading_is_one_text_line_without_escapes_of_the_device() {
        let log = Lines::of_hostile_reading(Format::Text);
        let (line, rest) = log.split_once('\n').unwrap();
        assert_eq!(rest, "");
        assert!(!line.contains(['\r', '\u{9b}']), "{line:?}");
        assert!(!line.contains("\u{1b}[2J"), "{line:?}");
        assert!(line.contains(r#""a\nERROR "#), "{line:?}");
    }

    #[test]
    fn a_level_that_is_none_is_info() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = subscriber(Format::Json, Some("=,,="), move || writer.clone());
        tracing::subscriber::with_default(log, || {
            tracing::debug!("hidden");
            tracing::info!("shown");
        });
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("shown") && !log.contains("hidden"), "{log}");
    }
}
