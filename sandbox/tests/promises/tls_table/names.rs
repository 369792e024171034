//! Under which name a broker is verified, which application protocol is agreed on, and brokers at IPv6 addresses.

use std::sync::Arc;

use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, LiveTls, StageCell};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::common;
use crate::peer::Server;
use crate::pki::{Authority, server};
use crate::tls_table::table::Must::{Accept, Refuse};
use crate::tls_table::table::{Side, Table};

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_is_configured_stands_in_place_of_the_host() {
    let root = Authority::root("root");
    let made = || root.sign(server(&["broker.example", "2001:db8::1"]));
    let named = |name| Side::trusting(&root.pem()).set("mqtt.tls.server_name", name);
    let mut table = Table::default();
    table.row("server name");
    table.broker("none", Side::trusting(&root.pem()), made(), Refuse(&["not valid for `localhost`"])).await;
    table.broker("that of the certificate", named("broker.example"), made(), Accept).await;
    table.broker("an address of the certificate", named("2001:db8::1"), made(), Accept).await;
    let words = &["not valid for `other.example`", "broker.example"];
    table.broker("another", named("other.example"), made(), Refuse(words)).await;
    let own = root.sign(server(&["localhost"]));
    table
        .broker("another than the host's own", named("other.example"), own, Refuse(&["not valid for `other.ex"]))
        .await;
    table.end(5);
}

/// What one handshake came to: what the bridge says of it, and the SNI that the broker saw.
async fn shaken(side: &Side, address: &str, server: ServerConfig) -> (Result<String, String>, Option<String>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let config = side.config(listener.local_addr().unwrap().port());
    let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
    let connector = Connector::of(&config.mqtt, tls).unwrap().found_at(listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let accept = async {
        let accepted = acceptor.accept(listener.accept().await.unwrap().0).await;
        accepted.ok().and_then(|stream| stream.get_ref().1.server_name().map(str::to_owned))
    };
    let open = async {
        let opened = connector.open(&StageCell::default()).await;
        opened.map(|connection| connection.agreed().to_string()).map_err(|error| error.to_string())
    };
    let (sni, said) = tokio::time::timeout(common::PATIENCE, async { tokio::join!(accept, open) }).await.unwrap();
    (said, sni)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_sent_as_sni() {
    let root = Authority::root("root");
    let made = || Server::new(root.sign(server(&["broker.example"]))).config();
    let side = Side::trusting(&root.pem()).set("mqtt.tls.server_name", "broker.example");
    let (said, sni) = shaken(&side, "127.0.0.1", made()).await;
    assert!(said.is_ok(), "{said:?}");
    assert_eq!(sni.as_deref(), Some("broker.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn application_protocols() {
    let root = Authority::root("root");
    let knows = |protocols: &[&str]| {
        let mut config = Server::new(root.sign(server(&["localhost"]))).config();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    };
    let plain = || Side::trusting(&root.pem());
    let offering = || plain().set("mqtt.alpn", "x-amzn-mqtt-ca,mqtt");
    let said = |side, server| async move { shaken(&side, "127.0.0.1", server).await.0 };
    let agreed = said(offering(), knows(&["h2", "mqtt"])).await.unwrap();
    assert!(agreed.ends_with(" mqtt"), "{agreed}");
    let agreed = said(plain(), knows(&["mqtt"])).await.unwrap();
    assert!(!agreed.ends_with(" mqtt"), "{agreed}");
    let refused = said(offering(), knows(&["h2"])).await.unwrap_err();
    assert!(refused.contains("NoApplicationProtocol") && refused.contains("`mqtt.alpn`"), "{refused}");
    let refused = said(offering(), knows(&[])).await.unwrap_err();
    assert!(refused.contains("has agreed to none") && refused.contains("x-amzn-mqtt-ca, mqtt"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_by_its_ipv6_address() {
    let root = Authority::root("root");
    let made = |names| Server::new(root.sign(server(names))).config();
    let side = || Side::trusting(&root.pem()).host("[::1]");
    let (said, sni) = shaken(&side(), "::1", made(&["::1"])).await;
    assert!(said.is_ok(), "{said:?}");
    assert_eq!(sni, None, "an address is no SNI (RFC 6066, section 3)");
    let (said, _) = shaken(&side(), "::1", made(&["localhost"])).await;
    let said = said.unwrap_err();
    assert!(said.starts_with("[::1]:") && said.contains("not valid for `::1`"), "{said}");
}
