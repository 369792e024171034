//! Promise: a dead, refused or untrusted connection to Lambda never counts as a failure of the function: a message that
//! no function saw is not given up. Connections to AWS follow `AWS_CA_BUNDLE`, `HTTPS_PROXY` and `NO_PROXY`.

use std::time::Duration;

use crate::common::{PATIENCE, eventually, publish, willing};
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::LambdaClient;
use bridge::lambda::Disposition;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::certs::{Identity, Leaf, SignedBy, Validity};
use sandbox::front::{Beyond, Front};
use sandbox::lambda::{Action, Fault, When};
use sandbox::world::{BridgeProcess, FUNCTION, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// With one retry, and a second for the function.
async fn world() -> World {
    with_timeout("1s").await
}

async fn with_timeout(timeout: &str) -> World {
    let builder = World::builder().function(willing()).set("mapping.timeout", timeout).set("mapping.concurrency", "8");
    builder.set("mapping.batch.max_records", "1").set("mapping.retry.max_attempts", "2").without_bridge().await.unwrap()
}

fn tls(identity: &Identity) -> ServerConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.private_pem().as_bytes()).unwrap();
    let mut tls = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls
}

/// An endpoint with TLS before the world's Lambda, which offers HTTP/2 first.
async fn front(world: &World, identity: &Identity) -> Front {
    Front::tls(tls(identity), world.lambda.address()).await.unwrap()
}

async fn trusted(world: &World) -> Front {
    front(world, &world.pki.issue(&Leaf::broker()).unwrap()).await
}

async fn bridge(world: &World, endpoint: &Front, variables: &[&str]) -> BridgeProcess {
    let endpoint = format!("AWS_ENDPOINT_URL=https://localhost:{}", endpoint.port());
    let bundle = format!("AWS_CA_BUNDLE={}", world.files.ca.display());
    let ours = ["/usr/bin/env", &endpoint, &bundle];
    let mut process = world.spawn_bridge_under(&[&ours, variables].concat()).unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    process
}

async fn succeeded(world: &World, messages: u64, process: &BridgeProcess) {
    let succeeded = eventually("succeeded", || world.lambda.log().totals().succeeded >= messages);
    let ended = tokio::time::timeout(PATIENCE, succeeded).await;
    assert!(ended.is_ok(), "{:#?}", process.log());
}

/// Eight connections that are idle afterwards.
async fn warmed_up(world: &World, endpoint: &Front, process: &BridgeProcess) {
    world.lambda.faults().add(Fault::new(When::Next(8), Action::Delay(Duration::from_millis(500))));
    publish(world, 8, |_| {}).await;
    succeeded(world, 8, process).await;
    assert!(endpoint.seen().len() >= 4, "too few connections to prove anything: {:?}", endpoint.seen());
}

