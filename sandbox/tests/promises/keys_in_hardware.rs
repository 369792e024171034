//! Promise: the bridge's private key can stay in a token. It signs there for every kind of key and version of TLS, is renewed
//! while the bridge runs, comes back after the token was away, and behind p11-kit's server is never in the bridge's memory.
//! SoftHSM is the token and Mosquitto the broker; `.ci/pkcs11` builds the bridge that this needs.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::common::{PATIENCE, eventually, nothing_lost, publish, willing};
use crate::given_binary::{stopped, subscribed};
use crate::token::{PIN, Server, Tokens, bridge, write_secret};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sandbox::certs::{Identity, KeyKind, Leaf};
use sandbox::world::{BridgeProcess, BrokerKind, World};

/// The token of each world, and the label of the key in it.
const TOKEN: &str = "bridge";
const OBJECT: &str = "token=bridge;object=tls";

/// A world whose bridge has a certificate for this kind of key, and the key alone in a token.
async fn world(kind: KeyKind) -> Option<(PathBuf, World, Tokens, Identity)> {
    let bridge = bridge()?;
    let builder = World::builder().broker(BrokerKind::Mosquitto).function(willing());
    let mut world = builder.without_bridge().await.unwrap();
    let tokens = Tokens::with(TOKEN);
    let identity = world.pki.issue(&leaf(kind)).unwrap();
    tokens.import(TOKEN, "tls", "01", &identity);
    fs::write(&world.files.bridge.cert, identity.certificate_pem()).unwrap();
    fs::remove_file(&world.files.bridge.key).unwrap();
    world.set("mqtt.tls.key_file", &tokens.uri(OBJECT));
    Some((bridge, world, tokens, identity))
}

