//! The Lambda side of the bridge: events out, answers in, and what an error means. Knows nothing of MQTT connections.

mod answers;
mod client;
mod concurrency;
mod encode;
mod error;
mod interpret;
mod retry;

pub use answers::{Answer as PublishedAnswer, Answers, Refusal};
pub use client::{Answer, Client};
pub use concurrency::{Limiter, Load};
pub use encode::{encode, event_limit, measure};
pub use error::{Disposition, InvokeError};
pub use interpret::Failure;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use interpret::interpret;
pub use retry::{Next, after_failure};
