//! Promise: whatever the way to the broker, the same everyday holds on it: messages are invoked for once and acknowledged, a
//! broker that restarts is found again, and a name that the certificate does not hold is refused.

use crate::common;
use crate::common::{acknowledged, eventually, nothing_lost, publish, willing};
use crate::nginx::Nginx;
use bridge::config::Protocol;
use sandbox::broker::{Broker, BrokerOptions};
use sandbox::front::Front;
use sandbox::world::{BrokerKind, World};

const VERSIONS: [Protocol; 2] = [Protocol::V5, Protocol::V311];

/// A world without a bridge, whose Mosquitto speaks WebSocket too; `None` where there is no Mosquitto.
async fn world(protocol: Protocol) -> Option<World> {
    sandbox::tools::require("mosquitto")?;
    let options = BrokerOptions { persistence: true, websockets: true, ..BrokerOptions::default() };
    let builder = World::builder().protocol(protocol).broker(BrokerKind::Mosquitto).broker_options(options);
    Some(builder.function(willing()).without_bridge().await.unwrap())
}

/// Where its Mosquitto speaks WebSocket: over TLS, and in the clear.
fn websocket_ports(world: &World) -> (u16, u16) {
    match world.broker.as_ref().unwrap() {
        Broker::Mosquitto(broker) => (broker.wss_port(), broker.ws_port()),
        Broker::Embedded(_) => unreachable!(),
    }
}

/// The everyday, on the way that the world's bridge is told to take.
async fn everyday(mut world: World) {
    world.start_bridge().await.unwrap();
    let first = publish(&world, 20, |_| {}).await;
    acknowledged(&world, 20).await;
    let fate = nothing_lost(&world, &first).await;
    assert_eq!((fate.handled.len(), fate.extra()), (20, 0));
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
    // A new bridge, and a name that the certificate does not hold.
    assert!(world.drain_bridge(common::PATIENCE).await);
    world.set("mqtt.tls.server_name", "other.example");
    let said = complaint(&mut world).await;
    assert!(said.contains("not valid for `other.example`"), "{said}");
}

/// What a new bridge says that cannot connect.
async fn complaint(world: &mut World) -> String {
    world.launch_bridge().await.unwrap();
    // It is counted before it is told.
    let is_told = || world.bridge().unwrap().troubles().iter().all(|trouble| trouble != "connecting");
    eventually("a failure", || world.counters().connection_failures.get() > 0 && is_told()).await;
    let troubles = world.bridge().unwrap().troubles();
    assert_eq!(world.counters().connects.get(), 0, "connected in spite of {troubles:?}");
    troubles.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    for protocol in VERSIONS {
        let Some(world) = world(protocol).await else { return };
        everyday(world).await;
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy() {
    for protocol in VERSIONS {
        let Some(mut world) = world(protocol).await else { return };
        let proxy = behind_a_proxy(&mut world).await;
        let target = world.url().authority();
        everyday(world).await;
        let seen = proxy.seen();
        assert!(seen.len() >= 3 && seen.iter().all(|asked| *asked == target), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy_over_a_websocket() {
    for protocol in VERSIONS {
        let Some(mut world) = world(protocol).await else { return };
        let proxy = behind_a_proxy(&mut world).await;
        let target = format!("localhost:{}", websocket_ports(&world).0);
        world.set("mqtt.url", &format!("wss://{target}/mqtt"));
        everyday(world).await;
        let seen = proxy.seen();
        assert!(seen.len() >= 3 && seen.iter().all(|asked| *asked == target), "{seen:?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn over_a_websocket() {
    for protocol in VERSIONS {
        let Some(mut world) = world(protocol).await else { return };
        world.set("mqtt.url", &format!("wss://localhost:{}/mqtt", websocket_ports(&world).0));
        everyday(world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_websocket_through_nginx() {
    for protocol in VERSIONS {
        let Some(mut world) = world(protocol).await else { return };
        let Some(nginx) = Nginx::before(websocket_ports(&world).1, &world.files).await else { return };
        world.set("mqtt.url", &format!("wss://localhost:{}/mqtt", nginx.port));
        everyday(world).await;
    }
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
