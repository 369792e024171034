//! A double of DynamoDB that keeps items in memory and speaks its JSON protocol over HTTP: `BatchWriteItem` and `PutItem`
//! as far as the function uses them, with the limits of the real one, and with faults on request. It throttles, leaves
//! items unprocessed and loses connections, which an emulator cannot be made to do. What it does without faults, the
//! tests compare with an emulator where there is one.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Map, Value, json};

use super::http::Exchange;

/// What happens to one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// What was asked for.
    Done,
    /// An error of the service: its status and its code.
    Error(u16, &'static str),
    /// This many items at the end of a batch are not written.
    Unprocessed(usize),
    /// The connection breaks before anything is written.
    Cut,
    /// Everything is written, and the connection breaks before the response.
    DoneThenCut,
    /// The call never gets a response.
    Silence,
}

/// One call, as it came.
#[derive(Debug, Clone)]
pub struct Call {
    /// `BatchWriteItem` or `PutItem`.
    pub operation: String,
    /// Its items, for a batch in their order.
    pub items: Vec<Value>,
    /// The condition of a put.
    pub condition: Option<String>,
}

impl Call {
    /// The sort keys of its items.
    pub fn keys(&self) -> Vec<&str> {
        self.items.iter().map(|item| item["sk"]["S"].as_str().unwrap()).collect()
    }
}

/// The double of one table with the keys `device_id` and `sk`.
pub struct Double {
    pub authority: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    items: BTreeMap<(String, String), Value>,
    calls: Vec<Call>,
    /// Connections that wait for ever.
    silent: Vec<Exchange>,
}

impl Double {
    /// A table without faults.
    pub fn start() -> Self {
        Self::with(|_, _| Fate::Done)
    }

    /// A table in which `fate` decides over each call, by its number from 0.
    pub fn with(fate: impl Fn(usize, &Call) -> Fate + Send + Sync + 'static) -> Self {
        let fate = Arc::new(fate);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::<State>::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, fate) = (Arc::clone(&shared), Arc::clone(&fate));
                thread::spawn(move || {
                    let Some(exchange) = Exchange::open(stream.unwrap()) else { return };
                    lock(&shared).serve(exchange, &*fate);
                });
            }
        });
        Self { authority, state }
    }

    pub fn items(&self) -> Vec<Value> {
        lock(&self.state).items.values().cloned().collect()
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl State {
    fn serve(&mut self, exchange: Exchange, fate: &impl Fn(usize, &Call) -> Fate) {
        assert_eq!(exchange.header("content-type"), Some("application/x-amz-json-1.0"));
        assert!(exchange.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 Credential="));
        let operation = exchange.header("x-amz-target").and_then(|target| target.strip_prefix("DynamoDB_20120810."));
        let body: Value = serde_json::from_slice(&exchange.body).unwrap();
        let call = call(operation.unwrap(), &body);
        let decided = fate(self.calls.len(), &call);
        self.calls.push(call.clone());
        let (status, answer) = match decided {
            Fate::Error(status, code) => (status, error(code)),
            Fate::Cut => return,
            Fate::Silence => return self.silent.push(exchange),
            Fate::Done => self.perform(&call, &body, 0),
            Fate::Unprocessed(left) => self.perform(&call, &body, left),
            Fate::DoneThenCut => return drop(self.perform(&call, &body, 0)),
        };
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amzn-requestid", "REQUEST")];
        exchange.answer(&format!("{status} Status"), &headers, &answer.to_string());
    }

    fn perform(&mut self, call: &Call, body: &Value, left: usize) -> (u16, Value) {
        let keys: Vec<_> = call.items.iter().map(key).collect();
        if call.operation == "PutItem" {
            let there = self.items.get(&keys[0]);
            if !is_met(call.condition.as_deref(), there, body) {
                let mut failed = error("ConditionalCheckFailedException");
                if body["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD" {
                    failed["Item"] = there.unwrap().clone();
                }
                return (400, failed);
            }
        }
        let mut once = keys.clone();
        once.sort();
        once.dedup();
        if keys.is_empty() || keys.len() > 25 || once.len() < keys.len() {
            return (400, error("ValidationException"));
        }
        let done = keys.len() - left.min(keys.len());
        for (key, item) in keys.into_iter().zip(&call.items).take(done) {
            self.items.insert(key, item.clone());
        }
        let rest: Vec<_> = call.items[done..].iter().map(|item| json!({ "PutRequest": { "Item": item } })).collect();
        let unprocessed = if rest.is_empty() { json!({}) } else { json!({ table(body): rest }) };
        (200, if call.operation == "PutItem" { json!({}) } else { json!({ "UnprocessedItems": unprocessed }) })
    }
}

fn call(operation: &str, body: &Value) -> Call {
    let items = match operation {
        "BatchWriteItem" => {
            let requests = body["RequestItems"][&table(body)].as_array().unwrap();
            requests.iter().map(|request| request["PutRequest"]["Item"].clone()).collect()
        }
        "PutItem" => vec![body["Item"].clone()],
        other => panic!("{other}: not an operation of this double"),
    };
    let condition = body["ConditionExpression"].as_str().map(str::to_owned);
    Call { operation: operation.to_owned(), items, condition }
}

fn table(body: &Value) -> String {
    let tables = body["RequestItems"].as_object().map(Map::keys);
    tables
        .and_then(|mut names| names.next())
        .map_or_else(|| body["TableName"].as_str().unwrap().to_owned(), Clone::clone)
}

fn key(item: &Value) -> (String, String) {
    let text = |name: &str| item[name]["S"].as_str().filter(|text| !text.is_empty()).unwrap().to_owned();
    (text("device_id"), text("sk"))
}

/// The two conditions that the function knows.
fn is_met(condition: Option<&str>, there: Option<&Value>, body: &Value) -> bool {
    let Some(there) = there else { return true };
    match condition {
        None => true,
        Some("attribute_not_exists(sk)") => false,
        Some("attribute_not_exists(as_of) OR as_of < :this") => {
            let this = body["ExpressionAttributeValues"][":this"]["S"].as_str().unwrap();
            there["as_of"]["S"].as_str().is_none_or(|known| known < this)
        }
        Some(other) => panic!("{other}: not a condition of this double"),
    }
}

fn error(code: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "as the test wants it" })
}
