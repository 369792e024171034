//! `check`: tests each step from the broker to the function once, and reports whether it would work. Receives no
//! message, keeps no session and does not disturb a running bridge.

mod account;
mod broker;
mod connect;
mod destination;
mod function;
mod report;

use crate::aws::{Aws, AwsError};
use crate::config::{Config, Mqtt};

pub use report::{Report, Step, Verdict};

use broker::Broker;
use report::{Found, Walk};

/// Further options.
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
    let aws = match aws {
        Err(error) => {
            walk.found("aws", None, Err((error.to_string(), None)));
            None
        }
        Ok(aws) => Box::pin(account::enter(&aws, &mut walk)).await.then_some(aws),
    };
    for mapping in &config.mappings {
        if let Some(aws) = &aws {
            walk.step("function", Some(&mapping.name), Box::pin(function::look(aws, mapping, config.lambda.dry_run)))
                .await;
        }
        Box::pin(destination::look(aws.as_ref(), mapping, &mut walk)).await;
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
        broker.dead_letters(mapping, options.probe, walk).await;
    }
    broker.leave().await;
}