fn leaf(kind: KeyKind) -> Leaf {
    Leaf { key: kind, ..Leaf::client("bridge") }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_signs_under_both_versions_of_tls() {
    for (kind, tls_1_2) in [
        (KeyKind::P256, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (KeyKind::P384, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (KeyKind::Rsa, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let Some((bridge, mut world, tokens, _)) = world(kind).await else { return };
        for (suite, version) in [("TLS_AES_256_GCM_SHA384", "TLSv1.3"), (tls_1_2, "TLSv1.2")] {
            world.set("mqtt.tls.cipher_suites", suite);
            let process = subscribed(&bridge, &world, [tokens.variable()]).await;
            assert!(process.count(version) > 0, "{kind:?} not over {version}: {:#?}", process.log());
            let sensors = publish(&world, 20, |_| {}).await;
            nothing_lost(&world, &sensors).await;
            stopped(process).await;
        }
    }
}

/// The new key stands beside the old one, under the same label; which of them is meant is said by the certificate.
#[tokio::test(flavor = "multi_thread")]
async fn key_and_certificate_are_renewed_while_it_runs() {
    let Some((bridge, world, tokens, first)) = world(KeyKind::P256).await else { return };
    let mut process = subscribed(&bridge, &world, [tokens.variable()]).await;
    let write = |identity: &Identity| fs::write(&world.files.bridge.cert, identity.certificate_pem()).unwrap();
    // A certificate whose key is in no token is refused, and the old set stays in use.
    let second = world.pki.issue(&leaf(KeyKind::P256)).unwrap();
    write(&second);
    assert!(process.logged("does not belong to the certificate", PATIENCE).await, "{:#?}", process.log());
    assert!(process.count("tls.refused") > 0);
    let sensors = publish(&world, 20, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    write(&first);
    assert!(process.logged("tls.restored", PATIENCE).await, "{:#?}", process.log());
    tokens.import(TOKEN, "tls", "02", &second);
    write(&second);
    assert!(process.logged("tls.renewed", PATIENCE).await, "{:#?}", process.log());
    eventually("a connection with the new key", || process.count("\"subscribed\"") > 1).await;
    let sensors = publish(&world, 20, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    // A key of another kind.
    let third = world.pki.issue(&leaf(KeyKind::Rsa)).unwrap();
    tokens.import(TOKEN, "tls", "03", &third);
    write(&third);
    eventually("a connection with the third key", || process.count("\"subscribed\"") > 2).await;
    assert_eq!(process.count("tls.renewed"), 2, "{:#?}", process.log());
    stopped(process).await;
}

/// A wrong PIN is tried once; a new one when its file changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_refused_while_it_runs_and_the_right_one_taken() {
    let Some((bridge, world, tokens, _)) = world(KeyKind::P256).await else { return };
    let mut process = subscribed(&bridge, &world, [tokens.variable()]).await;
    write_secret(&tokens.pin_file(), "hunter2-wrong");
    assert!(process.logged("the token refuses the PIN", PATIENCE).await, "{:#?}", process.log());
    let sensors = publish(&world, 20, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    write_secret(&tokens.pin_file(), PIN);
    assert!(process.logged("tls.restored", PATIENCE).await, "{:#?}", process.log());
    let log = process.log().join("\n");
    assert!(!log.contains("hunter2") && !log.contains(PIN), "a PIN is in the log: {log}");
    assert_eq!(process.count("the token refuses the PIN"), 1, "{log}");
    stopped(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_words() {
    let Some((bridge, mut world, tokens, _)) = world(KeyKind::P256).await else { return };
    tokens.add_token("other");
    tokens.add_token("twin");
    tokens.add_token("twin");
    let no_module = world.directory().join("module.so");
    fs::write(&no_module, "no library").unwrap();
    let wrong_pin = world.directory().join("wrong.pin");
    write_secret(&wrong_pin, "hunter2-wrong");
    let stranger = world.pki.issue(&leaf(KeyKind::P256)).unwrap();
    tokens.import("other", "tls", "01", &stranger);
    let softhsm = crate::token::SOFTHSM;
    for (uri, words) in [
        (tokens.uri("token=absent;object=tls"), "no such token"),
        (tokens.uri("token=twin;object=tls"), "several tokens fit"),
        (tokens.uri("token=bridge;object=absent"), "no such private key"),
        (tokens.uri("token=bridge;id=%09"), "no such private key"),
        (tokens.uri("token=other;object=tls"), "does not belong to the certificate"),
        (tokens.uri_by(OBJECT, &no_module), "the module does not load"),
        (tokens.uri_by(OBJECT, "/absent/module.so".as_ref()), "/absent/module.so: no such file"),
        (format!("pkcs11:{OBJECT}?module-path={softhsm}"), "add `pin-source=file:`"),
        (format!("pkcs11:{OBJECT}?module-path={softhsm}&pin-source=/absent/pin"), "/absent/pin: no such file"),
        (
            format!("pkcs11:{OBJECT}?module-path={softhsm}&pin-source={}", wrong_pin.display()),
            "the token refuses the PIN",
        ),
        (format!("pkcs11:{OBJECT}?module-path={softhsm}&pin-value=hunter2"), "file of mode 0600"),
    ] {
        world.set("mqtt.tls.key_file", &uri);
        let mut process = world.spawn_binary(&bridge, [tokens.variable()]).unwrap();
        let status = process.exited(PATIENCE).await.unwrap();
        let said = process.log().join("\n");
        assert_eq!(status.and_then(|status| status.code()), Some(2), "{uri}: {said}");
        assert!(said.contains(words), "{uri}: {said}");
        assert!(!said.contains("hunter2") && !said.contains(PIN), "a PIN is told: {said}");
        assert_eq!(process.count("cryptoki"), 0, "the library speaks for itself: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_away_is_taken_up_again() {
    let Some((bridge, mut world, tokens, _)) = world(KeyKind::P256).await else { return };
    world.set("mqtt.tls.key_file", &tokens.uri_by(OBJECT, &Server::module()));
    let server = Server::start(&tokens, TOKEN).await;
    let mut process = subscribed(&bridge, &world, [server.variable()]).await;
    drop(server);
    world.broker.as_mut().unwrap().restart().await.unwrap();
    assert!(process.logged("the key in the token does not sign", PATIENCE).await, "{:#?}", process.log());
    let _server = Server::start(&tokens, TOKEN).await;
    eventually("the bridge is back", || process.count("\"subscribed\"") > 1).await;
    let sensors = publish(&world, 20, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    stopped(process).await;
}

/// A key in a file is found in the process, so a key that is there would be found.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_server_the_key_is_not_in_the_process() {
    let Some((bridge, mut world, tokens, identity)) = world(KeyKind::P256).await else { return };
    world.set("mqtt.tls.key_file", &tokens.uri_by(OBJECT, &Server::module()));
    let server = Server::start(&tokens, TOKEN).await;
    let process = subscribed(&bridge, &world, [server.variable()]).await;
    let sensors = publish(&world, 20, |_| {}).await;
    nothing_lost(&world, &sensors).await;
    let secret = private_number(&identity);
    assert!(!is_in_memory(&process, &secret), "the private key is in the bridge's memory");
    stopped(process).await;
    let file = world.files.bridge.key.clone();
    write_secret(&file, identity.private_pem());
    world.set("mqtt.tls.key_file", &file.display().to_string());
    let process = subscribed(&bridge, &world, []).await;
    assert!(is_in_memory(&process, &secret), "the test does not find a key that is there");
    stopped(process).await;
}

/// The number that is the private key: 32 bytes behind `OCTET STRING, 32` in its DER (RFC 5915).
fn private_number(identity: &Identity) -> [u8; 32] {
    let key = PrivateKeyDer::from_pem_slice(identity.private_pem().as_bytes()).unwrap();
    let der = key.secret_der();
    let at = der.windows(2).position(|window| window == [0x04, 0x20]).unwrap() + 2;
    der[at..at + 32].try_into().unwrap()
}

/// Whether the number is in what the process can write to, its first byte first or last, as libraries keep it.
fn is_in_memory(process: &BridgeProcess, number: &[u8; 32]) -> bool {
    let id = process.id().unwrap();
    let memory = fs::File::open(format!("/proc/{id}/mem")).unwrap();
    let mut reversed = *number;
    reversed.reverse();
    let mut read = 0;
    let mut found = false;
    for line in fs::read_to_string(format!("/proc/{id}/maps")).unwrap().lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Memory that the process has released meanwhile cannot be read.
        let Ok(()) = memory.read_exact_at(&mut bytes, from) else { continue };
        read += bytes.len();
        let is_there = |wanted: &[u8]| bytes.windows(32).any(|window| window[0] == wanted[0] && window == wanted);
        found |= is_there(number) || is_there(&reversed);
    }
    assert!(read > 1 << 20, "only {read} bytes of memory were read");
    found
}
