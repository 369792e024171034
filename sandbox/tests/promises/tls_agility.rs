//! Promise: version, cipher suites and key exchange groups can be chosen, the post-quantum hybrid comes first, and what was
//! agreed on is counted and logged.

use crate::common::{PATIENCE, eventually, willing};
use crate::peer::{Peer, Server};
use crate::pki::{Authority, server};
use bridge::Bridge;
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::{Config, Overrides, Protocol};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{SupportedKxGroup, aws_lc_rs};
use sandbox::world::{BrokerKind, World};

/// What the bridge and this peer agree on, as `/metrics` tells it: version, suite and group.
async fn agreed(root: &Authority, peer: Peer, settings: &[(&str, &str)]) -> [String; 3] {
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.crt");
    std::fs::write(&ca, root.pem()).unwrap();
    let all = Overrides::default()
        .set("admin.listen", "off")
        .set("mqtt.url", format!("mqtts://localhost:{}", peer.port))
        .set("mqtt.tls.ca_file", ca.display().to_string())
        .set("mapping.topic_filter", "sensor/data")
        .set("mapping.function", "f");
    let all = settings.iter().fold(all, |all, (key, value)| all.set(*key, *value));
    let config = Config::load(None, std::iter::empty(), all).unwrap();
    let aws = Aws::local(LocalEndpoint { url: "http://127.0.0.1:9".into() });
    let bridge = Bridge::start(config, &aws).await.unwrap();
    tokio::time::timeout(PATIENCE, bridge.ready()).await.unwrap();
    in_metrics(&bridge)
}

fn in_metrics(bridge: &Bridge) -> [String; 3] {
    let text = bridge.metrics().render();
    let line =
        text.lines().find(|line| line.starts_with("mqtt_lambda_bridge_tls_connections_total{")).unwrap().to_owned();
    ["version", "suite", "group"].map(|label| {
        let (_, rest) = line.split_once(&format!("{label}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    })
}

fn speaking(root: &Authority, groups: &[&'static dyn SupportedKxGroup]) -> Server {
    let mut server = Server::new(root.sign(server(&["localhost"])));
    server.provider.kx_groups = groups.to_vec();
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hybrid_is_agreed_with_a_peer_that_knows_it_and_given_up_for_one_that_does_not() {
    let root = Authority::root("root");
    let suite = "TLS_AES_256_GCM_SHA384";
    let cases: [(&[&'static dyn SupportedKxGroup], &str); 4] = [
        (aws_lc_rs::ALL_KX_GROUPS, "X25519MLKEM768"),
        (&[kx_group::X25519MLKEM768], "X25519MLKEM768"),
        (&[kx_group::X25519], "X25519"),
        (&[kx_group::SECP384R1], "secp384r1"),
    ];
    for (groups, expected) in cases {
        for protocol in [Protocol::V5, Protocol::V311] {
            let server = Server { protocol, ..speaking(&root, groups) };
            let settings = [("mqtt.protocol", protocol.to_string())];
            let settings = settings.each_ref().map(|(key, value)| (*key, value.as_str()));
            let found = agreed(&root, server.start().await, &settings).await;
            println!("MQTT {protocol}: {}", found.join(" "));
            assert_eq!(found, ["TLSv1.3", suite, expected]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_is_what_is_spoken() {
    let root = Authority::root("root");
    let everything = || speaking(&root, aws_lc_rs::ALL_KX_GROUPS);
    let chosen = [
        ("mqtt.tls.cipher_suites", "TLS_CHACHA20_POLY1305_SHA256"),
        ("mqtt.tls.key_exchange_groups", "secp256r1, X25519MLKEM768"),
    ];
    let found = agreed(&root, everything().start().await, &chosen).await;
    assert_eq!(found[..2], ["TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"]);
    let found = agreed(&root, everything().start().await, &[("mqtt.tls.key_exchange_groups", "secp384r1")]).await;
    assert_eq!(found[2], "secp384r1");
    let older = [("mqtt.tls.cipher_suites", "tls_ecdhe_ecdsa_with_aes_128_gcm_sha256")];
    let found = agreed(&root, everything().start().await, &older).await;
    assert_eq!(found[..2], ["TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_broker_is_told_in_the_log_and_in_the_metrics() {
    let Some(_) = sandbox::tools::require("mosquitto") else { return };
    let world = World::builder().function(willing()).broker(BrokerKind::Mosquitto).start().await.unwrap();
    let [version, suite, group] = in_metrics(world.bridge().unwrap());
    println!("{}: {version} {suite} {group}", world.broker.as_ref().unwrap().name());
    assert!(["TLSv1.2", "TLSv1.3"].contains(&version.as_str()), "{version}");
    let mut process = world.spawn_bridge().unwrap();
    let told = format!("\"tls\":\"{version} {suite} {group}\"");
    assert!(process.logged(&told, PATIENCE).await, "{told} is missing in {:#?}", process.log());
    eventually("the two share one client id", || world.counters().connects.get() >= 1).await;
}

/// OpenSSL's own words, where it knows the hybrid (3.5 and later), and what it falls back to where it does not.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_says_the_same() {
    let Some(program) = sandbox::tools::require("openssl") else { return };
    let (root, directory) = (Authority::root("root"), tempfile::tempdir().unwrap());
    let ca = directory.path().join("ca.crt");
    std::fs::write(&ca, root.pem()).unwrap();
    let peer = speaking(&root, aws_lc_rs::ALL_KX_GROUPS).start().await;
    let mut client = tokio::process::Command::new(&program);
    client.args(["s_client", "-tls1_3", "-connect", &format!("localhost:{}", peer.port), "-verify_return_error"]);
    client.arg("-CAfile").arg(&ca).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, client.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = said
        .lines()
        .filter(|line| {
            ["Server Temp Key", "Peer Temp Key", "Negotiated TLS1.3 group", "New, "].iter().any(|l| line.contains(l))
        })
        .collect();
    println!("{}", lines.join("\n"));
    assert!(said.contains("TLSv1.3"), "{said}");
}
