//! The real binary, served by a Lambda Runtime API that answers with what a test scripts
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).

use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::PATIENCE;
use super::http::Exchange;

/// The binary under test; killed when dropped.
pub struct Function {
    child: Child,
    events: Sender<(String, Duration)>,
    answers: Receiver<(String, Value)>,
}

impl Function {
    /// Started as Lambda starts it, with these variables beside Lambda's own.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let child = command(&listener.local_addr().unwrap().to_string(), variables).spawn().unwrap();
        let ((events, next), (post, answers)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || runtime_api(&listener, &next, &post));
        Self { child, events, answers }
    }

    /// Its answer to one event, with as much time as it may want.
    pub fn answer(&self, event: &Value) -> Value {
        let (path, answer) = self.post(&event.to_string(), PATIENCE);
        assert!(path.ends_with("/response"), "{path}: {answer}");
        answer
    }

    /// The request that it posts for one event within `time`: path and body.
    pub fn post(&self, event: &str, time: Duration) -> (String, Value) {
        self.events.send((event.to_owned(), time)).unwrap();
        self.answers.recv_timeout(PATIENCE).unwrap()
    }

    /// Stops it and returns its log, every line of which must be JSON.
    pub fn stop(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It is gone already when the test has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit of the binary if it cannot start with these variables.
pub fn ending(variables: &[(&str, &str)]) -> Output {
    command("127.0.0.1:1", variables).output().unwrap()
}

fn command(runtime_api: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lambda-handler"));
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "sensor-handler")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .envs(variables.iter().copied())
        .stdout(Stdio::piped());
    command
}

/// Hands out the events one by one. After the last one the function waits, so that it logs no error before it is
/// stopped.
fn runtime_api(listener: &TcpListener, events: &Receiver<(String, Duration)>, post: &Sender<(String, Value)>) {
    let mut exchanges = listener.incoming().filter_map(|stream| Exchange::open(stream.unwrap()));
    for number in 0.. {
        let next = exchanges.next().unwrap();
        assert_eq!(next.path, "/2018-06-01/runtime/invocation/next");
        let Ok((event, time)) = events.recv() else { return thread::park() };
        let deadline = (SystemTime::now() + time).duration_since(UNIX_EPOCH).unwrap().as_millis();
        let (deadline, request) = (deadline.to_string(), format!("request-{number}"));
        let headers = [("lambda-runtime-deadline-ms", &*deadline), ("lambda-runtime-aws-request-id", &*request)];
        next.answer("200 OK", &headers, &event);
        let answer = exchanges.next().unwrap();
        let posted = (answer.path.clone(), serde_json::from_slice(&answer.body).unwrap());
        answer.answer("202 Accepted", &[], "");
        if post.send(posted).is_err() {
            return;
        }
    }
}
