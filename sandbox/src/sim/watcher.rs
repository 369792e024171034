//! Reads the bridge's log: notable lines become events of the world, and a payload in any line is a violation.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::record::Record;

/// Stands in every payload, and must stand in no line.
pub(super) const MARKER: &str = "payload-of-a-device";

/// See the module's page.
pub(super) struct Watcher(pub(super) Record);

impl<S: Subscriber> Layer<S> for Watcher {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::INFO {
            return;
        }
        let mut line = Text(String::new());
        event.record(&mut line);
        if line.0.contains(MARKER) {
            self.0.violated("payload in a log line", format!("{} says so", event.metadata().target()));
        }
        if line.0.contains("session.queue_unproven") {
            let client_id = line.0.split("client_id=").nth(1).and_then(|rest| rest.split_whitespace().next());
            self.0.said_unproven(client_id.unwrap_or_default());
        }
        self.0.say("bridge", line.0);
    }
}

struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" => write!(self.0, "{separator}{value:?}"),
            name => write!(self.0, "{separator}{name}={value:?}"),
        };
    }
}
