//! Where AWS is and who we are there, found once by the SDK's standard chain and shared by all who call it. Calls no
//! service itself.

mod guard;
mod words;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;

pub(crate) use guard::{Panicked, caught};
pub(crate) use words::{Fault, causes, line, words};

/// Region, credentials and endpoint.
#[derive(Debug, Clone)]
pub struct Aws(SdkConfig);

/// What is missing before anything can be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// No region anywhere in the chain.
    #[error("aws region: not found in the environment, the profile or the instance; set AWS_REGION")]
    NoRegion,
}

/// An endpoint that is not AWS: the sandbox, or an emulator.
#[derive(Debug, Clone)]
pub struct LocalEndpoint {
    /// Such as `http://127.0.0.1:4566`.
    pub url: String,
}

impl Aws {
    /// Region, credentials and endpoint from the SDK's standard chain; asks nothing of AWS yet.
    ///
    /// # Errors
    /// When no region is found.
    pub async fn from_environment() -> Result<Self, AwsError> {
        let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
        if config.region().is_none() {
            return Err(AwsError::NoRegion);
        }
        Ok(Self(config))
    }

    /// A local endpoint, with made-up credentials that it does not check.
    #[must_use]
    pub fn local(endpoint: LocalEndpoint) -> Self {
        let credentials = Credentials::new("local", "local", None, None, "local endpoint");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(endpoint.url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self(config)
    }

    /// Whether credentials can be had now. Asked at start, so that their absence is said before the first message.
    ///
    /// # Errors
    /// What the chain said.
    pub async fn credentials(&self) -> Result<(), String> {
        let Some(provider) = self.0.credentials_provider() else { return Err("no provider".into()) };
        provider.provide_credentials().await.map(drop).map_err(|error| causes(&error))
    }

    /// Whether somebody has said where this service is: for all of them, or by the name that the SDK has for this one. It
    /// is what the SDK's own clients ask, and do not tell.
    pub(crate) fn has_endpoint_for(&self, service: &str) -> bool {
        self.endpoint_for(service).is_some()
    }

    fn endpoint_for(&self, service: &str) -> Option<String> {
        let key =
            ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        let of_its_own = || self.0.service_config()?.load_config(key.ok()?);
        of_its_own().or_else(|| self.0.endpoint_url().map(str::to_owned))
    }

    /// Host and region of a service, for messages: `lambda.eu-west-1.amazonaws.com (eu-west-1)`. In the partitions outside
    /// `aws`, and with FIPS or dual-stack endpoints, the host is that of the plain endpoint.
    pub(crate) fn place(&self, service: &str) -> String {
        let region = self.0.region().map_or("no region", |region| region.as_ref());
        let endpoint = self.endpoint_for(service);
        let host = endpoint.as_deref().map_or_else(|| format!("{service}.{region}.amazonaws.com"), host_of);
        format!("{host} ({region})")
    }

    /// What the clients of single services are made from.
    pub(crate) fn settings(&self) -> &SdkConfig {
        &self.0
    }
}

/// Host and port of a URL; credentials that stand in it are left out.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    line(authority.rsplit('@').next().unwrap_or(authority))
}
