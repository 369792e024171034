//! What the SDK's chain would find in an environment that a test makes up. Built for tests only.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::{Aws, Http, Service};

/// An environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MadeUp {
    pub(crate) region: &'static str,
    /// `AWS_ENDPOINT_URL`.
    pub(crate) endpoint: Option<&'static str>,
    /// `AWS_ENDPOINT_URL_LAMBDA`.
    pub(crate) of_lambda: Option<&'static str>,
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
    pub(crate) token: Option<&'static str>,
}

impl MadeUp {
    pub(crate) fn of(region: &'static str) -> Self {
        Self { region, endpoint: None, of_lambda: None, fips: false, dual_stack: false, token: None }
    }

    pub(crate) fn on_the_network(self) -> Aws {
        Aws::of(self.config().build(), Http::plain(), None)
    }

    /// This service answers every request.
    pub(crate) fn in_memory(self, service: impl Service + 'static) -> Aws {
        Aws::of(self.config().build(), Http::in_memory(service), None)
    }

    fn config(self) -> aws_types::sdk_config::Builder {
        let token = self.token.map(str::to_owned);
        let credentials = Credentials::new("AKIDEXAMPLE", "made-up-secret", token, None, "test");
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region))
            .use_fips(self.fips)
            .use_dual_stack(self.dual_stack)
            .service_config(OfLambda(self.of_lambda))
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        config.set_endpoint_url(self.endpoint.map(str::to_owned));
        config
    }
}

#[derive(Debug)]
struct OfLambda(Option<&'static str>);

impl LoadServiceConfig for OfLambda {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let is_it = key.service_id().eq_ignore_ascii_case("lambda") && key.env() == "AWS_ENDPOINT_URL";
        self.0.filter(|_| is_it).map(str::to_owned)
    }
}
