//! Region, endpoints and credentials of AWS, found once by the SDK's standard chain and shared by all callers. Calls no
//! service itself.

mod caller;
mod credentials;
mod environment;
mod guard;
mod http;
#[cfg(test)]
mod made_up;
mod sign;
mod words;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::ReconnectMode;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::config::LambdaClient;

pub use caller::{Caller, Unidentified};
pub(crate) use credentials::{Identity, Ready};
pub(crate) use guard::{Panicked, caught};
pub use http::{Answering, Service};
pub(crate) use http::{Body, Http, Limits, REQUEST_IDS, Target};
#[cfg(test)]
pub(crate) use made_up::MadeUp;
pub(crate) use sign::{Prepared, Signer, canonical, encoded, secret_value};
pub(crate) use words::{Fault, causes, line, words};

/// Crates that print whole requests and responses, payloads and signatures included, below the level error.
pub(crate) const TALKATIVE: &[&str] =
    &["aws_config", "aws_runtime", "aws_sigv4", "aws_smithy", "aws_sdk", "h2", "hyper"];

/// One call is one attempt: the caller retries. Connections are our own client's: it closes those that broke or timed
/// out, and a response that was read whole spoils none. The SDK would log an error for each that it cannot close
/// itself.
pub(crate) fn one_attempt() -> RetryConfig {
    RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// Region, credentials and endpoint.
#[derive(Debug, Clone)]
pub struct Aws {
    settings: SdkConfig,
    http: Http,
    credentials: Ready,
    invoking: LambdaClient,
    /// Whether a function is asked by a dry run before its first invocation.
    dry_runs: bool,
}

/// A missing or invalid setting without which no service can be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// No region anywhere in the chain.
    #[error("aws region: not found in the environment, the profile or the instance; set AWS_REGION")]
    NoRegion,
    /// A variable that the SDK cannot use. Its value may be a secret, and is not said.
    #[error("{name}: {cause}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it, and how to fix it.
        cause: &'static str,
    },
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
    /// When a variable of the environment cannot be used, or no region is found.
    pub async fn from_environment() -> Result<Self, AwsError> {
        environment::check(|name| std::env::var_os(name))?;
        let unusable = |cause| AwsError::Variable { name: "AWS_CA_BUNDLE".to_owned(), cause };
        let http = Http::from_environment().map_err(unusable)?;
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        // The services that give credentials are retried by the SDK.
        let retries = RetryConfig::standard().with_reconnect_mode(ReconnectMode::ReuseAllConnections);
        let config = config.retry_config(retries).load().await;
        if config.region().is_none_or(|region| region.as_ref().is_empty()) {
            return Err(AwsError::NoRegion);
        }
        let profile = std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
        Ok(Self::of(config, http, profile.map(|name| line(&name))))
    }

    fn of(config: SdkConfig, http: Http, profile: Option<String>) -> Self {
        let provider = config.credentials_provider();
        let credentials = Ready::new(provider, profile);
        let mut builder = config.clone().into_builder();
        if config.endpoint_url().is_some_and(str::is_empty) {
            builder.set_endpoint_url(None);
        }
        if config.service_config().is_some() {
            builder.set_service_config(Some(WithoutEmpty(config)));
        }
        builder.set_credentials_provider(Some(SharedCredentialsProvider::new(credentials.clone())));
        // `credentials` caches them itself: a call must not wait for them within its own timeout.
        builder.set_identity_cache(Some(IdentityCache::no_cache()));
        builder.set_http_client(Some(SharedHttpClient::new(http.clone())));
        Self { settings: builder.build(), http, credentials, invoking: LambdaClient::default(), dry_runs: false }
    }

    /// The same, with this client for invocations.
    #[must_use]
    pub fn invoking(&self, by: LambdaClient) -> Self {
        Self { invoking: by, ..self.clone() }
    }

    /// The same; functions are asked by a dry run before their first invocation, or not.
    #[must_use]
    pub fn with_dry_runs(&self, wanted: bool) -> Self {
        Self { dry_runs: wanted, ..self.clone() }
    }

    /// Whether dry runs are wanted.
    pub(crate) fn wants_dry_runs(&self) -> bool {
        self.dry_runs
    }

    /// Which client is wanted for invocations.
    pub(crate) fn wanted_client(&self) -> LambdaClient {
        self.invoking
    }

    /// A local endpoint, with made-up credentials that it does not check.
    #[must_use]
    pub fn local(endpoint: LocalEndpoint) -> Self {
        Self::of(local(endpoint).build(), Http::plain(), None)
    }

    /// The same, in this process: this service answers every request, over no network.
    #[must_use]
    pub fn in_memory(service: impl Service + 'static) -> Self {
        let endpoint = LocalEndpoint { url: "http://memory".to_owned() };
        Self::of(local(endpoint).build(), Http::in_memory(service), None)
    }

    /// Returns once there are credentials for the next call. They are fetched before a call begins, so that a source
    /// that is slow is not taken for a function that is.
    ///
    /// # Errors
    /// Why there are none; after ten seconds at the latest.
    pub async fn credentials(&self) -> Result<(), String> {
        self.credentials.ready().await
    }

    /// Where the credentials come from, once there are some.
    pub(crate) fn origin(&self) -> &'static str {
        self.credentials.origin()
    }

    /// The way to AWS.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// The part that waits for credentials.
    pub(crate) fn ready(&self) -> Ready {
        self.credentials.clone()
    }

    /// Whether somebody has said where this service is: for all of them, or by the name that the SDK has for this one.
    /// It is what the SDK's own clients ask, and do not tell.
    pub(crate) fn has_endpoint_for(&self, service: &str) -> bool {
        self.endpoint_for(service).is_some()
    }

    pub(crate) fn endpoint_for(&self, service: &str) -> Option<String> {
        let key =
            ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        let of_its_own = || self.settings.service_config()?.load_config(key.ok()?);
        of_its_own().or_else(|| self.settings.endpoint_url().map(str::to_owned))
    }

    /// Host and region of a service, for messages: `lambda.eu-west-1.amazonaws.com (eu-west-1)`. In the partitions
    /// outside `aws`, and with FIPS or dual-stack endpoints, the host is that of the plain endpoint.
    pub(crate) fn place(&self, service: &str) -> String {
        let endpoint = self.endpoint_for(service);
        let endpoint = endpoint.unwrap_or_else(|| format!("https://{service}.{}.amazonaws.com", self.region()));
        self.place_of(&endpoint)
    }

    /// The same of an endpoint that is known.
    pub(crate) fn place_of(&self, endpoint: &str) -> String {
        format!("{} ({})", host_of(endpoint), self.region())
    }

    pub(crate) fn region(&self) -> &str {
        self.settings.region().map_or("no region", |region| region.as_ref())
    }

    /// The SDK configuration from which the clients of single services are made.
    pub(crate) fn settings(&self) -> &SdkConfig {
        &self.settings
    }
}

fn local(endpoint: LocalEndpoint) -> aws_types::sdk_config::Builder {
    let credentials = Credentials::new("local", "local", None, None, "local endpoint");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint.url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
}

/// What the chain says of single services, without values that are empty: `AWS_ENDPOINT_URL_LAMBDA=` is no endpoint.
#[derive(Debug)]
struct WithoutEmpty(SdkConfig);

impl LoadServiceConfig for WithoutEmpty {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        self.0.service_config()?.load_config(key).filter(|value| !value.is_empty())
    }
}

/// Host and port of a URL; credentials that stand in it are left out.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    line(authority.rsplit('@').next().unwrap_or(authority))
}
