//! The promise: what the bridge takes a broker for is decided by this table, row by row. Shown by
//! `cargo test -p sandbox --test tls_table -- --nocapture`: one line a case, with the words of the refusal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step of a test that fails, fails the test")]

mod common;
#[path = "parts/tls_peer.rs"]
mod peer;
#[path = "parts/tls_pki.rs"]
mod pki;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bridge::Bridge;
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::{Config, Overrides};
use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, LiveTls};
use peer::{Peer, Server};
use pki::{Authority, Careless, DAY, HOUR, Made, client, dates, server};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    NameConstraints, RsaKeySize, SanType, SerialNumber,
};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};
use sandbox::world::World;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

static ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];
static ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

/// What must become of it.
enum Must {
    Accept,
    /// With these words in what is said.
    Refuse(&'static [&'static str]),
}
use Must::{Accept, Refuse};

/// The bridge's side.
struct Side {
    host: &'static str,
    files: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Side {
    /// A bridge that trusts this authority.
    fn trusting(ca: &str) -> Self {
        let side = Self { host: "localhost", files: tempfile::tempdir().unwrap(), settings: Vec::new() };
        side.with("mqtt.tls.ca_file", ca)
    }

    fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// With a file of its own for that key.
    fn with(mut self, key: &'static str, pem: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = self.files.path().join(key);
        std::fs::write(&path, pem).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self.settings.push((key, path.display().to_string()));
        self
    }

    fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.push((key, value.to_owned()));
        self
    }

    fn showing(self, made: &Made) -> Self {
        self.with("mqtt.tls.cert_file", &made.chain).with("mqtt.tls.key_file", &made.key)
    }

    fn config(&self, port: u16) -> Config {
        let settings = Overrides::default()
            .set("admin.listen", "off")
            .set("mqtt.url", format!("mqtts://{}:{port}", self.host))
            .set("mqtt.backoff", "10ms..100ms")
            .set("mapping.topic_filter", "sensor/data")
            .set("mapping.function", "f");
        let settings = self.settings.iter().fold(settings, |all, (key, value)| all.set(*key, value));
        Config::load(None, std::iter::empty(), settings).unwrap()
    }
}

/// Starts a bridge, and returns what it says of the peer: nothing when it is ready.
async fn verdict(side: &Side, peer: &Peer) -> Option<String> {
    let config = side.config(peer.port);
    if !["localhost", "127.0.0.1", "::1"].contains(&side.host) {
        return verdict_by_name(&config, peer).await;
    }
    let aws = Aws::local(LocalEndpoint { url: "http://127.0.0.1:9".into() });
    let bridge = match Bridge::start(config, &aws).await {
        Ok(bridge) => bridge,
        Err(error) => return Some(error.to_string()),
    };
    let settled = || bridge.troubles().first().is_none_or(|trouble| trouble != "connecting");
    common::eventually("a verdict", settled).await;
    let trouble = bridge.troubles().pop();
    let counters = bridge.metrics().mapping("default");
    if trouble.is_some() {
        assert_eq!(counters.connects.get(), 0, "counted as connected in spite of {trouble:?}");
        assert_eq!(peer.greeted.load(Ordering::SeqCst), 0, "said CONNECT to a peer that is refused: {trouble:?}");
    } else {
        assert_eq!(counters.connection_failures.get(), 0);
    }
    trouble
}

/// For names that nobody resolves here: the handshake of the same connector, at the peer's address.
async fn verdict_by_name(config: &Config, peer: &Peer) -> Option<String> {
    let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
    let connector = Connector::new(config.mqtt.url.clone(), tls).unwrap();
    let opened = connector.found_at(SocketAddr::from(([127, 0, 0, 1], peer.port))).open().await;
    opened.err().map(|error| error.to_string())
}

/// Judges one case, prints its line, and returns its name when it did not go as it must.
async fn judge(row: &str, case: &str, side: Side, peer: Peer, must: Must) -> Option<String> {
    let said = verdict(&side, &peer).await;
    let good = match (&must, &said) {
        (Accept, None) => true,
        (Refuse(words), Some(said)) => words.iter().all(|word| said.contains(word)),
        _ => false,
    };
    let (mark, said) = (if good { "ok  " } else { "FAIL" }, said.unwrap_or_else(|| "accepted".into()));
    println!("{mark} {row} | {case} | {said}");
    (!good).then(|| format!("{row} | {case} | {said}"))
}

