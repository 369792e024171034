//! The real binary, served by a Lambda Runtime API that answers with what a test scripts.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

const EVENT: &str = include_str!("../../event/fixtures/event.json");
const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn an_event_is_answered_and_each_reading_is_one_json_line() {
    let (answers, log) = invocations(&[EVENT]);
    let (path, answer) = &answers[0];
    assert_eq!(path, "/2018-06-01/runtime/invocation/request-0/response");
    let failures = answer["batchItemFailures"].as_array().unwrap();
    let failed: Vec<_> = failures.iter().map(|f| (f["itemIdentifier"].as_str().unwrap(), &f["retry"])).collect();
    assert_eq!(failed, [("5b1f0c7e9a3d2468-2", &json!(false)), ("5b1f0c7e9a3d2468-3", &json!(false))]);

    let readings: Vec<_> = log.iter().filter(|line| line["message"] == "reading").collect();
    assert_eq!(readings.len(), 1, "{log:?}");
    for (field, value) in [
        ("level", json!("INFO")),
        ("device_id", json!("C-Client-01")),
        ("temperature", json!(24.5)),
        ("status", json!("OK")),
        ("record", json!("5b1f0c7e9a3d2468-1")),
        ("topic", json!("sensor/data")),
    ] {
        assert_eq!(readings[0][field], value, "{field} in {log:?}");
    }
    assert_eq!(log[0]["store"], "no table configured, readings are only logged");
}

#[test]
fn an_event_that_is_not_ours_fails_and_the_next_one_is_served() {
    let (answers, _) = invocations(&[r#"{"device_id":"C-Client-01","temperature":24.5,"status":"OK"}"#, EVENT]);
    let (path, answer) = &answers[0];
    assert_eq!(path, "/2018-06-01/runtime/invocation/request-0/error");
    assert_eq!(answer["errorType"], "InvalidEvent");
    let message = answer["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("event: missing field `eventSource`"), "{message}");
    assert_eq!(answers[1].0, "/2018-06-01/runtime/invocation/request-1/response");
}

#[test]
fn outside_lambda_it_stops_and_says_why() {
    let output = Command::new(env!("CARGO_BIN_EXE_lambda-handler")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("AWS_LAMBDA_RUNTIME_API: not set: this program runs inside AWS Lambda"), "{log}");
}

/// What the function posted for each event, as path and body, and what it logged.
fn invocations(events: &'static [&str]) -> (Vec<(String, Value)>, Vec<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut function = Function::start(&listener);
    let (post, posts) = mpsc::channel();
    thread::spawn(move || runtime_api(&listener, events, &post));
    let posted = events.iter().map(|_| posts.recv_timeout(DEADLINE).unwrap()).collect();
    (posted, function.stop())
}

/// Hands out the events one by one, then lets the function wait for ever.
fn runtime_api(listener: &TcpListener, events: &[&str], post: &Sender<(String, Value)>) {
    let mut requests = listener.incoming().filter_map(|stream| Connection::open(stream.unwrap()));
    for (number, event) in events.iter().enumerate() {
        let (mut next, path, _) = requests.next().unwrap();
        assert_eq!(path, "/2018-06-01/runtime/invocation/next");
        next.answer("200 OK", number, event);
        let (mut answer, path, body) = requests.next().unwrap();
        answer.answer("202 Accepted", number, "");
        post.send((path, serde_json::from_slice(&body).unwrap())).unwrap();
    }
    // Held open, so that the function has nothing to complain of before it is stopped.
    let _waiting = requests.next();
    thread::park();
}

/// The binary under test; killed when dropped.
struct Function(Child);

impl Function {
    fn start(runtime_api: &TcpListener) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_lambda-handler"))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api.local_addr().unwrap().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "sensor-handler")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Stops it and returns its log, every line of which must be JSON.
    fn stop(&mut self) -> Vec<Value> {
        self.0.kill().unwrap();
        let mut log = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It is gone already when the test has stopped it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One HTTP/1.1 exchange: a request is read when it is opened, and the answer closes it.
struct Connection(TcpStream);

impl Connection {
    /// `None` for a connection that was closed before it asked anything.
    fn open(stream: TcpStream) -> Option<(Self, String, Vec<u8>)> {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head: Vec<String> =
            reader.by_ref().lines().map(io::Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let path = head.first()?.split(' ').nth(1)?.to_owned();
        let length =
            head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        Some((Self(stream), path, body))
    }

    fn answer(&mut self, status: &str, request: usize, body: &str) {
        let length = body.len();
        write!(
            self.0,
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\nlambda-runtime-deadline-ms: 1\r\n\
             lambda-runtime-aws-request-id: request-{request}\r\n\r\n{body}"
        )
        .unwrap();
    }
}
