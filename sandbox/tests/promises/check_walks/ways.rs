//! The rows with faults on the way to the broker. Runs nothing.

use std::net::TcpListener;

use sandbox::certs::{Pki, Role, Validity};

use super::table::{CASE, Case, write};

/// Wrong names and certificates, and ports without a listener.
pub fn wrong_ways() -> Vec<Case> {
    vec![
        Case {
            name: "nobody listens",
            keys: &[("mqtt.url", "mqtts://127.0.0.1:1")],
            says: &[
                "ok   dns",
                "FAIL tcp",
                "Connection refused",
                "hint: check host and port of mqtt.url",
                "ok   function",
            ],
            ..CASE
        },
        Case {
            name: "no such name",
            keys: &[("mqtt.url", "mqtts://broker.invalid:8883")],
            says: &["FAIL dns", "broker.invalid: no address found", "hint: check mqtt.url"],
            ..CASE
        },
        Case {
            name: "another name than the certificate's",
            keys: &[("mqtt.tls.server_name", "other.example")],
            says: &["ok   tcp", "FAIL tls", "other.example"],
            ..CASE
        },
        Case {
            name: "another authority than the broker's",
            with: |world| {
                let other = Pki::generate().unwrap().ca_pem();
                vec![("mqtt.tls.ca_file", write(world, "other.crt", &other, 0o644))]
            },
            says: &["ok   tls files", "ok   tcp", "FAIL tls", "`ca_file`"],
            ..CASE
        },
        Case {
            name: "a broker whose certificate was revoked",
            with: |world| {
                let list = world.pki.revoke(&[world.pki.identity(Role::Broker)], Validity::Current).unwrap();
                vec![("mqtt.tls.crl_file", write(world, "revoked.crl", &list, 0o644))]
            },
            says: &["ok   tls files", "FAIL tls", "revoked"],
            ..CASE
        },
        Case {
            name: "no client certificate",
            keys: &[("mqtt.tls.cert_file", ""), ("mqtt.tls.key_file", "")],
            says: &["FAIL connect", "certificate"],
            ..CASE
        },
    ]
}

/// Ports with another service.
pub fn wrong_ports() -> Vec<Case> {
    vec![
        Case {
            name: "a port of a web server",
            with: |world| vec![("mqtt.url", world.lambda.endpoint().replace("http:", "mqtts:"))],
            says: &["ok   tcp", "FAIL tls", "not TLS: the port speaks HTTP"],
            ..CASE
        },
        Case {
            name: "a port that says nothing",
            keys: &[("mqtt.connect_timeout", "1s")],
            with: |_| {
                // Open until the test process exits.
                let silent = Box::leak(Box::new(TcpListener::bind("127.0.0.1:0").unwrap()));
                vec![("mqtt.url", format!("mqtts://{}", silent.local_addr().unwrap()))]
            },
            says: &["ok   tcp", "FAIL tls", "no TLS handshake within 1s"],
            ..CASE
        },
        Case {
            name: "a port for MQTT alone, asked for a WebSocket",
            with: |world| vec![("mqtt.url", format!("{}/mqtt", world.url().to_string().replace("mqtts:", "wss:")))],
            says: &["ok   tcp", "FAIL tls", "for `wss://` it must take `http/1.1`"],
            ..CASE
        },
        Case {
            name: "a broker that does not know the application protocol",
            keys: &[("mqtt.alpn", "nothing")],
            says: &["FAIL tls", "none of the application protocols that were offered", "`mqtt.alpn`"],
            ..CASE
        },
        Case {
            name: "a proxy where nobody listens",
            keys: &[("mqtt.proxy", "http://127.0.0.1:1")],
            says: &["FAIL tcp", "proxy 127.0.0.1:1: no TCP connection"],
            ..CASE
        },
        Case {
            name: "a proxy that is none",
            with: |world| vec![("mqtt.proxy", world.lambda.endpoint())],
            says: &["ok   tcp", "FAIL proxy", "hint: check mqtt.proxy"],
            ..CASE
        },
        Case {
            name: "a program that gives no password",
            keys: &[("mqtt.username", "bridge"), ("mqtt.password_command", "/bin/false")],
            says: &["FAIL password", "no password for the broker: "],
            ..CASE
        },
        Case {
            name: "a probe that does not come back",
            arguments: &["--probe", "--probe-topic", "elsewhere"],
            says: &["FAIL probe", "did not come back", "hint: the broker confirmed it and sent nothing"],
            ..CASE
        },
    ]
}