/// A table in the making, and what of it failed.
#[derive(Default)]
struct Table {
    row: &'static str,
    failed: Vec<String>,
    cases: usize,
}

impl Table {
    fn row(&mut self, row: &'static str) {
        self.row = row;
    }

    async fn case(&mut self, case: &str, side: Side, peer: Peer, must: Must) {
        self.cases += 1;
        self.failed.extend(judge(self.row, case, side, peer, must).await);
    }

    /// A rustls broker with this certificate.
    async fn broker(&mut self, case: &str, side: Side, made: Made, must: Must) {
        self.case(case, side, Server::new(made).start().await, must).await;
    }

    fn end(self, at_least: usize) {
        println!("{} cases", self.cases);
        assert!(self.cases >= at_least, "{} cases, of {at_least}", self.cases);
        assert!(self.failed.is_empty(), "\n{}", self.failed.join("\n"));
    }
}

fn with(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn names() {
    let root = Authority::root("root");
    let trusting = || Side::trusting(&root.pem());
    let mut table = Table::default();
    table.row("valid names");
    table.broker("a DNS name", trusting(), root.sign(server(&["localhost"])), Accept).await;
    table.broker("an IPv4 address", trusting().host("127.0.0.1"), root.sign(server(&["127.0.0.1"])), Accept).await;
    let below = root.below("issuing", |_| {});
    table.broker("a chain with an intermediate", trusting(), below.sign(server(&["localhost"])), Accept).await;
    let wildcard = || root.sign(server(&["*.broker.test"]));
    table.broker("a wildcard of one label", trusting().host("a.broker.test"), wildcard(), Accept).await;

    table.row("wrong names");
    let refused = &["not valid for"];
    table
        .broker("another host", trusting(), root.sign(server(&["broker.test"])), Refuse(&["localhost", "broker.test"]))
        .await;
    table
        .broker(
            "an address without an IP name",
            trusting().host("127.0.0.1"),
            root.sign(server(&["localhost"])),
            Refuse(refused),
        )
        .await;
    let as_dns = with(server(&[]), |params| {
        params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("127.0.0.1").unwrap())];
    });
    table.broker("an address as a DNS name", trusting().host("127.0.0.1"), root.sign(as_dns), Refuse(refused)).await;
    table.broker("a wildcard over two labels", trusting().host("a.b.broker.test"), wildcard(), Refuse(refused)).await;
    table.broker("a wildcard at the apex", trusting().host("broker.test"), wildcard(), Refuse(refused)).await;
    for (case, name) in [("a partial wildcard", "br*.test"), ("a wildcard for everything", "*")] {
        table.broker(case, trusting().host("broker.test"), root.sign(server(&[name])), Refuse(refused)).await;
    }
    let common_name =
        with(server(&[]), |params| params.distinguished_name.push(rcgen::DnType::CommonName, "localhost"));
    table
        .broker(
            "a common name alone",
            trusting(),
            root.sign(common_name),
            Refuse(&["no name at all", "subject alternative name"]),
        )
        .await;
    table.end(12);
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_chains() {
    let (root, now) = (Authority::root("root"), SystemTime::now());
    let trusting = || Side::trusting(&root.pem());
    let localhost = || server(&["localhost"]);
    let mut table = Table::default();
    table.row("dates");
    let expired = with(localhost(), |params| dates(params, now - DAY, now - HOUR));
    table.broker("expired", trusting(), root.sign(expired), Refuse(&["has expired"])).await;
    let early = with(localhost(), |params| dates(params, now + HOUR, now + DAY));
    table.broker("not yet valid", trusting(), root.sign(early), Refuse(&["not valid yet", "clock"])).await;

    table.row("chains");
    let unknown = &["unknown issuer", "ca_file"];
    table.broker("an unknown authority", trusting(), Authority::root("other").sign(localhost()), Refuse(unknown)).await;
    let namesake = Authority::root("root").sign(localhost());
    table.broker("an authority of the same name", trusting(), namesake, Refuse(&["signature", "ca_file"])).await;
    let key = pki::key();
    let own = Made { chain: localhost().self_signed(&key).unwrap().pem(), key: key.serialize_pem() };
    table.broker("self-signed", trusting(), own, Refuse(unknown)).await;
    let below = root.below("issuing", |_| {});
    let made = below.sign(localhost());
    let first = made.chain.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned();
    let alone = Made { chain: first, key: made.key };
    table.broker("a missing intermediate", trusting(), alone, Refuse(&["unknown issuer", "intermediate"])).await;
    let expired = root.below("issuing", |params| dates(params, now - DAY, now - HOUR)).sign(localhost());
    table.broker("an expired intermediate", trusting(), expired, Refuse(&["has expired"])).await;

    table.row("authorities that are none");
    let none = root.below("no CA", |params| params.is_ca = IsCa::ExplicitNoCa).sign(localhost());
    table.broker("an intermediate that is no CA", trusting(), none, Refuse(&["refused", "EndEntityUsedAsCa"])).await;
    let zero = root.below("zero", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let deep = zero.below("deep", |_| {}).sign(localhost());
    table.broker("a path longer than allowed", trusting(), deep, Refuse(&["refused", "PathLen"])).await;
    let elsewhere = root.below("constrained", |params| {
        let only = vec![GeneralSubtree::DnsName("broker.test".into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees: only, excluded_subtrees: Vec::new() });
    });
    table
        .broker(
            "a name outside the constraint",
            trusting(),
            elsewhere.sign(localhost()),
            Refuse(&["refused", "NameConstraint"]),
        )
        .await;
    let strange = with(localhost(), |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    });
    table
        .broker(
            "an unknown critical extension",
            trusting(),
            root.sign(strange),
            Refuse(&["refused", "CriticalExtension"]),
        )
        .await;
    let client_only =
        with(localhost(), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    table
        .broker("for clients alone", trusting(), root.sign(client_only), Refuse(&["not for servers", "serverAuth"]))
        .await;

    table.row("roots");
    let old = Authority::root_with("root", |params| dates(params, now - DAY, now - HOUR));
    let only_old = Side::trusting(&old.pem());
    table
        .broker(
            "an expired root alone",
            only_old,
            old.sign(localhost()),
            Refuse(&["no CA certificate in it is valid", "has expired"]),
        )
        .await;
    let both = || Side::trusting(&format!("{}{}", old.pem(), root.pem()));
    table.broker("an expired root beside a good one", both(), root.sign(localhost()), Accept).await;
    table.broker("signed by the expired one of two", both(), old.sign(localhost()), Refuse(&["ca_file"])).await;
    table.end(15);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation() {
    let (root, now) = (Authority::root("root"), SystemTime::now());
    let issuing = root.below("issuing", |params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let made = |serial: u64| {
        issuing.sign(with(server(&["localhost"]), |params| params.serial_number = Some(SerialNumber::from(serial))))
    };
    let (soon, past) = (now + DAY, now - HOUR);
    let both = |of_root: String, of_issuing: String| {
        Side::trusting(&root.pem()).with("mqtt.tls.crl_file", &format!("{of_root}{of_issuing}"))
    };
    let mut table = Table::default();
    table.row("revocation");
    let clean = || (root.revocation_list(&[], soon), issuing.revocation_list(&[1], soon));
    let side = both(clean().0, clean().1);
    table.broker("not revoked", side, made(2), Accept).await;
    let side = both(clean().0, clean().1);
    table.broker("revoked", side, made(1), Refuse(&["has been revoked"])).await;
    let side = both(root.revocation_list(&[7], soon), clean().1);
    table.broker("a revoked intermediate", side, made(2), Refuse(&["has been revoked"])).await;
    let side = both(clean().0, issuing.revocation_list(&[], past));
    table.broker("an expired list", side, made(2), Refuse(&["out of date", "renew"])).await;
    let side = both(root.revocation_list(&[], past), clean().1);
    table.broker("an expired list of the root", side, made(2), Refuse(&["out of date"])).await;
    let unknown = &["no list in `crl_file` comes from the issuer"];
    let side = both(String::new(), Authority::root("other").revocation_list(&[], soon));
    table.broker("a list of another issuer", side, made(2), Refuse(unknown)).await;
    let side = both(String::new(), clean().1);
    table.broker("none for the intermediate", side, made(2), Refuse(unknown)).await;
    let side = both(clean().0, String::new());
    table.broker("none for the certificate", side, made(2), Refuse(unknown)).await;
    let namesake = root.below("issuing", |_| {}).revocation_list(&[], soon);
    let side = both(clean().0, namesake);
    table.broker("a list that its issuer has not signed", side, made(2), Refuse(&["crl_file"])).await;
    table.end(9);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_signatures() {
    let root = Authority::root("root");
    let trusting = || Side::trusting(&root.pem());
    let localhost = || server(&["localhost"]);
    let mut table = Table::default();
    table.row("keys");
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    table.broker("RSA 2048", trusting(), root.sign_for(localhost(), &rsa), Accept).await;
    for (case, algorithm) in [
        ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
        ("Ed25519", &rcgen::PKCS_ED25519),
    ] {
        let made = root.sign_for(localhost(), &KeyPair::generate_for(algorithm).unwrap());
        table.broker(case, trusting(), made, Accept).await;
    }
    let Some(program) = sandbox::tools::require("openssl") else { return table.end(4) };
    let directory = tempfile::tempdir().unwrap();
    let careless = Careless { openssl: &program, directory: directory.path() };
    let ca = careless.root();
    let names = "subjectAltName=DNS:localhost\nbasicConstraints=CA:false\nextendedKeyUsage=serverAuth\n";
    let lax = &["-cipher", "ALL:@SECLEVEL=0"];
    let weak = &["does not hold", "2048"];
    let old = &["signed in a way that counts no more", "SHA-256"];
    for (case, new_key, sign, extensions, must) in [
        ("RSA 2048 with SHA-256, from the same place", "rsa:2048", "-sha256", names, None),
        ("P-521", "ec -pkeyopt ec_paramgen_curve:P-521", "-sha256", names, None),
        ("RSA 1024", "rsa:1024", "-sha256", names, Some(&weak[..])),
        ("SHA-1", "rsa:2048", "-sha1", names, Some(&old[..])),
        ("MD5", "rsa:2048", "-md5", names, Some(&old[..])),
        ("X.509 version 1", "rsa:2048", "-sha256", "", Some(&["version 1", "make it anew", "subjectAltName"][..])),
    ] {
        let made = careless.leaf(case.split(' ').next_back().unwrap(), new_key, sign, extensions);
        let Some(words) = must else {
            table.broker(case, Side::trusting(&ca), made, Accept).await;
            continue;
        };
        for version in ["-tls1_2", "-tls1_3"] {
            let peer = peer::openssl(&program, directory.path(), &made, &[lax, &[version][..]].concat()).await;
            let words: &'static [&'static str] = words;
            table.case(&format!("{case}, {version}"), Side::trusting(&ca), peer, Refuse(words)).await;
        }
    }
    table.end(14);
}

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

#[tokio::test(flavor = "multi_thread")]
async fn our_certificate() {
    let (root, other, now) = (Authority::root("root"), Authority::root("other"), SystemTime::now());
    let made = root.sign(server(&["localhost"]));
    let expired = root.sign(with(client(), |params| dates(params, now - DAY, now - HOUR)));
    let own: [(&str, Option<Made>, bool); 6] = [
        ("good", Some(root.sign(client())), true),
        ("absent", None, false),
        ("expired", Some(expired), false),
        ("of another CA", Some(other.sign(client())), false),
        ("of another CA with the same name", Some(Authority::root("root").sign(client())), false),
        ("for servers", Some(root.sign(server(&["bridge"]))), false),
    ];
    let program = sandbox::tools::require("openssl");
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("clients.crt");
    std::fs::write(&ca, root.pem()).unwrap();
    let mut table = Table::default();
    table.row("our certificate, which the broker wants");
    for (case, shown, good) in own {
        let side = || {
            let side = Side::trusting(&root.pem());
            shown.iter().fold(side, Side::showing)
        };
        let must = || if good { Accept } else { Refuse(&["certificate", "the broker"]) };
        for (name, versions) in [("TLS 1.2", ONLY_1_2), ("TLS 1.3", ONLY_1_3)] {
            let server = Server { versions, clients: Some(root.pem()), ..Server::new(made.clone()) };
            table.case(&format!("{case}, rustls, {name}"), side(), server.start().await, must()).await;
        }
        // s_server speaks no MQTT, so nobody is accepted there in the end.
        let Some(program) = program.as_deref().filter(|_| !good) else { continue };
        for version in ["-tls1_2", "-tls1_3"] {
            let peer = asking(program, directory.path(), &made, &ca, version).await;
            table.case(&format!("{case}, OpenSSL, {version}"), side(), peer, must()).await;
        }
    }
    table.end(12);
}

async fn asking(program: &Path, directory: &Path, made: &Made, ca: &Path, version: &str) -> Peer {
    let ca = ca.display().to_string();
    peer::openssl(program, directory, made, &[version, "-Verify", "1", "-verify_return_error", "-CAfile", &ca]).await
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
            Refuse(&["closed the connection during the handshake", "8883"]),
        )
        .await;
    let port = peer::behind_tls(made(), b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    table.case("HTTP behind TLS", trusting(), port, Refuse(&["HTTP over TLS"])).await;
    let port = peer::behind_tls(made(), &[0; 64]).await;
    table.case("garbage behind TLS", trusting(), port, Refuse(&["packet"])).await;
    table.row("one deadline over all");
    let late = &["no CONNACK within 500ms"];
    let port = peer::plain(&[0x16, 3, 3, 0x10, 0, 2, 0, 0x0f, 0xfc, 3, 3, 0, 0, 0], Duration::from_millis(100)).await;
    table.case("a byte now and then", patient(), port, Refuse(late)).await;
    table.case("silence from the start", patient(), peer::plain(b"", zero).await, Refuse(late)).await;
    let port = peer::behind_tls(made(), b"").await;
    table.case("silence after the handshake", patient(), port, Refuse(late)).await;
    let port = peer::behind_tls(made(), &[0x20]).await;
    table.case("half a CONNACK", patient(), port, Refuse(late)).await;
    table.end(10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_ten_seconds() {
    let side = Side::trusting(&Authority::root("root").pem());
    assert_eq!(side.config(1).mqtt.connect_timeout, Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn our_files() {
    use std::os::unix::fs::PermissionsExt;
    let root = Authority::root("root");
    let made = root.sign(server(&["localhost"]));
    let (own, other) = (root.sign(client()), root.sign(client()));
    let mut table = Table::default();
    table.row("our files, at the start");
    let mixed = Made { chain: own.chain.clone(), key: other.key };
    let side = Side::trusting(&root.pem()).showing(&mixed);
    table
        .broker("a key of another certificate", side, made.clone(), Refuse(&["does not belong to the certificate"]))
        .await;
    let side = Side::trusting(&root.pem()).showing(&own);
    let key: PathBuf = side.files.path().join("mqtt.tls.key_file");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o604)).unwrap();
    table.broker("a key that others may read", side, made, Refuse(&["every user may read", "chmod 600"])).await;
    table.end(2);
}

/// rustls does not look at the dates of a root, so the bridge does, also later than at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_ends_while_in_use_is_trusted_no_more() {
    let now = SystemTime::now();
    let end = now + Duration::from_secs(5);
    let (lasting, short) =
        (Authority::root("lasting"), Authority::root_with("short", |params| dates(params, now - DAY, end)));
    let peer = Server::new(short.sign(server(&["localhost"]))).start().await;
    let side = Side::trusting(&format!("{}{}", lasting.pem(), short.pem()));
    let config = side.config(peer.port);
    let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
    let connector = Connector::new(config.mqtt.url.clone(), tls).unwrap();
    // Nothing is waited for but the date; certificates know whole seconds.
    tokio::time::sleep(end.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_secs(1)).await;
    let refused = connector.open().await.err().expect("a root that has ended is trusted");
    assert!(refused.to_string().contains("unknown issuer"), "{refused}");
}

/// A resumed handshake shows no certificate, so a revocation since then would go unnoticed. The peer offers to resume.
#[tokio::test(flavor = "multi_thread")]
async fn no_handshake_is_resumed() {
    let root = Authority::root("root");
    for versions in [ONLY_1_2, ONLY_1_3] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let side = Side::trusting(&root.pem());
        let config = side.config(listener.local_addr().unwrap().port());
        let server = Server { versions, ..Server::new(root.sign(server(&["localhost"]))) };
        let acceptor = TlsAcceptor::from(Arc::new(server.config()));
        let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
        let connector = Connector::new(config.mqtt.url.clone(), tls).unwrap();
        for _ in 0..3 {
            let accept = async {
                let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
                // With the byte behind them, the tickets of TLS 1.3 are read too.
                stream.write_all(b"x").await.unwrap();
                stream.flush().await.unwrap();
                stream
            };
            let open = async {
                let mut connection = connector.open().await.ok().unwrap();
                connection.read().await.unwrap();
                connection
            };
            let (stream, _connection) = tokio::join!(accept, open);
            let kind = stream.get_ref().1.handshake_kind();
            assert!(kind.is_some_and(|kind| kind != HandshakeKind::Resumed), "{versions:?}: {kind:?}");
        }
    }
}

/// In the log of the real binary; what has ended is told, too, as long as something is left to trust.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_soon_or_has_ended_is_told_at_the_start() {
    let now = SystemTime::now();
    let ended = Authority::root_with("ended root", |params| dates(params, now - DAY * 9, now - DAY));
    let ending = Authority::root_with("ending root", |params| dates(params, now - DAY * 80, now + DAY * 5));
    let mut world = World::builder().function(common::willing()).without_bridge().await.unwrap();
    let roots = world.directory().join("roots.crt");
    let all = [std::fs::read_to_string(&world.files.ca).unwrap(), ended.pem(), ending.pem()];
    std::fs::write(&roots, all.concat()).unwrap();
    world.set("mqtt.tls.ca_file", &roots.display().to_string());
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("broker.connected", common::PATIENCE).await, "{:#?}", process.log());
    let told = |event: &str| {
        let lines: Vec<_> = process.log().into_iter().filter(|line| line.contains(event)).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines[0].clone()
    };
    let (soon, over) = (told("tls.expiring"), told("tls.expired"));
    assert!(soon.contains("ending root") && soon.contains("\"of\":\"authority\""), "{soon}");
    assert!(over.contains("ended root") && over.contains("has expired on"), "{over}");
}

/// What is wrong with the files ends the real binary before any connection.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_binary_ends_with_exit_code_2_over_an_expired_root_and_an_open_key() {
    use std::os::unix::fs::PermissionsExt;
    let now = SystemTime::now();
    let expired = Authority::root_with("old root", |params| dates(params, now - DAY * 9, now - DAY));
    let mut world = World::builder().function(common::willing()).without_bridge().await.unwrap();
    let root = world.directory().join("root.crt");
    let good = world.files.ca.display().to_string();
    std::fs::write(&root, expired.pem()).unwrap();
    world.set("mqtt.tls.ca_file", &root.display().to_string());
    ends_with_code_2(&world, &["root.crt: no CA certificate in it is valid now", "old root", "has expired on"]).await;
    world.set("mqtt.tls.ca_file", &good);
    std::fs::set_permissions(&world.files.bridge.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    ends_with_code_2(&world, &["every user may read or change it (mode 0644)"]).await;
}

async fn ends_with_code_2(world: &World, words: &[&str]) {
    let mut process = world.spawn_bridge().unwrap();
    let status = process.exited(common::PATIENCE).await.unwrap().expect("it ends by itself");
    common::eventually("its last words", || process.count(words[0]) > 0).await;
    let log = process.log().join("\n");
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(words.iter().all(|word| log.contains(word)), "{log}");
    assert!(!log.contains("broker."), "it has tried to connect: {log}");
}