/// All idle connections become a black hole, and a message with this padding is lost in one of them, which the log says in these
/// words. Then it succeeds. Returns how many messages have.
async fn swallowed(
    world: &World,
    endpoint: &Front,
    process: &mut BridgeProcess,
    (padding, said): (usize, &str),
) -> u64 {
    for messages in 9..=12 {
        endpoint.black_hole();
        publish(world, 1, |options| options.padding = padding).await;
        succeeded(world, messages, process).await;
        // On a busy machine it may come when all connections have been idle for too long, and take a new one.
        if process.logged(said, Duration::from_secs(5)).await {
            return messages;
        }
    }
    panic!("no message is lost: {:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_connections_in_a_black_hole_cost_one_attempt_and_no_dead_letter() {
    let world = world().await;
    let endpoint = trusted(&world).await;
    let mut process = bridge(&world, &endpoint, &[]).await;
    warmed_up(&world, &endpoint, &process).await;
    let before = endpoint.seen().len();
    let messages = swallowed(&world, &endpoint, &mut process, (0, "timeout")).await;
    publish(&world, 20, |_| {}).await;
    succeeded(&world, messages + 20, &process).await;
    assert_eq!(world.dead_letters().unwrap(), []);
    assert!(endpoint.seen().len() > before);
    assert_eq!(process.count("timeout"), 1, "{:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_a_request_that_nobody_takes_is_no_attempt_and_does_not_take_the_functions_time() {
    let world = with_timeout("15m").await;
    let endpoint = trusted(&world).await;
    let mut process = bridge(&world, &endpoint, &[]).await;
    warmed_up(&world, &endpoint, &process).await;
    // More than the other side's system takes while nobody reads there.
    swallowed(&world, &endpoint, &mut process, (2 << 20, "timed out (os error 110)")).await;
    assert_eq!(process.count("timed out (os error 110)"), 1, "{:#?}", process.log());
    assert_eq!(process.count("\"attempts\":1"), 0, "{:#?}", process.log());
    assert_eq!(world.dead_letters().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_an_endpoint_that_offers_http_2_gets_http_1_1_on_no_more_connections_than_invocations() {
    let world = world().await;
    let endpoint = trusted(&world).await;
    let process = bridge(&world, &endpoint, &[]).await;
    warmed_up(&world, &endpoint, &process).await;
    publish(&world, 100, |_| {}).await;
    succeeded(&world, 108, &process).await;
    let seen = endpoint.seen();
    assert!(seen.len() <= 8, "concurrency is 8: {seen:?}");
    assert!(seen.iter().all(|protocol| protocol == "http/1.1"), "{seen:?}");
}

/// Invocations that have begun and not ended, as the bridge's metrics say.
fn under_way(process: &BridgeProcess) -> usize {
    use std::io::{Read, Write};
    let admin =
        |line: String| serde_json::from_str::<serde_json::Value>(&line).ok()?["admin"].as_str().map(str::to_owned);
    let admin = process.log().into_iter().find_map(admin).unwrap();
    let mut stream = std::net::TcpStream::connect(admin).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find(|line| line.starts_with("mqtt_lambda_bridge_invocations_in_flight{"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// While no handshake ends, there are a few connections, however many invocations wait for one; then all are answered.
#[tokio::test(flavor = "multi_thread")]
async fn f41_a_cold_start_makes_a_few_connections_at_once() {
    let world = world().await;
    let endpoint = trusted(&world).await;
    endpoint.hold_handshakes(true);
    let process = bridge(&world, &endpoint, &["BRIDGE_MAPPING_CONCURRENCY=64"]).await;
    publish(&world, 64, |_| {}).await;
    eventually("64 invocations are under way", || under_way(&process) == 64).await;
    eventually("a connection is made", || endpoint.waiting() >= 1).await;
    let waiting = endpoint.waiting();
    assert!(waiting <= 8, "{waiting} connections at once");
    endpoint.hold_handshakes(false);
    succeeded(&world, 64, &process).await;
    assert_eq!(world.dead_letters().unwrap(), []);
    assert!(endpoint.seen().len() <= 64, "{:?}", endpoint.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_a_404_of_an_old_address_heals_without_a_dead_letter() {
    let world = world().await;
    let endpoint = trusted(&world).await;
    let mut process = bridge(&world, &endpoint, &[]).await;
    warmed_up(&world, &endpoint, &process).await;
    endpoint.moved();
    publish(&world, 20, |_| {}).await;
    succeeded(&world, 28, &process).await;
    assert!(process.logged("404", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(world.dead_letters().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_an_endpoint_that_takes_fewer_connections_than_invocations_is_slow_and_loses_nothing() {
    for beyond in [Beyond::Reset, Beyond::Silence] {
        let world = world().await;
        let identity = world.pki.issue(&Leaf::broker()).unwrap();
        let endpoint = Front::tls_for(2, beyond, tls(&identity), world.lambda.address()).await.unwrap();
        let mut process = bridge(&world, &endpoint, &[]).await;
        world.lambda.faults().add(Fault::new(When::Next(40), Action::Delay(Duration::from_millis(200))));
        publish(&world, 40, |_| {}).await;
        succeeded(&world, 40, &process).await;
        let met = process.logged("\"connection: ", PATIENCE).await;
        assert!(met, "{beyond:?} was not met: {:#?}", process.log());
        assert_eq!(world.dead_letters().unwrap(), []);
        assert_eq!(world.lambda.log().totals().invoked, 40, "{beyond:?}: none was invoked again");
        assert_eq!(process.count("no whole response"), 0, "{beyond:?}: {:#?}", process.log());
    }
}

/// The timers of established connections to this port, as the kernel shows them: what runs, and in how many seconds.
fn timers(port: u16) -> Vec<(String, u64)> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!(":{port:04X}");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = fields.filter(|fields| fields[2].ends_with(&to) && fields[3] == "01");
    ours.map(|fields| {
        let (kind, ticks) = fields[5].split_once(':').unwrap();
        // A hundred a second, whatever the kernel's own clock does.
        (kind.to_owned(), u64::from_str_radix(ticks, 16).unwrap() / 100)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_a_connection_that_waits_for_its_function_keeps_itself_known_to_a_nat() {
    let world = world().await;
    let endpoint = trusted(&world).await;
    let process = bridge(&world, &endpoint, &[]).await;
    warmed_up(&world, &endpoint, &process).await;
    // 02 is keep-alive; NAT gateways and load balancers forget after 350 s.
    let kept = || {
        let timers = timers(endpoint.port());
        !timers.is_empty() && timers.iter().all(|(kind, seconds)| kind == "02" && *seconds < 350)
    };
    let found = tokio::time::timeout(PATIENCE, eventually("keep-alive on each", kept)).await;
    assert!(found.is_ok(), "{:?}", timers(endpoint.port()));
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_waiting_for_a_connection_is_not_the_functions_time() {
    let world = world().await;
    // It takes connections, and never answers the ClientHello: no attempt of the function ends.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("AWS_ENDPOINT_URL=https://localhost:{}", silent.local_addr().unwrap().port());
    let mut process = world.spawn_bridge_under(&["/usr/bin/env", &endpoint]).unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    publish(&world, 1, |_| {}).await;
    // Each connection attempt takes longer than the function's timeout, and more end than `max_attempts`, which is two. The first of
    // the six may be of dry runs, which end with the first message.
    let mut held = Vec::new();
    let attempts = async {
        while held.len() < 6 {
            held.push(silent.accept().await.unwrap());
        }
    };
    assert!(tokio::time::timeout(PATIENCE, attempts).await.is_ok(), "{:#?}", process.log());
    assert!(process.logged("no connection in time", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(world.dead_letters().unwrap(), []);
    assert_eq!(process.count("no whole response"), 0, "{:#?}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_an_endpoint_that_cannot_be_trusted_holds_everything() {
    let untrusted = [
        Leaf { validity: Validity::Expired, ..Leaf::broker() },
        Leaf { signed_by: SignedBy::Itself, ..Leaf::broker() },
        Leaf { names: vec!["other.test".into()], ..Leaf::broker() },
    ];
    for leaf in untrusted {
        let world = world().await;
        let endpoint = front(&world, &world.pki.issue(&leaf).unwrap()).await;
        let mut process = bridge(&world, &endpoint, &[]).await;
        publish(&world, 3, |_| {}).await;
        assert!(process.logged("tls: ", PATIENCE).await, "{leaf:?}: {:#?}", process.log());
        assert_eq!(world.dead_letters().unwrap(), []);
        assert_eq!(world.lambda.log().totals().invoked, 0);
    }
}

/// Answers one request so.
async fn answer(listener: tokio::net::TcpListener, head: &'static str, body: &'static str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 64 * 1024];
    assert!(stream.read(&mut request).await.unwrap() > 0);
    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    // Wait until the client has read it and closed.
    drop(stream.read(&mut request).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn f41_a_success_of_somebody_else_is_none_of_the_functions() {
    for by in [LambdaClient::Sdk, LambdaClient::Lean] {
        somebody_else_succeeds(by).await;
    }
}

async fn somebody_else_succeeds(by: LambdaClient) {
    let (anonymous, named) = ("200 OK", "200 OK\r\nx-amzn-requestid: 1");
    for (head, body, is_lambda) in [
        (anonymous, "", false),
        (anonymous, " <html>hello</html>", false),
        (anonymous, "null", true),
        (named, "", true),
        (named, "<html>a function's own</html>", true),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Aws::local(LocalEndpoint { url: format!("http://{}", listener.local_addr().unwrap()) });
        let client = aws.invoking(by).client(&FUNCTION.parse().unwrap(), PATIENCE);
        tokio::spawn(answer(listener, head, body));
        match client.invoke(b"{}".to_vec()).await {
            Ok(answer) => assert!(is_lambda && answer.payload == body.as_bytes(), "{head} {body}"),
            Err(error) => {
                assert!(!is_lambda, "{head} {body}: {error}");
                assert_eq!((error.disposition(), error.is_attempt()), (Disposition::Hold, false), "{error}");
                assert!(error.to_string().contains("without a request id"), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_the_one_that_is_chosen() {
    for (by, agent) in [("sdk", "user-agent: aws-sdk-rust/"), ("lean", "user-agent: mqtt-lambda-bridge/")] {
        let mut world = world().await;
        world.set("lambda.client", by);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("AWS_ENDPOINT_URL=http://{}", listener.local_addr().unwrap());
        let mut process = world.spawn_bridge_under(&["/usr/bin/env", &endpoint]).unwrap();
        assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
        publish(&world, 1, |_| {}).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}]}") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the end");
        }
        let request = String::from_utf8(request).unwrap();
        assert!(request.contains(agent), "{by}: {request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_only_when_the_bundle_names_it() {
    let world = world().await;
    let endpoint = trusted(&world).await;
    let mut process = bridge(&world, &endpoint, &["AWS_CA_BUNDLE="]).await;
    publish(&world, 1, |_| {}).await;
    assert!(process.logged("tls: ", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(world.lambda.log().totals().invoked, 0);
    drop(process);
    let process = bridge(&world, &endpoint, &[]).await;
    succeeded(&world, 1, &process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_used_with_its_password_and_no_proxy_goes_round_it() {
    let world = world().await;
    let (endpoint, proxy) = (trusted(&world).await, Front::proxy("user", "secret-marker").await.unwrap());
    let https = format!("HTTPS_PROXY=http://user:secret-marker@127.0.0.1:{}", proxy.port());
    let process = bridge(&world, &endpoint, &[&https, "RUST_LOG=trace"]).await;
    publish(&world, 3, |_| {}).await;
    succeeded(&world, 3, &process).await;
    assert!(proxy.seen().contains(&format!("localhost:{}", endpoint.port())), "{:?}", proxy.seen());
    assert_eq!(process.count("secret-marker"), 0);
    drop(process);

    let used = proxy.seen().len();
    let process = bridge(&world, &endpoint, &[&https, "NO_PROXY=localhost"]).await;
    publish(&world, 3, |_| {}).await;
    succeeded(&world, 6, &process).await;
    assert_eq!(proxy.seen().len(), used);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_reached_over_tls_gives_a_tunnel_for_tls() {
    let world = world().await;
    let (endpoint, proxy) = (trusted(&world).await, Front::proxy("user", "secret-marker").await.unwrap());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], proxy.port()));
    let secure = Front::tls(tls(&world.pki.issue(&Leaf::broker()).unwrap()), address).await.unwrap();
    let https = format!("HTTPS_PROXY=https://user:secret-marker@localhost:{}", secure.port());
    let process = bridge(&world, &endpoint, &[&https, "RUST_LOG=trace"]).await;
    publish(&world, 3, |_| {}).await;
    succeeded(&world, 3, &process).await;
    assert!(proxy.seen().contains(&format!("localhost:{}", endpoint.port())), "{:?}", proxy.seen());
    assert!(secure.seen().iter().all(|protocol| protocol == "http/1.1"), "{:?}", secure.seen());
    assert_eq!(process.count("secret-marker"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_holds_everything_and_its_password_is_not_said() {
    let world = world().await;
    let (endpoint, proxy) = (trusted(&world).await, Front::proxy("user", "other").await.unwrap());
    let https = format!("HTTPS_PROXY=http://user:secret-marker@127.0.0.1:{}", proxy.port());
    let mut process = bridge(&world, &endpoint, &[&https, "RUST_LOG=trace"]).await;
    publish(&world, 3, |_| {}).await;
    assert!(process.logged("proxy: it wants a user name", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(world.dead_letters().unwrap(), []);
    assert_eq!(process.count("secret-marker"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_cannot_be_used_is_named_with_exit_code_2() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let garbage = world.directory().join("garbage.pem");
    std::fs::write(&garbage, "garbage").unwrap();
    for bundle in ["/nowhere/bundle.pem", garbage.to_str().unwrap()] {
        let mut command = world.command().unwrap();
        let ended = command.arg("run").env("AWS_CA_BUNDLE", bundle).output();
        let output = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("\"message\":\"AWS_CA_BUNDLE: the file "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_cannot_be_used_is_named_with_exit_code_2_and_its_password_is_not_said() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let proxies = [
        ("HTTPS_PROXY", "nonsense"),
        ("HTTPS_PROXY", "socks5://user:secret-marker@127.0.0.1:1080"),
        ("https_proxy", "http://user:secret marker@127.0.0.1:3128"),
        ("HTTP_PROXY", "http://user:secret-marker/@127.0.0.1:3128"),
        ("ALL_PROXY", "http://secret-marker:port"),
    ];
    for (name, value) in proxies {
        let mut command = world.command().unwrap();
        let ended = command.arg("run").env("RUST_LOG", "trace").env(name, value).output();
        let output = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{value}: {text}");
        assert!(text.contains(&format!("\"message\":\"{name}: ")), "{value}: {text}");
        assert!(!text.contains("marker"), "{value}: {text}");
    }
}
