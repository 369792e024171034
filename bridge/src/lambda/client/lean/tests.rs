//! Compares the requests of both clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::sdk::{self, Sdk};
use super::*;
use crate::aws::{Answering, LocalEndpoint, MadeUp, Service};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps a request of the SDK and answers none.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Option<hyper::Request<Bytes>>>>);

impl Service for Kept {
    fn answer(&self, request: hyper::Request<Bytes>) -> Answering {
        *self.0.lock().unwrap() = Some(request);
        Box::pin(async { Err(std::io::Error::other("kept")) })
    }
}

/// The request of the SDK, or none without an endpoint.
async fn of_the_sdk(made_up: MadeUp, function: &str, kind: Kind, request: Request) -> Option<hyper::Request<Bytes>> {
    let kept = Kept::default();
    let sent = Sdk::new(&made_up.in_memory(kept.clone()), function, TIMEOUT).call(kind, request).await;
    assert!(sent.is_err());
    kept.0.lock().unwrap().take()
}

fn time_of(stamp: &str) -> SystemTime {
    let (day, time) = stamp.split_once('T').unwrap();
    let text = format!("{}-{}-{}T{}:{}:{}", &day[..4], &day[4..6], &day[6..], &time[..2], &time[2..4], &time[4..]);
    humantime::parse_rfc3339(&text).unwrap()
}

/// Headers that describe only the client.
fn is_of_the_client(name: &str) -> bool {
    name.starts_with("amz-sdk-") || ["user-agent", "x-amz-user-agent", "content-length"].contains(&name)
}

