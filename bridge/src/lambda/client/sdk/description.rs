//! What Lambda reports about a function: its timeout, its state, its reserved concurrency. Each needs a permission that
//! the bridge itself does not need, so each may be unknown.

use std::time::Duration;

use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::SdkError;

use crate::aws::{Aws, one_attempt, words};
use crate::config::Function;

/// One question takes so long at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// `Active`, or why it cannot be invoked now.
    pub state: Option<String>,
    /// The version that its name stands for: `$LATEST`, or the number behind an alias.
    pub version: Option<String>,
    /// How many of it may run at once, where somebody has reserved that.
    pub reserved: Option<u32>,
    /// Why something of it is not known.
    pub unknown: Option<String>,
}

impl Aws {
    /// Asks for all of it.
    pub async fn describe(&self, function: &Function) -> Description {
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let config = aws_sdk_lambda::config::Builder::from(self.settings());
        let client =
            aws_sdk_lambda::Client::from_conf(config.retry_config(one_attempt()).timeout_config(timeouts).build());
        let mut known = Description::default();
        match client.get_function_configuration().function_name(function.as_str()).send().await {
            Ok(answer) => {
                known.timeout = answer.timeout.and_then(|seconds| seconds.try_into().ok()).map(Duration::from_secs);
                known.version = answer.version;
                known.state = answer.state.map(|state| state.as_str().to_owned());
            }
            Err(error) => known.unknown = Some(cause(&error)),
        }
        match client.get_function_concurrency().function_name(function.name()).send().await {
            Ok(answer) => known.reserved = answer.reserved_concurrent_executions.and_then(|most| most.try_into().ok()),
            Err(error) if known.unknown.is_none() => {
                known.unknown = Some(format!("reserved concurrency: {}", cause(&error)));
            }
            Err(_) => {}
        }
        known
    }
}

fn cause<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match error.raw_response() {
        Some(response) => format!("HTTP {}", response.status().as_u16()),
        None => words(error),
    }
}
