//! `check`: walks the whole way of a message once, step by step, and says of each whether it would work. Takes no message, keeps no
//! session and does not disturb a bridge that runs.

mod broker;
mod function;
mod report;

use crate::aws::{Aws, AwsError};
use crate::config::{Config, Mqtt};
use crate::dead_letter::{Seen, probe};

pub use report::{Report, Step, Verdict};

use broker::Broker;
use report::{Found, Walk};

/// What else is wanted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Publishes a message and looks whether it comes back.
    pub probe: bool,
    /// Where to; without it, to each mapping's topic filter that has no wildcards.
    pub probe_topic: Option<String>,
}

/// Walks it.
pub async fn check(config: &Config, aws: Result<Aws, AwsError>, options: &Options) -> Report {
    let mut walk = Walk::default();
    walk.found("configuration", None, Ok(Found::good(format!("{} mapping(s)", config.mappings.len()))));
    let brokers = config.mqtt.url.len();
    for (place, url) in config.mqtt.url.iter().enumerate() {
        if brokers > 1 {
            walk.found("broker", None, Ok(Found::good(format!("{url}, number {} of {brokers}", place + 1))));
        }
        let mqtt = Mqtt { url: vec![url.clone()], ..config.mqtt.clone() };
        Box::pin(at_broker(&Config { mqtt, ..config.clone() }, options, &mut walk)).await;
    }
    match aws {
        Err(error) => walk.found("aws", None, Err((error.to_string(), None))),
        Ok(aws) => Box::pin(at_aws(config, &aws, &mut walk)).await,
    }
    walk.into_report()
}

async fn at_broker(config: &Config, options: &Options, walk: &mut Walk) {
    let Some(mut broker) = Broker::reach(config, walk).await else { return };
    for mapping in &config.mappings {
        broker.subscribe(mapping, walk).await;
        if options.probe {
            broker.probe(mapping, options.probe_topic.as_deref(), walk).await;
        }
    }
    broker.leave().await;
}

async fn at_aws(config: &Config, aws: &Aws, walk: &mut Walk) {
    let credentials = async {
        let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or run where a role gives them";
        aws.credentials().await.map_err(|cause| (cause, Some(hint)))?;
        Ok(Found::good(format!("from {}; region {}", aws.origin(), aws.region())))
    };
    if !walk.step("credentials", None, credentials).await {
        return;
    }
    for mapping in &config.mappings {
        walk.step("function", Some(&mapping.name), Box::pin(function::look(aws, mapping))).await;
        for place in &mapping.on_failure {
            let look = async {
                let hint = "create it, or grant the bridge's role what docs/dead-letters.md names";
                let seen = probe(aws, place).await.map_err(|error| (error.to_string(), Some(hint)))?;
                Ok(match seen {
                    Seen::Good(said) => Found::good(said.to_owned()),
                    Seen::Unknown(why) => Found::but(why, Some("the first dead letter will show it".to_owned())),
                })
            };
            walk.step("failure destination", Some(&mapping.name), Box::pin(look)).await;
        }
    }
}
