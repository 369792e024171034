//! The bridge's configuration in a simulated world, read like the variables of an environment.

use std::ffi::OsString;
use std::time::Duration;

use bridge::config::{Config, Overrides};

use super::letter;
use super::mapping::Mapping;
use super::plan::{Brokers, Place, Plan};

/// Longer than all that breaks.
pub(super) const SESSION_EXPIRY: Duration = Duration::from_hours(1);

/// The filters that a mapping has, and those that it had: the first may be `without` one.
pub(super) fn filters(plan: &Plan, mapping: Mapping, without: Option<usize>) -> (Vec<String>, Vec<String>) {
    let shared = plan.sessions * plan.replicas > 1;
    let without = without.filter(|_| mapping == Mapping::First);
    // Each mapping has a group of its own.
    let group = if shared { format!("$share/{}/", mapping.name()) } else { String::new() };
    let numbered = plan.filters.texts().map(|filter| format!("{group}{filter}")).enumerate();
    let (former, kept): (Vec<_>, Vec<_>) = numbered.partition(|(index, _)| Some(*index) == without);
    let texts = |numbered: Vec<(usize, String)>| numbered.into_iter().map(|(_, text)| text).collect();
    (texts(kept), texts(former))
}

/// The configuration of one replica; `window` is how long a batch of the first mapping waits, in milliseconds, and it may be
/// `without` one of its filters. A reload leaves the second as it is.
pub(super) fn of(plan: &Plan, replica: usize, window: u64, without: Option<usize>) -> Config {
    let mut config = of_one(plan, replica, (Mapping::First, window), without);
    if plan.two_mappings {
        config.mappings.extend(of_one(plan, replica, (Mapping::Second, 10), None).mappings);
    }
    config
}

/// # Panics
/// When the bridge refuses it, which is a fault of the plan.
fn of_one(plan: &Plan, replica: usize, (mapping, window): (Mapping, u64), without: Option<usize>) -> Config {
    let (filters, former) = filters(plan, mapping, without);
    let mut variables = vec![
        ("ADMIN_LISTEN", "off".to_owned()),
        ("DRAIN_TIMEOUT", "20s".to_owned()),
        ("MQTT_CLIENT_ID", format!("bridge-{replica}")),
        ("MQTT_PROTOCOL", plan.protocol.to_string()),
        ("MQTT_SESSION_EXPIRY", format!("{}s", SESSION_EXPIRY.as_secs())),
        ("MQTT_KEEP_ALIVE", "10s".to_owned()),
        ("LAMBDA_CLIENT", format!("{:?}", plan.client).to_lowercase()),
        ("LAMBDA_DRY_RUN", plan.dry_runs.to_string()),
        ("MAPPING_NAME", mapping.name().to_owned()),
        ("MAPPING_TOPIC_FILTER", filters.join(",")),
        ("MAPPING_FUNCTION", mapping.function().to_owned()),
        ("MAPPING_QOS", plan.qos.to_string()),
        ("MAPPING_SESSIONS", plan.sessions.to_string()),
        ("MAPPING_CONCURRENCY", plan.concurrency.to_string()),
        ("MAPPING_RECEIVE_MAXIMUM", plan.receive_maximum.to_string()),
        ("MAPPING_TIMEOUT", "30s".to_owned()),
        ("MAPPING_BATCH_MAX_RECORDS", plan.batch.to_string()),
        ("MAPPING_BATCH_MAX_WINDOW", format!("{window}ms")),
        ("MAPPING_BATCH_BISECT_ON_ERROR", plan.bisect.to_string()),
    ];
    let url = if plan.brokers.is_some() { "mqtts://broker,mqtts://other" } else { "mqtts://broker" };
    variables.push(("MQTT_URL", url.to_owned()));
    if let Some(Brokers { prefer, return_after, .. }) = plan.brokers {
        variables.push(("MQTT_PREFER", format!("{prefer:?}").to_lowercase()));
        variables.push(("MQTT_RETURN_AFTER", format!("{}s", return_after.as_secs())));
    }
    if !former.is_empty() {
        variables.push(("MAPPING_FORMER_TOPIC_FILTERS", former.join(",")));
    }
    if let Some(most) = plan.most_bytes {
        variables.push(("MAPPING_MAX_OUTSTANDING_BYTES", most.to_string()));
    }
    if plan.ordered {
        variables.push(("MAPPING_ORDERING_KEY", "topic[1]".to_owned()));
    }
    if plan.identified {
        variables.push(("MAPPING_MESSAGE_ID", "payload:/id".to_owned()));
    }
    for place in plan.places {
        let (name, value) = match place {
            Place::Queue => ("MAPPING_ON_FAILURE_SQS", "https://sqs.us-east-1.amazonaws.com/123456789012/letters"),
            Place::Bucket => ("MAPPING_ON_FAILURE_S3", "s3://bucket/letters/"),
            Place::Topic => ("MAPPING_ON_FAILURE_TOPIC", letter::TOPIC),
        };
        variables.push((name, value.to_owned()));
    }
    if plan.answers.commands > 0 {
        variables.push(("MAPPING_RESPONSE_ALLOW", "commands/+/+".to_owned()));
    }
    if plan.answers.replies {
        variables.push(("MAPPING_REPLY", "true".to_owned()));
        variables.push(("MAPPING_REPLY_TOPICS", "replies/{topic[1]}".to_owned()));
    }
    let environment =
        variables.into_iter().map(|(name, value)| (OsString::from(format!("BRIDGE_{name}")), OsString::from(value)));
    Config::load(None, environment, Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}
