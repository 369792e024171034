//! Turns a panic of the SDK into an error of one call. The SDK does not check some values of the environment and panics
//! at the first call if they cannot be sent; without this file such a panic would end the lane.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// The call panicked. What it said may hold anything, so it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Awaits a call; one that panics is dropped.
pub(crate) async fn caught<T>(call: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut call = pin!(call);
    poll_fn(|context| {
        // After a panic the future is never polled again, so nobody sees what is half-done in it.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_result() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        let panics = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "as the SDK does");
        };
        assert_eq!(caught(panics).await, Err(Panicked));
    }
}