/// The URL that both have, when both send the same; `None` when neither sends anything.
async fn same(made_up: MadeUp, function: &str, kind: Kind, request: Request) -> Option<String> {
    let made = made_up.on_the_network();
    let endpoint = sdk::endpoint(&made);
    let Some(theirs) = of_the_sdk(made_up, function, kind, request.clone()).await else {
        assert_eq!(endpoint, None);
        return None;
    };
    let endpoint = endpoint.expect("the SDK has one");
    let lean = Lean::new(&made, &endpoint, function, TIMEOUT).unwrap();
    assert_eq!(theirs.uri().to_string(), url(&endpoint, function).unwrap());
    assert_eq!(theirs.body(), &request.event);

    let identity = made.ready().identity().await.unwrap();
    let stamp = theirs.headers()["x-amz-date"].to_str().unwrap();
    let ours = lean.request(kind, request.clone(), &identity, time_of(stamp)).unwrap();
    assert_eq!(ours.method(), theirs.method());
    let unsigned = |name: &str| name == "authorization" || name == "host" || is_of_the_client(name);
    let signed = |headers: &HeaderMap| {
        let all = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        all.filter(|(name, _)| !unsigned(name)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(signed(ours.headers()), signed(theirs.headers()));

    // The SDK signs headers that only it has, so its signature is made again from its own.
    let authorization = theirs.headers()["authorization"].to_str().unwrap();
    let names = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let host = lean.target.host().to_str().unwrap();
    let value = |name| if name == "host" { host } else { theirs.headers()[name].to_str().unwrap() };
    let headers: Vec<_> = names.split(';').map(|name| (name, value(name))).collect();
    let signed = Prepared::new("POST", &aws::canonical(lean.target.path()), &headers);
    let moment = lean.signer.moment(&identity, time_of(stamp)).unwrap();
    assert_eq!(moment.authorization(&signed, &[], &request.event), authorization);
    // The signature covers every header that the bridge sends and Lambda may use.
    let ours = ours.headers();
    let covered = ours["authorization"].to_str().unwrap().split("SignedHeaders=").nth(1).unwrap();
    let covered = covered.split(',').next().unwrap();
    let sent: BTreeSet<_> = ours.keys().map(hyper::header::HeaderName::as_str).collect();
    let sent: Vec<_> = sent.into_iter().filter(|name| !["authorization", "user-agent", TRACE].contains(name)).collect();
    assert_eq!(ours.contains_key(TRACE), request.trace.is_some());
    assert_eq!(covered, sent.join(";"));
    Some(theirs.uri().to_string())
}

fn event(text: &str) -> Request {
    text.as_bytes().to_vec().into()
}

#[tokio::test]
async fn endpoints_are_those_of_the_sdk() {
    let mut seen = BTreeMap::new();
    for region in
        ["eu-west-1", "us-east-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eu-isoe-west-1", "new-place-7"]
    {
        for (fips, dual_stack) in [(false, false), (true, false), (false, true), (true, true)] {
            let made_up = MadeUp { fips, dual_stack, ..MadeUp::of(region) };
            let url = same(made_up, "f", Kind::RequestResponse, event("{}")).await;
            seen.insert((region, fips, dual_stack), url);
        }
    }
    let of = |region, fips, dual_stack| seen[&(region, fips, dual_stack)].clone().unwrap();
    assert!(of("cn-north-1", false, false).starts_with("https://lambda.cn-north-1.amazonaws.com.cn/"));
    assert!(of("us-gov-west-1", true, false).starts_with("https://lambda-fips.us-gov-west-1.amazonaws.com/"));
    assert!(of("eu-west-1", false, true).starts_with("https://lambda.eu-west-1.api.aws/"));
}

#[tokio::test]
async fn endpoints_of_the_environment_are_those_of_the_sdk() {
    let all = MadeUp { endpoint: Some("http://other.test:1"), ..MadeUp::of("eu-west-1") };
    for of_lambda in [
        "http://127.0.0.1:4566",
        "https://vpce-1.lambda.eu-west-1.vpce.amazonaws.com",
        "https://vpce-1.lambda.eu-west-1.vpce.amazonaws.com/",
        "http://emulator.test/base",
        "http://emulator.test:8080/base/of/it/",
        "https://emulator.test:443",
        "http://[::1]:4566",
    ] {
        let made_up = MadeUp { of_lambda: Some(of_lambda), ..all };
        let url = same(made_up, "f", Kind::RequestResponse, event("{}")).await.unwrap();
        assert!(url.starts_with(of_lambda.trim_end_matches('/')), "{url}");
    }
    let url = same(all, "f", Kind::RequestResponse, event("{}")).await.unwrap();
    assert!(url.starts_with("http://other.test:1/2015-03-31/"), "{url}");
    let fips = MadeUp { fips: true, ..all };
    assert_eq!(same(fips, "f", Kind::RequestResponse, event("{}")).await, None, "FIPS and an endpoint of one's own");
}

#[tokio::test]
async fn every_kind_of_call_is_that_of_the_sdk() {
    let functions = [
        "sensor-handler",
        "sensor-handler:live",
        "sensor-handler:$LATEST",
        "123456789012:function:f",
        "arn:aws:lambda:eu-west-1:123456789012:function:sensor-handler:7",
    ];
    for function in functions {
        for kind in [Kind::RequestResponse, Kind::Event, Kind::DryRun] {
            for token in [None, Some("IQoJb3JpZ2luX2VjEXAMPLE//+==")] {
                for (context, trace) in
                    [(None, None), (Some("eyJjdXN0b20iOnt9fQ=="), Some("Root=1-0-1;Parent=2;Sampled=1"))]
                {
                    for body in ["", "{}", r#"{"records":[{"payload":"é"}]}"#] {
                        let request = Request {
                            context: context.map(str::to_owned),
                            trace: trace.map(str::to_owned),
                            ..event(body)
                        };
                        same(MadeUp { token, ..MadeUp::of("eu-west-1") }, function, kind, request).await.unwrap();
                    }
                }
            }
        }
    }
}

/// The date of a request that gets this response.
async fn answered(listener: &TcpListener, head: &str) -> SystemTime {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = String::new();
    while !request.ends_with("{}") {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        request.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let stamp = request.lines().find_map(|line| line.strip_prefix("x-amz-date: ")).unwrap();
    time_of(stamp)
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_corrected_by_a_refusal_of_the_service_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lean = Lean::new(&Aws::local(LocalEndpoint { url: url.clone() }), &url, "f", TIMEOUT).unwrap();
    let call = async |head: &str| {
        let call = lean.call(Kind::RequestResponse, event("{}"));
        let (said, date) = tokio::join!(call, answered(&listener, head));
        said.unwrap();
        date
    };
    let before = call("403 X\r\ndate: Fri, 01 Jan 2100 00:00:00 GMT").await;
    let refused = call("403 X\r\nx-amzn-requestid: 1\r\ndate: Fri, 01 Jan 2100 00:00:00 GMT").await;
    let after = call("403 X\r\nx-amzn-requestid: 1\r\ndate: Tue, 01 Jan 2030 00:00:00 GMT").await;
    let back = call("200 OK").await;
    let year = |at: SystemTime| humantime::format_rfc3339(at).to_string()[..4].to_owned();
    assert_eq!(year(before), year(refused), "who names no request is not the service");
    assert_eq!([year(after), year(back)], ["2100", "2030"]);
}

#[tokio::test]
async fn a_token_that_no_header_can_hold_is_a_fault_of_the_set_up() {
    let made_up = MadeUp { token: Some("line\nend"), ..MadeUp::of("eu-west-1") };
    let aws = made_up.on_the_network();
    let lean = Lean::new(&aws, "http://127.0.0.1:1", "f", TIMEOUT).unwrap();
    let fault = lean.call(Kind::RequestResponse, event("{}")).await.unwrap_err();
    assert_eq!(fault, Fault::Request);
    assert!(!format!("{fault} {fault:?} {lean:?}").contains("line"), "{lean:?}");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let aws = MadeUp { token: Some("made-up-token"), ..MadeUp::of("eu-west-1") }.on_the_network();
    let lean = Lean::new(&aws, "http://127.0.0.1:1", "f", TIMEOUT).unwrap();
    let identity = aws.ready().identity().await.unwrap();
    let request = lean.request(Kind::RequestResponse, event("{}"), &identity, SystemTime::now()).unwrap();
    let shown = format!("{lean:?} {:?}", request.headers());
    assert!(!shown.contains("made-up") && !shown.contains("Signature"), "{shown}");
}
