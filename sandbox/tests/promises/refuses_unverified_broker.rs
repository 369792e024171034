//! Promise: the bridge connects only to the configured broker. Every refusal says why, and nothing is sent to a refused
//! broker.

use crate::common;
use std::time::Duration;

use crate::common::{eventually, fault, publish, willing};
use bridge::config::Protocol;
use sandbox::broker::Broker;
use sandbox::certs::{Leaf, Pki, PkiOptions, SignedBy, Validity};
use sandbox::lambda::{Action, When};
use sandbox::world::{BrokerKind, World};

/// Starts a bridge towards a broker with this certificate, and returns what it says of it.
async fn complaint(broker: Leaf) -> String {
    let pki = PkiOptions { broker, ..PkiOptions::default() };
    let mut world = World::builder().function(willing()).pki(pki).without_bridge().await.unwrap();
    complaint_of(&mut world).await
}

async fn complaint_of(world: &mut World) -> String {
    world.launch_bridge().await.unwrap();
    eventually("a failure", || world.counters().connection_failures.get() > 0).await;
    let troubles = world.bridge().unwrap().troubles();
    assert_eq!(world.counters().connects.get(), 0, "connected in spite of {troubles:?}");
    troubles.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_name_is_refused_by_the_real_binary_naming_both() {
    for (broker, tool) in [(BrokerKind::Mosquitto, Some("mosquitto")), (BrokerKind::Embedded, None)] {
        if tool.is_some_and(|tool| sandbox::tools::require(tool).is_none()) {
            continue;
        }
        let mut leaf = Leaf::broker();
        leaf.names = vec!["broker.example".into(), "other.example".into()];
        let pki = PkiOptions { broker: leaf, ..PkiOptions::default() };
        let world = World::builder().function(willing()).broker(broker).pki(pki).without_bridge().await.unwrap();
        let mut process = world.spawn_bridge().unwrap();
        assert!(process.logged("broker refuses the connection", common::PATIENCE).await, "{:#?}", process.log());
        let log = process.log().join("\n");
        assert!(log.contains("not valid for `localhost`"), "{log}");
        assert!(log.contains("broker.example, other.example"), "{log}");
        assert!(!log.contains("\"connected\""), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused() {
    let mut leaf = Leaf::broker();
    leaf.validity = Validity::Expired;
    let said = complaint(leaf).await;
    assert!(said.contains("expired"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let stranger = world.directory().join("stranger.crt");
    std::fs::write(&stranger, Pki::generate().unwrap().ca_pem()).unwrap();
    world.set("mqtt.tls.ca_file", &stranger.display().to_string());
    // The stranger has the same name, so it is the signature that tells.
    let said = complaint_of(&mut world).await;
    assert!(said.contains("not signed by the CA in `ca_file`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_broker_is_refused() {
    let mut leaf = Leaf::broker();
    leaf.signed_by = SignedBy::Itself;
    let said = complaint(leaf).await;
    assert!(said.contains("unknown issuer") && said.contains("ca_file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_listener_is_recognised() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What an MQTT broker without TLS makes of a TLS handshake differs; this one answers CONNACK to anything.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &[0x20, 0x03, 0x00, 0x00, 0x00]).await;
        }
    });
    world.set("mqtt.url", &format!("mqtts://localhost:{port}"));
    let said = complaint_of(&mut world).await;
    assert!(said.contains("not TLS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_never_answers_is_abandoned() {
    let mut world =
        World::builder().function(willing()).set("mqtt.connect_timeout", "300ms").without_bridge().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.set("mqtt.url", &format!("mqtts://localhost:{}", listener.local_addr().unwrap().port()));
    let said = complaint_of(&mut world).await;
    assert!(said.contains("(127.0.0.1): no TLS handshake within 300ms"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_without_a_certificate_is_refused_and_not_ready() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let pki = Pki::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = pki.write_to(dir.path()).unwrap();
        let broker = Broker::embedded(&files, sandbox::broker::BrokerOptions::default()).await.unwrap();
        let settings = bridge::config::Overrides::default()
            .set("admin.listen", "off")
            .set("mqtt.url", broker.url().to_string())
            .set("mqtt.protocol", protocol.to_string())
            .set("mqtt.tls.ca_file", files.ca.display().to_string())
            .set("mapping.topic_filter", "sensor/data")
            .set("mapping.function", "f");
        let config = bridge::config::Config::load(None, std::iter::empty(), settings).unwrap();
        let aws = bridge::aws::Aws::local(bridge::aws::LocalEndpoint { url: "http://127.0.0.1:9".into() });
        let bridge = bridge::Bridge::start(config, &aws).await.unwrap();
        eventually("it fails", || bridge.troubles()[0].contains("certificate")).await;
        assert_eq!(bridge.metrics().mapping("default").connects.get(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_broker_is_accepted_by_name_and_by_address() {
    for host in ["localhost", "127.0.0.1"] {
        let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
        world.set("mqtt.url", &format!("mqtts://{host}:{}", world.url().port));
        world.start_bridge().await.unwrap();
        fault(&world, When::Nth(1), Action::Delay(Duration::ZERO));
        publish(&world, 1, |_| {}).await;
        common::acknowledged(&world, 1).await;
    }
}
