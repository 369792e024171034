//! A model of AWS in memory, behind the SDK's own HTTP interface: a function with moods, and a queue for dead letters. What
//! it runs goes on when the caller leaves, as a function does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::body::SdkBody;
use bridge::dead_letter::DeadLetter;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::plan::Moods;
use super::record::Record;

/// What goes wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// 429.
    Throttles,
    /// 500, 502, 503.
    ServiceErrors,
    /// Codes that somebody has to repair.
    SetUpWrong,
    /// No answer.
    Silence,
    /// The queue refuses.
    QueueFails,
}

/// Answers that must never be taken for a success.
const LIES: &[&str] = &[
    "<html>",
    "{\"batchItemFailures\": \"none\"}",
    "\"{\\\"batchItemFailures\\\":[]}\"",
    "[{\"batchItemFailures\": []}]",
    "{\"batchItemFailures\": [{\"itemIdentifier\": \"stranger\"}]}",
    "{\"batchItemFailures\":",
];

/// Shared by all clients of a world.
#[derive(Debug, Clone)]
pub(super) struct Cloud(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    record: Record,
    chance: Chance,
    moods: Moods,
    ordered: bool,
    weather: Vec<(Weather, Instant)>,
    invocations: u64,
}

/// What is going to be answered.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    /// The messages that it says have succeeded, and those that it says have not.
    succeeded: Vec<u64>,
    failed: Vec<u64>,
    dead_lettered: Option<u64>,
}

