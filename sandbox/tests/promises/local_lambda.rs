//! The local Lambda behaves like AWS's: its responses, its refusals, and how it treats processes.
//!
//! Speaks plain HTTP, so that no client's own opinion stands between the test and the wire.

use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sandbox::lambda::{Action, Answer, Body, EVENT_LIMIT, Fault, Function, Kind, Lambda, Outcome, SYNC_LIMIT, When};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The longest that anything here may take.
const DEADLINE: Duration = Duration::from_mins(3);

/// A bootstrap that answers with its process id, or does what the event says.
const BOOTSTRAP: &str = r#"
call() {
  exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\/}"
  printf '%s /2018-06-01/runtime/%s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s' \
    "$1" "$2" "${#3}" "$3" >&3
  cat <&3
  exec 3>&-
}
while :; do
  event=$(call GET invocation/next)
  id=$(grep -i '^lambda-runtime-aws-request-id:' <<<"$event" | tr -d '\r' | cut -d' ' -f2)
  answer=$$
  case "$event" in
    *'"exit"'*) exit 7 ;;
    *'"linger"'*) exec sleep 60 ;;
    *'"say"'*) echo "out $id"; echo "err $id" >&2 ;;
    *'"environment"'*) answer="\"$(env | cut -d= -f1 | sort | tr '\n' ' ')\"" ;;
    *'"throw"'*) call POST "invocation/$id/error" '{"errorType":"Oops","errorMessage":"thrown"}' >/dev/null; continue ;;
  esac
  call POST "invocation/$id/response" "$answer" >/dev/null
  case "$event" in *'"leave"'*) exit 0 ;; esac
