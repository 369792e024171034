//! The identity behind the credentials: STS's `GetCallerIdentity`, which needs no permission. Only `check` asks; a
//! running bridge never does. The only file that names the SDK of STS.

use std::time::Duration;

use aws_sdk_sts::config::Builder;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};

use super::guard::{Panicked, caught};
use super::words::words;
use super::{Aws, one_attempt};
use crate::foreign::Foreign;

/// A private network may have no way to STS, and then nothing answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// An account, and the user or role in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its number.
    pub account: String,
    /// The ARN of the user, or of the role's session.
    pub arn: String,
}

/// Why it is not known who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unidentified {
    /// STS does not take the credentials, and so nobody does.
    Refused(String),
    /// There was no answer of STS.
    Unknown(String),
}

impl Aws {
    /// Asks STS.
    ///
    /// # Errors
    /// When there is no answer, or the credentials are not taken.
    pub async fn caller(&self) -> Result<Caller, Unidentified> {
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let config = Builder::from(self.settings()).retry_config(one_attempt()).timeout_config(timeouts);
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let answer = match caught(client.get_caller_identity().send()).await {
            Ok(answer) => answer.map_err(why)?,
            Err(Panicked) => return Err(Unidentified::Unknown("the SDK panicked".to_owned())),
        };
        let shown = |text: Option<&str>| Foreign::of(text.unwrap_or("unknown")).to_string();
        Ok(Caller { account: shown(answer.account()), arn: shown(answer.arn()) })
    }
}

/// What a policy of a private endpoint for STS may answer; of the credentials it says nothing.
const BY_POLICY: &str = "AccessDenied";

/// Only a refusal that names its reason is about the credentials; an emulator without STS answers anything.
fn why<E>(error: SdkError<E>) -> Unidentified
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(service) = error else { return Unidentified::Unknown(words(&error)) };
    let status = service.raw().status().as_u16();
    let error = service.into_err();
    let by_credentials = status == 403 && error.code().is_some_and(|code| code != BY_POLICY);
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => Foreign::behind(&Foreign::of(code), message).to_string(),
        (Some(code), None) => Foreign::of(code).to_string(),
        (None, _) => format!("HTTP {status}"),
    };
    if by_credentials { Unidentified::Refused(said) } else { Unidentified::Unknown(said) }
}
