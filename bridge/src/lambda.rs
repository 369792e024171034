//! The Lambda side of the bridge: encodes events, interprets responses, and classifies errors. Knows nothing of MQTT
//! connections.

mod answers;
mod classify;
mod client;
mod concurrency;
mod encode;
mod error;
mod error_table;
mod interpret;
mod raw;
mod request;
mod retry;
mod work;

pub use answers::{Answer as PublishedAnswer, Answers, Refusal};
pub use client::{Answer, Client, Description};
pub use concurrency::{Limiter, Load};
pub use encode::{encode, event_limit, measure};
pub use error::{Disposition, InvokeError, Refused};
pub use error_table::{ERRORS, Meaning, Row, by_status};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use interpret::interpret;
pub use interpret::{Failure, Reading};
pub use request::Request;
pub use retry::{Next, after_failure};