done
"#;

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// One request on a connection of its own. A body that ends early is an error.
async fn request(lambda: &Lambda, line: &str, headers: &str, body: &[u8]) -> Result<Reply, Error> {
    let mut stream = TcpStream::connect(lambda.address()).await?;
    let length = body.len();
    let head =
        format!("{line} HTTP/1.1\r\nhost: lambda\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await??;
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let reply = Reply {
        head: String::from_utf8(bytes[..split].to_vec()).unwrap(),
        status: std::str::from_utf8(&bytes[9..12]).unwrap().parse().unwrap(),
        body: bytes[split + 4..].to_vec(),
    };
    let promised = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
    if reply.body.len() == promised { Ok(reply) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

async fn invoke(lambda: &Lambda, function: &str, kind: Kind, body: &[u8]) -> Result<Reply, Error> {
    let line = format!("POST /2015-03-31/functions/{function}/invocations");
    request(lambda, &line, &format!("X-Amz-Invocation-Type: {kind}\r\n"), body).await
}

async fn call(lambda: &Lambda, body: &Value) -> Reply {
    invoke(lambda, "f", Kind::RequestResponse, body.to_string().as_bytes()).await.unwrap()
}

/// A function that answers with its event.
fn echo() -> Function {
    Function::inline("f", |call| async move { Answer::Ok(call.payload) })
}

/// A function that counts its runs, each of which waits for a permit.
fn gated() -> (Function, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, runs) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (at_gate, counter) = (Arc::clone(&gate), Arc::clone(&runs));
    let function = Function::inline("f", move |_| {
        let (gate, runs) = (Arc::clone(&at_gate), Arc::clone(&counter));
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            Answer::null()
        }
    });
    (Function { timeout: DEADLINE, ..function }, gate, runs)
}

fn bash(script: &str) -> Function {
    let body = Body::Process {
        bootstrap: "/bin/bash".into(),
        args: vec!["-c".into(), script.into()],
        env: [("GREETING".to_owned(), "hello".to_owned())].into(),
    };
    Function { body, ..Function::process("f", "") }
}

#[tokio::test]
async fn an_answer_comes_back_and_is_on_record() {
    let lambda = Lambda::start([Function { aliases: vec!["live".into()], ..echo() }]).await.unwrap();
    let event = include_bytes!("../../../event/fixtures/event.json");
    let reply = invoke(&lambda, "f%3Alive", Kind::RequestResponse, event).await.unwrap();
    assert_eq!((reply.status, &reply.body[..]), (200, &event[..]));
    assert_eq!(reply.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(reply.header("x-amz-function-error"), None);
    let record = lambda.log().invocations().remove(0);
    assert_eq!(reply.header("x-amzn-requestid"), Some(&*record.request_id));
    assert_eq!(record.record_ids.len(), serde_json::from_slice::<event::Event>(event).unwrap().records.len());
    assert!(matches!(record.outcome, Some(Outcome::Answered(answer)) if answer == record.payload));
    assert!(record.ran && record.ended.is_some());
}

#[tokio::test]
async fn what_the_service_refuses_does_not_run() {
    let (function, _gate, runs) = gated();
    let lambda = Lambda::start([function]).await.unwrap();
    let large = format!("\"{}\"", "x".repeat(SYNC_LIMIT - 1)).into_bytes();
    let cases: [(&str, Kind, &[u8], u16, &str); 7] = [
        ("g", Kind::RequestResponse, b"{}", 404, "ResourceNotFoundException"),
        ("f:live", Kind::RequestResponse, b"{}", 404, "ResourceNotFoundException"),
        ("g", Kind::DryRun, b"{}", 404, "ResourceNotFoundException"),
        ("f", Kind::RequestResponse, b"{", 400, "InvalidRequestContentException"),
        ("f", Kind::Event, b"\xff", 400, "InvalidRequestContentException"),
        ("f", Kind::RequestResponse, &large, 413, "RequestEntityTooLargeException"),
        ("f", Kind::Event, &large[..=EVENT_LIMIT], 413, "RequestEntityTooLargeException"),
    ];
    for (function, kind, payload, status, code) in cases {
        let reply = invoke(&lambda, function, kind, payload).await.unwrap();
        assert_eq!((reply.status, reply.header("x-amzn-errortype")), (status, Some(code)), "{function} {kind}");
    }
    assert_eq!(invoke(&lambda, "f", Kind::DryRun, b"{}").await.unwrap().status, 204);
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let totals = lambda.log().totals();
    assert_eq!((totals.refused, totals.dry_runs, totals.in_flight), (7, 1, 0));
}

#[tokio::test]
async fn the_configuration_tells_the_timeout_to_those_who_may_know() {
    let secret = Function { name: "g".into(), configuration_readable: false, ..echo() };
    let lambda = Lambda::start([Function { timeout: Duration::from_secs(42), ..echo() }, secret]).await.unwrap();
    let read = async |name: &str| {
        request(&lambda, &format!("GET /2015-03-31/functions/{name}/configuration"), "", b"").await.unwrap()
    };
    let configuration = read("f").await.json();
    assert_eq!(configuration["Timeout"], 42);
    assert_eq!(configuration["State"], "Active");
    assert_eq!(configuration["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f");
    assert_eq!((read("g").await.status, read("h").await.status), (403, 404));
}

#[tokio::test]
async fn one_invocation_more_than_the_concurrency_is_throttled() {
    let (function, gate, _) = gated();
    let lambda = Lambda::start([Function { concurrency: 1, ..function }]).await.unwrap();
    let second = async {
        lambda.log().wait_for(DEADLINE, |history| history.totals().in_flight == 1).await.unwrap();
        let reply = call(&lambda, &json!({})).await;
        gate.add_permits(2);
        reply
    };
    let event = json!({});
    let (first, second) = tokio::join!(call(&lambda, &event), second);
    assert_eq!((first.status, second.status), (200, 429));
    assert_eq!(second.header("x-amzn-errortype"), Some("TooManyRequestsException"));
    assert_eq!(second.json()["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_eq!(call(&lambda, &json!({})).await.status, 200);
    assert_eq!(lambda.log().totals().throttled, 1);
}

#[tokio::test]
async fn events_are_taken_at_once_and_run_in_their_turn() {
    let (function, gate, runs) = gated();
    let lambda = Lambda::start([Function { concurrency: 1, ..function }]).await.unwrap();
    for _ in 0..3 {
        let reply = invoke(&lambda, "f", Kind::Event, b"{}").await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (202, 0));
    }
    assert!(runs.load(Ordering::SeqCst) <= 1);
    gate.add_permits(3);
    lambda.log().wait_for(DEADLINE, |history| history.totals().succeeded == 3).await.unwrap();
}

#[tokio::test]
async fn timeouts_and_panics_are_function_errors() {
    let slow = Function::inline("f", |call| async move {
        assert_ne!(call.payload, "\"panic\"");
        std::future::pending().await
    });
    let lambda = Lambda::start([Function { timeout: Duration::from_millis(50), ..slow }]).await.unwrap();
    let reply = call(&lambda, &json!({})).await;
    assert_eq!((reply.status, reply.header("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!(reply.json()["errorType"], "Sandbox.Timedout");
    assert!(reply.json()["errorMessage"].as_str().unwrap().ends_with("Error: Task timed out after 0.05 seconds"));
    assert_eq!(call(&lambda, &json!("panic")).await.json()["errorType"], "Runtime.ExitError");
    assert_eq!(lambda.log().totals().failed, 2);
}

#[tokio::test]
async fn faults_strike_as_they_are_told() {
    let lambda = Lambda::start([echo()]).await.unwrap();
    let faults = lambda.faults();
    faults.add(Fault::new(When::Nth(2), Action::throttle(Some(Duration::from_secs(3)))));
    faults.add(Fault::new(When::Always, Action::status(403)).kind(Kind::DryRun));
    faults.add(Fault::new(When::Always, Action::function_error("Poison", "no")).containing("poison"));
    let statuses = [call(&lambda, &json!(1)).await, call(&lambda, &json!(2)).await, call(&lambda, &json!(3)).await];
    assert_eq!(statuses.each_ref().map(|reply| reply.status), [200, 429, 200]);
    assert_eq!(statuses[1].header("retry-after"), Some("3"));
    let poison = call(&lambda, &json!("poison")).await;
    assert_eq!((poison.status, poison.header("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!(poison.json()["errorType"], "Poison");
    assert!(!lambda.log().invocations()[3].ran);
    assert_eq!(invoke(&lambda, "f", Kind::DryRun, b"{}").await.unwrap().status, 403);
    faults.clear();
    assert_eq!(call(&lambda, &json!("poison")).await.header("x-amz-function-error"), None);
}

#[tokio::test]
async fn cut_connections_are_reset_before_or_after_the_run() {
    let lambda = Lambda::start([echo()]).await.unwrap();
    for (action, ran) in [(Action::Cut, false), (Action::RunThenCut, true)] {
        for kind in [Kind::RequestResponse, Kind::Event] {
            lambda.faults().clear();
            lambda.faults().add(Fault::new(When::Next(1), action.clone()));
            let error = invoke(&lambda, "f", kind, b"{}").await.err().expect("no answer");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{action} {kind}");
            lambda.log().wait_for(DEADLINE, |history| history.totals().in_flight == 0).await.unwrap();
            let record = lambda.log().invocations().pop().unwrap();
            assert_eq!((record.ran, record.fault.as_ref()), (ran, Some(&action)), "{action} {kind}");
            assert_eq!(record.outcome, Some(Outcome::Unanswered), "{action} {kind}");
        }
    }
    assert_eq!(call(&lambda, &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_stall_sends_half_and_a_hang_nothing() {
    let lambda = Lambda::start([echo()]).await.unwrap();
    for (action, ran, half) in [(Action::Stall, true, "\"01234"), (Action::Hang, false, "")] {
        lambda.faults().clear();
        lambda.faults().add(Fault::new(When::Always, action.clone()));
        let mut stream = TcpStream::connect(lambda.address()).await.unwrap();
        let head = "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n";
        stream.write_all(format!("{head}\"0123456789\"").as_bytes()).await.unwrap();
        let mut got = Vec::new();
        while !half.is_empty() && !got.ends_with(half.as_bytes()) {
            assert_ne!(timeout(DEADLINE, stream.read_buf(&mut got)).await.unwrap().unwrap(), 0, "{action}");
        }
        // Any further line would arrive now.
        timeout(Duration::from_millis(100), stream.read_buf(&mut got)).await.unwrap_err();
        drop(stream);
        lambda.log().wait_for(DEADLINE, |history| history.totals().in_flight == 0).await.unwrap();
        let record = lambda.log().invocations().pop().unwrap();
        assert_eq!((record.ran, record.outcome), (ran, Some(Outcome::Unanswered)), "{action}");
    }
}

#[tokio::test]
async fn a_function_runs_on_when_its_caller_hangs_up() {
    let (function, gate, _) = gated();
    let lambda = Lambda::start([function]).await.unwrap();
    let head = "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let mut stream = TcpStream::connect(lambda.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    lambda.log().wait_for(DEADLINE, |history| history.totals().in_flight == 1).await.unwrap();
    drop(stream);
    gate.add_permits(1);
    lambda.log().wait_for(DEADLINE, |history| history.totals().succeeded == 1).await.unwrap();
}

/// API reference, operation Invoke, `ClientContext`: base64 of JSON, up to 3,583 bytes of it, for synchronous invocations only.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_context_reaches_the_function_in_synchronous_invocations() {
    let echo = Function::inline("f", |call| async move { Answer::json(&call.client_context) });
    let lambda = Lambda::start([echo]).await.unwrap();
    let invoke = async |kind: &str, context: &str| {
        let headers = format!("X-Amz-Invocation-Type: {kind}\r\nX-Amz-Client-Context: {context}\r\n");
        request(&lambda, "POST /2015-03-31/functions/f/invocations", &headers, b"{}").await.unwrap()
    };
    let context = "eyJjdXN0b20iOnsiaWQiOiIxIn19";
    assert_eq!(invoke("RequestResponse", context).await.json(), json!(r#"{"custom":{"id":"1"}}"#));
    assert_eq!(invoke("Event", context).await.status, 202);
    let log = lambda.log();
    log.wait_for(DEADLINE, |log| log.totals().succeeded == 2).await.unwrap();
    let Some(Outcome::Answered(answer)) = log.invocations().remove(1).outcome else { panic!("no answer") };
    assert_eq!(&answer[..], b"null");
    // In base64, of 3,580 and 3,584 bytes.
    let (fits, too_long) =
        (["IiAg", &"ICAg".repeat(893), "ICAi"].concat(), ["IiAg", &"ICAg".repeat(894), "ICAi"].concat());
    assert_eq!((fits.len(), too_long.len()), (3580, 3584));
    assert_eq!(invoke("RequestResponse", &fits).await.status, 200);
    for wrong in ["%", "eyJj", &too_long] {
        let reply = invoke("RequestResponse", wrong).await;
        assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, Some("InvalidRequestContentException")));
    }
}

#[tokio::test]
async fn a_process_is_kept_warm_and_replaced_when_it_leaves() {
    let lambda = Lambda::start([bash(BOOTSTRAP)]).await.unwrap();
    let first = call(&lambda, &json!({})).await.json();
    assert!(first.is_u64(), "{first}");
    assert_eq!(call(&lambda, &json!({})).await.json(), first);
    let thrown = call(&lambda, &json!("throw")).await;
    assert_eq!(thrown.header("x-amz-function-error"), Some("Unhandled"));
    assert_eq!(thrown.json(), json!({"errorType": "Oops", "errorMessage": "thrown"}));
    assert_eq!(call(&lambda, &json!("leave")).await.json(), first);
    let second = call(&lambda, &json!({})).await;
    assert_eq!(second.header("x-amz-function-error"), None);
    assert_ne!(second.json(), first);
}

#[tokio::test]
async fn a_process_that_exits_or_takes_too_long_is_a_function_error() {
    let lambda = Lambda::start([Function { timeout: Duration::from_secs(5), ..bash(BOOTSTRAP) }]).await.unwrap();
    let exit = call(&lambda, &json!("exit")).await;
    assert_eq!((exit.status, exit.header("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!(exit.json()["errorType"], "Runtime.ExitError");
    let message = exit.json()["errorMessage"].as_str().unwrap().to_owned();
    let request_id = exit.header("x-amzn-requestid").unwrap();
    assert_eq!(message, format!("RequestId: {request_id} Error: Runtime exited with error: exit status 7"));
    let before = call(&lambda, &json!({})).await.json();
    assert_eq!(call(&lambda, &json!("linger")).await.json()["errorType"], "Sandbox.Timedout");
    assert!(!alive(&before).await, "the process outlived its timeout");
    assert_ne!(call(&lambda, &json!({})).await.json(), before);
}

#[tokio::test]
async fn a_process_that_fails_to_start_is_a_function_error() {
    let missing = Function::process("g", "/nowhere/bootstrap");
    let init = r#"exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\/}"
        printf 'POST /2018-06-01/runtime/init/error HTTP/1.1\r\nhost: x\r\ncontent-length: 19\r\n\r\n{"errorType":"Bad"}' >&3
        read -r line <&3; exit 1"#;
    let told = Function { name: "h".into(), ..bash(init) };
    let lambda = Lambda::start([bash("exit 0"), missing, told]).await.unwrap();
    let exit = call(&lambda, &json!({})).await.json();
    assert_eq!(exit["errorType"], "Runtime.ExitError");
    assert!(exit["errorMessage"].as_str().unwrap().ends_with("Runtime exited without providing a reason"), "{exit}");
    let missing = invoke(&lambda, "g", Kind::RequestResponse, b"{}").await.unwrap();
    assert_eq!(missing.json()["errorType"], "Runtime.InvalidEntrypoint");
    let told = invoke(&lambda, "h", Kind::RequestResponse, b"{}").await.unwrap();
    assert_eq!((told.json(), told.header("x-amz-function-error")), (json!({"errorType": "Bad"}), Some("Unhandled")));
}

#[tokio::test]
async fn a_process_has_the_environment_of_lambda_and_nothing_of_ours() {
    let lambda = Lambda::start([bash(BOOTSTRAP)]).await.unwrap();
    let names = call(&lambda, &json!("environment")).await.json();
    let names: Vec<_> = names.as_str().unwrap().split_whitespace().collect();
    for expected in ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "GREETING", "_HANDLER"] {
        assert!(names.contains(&expected), "{expected} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("CARGO") || *name == "HOME"), "{names:?}");
}

#[tokio::test]
async fn what_a_process_writes_is_captured() {
    let lambda = Lambda::start([bash(BOOTSTRAP)]).await.unwrap();
    let mut lines = lambda.output().subscribe();
    let reply = call(&lambda, &json!("say")).await;
    let request_id = reply.header("x-amzn-requestid").unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        let line = timeout(DEADLINE, lines.recv()).await.unwrap().unwrap();
        assert_eq!((&*line.function, json!(line.pid)), ("f", reply.json()));
        got.push(line.text);
    }
    got.sort();
    assert_eq!(got, [format!("err {request_id}"), format!("out {request_id}")]);
    assert_eq!(lambda.output().lines().len(), 2);
}

#[tokio::test]
async fn processes_end_with_the_lambda() {
    let lambda = Lambda::start([bash(BOOTSTRAP)]).await.unwrap();
    let stopped = call(&lambda, &json!({})).await.json();
    assert!(alive(&stopped).await);
    lambda.stop().await;
    assert!(!alive(&stopped).await);

    let lambda = Lambda::start([bash(BOOTSTRAP)]).await.unwrap();
    let dropped = call(&lambda, &json!({})).await.json();
    drop(lambda);
    let gone = async { while alive(&dropped).await {} };
    timeout(DEADLINE, gone).await.expect("the process outlived its Lambda");
}

#[tokio::test]
async fn the_real_handler_answers_the_contract() {
    let binaries = tokio::task::spawn_blocking(sandbox::binaries::build).await.unwrap().unwrap();
    assert!(Path::new(&binaries.bridge).is_file());
    let function = Function::process("f", binaries.handler);
    let lambda = Lambda::start([Function { timeout: DEADLINE, ..function }]).await.unwrap();
    let event: Value = serde_json::from_slice(include_bytes!("../../../event/fixtures/event.json")).unwrap();
    let reply = call(&lambda, &event).await;
    assert_eq!((reply.status, reply.header("x-amz-function-error")), (200, None), "{:?}", lambda.output().lines());
    serde_json::from_slice::<event::Response>(&reply.body).unwrap();
}

async fn alive(pid: &Value) -> bool {
    let probe = tokio::process::Command::new("/bin/sh").args(["-c", &format!("kill -0 {pid}")]).output().await;
    probe.unwrap().status.success()
}