impl Answer {
    fn of(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            succeeded: Vec::new(),
            failed: Vec::new(),
            dead_lettered: None,
        }
    }

    fn error(status: u16, code: &str) -> Self {
        let answer = Self::of(status, json!({ "Message": "simulated", "Type": "User" }).to_string());
        answer.with("x-amzn-errortype", code)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// How a request ends.
enum Fate {
    Answered(Answer),
    /// The connection breaks.
    Broken,
    /// Nothing comes, ever.
    Silent,
}

impl Cloud {
    pub(super) fn new(record: Record, chance: Chance, moods: Moods, ordered: bool) -> Self {
        Self(Arc::new(Mutex::new(State { record, chance, moods, ordered, weather: Vec::new(), invocations: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, for so long.
    pub(super) fn set(&self, weather: Weather, how_long: Duration) {
        self.state().weather.push((weather, Instant::now() + how_long));
    }

    pub(super) fn invocations(&self) -> u64 {
        self.state().invocations
    }

    async fn serve(self, path: String, target: String, body: Vec<u8>) -> Fate {
        if path.ends_with("/invocations") {
            return self.invoke(&body).await;
        }
        if target == "AmazonSQS.SendMessage" {
            return self.queue(&body).await;
        }
        Fate::Answered(Answer::error(400, "InvalidAction"))
    }

    async fn invoke(&self, body: &[u8]) -> Fate {
        let (numbers, ids) = records(body);
        let (took, fate) = {
            let mut state = self.state();
            state.invocations += 1;
            let took = state.took();
            let fate = state.judge(&numbers, &ids);
            (took, fate)
        };
        sleep(took).await;
        fate
    }

    async fn queue(&self, body: &[u8]) -> Fate {
        let took = self.state().chance.millis(1..50);
        sleep(took).await;
        let state = self.state();
        if state.is(Weather::QueueFails) {
            return Fate::Answered(Answer::error(503, "ServiceUnavailable"));
        }
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = request["MessageBody"].as_str().unwrap_or_default();
        let sum = Md5::digest(text).iter().fold(String::new(), |sum, byte| sum + &format!("{byte:02x}"));
        let mut answer = Answer::of(200, json!({ "MD5OfMessageBody": sum, "MessageId": "1" }).to_string());
        answer.dead_lettered = letter(text.as_bytes());
        Fate::Answered(answer)
    }
}

/// The number of the message that a dead letter is about.
pub(super) fn letter(bytes: &[u8]) -> Option<u64> {
    let letter: DeadLetter = serde_json::from_slice(bytes).ok()?;
    serde_json::from_str::<Value>(&letter.payload).ok()?["n"].as_u64()
}

/// The numbers of the messages in an event, and their record ids.
fn records(body: &[u8]) -> (Vec<u64>, Vec<String>) {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let records = event["records"].as_array().cloned().unwrap_or_default();
    let number = |record: &Value| record["payload"]["n"].as_u64().unwrap_or(u64::MAX);
    let id = |record: &Value| record["id"].as_str().unwrap_or_default().to_owned();
    (records.iter().map(number).collect(), records.iter().map(id).collect())
}

impl State {
    fn is(&self, weather: Weather) -> bool {
        let now = Instant::now();
        self.weather.iter().any(|(kind, until)| *kind == weather && *until > now)
    }

    fn took(&mut self) -> Duration {
        // Most are quick, and some take their time.
        let longest = if self.chance.percent(80) { self.moods.longest / 20 } else { self.moods.longest };
        self.chance.millis(1..longest + 2)
    }

    /// Decides at once; the function has run as far as it ever will.
    fn judge(&mut self, numbers: &[u64], ids: &[String]) -> Fate {
        let Moods { throws, partial, answer_lost, lies, service, poison_every, .. } = self.moods;
        let poison = |number: u64| poison_every > 0 && number.is_multiple_of(poison_every);
        let lots = numbers.len() as u64;
        if self.is(Weather::Silence) {
            return self.spoilt(numbers, "no answer", Fate::Silent);
        }
        if self.is(Weather::Throttles) {
            let answer = Answer::error(429, "TooManyRequestsException");
            let asks = self.chance.percent(50);
            let answer = if asks { answer.with("retry-after", "2") } else { answer };
            return self.refused(numbers, answer);
        }
        if self.is(Weather::SetUpWrong) {
            let (status, code) = self.chance.one_of(&[
                (403, "AccessDeniedException"),
                (404, "ResourceNotFoundException"),
                (502, "KMSAccessDeniedException"),
                (400, "ExpiredToken"),
            ]);
            return self.refused(numbers, Answer::error(status, code));
        }
        if self.is(Weather::ServiceErrors) || self.chance.percent(service) {
            let (status, code) = self.chance.one_of(&[
                (500, "ServiceException"),
                (502, "EC2ThrottledException"),
                (503, "ServiceUnavailable"),
                (429, "TooManyRequestsException"),
            ]);
            return self.refused(numbers, Answer::error(status, code));
        }
        self.record.invoked(numbers);
        self.record.say("function", format!("runs for {numbers:?}"));
        if self.chance.percent(answer_lost) {
            self.record.allow(lots);
            return Fate::Broken;
        }
        if self.chance.percent(lies) {
            self.record.allow(lots);
            let body = self.chance.one_of(LIES);
            return Fate::Answered(Answer { failed: numbers.to_vec(), ..Answer::of(200, body) });
        }
        let whole =
            self.chance.percent(throws) || (numbers.iter().any(|number| poison(*number)) && self.chance.percent(50));
        if whole {
            self.record.allow(lots);
            let body = json!({ "errorType": "Boom", "errorMessage": "simulated" }).to_string();
            let answer = Answer { failed: numbers.to_vec(), ..Answer::of(200, body) };
            return Fate::Answered(answer.with("x-amz-function-error", "Unhandled"));
        }
        let fails: Vec<_> = numbers.iter().map(|number| poison(*number) || self.chance.percent(partial)).collect();
        let failed = fails.iter().filter(|fails| **fails).count() as u64;
        // Those of its key behind a failed record go again with it.
        self.record.allow(if self.ordered && failed > 0 { lots } else { failed });
        let failures: Vec<_> = ids
            .iter()
            .zip(&fails)
            .filter(|(_, fails)| **fails)
            .map(|(id, _)| json!({ "itemIdentifier": id }))
            .collect();
        let mut answer = Answer::of(200, json!({ "batchItemFailures": failures }).to_string());
        answer.succeeded =
            numbers.iter().zip(&fails).filter(|(_, fails)| !**fails).map(|(number, _)| *number).collect();
        answer.failed = numbers.iter().zip(&fails).filter(|(_, fails)| **fails).map(|(number, _)| *number).collect();
        Fate::Answered(answer)
    }

    /// The function has not run.
    fn refused(&self, numbers: &[u64], answer: Answer) -> Fate {
        self.record.say("lambda", format!("answers {} for {numbers:?}", answer.status));
        Fate::Answered(answer)
    }

    /// The function may have run.
    fn spoilt(&self, numbers: &[u64], why: &str, fate: Fate) -> Fate {
        self.record.say("lambda", format!("{why} for {numbers:?}"));
        self.record.invoked(numbers);
        self.record.allow(numbers.len() as u64);
        fate
    }
}

impl HttpClient for Cloud {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let path = request.uri().split('?').next().unwrap_or_default().to_owned();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let (sender, answer) = oneshot::channel();
        let cloud = self.clone();
        // On its own: what has begun goes on when the caller leaves.
        tokio::spawn(async move {
            let fate = cloud.serve(path, target, body).await;
            let _ = sender.send(fate);
        });
        let record = self.state().record.clone();
        HttpConnectorFuture::new(async move {
            match answer.await {
                Ok(Fate::Answered(answer)) => heard(&record, answer),
                Ok(Fate::Broken) | Err(_) => Err(ConnectorError::io("the connection broke".into())),
                Ok(Fate::Silent) => std::future::pending().await,
            }
        })
    }
}

/// The caller has the answer: from here on an acknowledgement is due.
fn heard(record: &Record, answer: Answer) -> Result<Response, ConnectorError> {
    answer.succeeded.iter().for_each(|number| record.succeeded(*number));
    answer.failed.iter().for_each(|number| record.failed(*number));
    if let Some(number) = answer.dead_lettered {
        record.say("queue", format!("has {number}"));
        record.dead_lettered(number);
    }
    let status = answer.status.try_into().map_err(|_| ConnectorError::io("no status".into()))?;
    let mut response = Response::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response.headers_mut().insert("x-amzn-requestid", "simulated");
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}
