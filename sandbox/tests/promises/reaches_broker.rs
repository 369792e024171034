//! Promise: every way to the broker behaves alike: messages are invoked once and acknowledged, the bridge reconnects
//! after a restart of the broker, and refuses a name that is not in the certificate.

use crate::common;
use crate::common::{acknowledged, answering, eventually, nothing_lost, publish, side_by_side, willing};
use crate::nginx::Nginx;
use bridge::config::Protocol;
use sandbox::broker::{Broker, BrokerOptions};
use sandbox::front::Front;
use sandbox::lambda::Answer;
use sandbox::world::{BrokerKind, World};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const VERSIONS: [Protocol; 2] = [Protocol::V5, Protocol::V311];

/// A world without a bridge, whose Mosquitto speaks WebSocket too; `None` where there is no Mosquitto.
async fn world(protocol: Protocol) -> Option<World> {
    sandbox::tools::require("mosquitto")?;
    let options = BrokerOptions { persistence: true, websockets: true, ..BrokerOptions::default() };
    let builder = World::builder().protocol(protocol).broker(BrokerKind::Mosquitto).broker_options(options);
    // Its answers go out over the publisher's connection.
    let function =
        answering(|_| Answer::json(&serde_json::json!({ "publish": [{ "topic": "commands", "payload": "on" }] })));
    Some(builder.function(function).set("mapping.response.allow", "commands").without_bridge().await.unwrap())
}

/// Where its Mosquitto speaks WebSocket: over TLS, and in the clear.
fn websocket_ports(world: &World) -> (u16, u16) {
    match world.broker.as_ref().unwrap() {
        Broker::Mosquitto(broker) => (broker.wss_port(), broker.ws_port()),
        Broker::Embedded(_) => unreachable!(),
    }
}

/// The common test, with the configured way.
async fn everyday(mut world: World) {
    world.start_bridge().await.unwrap();
    let first = publish(&world, 20, |_| {}).await;
    acknowledged(&world, 20).await;
    let fate = nothing_lost(&world, &first).await;
    assert_eq!((fate.handled.len(), fate.extra()), (20, 0));
    let published = world.counters().published.get();
    assert!((1..=20).contains(&published), "{published} answers");
    let connects = world.counters().connects.get();
    world.broker.as_mut().unwrap().restart().await.unwrap();
    eventually("the bridge is back", || {
        world.counters().connects.get() > connects && world.bridge().unwrap().troubles().is_empty()
    })
    .await;
    let second = publish(&world, 20, |options| options.padding = 3_000).await;
    eventually("all is settled", || world.counters().outstanding.get() == 0).await;
    nothing_lost(&world, &second).await;
    assert_eq!(world.counters().session_lost.get(), 0);
    assert!(world.counters().published.get() > published, "no answer after the restart");
    // A new bridge, with a server name that is not in the certificate.
    assert!(world.drain_bridge(common::PATIENCE).await);
    world.set("mqtt.tls.server_name", "other.example");
    let said = complaint(&mut world).await;
    assert!(said.contains("not valid for `other.example`"), "{said}");
}

/// What a new bridge says that cannot connect.
async fn complaint(world: &mut World) -> String {
    world.launch_bridge().await.unwrap();
    // The failure is counted before it is reported.
    let is_told = || world.bridge().unwrap().troubles().iter().all(|trouble| trouble != "connecting");
    eventually("a failure", || world.counters().connection_failures.get() > 0 && is_told()).await;
    let troubles = world.bridge().unwrap().troubles();
    assert_eq!(world.counters().connects.get(), 0, "connected in spite of {troubles:?}");
    troubles.join("; ")
}

/// A way to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tls,
    /// By its address instead of its name.
    Ipv6,
    WebSocket,
    WebSocketThroughNginx,
    Proxy,
    WebSocketThroughProxy,
}

const WAYS: [Way; 6] =
    [Way::Tls, Way::Ipv6, Way::WebSocket, Way::WebSocketThroughNginx, Way::Proxy, Way::WebSocketThroughProxy];

/// What stands in between, for as long as a test needs it, and whom a proxy is asked for.
struct Between {
    _nginx: Option<Nginx>,
    _ipv6: Option<JoinSet<()>>,
    proxy: Option<(Front, String)>,
}

/// Sends the world's bridge this way; `None` where a program for it is missing.
async fn take(way: Way, world: &mut World) -> Option<Between> {
    let (wss, ws) = websocket_ports(world);
    let through_nginx = way == Way::WebSocketThroughNginx;
    let nginx = if through_nginx { Some(Nginx::before(ws, &world.files).await?) } else { None };
    let ipv6 = if way == Way::Ipv6 { Some(by_ipv6(world).await) } else { None };
    if !matches!(way, Way::Tls | Way::Ipv6 | Way::Proxy) {
        let port = nginx.as_ref().map_or(wss, |nginx| nginx.port);
        world.set("mqtt.url", &format!("wss://localhost:{port}/mqtt"));
    }
    let target = if way == Way::Proxy { world.url().authority() } else { format!("localhost:{wss}") };
    let proxied = matches!(way, Way::Proxy | Way::WebSocketThroughProxy);
    let proxy = if proxied { Some((behind_a_proxy(world).await, target)) } else { None };
    Some(Between { _nginx: nginx, _ipv6: ipv6, proxy })
}

