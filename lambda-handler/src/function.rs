//! The function as a whole: checks each record of an event, stores the valid ones, answers temperatures out of range,
//! and reports failed records one by one. One invalid record never makes the others fail.

use std::any::Any;
use std::future::poll_fn;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::SystemTime;

use event::{Event, ItemFailure, Record, Response};
use tokio::time::Instant;

use crate::metrics::OutOfRange;
use crate::reading::{Reading, ReadingError};
use crate::settings::{Settings, SettingsError};
use crate::store::{Checked, NoRegion, Store};
use crate::thresholds::Thresholds;
use crate::topics::DeviceTopics;

/// Made once at startup; answers one event after the other.
#[derive(Debug)]
pub struct Function {
    store: Store,
    device_topics: DeviceTopics,
    thresholds: Thresholds,
    /// The sink of its metrics, and the name of the function in them.
    namespace: String,
    name: String,
}

/// Why the function cannot start.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StartError {
    /// An environment variable cannot be meant.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A table is configured, and nothing says where.
    #[error(transparent)]
    NoRegion(#[from] NoRegion),
}

impl Function {
    /// The function that the environment describes. Makes its clients now, and calls nobody yet.
    ///
    /// # Errors
    /// When a variable cannot be meant, or a table has no region.
    pub async fn from_environment() -> Result<Self, StartError> {
        let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let Settings { table, ttl, device_topics, thresholds, namespace } = Settings::read(variable)?;
        let store = Store::open(table, ttl).await?;
        let name = variable("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        Ok(Self { store, device_topics, thresholds, namespace, name })
    }

    /// One that only logs readings and has no thresholds.
    #[must_use]
    pub fn log_only() -> Self {
        let (device_topics, thresholds) = (DeviceTopics::default(), Thresholds::default());
        Self { store: Store::Log, device_topics, thresholds, namespace: String::new(), name: String::new() }
    }

    /// The store of readings.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Which topics belong to which device.
    #[must_use]
    pub fn device_topics(&self) -> &DeviceTopics {
        &self.device_topics
    }

    /// Which temperatures are in order.
    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// Answers one event before `deadline`.
    ///
    /// A record that is no reading is an item failure that no further attempt can help; one that could not be stored,
    /// or over which the function panicked, is to be tried again. All others have succeeded: only for them there are
    /// commands, and they are counted. The others' come with the attempt that succeeds.
    pub async fn answer(&self, event: &Event, deadline: Instant) -> Response {
        let mut response = Response::default();
        let mut readings = Vec::with_capacity(event.records.len());
        for (record, outcome) in each_record(event, |record| self.check(record)) {
            match outcome {
                Ok(reading) => {
                    let breach = self.thresholds.breach(reading.temperature);
                    readings.push(Checked { record, reading, breach });
                }
                Err(failure) => fail(&mut response, record, failure),
            }
        }
        self.keep(&readings, deadline, event, &mut response).await;
        response
    }

    /// A reading that does not name another device than its topic.
    fn check(&self, record: &Record) -> Result<Reading, ReadingError> {
        let reading = Reading::of(record)?;
        if self.device_topics.allow(&record.topic, &reading.device_id) {
            Ok(reading)
        } else {
            Err(ReadingError::Foreign)
        }
    }

    async fn keep(&self, readings: &[Checked<'_>], deadline: Instant, event: &Event, response: &mut Response) {
        let outcomes = unwound(self.store.keep(readings, deadline)).await;
        let mut counted = OutOfRange::default();
        for (at, checked @ Checked { record, .. }) in readings.iter().enumerate() {
            let outcome = match &outcomes {
                Ok(outcomes) => outcomes[at].clone().map_err(|unstored| unstored.of(record)),
                Err(why) => Err(panicked(record, why)),
            };
            match outcome {
                Ok(()) => command(checked, &mut counted, response),
                Err(failure) => fail(response, record, failure),
            }
        }
        if let Some(line) = counted.line(&self.namespace, &self.name, &event.mapping, SystemTime::now()) {
            // Like log lines, metrics that stdout does not accept are lost; the records are not affected.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
    }
}

/// The consequences of a stored reading.
fn command(Checked { record, reading, breach }: &Checked<'_>, counted: &mut OutOfRange, response: &mut Response) {
    let Some(breach) = *breach else { return };
    counted.count(breach);
    let command = breach.command(record, reading);
    if command.is_none() {
        tracing::warn!(record = record.id, "no command: the id of the device cannot be a level of a topic");
    }
    response.publish.extend(command);
}

fn fail(response: &mut Response, record: &Record, failure: ItemFailure) {
    let reason = failure.reason.as_deref().unwrap_or_default();
    tracing::warn!(record = record.id, topic = record.topic, retry = failure.retry, reason, "record failed");
    response.batch_item_failures.push(failure);
}

/// The records in their order, each with what `check` says of it.
fn each_record(
    event: &Event,
    check: impl Fn(&Record) -> Result<Reading, ReadingError>,
) -> impl Iterator<Item = (&Record, Result<Reading, ItemFailure>)> {
    event.records.iter().map(move |record| match catch_unwind(AssertUnwindSafe(|| check(record))) {
        Ok(Ok(reading)) => (record, Ok(reading)),
        Ok(Err(error)) => (record, Err(ItemFailure::give_up(&record.id, error.to_string()))),
        Err(panic) => (record, Err(panicked(record, &panic_message(panic.as_ref())))),
    })
}

fn panicked(record: &Record, why: &str) -> ItemFailure {
    ItemFailure::retry(&record.id, format!("record: the function panicked: {why}"))
}

/// The future's output, or the message of its panic. A future that panicked is dropped and never polled again.
async fn unwound<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic_message(panic.as_ref()))),
    })
    .await
}

