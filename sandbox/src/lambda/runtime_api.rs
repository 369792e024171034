//! The Runtime API for one process: hands it an event at a time and takes its answer. Starts and ends no process.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. Each process has a listener of its own, because
//! `AWS_LAMBDA_RUNTIME_API` holds a host and a port and nothing that could tell processes apart.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::function::{ANSWER_LIMIT, Answer, Call};
use super::http::{self, Reply, Reset, Unread};
use super::{SYNC_LIMIT, lock};

/// The Runtime API of one process. Ends when dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    events: mpsc::Sender<Call>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    events: tokio::sync::Mutex<mpsc::Receiver<Call>>,
    current: Mutex<Option<Current>>,
    polled: watch::Sender<bool>,
    init_error: Mutex<Option<Bytes>>,
}

/// The event that the process owes an answer for.
#[derive(Debug)]
struct Current {
    request_id: String,
    handed_over: bool,
    answer: oneshot::Sender<Answer>,
}

impl RuntimeApi {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events, receiver) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            events: tokio::sync::Mutex::new(receiver),
            current: Mutex::default(),
            polled: watch::Sender::default(),
            init_error: Mutex::default(),
        });
        let api = Arc::clone(&shared);
        let server = tokio::spawn(http::serve(listener, move |request| route(Arc::clone(&api), request)));
        Ok(Self { address, events, shared, server })
    }

    /// Waits until the process has asked for its first event, which ends its init phase.
    pub(super) async fn initialised(&self) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.shared.polled.subscribe().wait_for(|polled| *polled).await;
    }

    /// The error that the process told of its init phase.
    pub(super) fn init_error(&self) -> Option<Bytes> {
        lock(&self.shared.init_error).take()
    }

    /// Gives the process its next event, and a way to wait for its answer.
    pub(super) async fn hand_over(&self, call: Call) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let request_id = call.request_id.clone();
        *lock(&self.shared.current) = Some(Current { request_id, handed_over: false, answer });
        // The receiver lives as long as `self`, and there is room: the process has one event at a time.
        let _ = self.events.send(call).await;
        answered
    }

    /// Whether the process has taken the event and still owes the answer.
    pub(super) fn owes_answer(&self) -> bool {
        lock(&self.shared.current).as_ref().is_some_and(|current| current.handed_over)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let path = uri.path().strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
    match (method, &path.split('/').collect::<Vec<_>>()[..]) {
        (Method::GET, ["invocation", "next"]) => Ok(next(&shared).await),
        (Method::POST, ["invocation", id, "response"]) => match http::read(request.into_body(), ANSWER_LIMIT).await {
            Ok(body) => Ok(settle(&shared, id, Answer::Ok(body))),
            Err(Unread::TooLong) => {
                settle(&shared, id, Answer::response_too_large());
                let message = format!("Exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes).");
                Ok(error(413, "RequestEntityTooLarge", &message))
            }
            Err(Unread::Gone) => Err(Reset),
        },
        (Method::POST, ["invocation", id, "error"]) => {
            let body = http::read(request.into_body(), SYNC_LIMIT).await.map_err(|_| Reset)?;
            Ok(settle(&shared, id, Answer::Error(body)))
        }
        (Method::POST, ["init", "error"]) => {
            let body = http::read(request.into_body(), SYNC_LIMIT).await.map_err(|_| Reset)?;
            *lock(&shared.init_error) = Some(body);
            Ok(accepted())
        }
        _ => Ok(error(404, "UnknownOperation", "no such path of the Runtime API")),
    }
}

/// Waits, for as long as it takes, for an event.
async fn next(shared: &Shared) -> Response<Reply> {
    shared.polled.send_replace(true);
    let Some(call) = shared.events.lock().await.recv().await else {
        return error(500, "Runtime.Unavailable", "the local Lambda is ending");
    };
    if let Some(current) = lock(&shared.current).as_mut() {
        current.handed_over = true;
    }
    let deadline = call.deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut headers = vec![
        ("lambda-runtime-aws-request-id", call.request_id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", call.function_arn),
        ("lambda-runtime-trace-id", call.trace_id),
    ];
    headers.extend(call.client_context.map(|context| ("lambda-runtime-client-context", context)));
    http::json(200, &headers, call.payload)
}

/// Takes the answer, when it is about the event that is under way.
fn settle(shared: &Shared, id: &str, answer: Answer) -> Response<Reply> {
    let current = lock(&shared.current).take_if(|current| current.handed_over && current.request_id == id);
    let Some(current) = current else { return error(400, "InvalidRequestID", "Invalid request ID") };
    // An error means that the invocation has just timed out.
    let _ = current.answer.send(answer);
    accepted()
}

fn accepted() -> Response<Reply> {
    http::json(202, &[], json!({"status": "OK"}).to_string())
}

fn error(status: u16, kind: &str, message: &str) -> Response<Reply> {
    http::json(status, &[], json!({"errorType": kind, "errorMessage": message}).to_string())
}
