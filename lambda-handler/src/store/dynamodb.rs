//! DynamoDB: the only file that names its SDK. One call is one attempt; the caller decides about retries.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest};

use super::plan::{Put, When};
use super::row::{AS_OF, DEVICE_ID, RECEIVED_AT, Row, SORT_KEY, Value};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A write takes milliseconds; one that takes longer than this is lost.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The temporary errors that are not 5xx ("Error handling with DynamoDB").
const PASSING: [&str; 4] = [
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ThrottlingException",
];

/// A table of DynamoDB. Its client is made once and keeps its connections; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct DynamoDb {
    sdk: Client,
    table: Arc<str>,
}

/// No region anywhere in the SDK's chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("aws region: not found in the environment or the profile; set AWS_REGION")]
pub struct NoRegion;

/// The result of a write.
#[derive(Debug)]
pub(super) enum Written {
    Yes,
    /// The condition was not met: what stands there was received then, if it says so.
    There(Option<SystemTime>),
    No(Failure),
}

/// Why a write has failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Whether trying again soon may help.
    pub(super) passing: bool,
}

impl DynamoDb {
    /// The table of this name, in the region and with the credentials of the SDK's standard chain.
    pub(super) async fn open(table: &str) -> Result<Self, NoRegion> {
        let settings = aws_config::defaults(BehaviorVersion::latest()).load().await;
        if settings.region().is_none() {
            return Err(NoRegion);
        }
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT).build();
        // The caller retries unprocessed items, throttling and lost connections, so the SDK must not.
        let config = Builder::from(&settings).retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        Ok(Self { sdk: Client::from_conf(config.build()), table: table.into() })
    }

    /// The table's name.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Writes one item by its condition, or up to 25 that have none, and says of each what it has come to.
    pub(super) async fn write(&self, puts: &[Put], call: &[usize]) -> Vec<(usize, Written)> {
        match call {
            &[at] if puts[at].when != When::Always => vec![(at, self.put_item(&puts[at]).await)],
            _ => self.batch_write_item(puts, call).await,
        }
    }

    async fn batch_write_item(&self, puts: &[Put], call: &[usize]) -> Vec<(usize, Written)> {
        let requests: Result<Vec<_>, _> = call.iter().map(|&at| request(&puts[at].row)).collect();
        let answer = match requests {
            Ok(requests) => self.sdk.batch_write_item().request_items(&*self.table, requests).send().await,
            Err(error) => Err(SdkError::construction_failure(error)),
        };
        match answer.map(|answer| answer.unprocessed_items.unwrap_or_default()) {
            Ok(left) => {
                let left: Vec<_> = left.values().flatten().filter_map(WriteRequest::put_request).collect();
                let is_left = |at: &usize| left.iter().any(|put| is_of(put.item(), &puts[*at].row));
                let unprocessed = || Written::No(Failure::passing("throttled: left unprocessed"));
                call.iter().map(|at| (*at, if is_left(at) { unprocessed() } else { Written::Yes })).collect()
            }
            Err(error) => {
                let failure = Failure::of(&error);
                call.iter().map(|&at| (at, Written::No(failure.clone()))).collect()
            }
        }
    }

    async fn put_item(&self, put: &Put) -> Written {
        let call = self.sdk.put_item().table_name(&*self.table).set_item(Some(item(&put.row)));
        let call = match put.when {
            When::Always => call,
            When::Absent => call.condition_expression(format!("attribute_not_exists({SORT_KEY})")),
            When::Newer => {
                let as_of = put.row.attributes.iter().find(|(name, _)| *name == AS_OF);
                call.condition_expression(format!("attribute_not_exists({AS_OF}) OR {AS_OF} < :this"))
                    .set_expression_attribute_values(as_of.map(|(_, v)| HashMap::from([(":this".into(), value(v))])))
            }
        };
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        match call.return_values_on_condition_check_failure(old).send().await {
            Ok(_) => Written::Yes,
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    Written::There(failed.item().and_then(received_at))
                }
                _ => Written::No(Failure::of(&error)),
            },
        }
    }
}

impl Failure {
    /// One that may be gone in a moment.
    pub(super) fn passing(why: &str) -> Self {
        Self { why: why.to_owned(), passing: true }
    }

    fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            let passing = !matches!(error, SdkError::ConstructionFailure(_));
            return Self { why: causes(error), passing };
        };
        let (code, message) = (service.err().code().unwrap_or("refused"), service.err().message());
        let passing = PASSING.contains(&code) || service.raw().status().is_server_error();
        Self { why: format!("{code}: {}", message.unwrap_or("without a reason")), passing }
    }
}

fn request(row: &Row) -> Result<WriteRequest, aws_sdk_dynamodb::error::BuildError> {
    let put = PutRequest::builder().set_item(Some(item(row))).build()?;
    Ok(WriteRequest::builder().put_request(put).build())
}

fn item(row: &Row) -> HashMap<String, AttributeValue> {
    let attributes = row.attributes.iter().map(|(name, attribute)| ((*name).to_owned(), value(attribute)));
    let keys = [(DEVICE_ID, &row.device_id), (SORT_KEY, &row.sk)];
    let keys = keys.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.clone())));
    attributes.chain(keys).collect()
}

fn value(value: &Value) -> AttributeValue {
    match value {
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Number(number) => AttributeValue::N(number.clone()),
    }
}

/// Whether the item has the row's key.
fn is_of(item: &HashMap<String, AttributeValue>, row: &Row) -> bool {
    let is = |name, text: &String| item.get(name).and_then(|value| value.as_s().ok()) == Some(text);
    is(DEVICE_ID, &row.device_id) && is(SORT_KEY, &row.sk)
}

fn received_at(item: &HashMap<String, AttributeValue>) -> Option<SystemTime> {
    humantime::parse_rfc3339(item.get(RECEIVED_AT)?.as_s().ok()?).ok()
}

/// An error and all its causes, in one line: the SDK's own texts stop at the first.
fn causes(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