/// What `panic!` was given, shortened so that an answer full of panics still fits Lambda's 6 MB.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    const MAX_CHARS: usize = 256;
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    message.unwrap_or("no message").chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    const EVENT: &str = include_str!("../../event/fixtures/event.json");

    fn fixture() -> Event {
        serde_json::from_str(EVENT).unwrap()
    }

    fn id(n: u8) -> String {
        format!("5b1f0c7e9a3d2468-{n}")
    }

    async fn answer(thresholds: Thresholds, event: Event) -> Response {
        Function { thresholds, ..Function::log_only() }.answer(&event, Instant::now()).await
    }

    #[tokio::test]
    async fn good_record_succeeds_and_bad_ones_are_given_up() {
        let response = answer(Thresholds::default(), fixture()).await;
        let expected = [
            ItemFailure::give_up(id(2), "payload: text, not JSON"),
            ItemFailure::give_up(id(3), "payload: bytes that are not UTF-8, not JSON"),
        ];
        assert_eq!(response.batch_item_failures, expected);
        assert!(response.publish.is_empty());
    }

    #[tokio::test]
    async fn a_reading_out_of_range_succeeds_and_is_answered_with_a_command() {
        let response = answer(Thresholds { min: None, max: Some(24.0) }, fixture()).await;
        assert_eq!(response.batch_item_failures.len(), 2, "the bad records alone");
        let commands: Vec<_> = response.publish.iter().map(|publish| publish.topic.as_str()).collect();
        assert_eq!(commands, ["devices/C-Client-01/command"]);
        let in_range = answer(Thresholds { min: Some(24.5), max: Some(24.5) }, fixture()).await;
        assert!(in_range.publish.is_empty());
    }

    #[tokio::test]
    async fn a_device_cannot_speak_for_another_below_its_own_topic() {
        let mut event = fixture();
        event.records.truncate(1);
        for (topic, reason) in [
            ("devices/C-Client-01/data", None),
            ("devices/C-Client-02/data", Some("device_id: the topic belongs to another device")),
            ("sensor/data", None),
        ] {
            topic.clone_into(&mut event.records[0].topic);
            let response = answer(Thresholds { min: None, max: Some(24.0) }, event.clone()).await;
            let expected: Vec<_> = reason.map(|reason| ItemFailure::give_up(id(1), reason)).into_iter().collect();
            assert_eq!(response.batch_item_failures, expected, "{topic}");
            assert_eq!(response.publish.len(), usize::from(reason.is_none()), "{topic}: no command for another");
        }
    }

    #[tokio::test]
    async fn event_without_records_succeeds() {
        let event = Event { records: Vec::new(), ..fixture() };
        assert!(answer(Thresholds::default(), event).await.batch_item_failures.is_empty());
    }

    #[test]
    fn a_panic_costs_only_its_own_record() {
        let event = fixture();
        let check = |record: &Record| {
            assert!(!record.id.ends_with("-2"), "no {}", "table");
            Reading::of(&fixture().records[0])
        };
        let outcomes: Vec<_> = each_record(&event, check).map(|(_, outcome)| outcome.map(drop)).collect();
        let failure = ItemFailure::retry(id(2), "record: the function panicked: no table");
        assert_eq!(outcomes, [Ok(()), Err(failure), Ok(())]);
    }

    #[tokio::test]
    async fn a_panic_after_an_await_is_caught_too() {
        let why = unwound(async {
            tokio::task::yield_now().await;
            panic_any(7_u8);
        });
        assert_eq!(why.await, Err::<(), _>("no message".to_owned()));
    }

    #[tokio::test]
    async fn a_long_panic_message_is_cut() {
        let why = unwound(async { panic!("{}", "ü".repeat(1_000_000)) }).await.unwrap_err();
        assert_eq!(why, "ü".repeat(256));
    }

    #[test]
    fn the_function_may_run_on_any_thread() {
        fn is_send(_: impl Send) {}
        let function = Function::log_only();
        is_send(function.answer(&fixture(), Instant::now()));
    }
}
