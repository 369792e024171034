//! The function behind a mapping: checks each record for a sensor reading, keeps the good ones and reports the bad ones.
//!
//! [`handle`] is a plain async function from [`Event`] to [`Response`]; [`serve`] connects it to the Lambda runtime. It
//! knows nothing of MQTT, and one bad record never costs the others their success.

pub mod logging;
mod reading;
mod runtime;
mod store;

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use event::{Event, ItemFailure, Record, Response};

pub use reading::{
    MAX_DEVICE_ID, MAX_MESSAGE_ID, MAX_STATUS, Reading, ReadingError, TEMPERATURE_RANGE, Timestamp, TimestampError,
};
pub use runtime::{ServeError, serve};
pub use store::Store;

/// Answers one event, with no table configured: the log line of each good reading is all that is kept.
///
/// Every record that is no reading is an item failure that no further attempt can help; a record over which the function
/// panicked is one to be tried again. All other records have succeeded.
pub async fn handle(event: Event) -> Response {
    handle_into(&Store::Log, event).await
}

/// As [`handle`], with the readings kept in `store`.
pub async fn handle_into(store: &Store, event: Event) -> Response {
    each_record(&event, |record| async {
        let reading = Reading::of(record).map_err(|error| ItemFailure::give_up(&record.id, error.to_string()))?;
        store.put(record, &reading);
        Ok(())
    })
    .await
}

/// Runs `step` over the records in their order, and gathers what failed.
async fn each_record<'a, F>(event: &'a Event, step: impl Fn(&'a Record) -> F) -> Response
where
    F: Future<Output = Result<(), ItemFailure>>,
{
    let mut response = Response::default();
    for record in &event.records {
        let outcome = match unwound(step(record)).await {
            Ok(outcome) => outcome,
            Err(why) => Err(ItemFailure::retry(&record.id, format!("record: the function panicked: {why}"))),
        };
        if let Err(failure) = outcome {
            let reason = failure.reason.as_deref().unwrap_or_default();
            tracing::warn!(record = record.id, topic = record.topic, retry = failure.retry, reason, "record failed");
            response.batch_item_failures.push(failure);
        }
    }
    response
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

    #[tokio::test]
    async fn good_record_succeeds_and_bad_ones_are_given_up() {
        let response = handle(fixture()).await;
        let expected = [
            ItemFailure::give_up(id(2), "payload: text, not JSON"),
            ItemFailure::give_up(id(3), "payload: bytes that are not UTF-8, not JSON"),
        ];
        assert_eq!(response.batch_item_failures, expected);
        assert!(response.publish.is_empty());
    }

    #[tokio::test]
    async fn event_without_records_succeeds() {
        let event = Event { records: Vec::new(), ..fixture() };
        assert!(handle(event).await.batch_item_failures.is_empty());
    }

    #[tokio::test]
    async fn a_panic_costs_only_its_own_record() {
        let response = each_record(&fixture(), |record| async {
            assert!(!record.id.ends_with("-2"), "no {}", "table");
            Ok(())
        })
        .await;
        let expected = [ItemFailure::retry(id(2), "record: the function panicked: no table")];
        assert_eq!(response.batch_item_failures, expected);
    }

    #[tokio::test]
    async fn a_panic_after_an_await_is_caught_too() {
        let response = each_record(&fixture(), |record| async {
            tokio::task::yield_now().await;
            if record.id.ends_with("-1") {
                panic_any(7_u8);
            }
            Ok(())
        })
        .await;
        let expected = [ItemFailure::retry(id(1), "record: the function panicked: no message")];
        assert_eq!(response.batch_item_failures, expected);
    }

    #[tokio::test]
    async fn a_long_panic_message_is_cut() {
        let why = unwound(async { panic!("{}", "ü".repeat(1_000_000)) }).await.unwrap_err();
        assert_eq!(why, "ü".repeat(256));
    }

    #[test]
    fn the_handler_may_run_on_any_thread() {
        fn is_send(_: impl Send) {}
        is_send(handle(fixture()));
    }
}
