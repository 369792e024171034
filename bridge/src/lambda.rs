//! The Lambda side of the bridge: events out, answers in, and what an error means. Knows nothing of MQTT connections.

mod client;
mod encode;
mod error;
mod interpret;
mod retry;

pub use client::{Answer, Aws, AwsError, Client, LocalEndpoint};
pub use encode::{EVENT_LIMIT, encode};
pub use error::{Disposition, InvokeError};
pub use interpret::Failure;
pub use retry::{Next, after_failure};