/// Forwards `[::1]` to the world's broker until the tasks are dropped, and sets the bridge's URL to it.
async fn by_ipv6(world: &mut World) -> JoinSet<()> {
    let (listener, broker) = (TcpListener::bind("[::1]:0").await.unwrap(), world.url().authority());
    world.set("mqtt.url", &format!("mqtts://{}", listener.local_addr().unwrap()));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let broker = broker.clone();
            connections.spawn(async move {
                let Ok(mut far) = TcpStream::connect(broker).await else { return };
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    tasks
}

/// The common test over every way.
#[tokio::test(flavor = "multi_thread")]
async fn the_everyday_is_the_same_on_every_way() {
    let mut cases = Vec::new();
    for way in WAYS {
        for protocol in VERSIONS {
            let case = async move {
                let Some(mut world) = world(protocol).await else { return };
                let Some(between) = take(way, &mut world).await else { return };
                everyday(world).await;
                if let Some((proxy, target)) = between.proxy {
                    let seen = proxy.seen();
                    assert!(seen.len() >= 3 && seen.iter().all(|asked| *asked == target), "{seen:?}");
                }
            };
            cases.push((format!("{way:?}, MQTT {protocol}"), Box::pin(case)));
        }
    }
    side_by_side(cases).await;
}

/// A proxy that wants a login, and the world's bridge told of it.
async fn behind_a_proxy(world: &mut World) -> Front {
    let proxy = Front::proxy("bridge", "pass:word").await.unwrap();
    let file = world.directory().join("proxy.credentials");
    write_secret(&file, "bridge:pass:word\n");
    world.set("mqtt.proxy", &format!("http://localhost:{}", proxy.port()));
    world.set("mqtt.proxy_credentials_file", &file.display().to_string());
    proxy
}

fn write_secret(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// `cargo sandbox --broker wss://…`: its devices go there over a WebSocket as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_sandbox_goes_to_a_broker_over_a_websocket() {
    for protocol in VERSIONS {
        let Some(host) = world(protocol).await else { return };
        let url = format!("wss://localhost:{}/mqtt", websocket_ports(&host).0).parse().unwrap();
        let files = host.files.clone();
        let kind = BrokerKind::External { url, ca: files.ca, bridge: files.bridge, device: files.device };
        let world = World::builder().protocol(protocol).broker(kind).function(willing()).start().await.unwrap();
        let sensors = publish(&world, 20, |options| options.padding = 3_000).await;
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len(), fate.extra()), (20, 0));
    }
}

/// The name of the broker is the proxy's to find, and what it answers is said. Another login in the file is tried without a
/// restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_told_and_another_login_is_taken() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let _proxy = behind_a_proxy(&mut world).await;
    let file = world.directory().join("proxy.credentials");
    write_secret(&file, "bridge:hunter2");
    let said = complaint(&mut world).await;
    assert!(said.contains("through the proxy localhost:") && said.contains("(407)"), "{said}");
    assert!(said.contains("proxy.credentials") && !said.contains("hunter2"), "{said}");
    write_secret(&file, "bridge:pass:word");
    eventually("the bridge is ready", || world.bridge().unwrap().troubles().is_empty()).await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    world.set("mqtt.proxy", &format!("http://127.0.0.1:{gone}"));
    let said = complaint(&mut world).await;
    assert!(said.contains(&format!("proxy 127.0.0.1:{gone}: no TCP connection")), "{said}");
}

/// The library of the frames shows them at the level trace.
#[tokio::test(flavor = "multi_thread")]
async fn no_payload_is_logged_on_a_websocket() {
    let Some(mut world) = world(Protocol::V5).await else { return };
    world.set("mqtt.url", &format!("wss://localhost:{}/mqtt", websocket_ports(&world).0));
    let mut process = world.spawn_bridge_under(&["/usr/bin/env", "RUST_LOG=trace"]).unwrap();
    assert!(process.logged("\"subscribed\"", common::PATIENCE).await, "{:#?}", process.log());
    let sensors = publish(&world, 5, |options| options.padding = 64).await;
    nothing_lost(&world, &sensors).await;
    let log = process.log().join("\n");
    assert!(log.contains("TRACE"), "the level is not that of the test");
    let frames = log.lines().filter(|line| line.contains("tungstenite")).collect::<Vec<_>>();
    assert_eq!(frames, Vec::<&str>::new());
    for mark in ["x".repeat(32), "78".repeat(32)] {
        assert!(!log.contains(&mark), "{log}");
    }
}

/// nginx offers HTTP/2 there, which carries no upgrade.
#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_web_server_has_words() {
    let Some(mut world) = world(Protocol::V5).await else { return };
    let Some(nginx) = Nginx::before(websocket_ports(&world).1, &world.files).await else { return };
    for (path, words) in [
        ("/moved", "301, a redirect, and none is followed"),
        ("/closed", "403: it forbids this path"),
        ("/other", "404: there is nothing at this path"),
    ] {
        world.set("mqtt.url", &format!("wss://localhost:{}{path}", nginx.port));
        let said = complaint(&mut world).await;
        assert!(said.contains("websocket: the server answers") && said.contains(words), "{said}");
    }
    world.set("mqtt.url", &format!("mqtts://localhost:{}", nginx.port));
    let said = complaint(&mut world).await;
    assert!(said.contains("speaks HTTP over TLS") && said.contains("`wss://`"), "{said}");
    let mqtts = world.url().port;
    world.set("mqtt.url", &format!("wss://localhost:{mqtts}/mqtt"));
    let said = complaint(&mut world).await;
    assert!(said.contains("websocket: ") && said.contains("write `mqtts://`"), "{said}");
}
