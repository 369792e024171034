//! Versions, suites and resumption of a broker; and servers that speak no MQTT, or not in time.

use std::sync::Arc;
use std::time::Duration;

use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, LiveTls, StageCell};
use rcgen::{KeyPair, RsaKeySize};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::common;
use crate::peer::{self, Server};
use crate::pki::{Authority, server};
use crate::tls_table::table::Must::{Accept, Refuse};
use crate::tls_table::table::{ONLY_1_2, ONLY_1_3, Side, Table};

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_suites() {
    let root = Authority::root("root");
    let trusting = || Side::trusting(&root.pem());
    let made = || root.sign(server(&["localhost"]));
    let mut table = Table::default();
    table.row("versions");
    let speaking = |versions| Server { versions, ..Server::new(made()) };
    table.case("TLS 1.2 with ECDHE and AEAD", trusting(), speaking(ONLY_1_2).start().await, Accept).await;
    table.case("TLS 1.3", trusting(), speaking(ONLY_1_3).start().await, Accept).await;
    let only = || trusting().set("mqtt.tls.min_version", "1.3");
    let no_version = &["no version of TLS that is allowed", "min_version"];
    table.case("TLS 1.3 where no less will do", only(), speaking(ONLY_1_3).start().await, Accept).await;
    table
        .case("TLS 1.2 where no less than 1.3 will do", only(), speaking(ONLY_1_2).start().await, Refuse(no_version))
        .await;
    let Some(program) = sandbox::tools::require("openssl") else { return table.end(4) };
    let directory = tempfile::tempdir().unwrap();
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let rsa = root.sign_for(server(&["localhost"]), &rsa);
    let nothing = &["the broker", "refuses", "cipher suite"];
    for (case, arguments, words) in [
        ("TLS 1.0 alone", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..], &no_version[..]),
        ("TLS 1.1 alone", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], no_version),
        ("CBC alone", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA"], nothing),
        ("static RSA alone", &["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384"], nothing),
        ("finite-field Diffie-Hellman alone", &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], nothing),
    ] {
        let peer = peer::openssl(&program, directory.path(), &rsa, arguments).await;
        table.case(case, trusting(), peer, Refuse(words)).await;
    }
    table.end(9);
}

/// A resumed handshake shows no certificate, so a revocation since then would go unnoticed. The peer offers to resume.
#[tokio::test(flavor = "multi_thread")]
async fn no_handshake_is_resumed() {
    let root = Authority::root("root");
    for versions in [ONLY_1_2, ONLY_1_3] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let side = Side::trusting(&root.pem());
        let server = Server { versions, ..Server::new(root.sign(server(&["localhost"]))) };
        let acceptor = TlsAcceptor::from(Arc::new(server.config()));
        let connector = connector(&side, listener.local_addr().unwrap().port());
        for _ in 0..3 {
            let accept = async {
                let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
                // With the byte behind them, the tickets of TLS 1.3 are read too.
                stream.write_all(b"x").await.unwrap();
                stream.flush().await.unwrap();
                stream
            };
            let open = async {
                let mut connection = connector.open(&StageCell::default()).await.ok().unwrap();
                connection.read().await.unwrap();
                connection
            };
            let (stream, _connection) = tokio::join!(accept, open);
            let kind = stream.get_ref().1.handshake_kind();
            assert!(kind.is_some_and(|kind| kind != HandshakeKind::Resumed), "{versions:?}: {kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_broker() {
    let root = Authority::root("root");
    let trusting = || Side::trusting(&root.pem());
    let patient = || trusting().set("mqtt.connect_timeout", "500ms");
    let made = || Server::new(root.sign(server(&["localhost"])));
    let mut table = Table::default();
    table.row("other ports");
    let zero = Duration::ZERO;
    let port = peer::plain(&[0x20, 3, 0, 0, 0], zero).await;
    table.case("MQTT without TLS", trusting(), port, Refuse(&["not TLS", "MQTT without TLS", "8883"])).await;
    let port = peer::plain(b"HTTP/1.1 400 Bad Request\r\n\r\n", zero).await;
    table.case("HTTP", trusting(), port, Refuse(&["not TLS", "HTTP"])).await;
    let port = peer::plain(b"SSH-2.0-x\r\n", zero).await;
    table.case("something else", trusting(), port, Refuse(&["not TLS", "first bytes are SSH-2.0-"])).await;
    table
        .case(
            "one that closes",
            trusting(),
            peer::closing().await,
            Refuse(&["closed the connection during the handshake", "8883", "mqtt.tls.key_exchange_groups"]),
        )
        .await;
    let port = peer::behind_tls(made(), b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    table.case("HTTP behind TLS", trusting(), port, Refuse(&["HTTP over TLS"])).await;
    let port = peer::behind_tls(made(), &[0; 64]).await;
    table.case("garbage behind TLS", trusting(), port, Refuse(&["packet"])).await;
    table.row("one deadline over all");
    let late = &["no CONNACK within 500ms"];
    let unshaken = &["no TLS handshake within 500ms; the broker may", "A firewall", "`mqtt.tls.key_exchange_groups`"];
    let port = peer::plain(&[0x16, 3, 3, 0x10, 0, 2, 0, 0x0f, 0xfc, 3, 3, 0, 0, 0], Duration::from_millis(100)).await;
    table.case("a byte now and then", patient(), port, Refuse(unshaken)).await;
    table.case("silence from the start", patient(), peer::plain(b"", zero).await, Refuse(unshaken)).await;
    let classical = patient().set("mqtt.tls.key_exchange_groups", "X25519");
    let port = peer::plain(b"", zero).await;
    table
        .case(
            "silence, after a small ClientHello",
            classical,
            port,
            Refuse(&["no TLS handshake within 500ms; the broker may"]),
        )
        .await;
    let port = peer::behind_tls(made(), b"").await;
    table.case("silence after the handshake", patient(), port, Refuse(late)).await;
    let port = peer::behind_tls(made(), &[0x20]).await;
    table.case("half a CONNACK", patient(), port, Refuse(late)).await;
    table.end(11);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_tells_the_step_that_it_waits_in() {
    let root = Authority::root("root");
    let side = Side::trusting(&root.pem());
    let silent = peer::plain(b"", Duration::ZERO).await;
    let good = Server::new(root.sign(server(&["localhost"]))).start().await;
    for (port, waits_for) in [(silent.port, "no TLS handshake"), (good.port, "no CONNACK")] {
        let connector = connector(&side, port);
        let stage = Arc::new(StageCell::default());
        let attempt = tokio::spawn({
            let stage = stage.clone();
            async move { connector.open(&stage).await.is_ok() }
        });
        let expected = format!("localhost:{port} (127.0.0.1): {waits_for}");
        common::eventually(waits_for, || stage.to_string() == expected).await;
        attempt.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens_is_named_with_each_address() {
    let side = Side::trusting(&Authority::root("root").pem());
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let said = connector(&side, port).open(&StageCell::default()).await.err().unwrap().to_string();
    assert!(said.starts_with(&format!("localhost:{port}: no TCP connection: ")), "{said}");
    assert!(said.contains("127.0.0.1: Connection refused"), "{said}");
}

fn connector(side: &Side, port: u16) -> Connector {
    let config = side.config(port);
    let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
    Connector::of(&config.mqtt, tls).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_ten_seconds() {
    let side = Side::trusting(&Authority::root("root").pem());
    assert_eq!(side.config(1).mqtt.connect_timeout, Duration::from_secs(10));
}
