//! What a device may put into a PUBLISH though MQTT forbids it, and a broker forwards without a look: text that is not UTF-8, in a
//! topic or in a property, and the like. It gets an outcome, and stops nothing that comes behind it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bridge::config::Protocol;
use rustls::pki_types::ServerName;
use sandbox::lab::Product;
use sandbox::lambda::{Answer, Function};
use sandbox::scripted::{frame, string};
use sandbox::world::FUNCTION;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::bench::{Bench, Seen, Stage};
use crate::common::{PATIENCE, records};

const USER_PROPERTY: u8 = 0x26;
const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const PAYLOAD_FORMAT: u8 = 0x01;
const TOPIC_ALIAS: u8 = 0x23;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;

/// What is wrong, at the end of the topic, and in the properties.
type Case = (&'static str, &'static [u8], Vec<u8>);

fn cases(protocol: Protocol) -> Vec<Case> {
    let mut cases: Vec<Case> = vec![
        ("topic: not UTF-8", b"/caf\xe9", vec![]),
        ("topic: NUL", b"/caf\0", vec![]),
        ("topic: wildcard", b"/+", vec![]),
    ];
    if protocol == Protocol::V5 {
        let property =
            |id: u8, texts: &[&[u8]]| [vec![id], texts.iter().flat_map(|text| string(text)).collect()].concat();
        cases.extend([
            ("user property: not UTF-8", &b""[..], property(USER_PROPERTY, &[b"caf\xe9", b"caf\xe9"])),
            ("user property: NUL", b"", property(USER_PROPERTY, &[b"k", b"caf\0"])),
            ("content type: not UTF-8", b"", property(CONTENT_TYPE, &[b"caf\xe9"])),
            ("response topic: not UTF-8", b"", property(RESPONSE_TOPIC, &[b"caf\xe9"])),
            ("response topic: wildcard", b"", property(RESPONSE_TOPIC, &[b"a/#"])),
            ("payload format 2", b"", vec![PAYLOAD_FORMAT, 2]),
            ("payload format twice", b"", vec![PAYLOAD_FORMAT, 1, PAYLOAD_FORMAT, 1]),
            ("topic alias", b"", vec![TOPIC_ALIAS, 0, 1]),
            ("subscription identifier", b"", vec![SUBSCRIPTION_IDENTIFIER, 99]),
        ]);
    }
    cases
}

/// `RabbitMQ` 4.0 takes such a message, and `rabbit_mqtt_packet:serialise_prop` fails at each attempt to send it under MQTT 5: no
/// client gets anything behind it. docs/brokers.md says what helps.
fn can_send(product: Product, name: &str) -> bool {
    product != Product::RabbitMq4 || name != "subscription identifier"
}

pub async fn text_stops_nothing(bench: Bench) -> Seen {
    let filter = format!("lab/{}/#", bench.name);
    let function = Function::inline(FUNCTION, |_| async { Answer::null() });
    let mut stage = bench.stage_for(function, &filter, "", "").await;
    let letters = stage.world.directory().join("letters.jsonl");
    stage.change("timeout = \"2m\"", &format!("timeout = \"2m\"\non_failure = {{ file = \"{}\" }}", letters.display()));
    let bridge = stage.bridge().await;
    let mut taken = Vec::new();
    for (name, below, properties) in
        cases(bench.protocol).into_iter().filter(|(name, ..)| can_send(bench.habits.product, name))
    {
        let topic = [stage.topic.as_bytes(), below].concat();
        if is_confirmed(&stage, bench.protocol, &topic, &properties, name).await {
            taken.push(name);
        }
    }
    let sensors = stage.publish(5).await;
    let mut seen = stage.outcome(&[&sensors]).await;
    seen.nothing_lost(bench.again(&[&bridge]));
    let fate = |name: &str| fate(&stage, &letters, name);
    let number = async |name: &str| bridge.metric(&format!("mqtt_lambda_bridge_{name}_total{{mapping=\"m\"}}")).await;
    while number("received").await != number("acknowledged").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = bridge.logged("broker.lost").len();
    seen.must(ended == 0, format!("the connection was lost {ended} times"));
    let told: Vec<_> =
        taken.iter().map(|name| format!("{name} ({})", fate(name).unwrap_or("the broker drops it"))).collect();
    seen.note = if told.is_empty() { "the broker takes none of it".into() } else { told.join(", ") };
    seen
}

/// What became of the message whose payload names the case.
fn fate(stage: &Stage, letters: &Path, name: &str) -> Option<&'static str> {
    let text = std::fs::read_to_string(letters).unwrap_or_default();
    let is_dead = text.lines().any(|line| line.contains("\"IllFormed\"") && line.contains(&format!("case: {name};")));
    let is_invoked =
        || records(&stage.world).iter().any(|record| record["payload"]["case"] == format!("case: {name};"));
    if is_dead { Some("a dead letter") } else { is_invoked().then_some("invoked") }
}

/// Publishes by hand, as no client library would; whether the broker has confirmed it.
async fn is_confirmed(stage: &Stage, protocol: Protocol, topic: &[u8], properties: &[u8], name: &str) -> bool {
    let sent = async {
        let mut stream = connect(stage, protocol).await?;
        let mut body = string(topic);
        body.extend([0, 1]);
        if protocol == Protocol::V5 {
            body.push(u8::try_from(properties.len()).unwrap());
            body.extend(properties);
        }
        body.extend(format!("{{\"case\":\"case: {name};\"}}").into_bytes());
        stream.write_all(&frame(0x32, &body)).await?;
        let answer = packet(&mut stream).await?;
        Ok::<_, io::Error>(answer[0] == 0x40 && answer.get(4).is_none_or(|reason| *reason < 0x80))
    };
    // The end of the connection is an answer, too.
    timeout(PATIENCE, sent).await.expect("an answer in time").unwrap_or(false)
}

async fn connect(stage: &Stage, protocol: Protocol) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let (world, url) = (&stage.world, stage.world.url());
    let tls = TlsConnector::from(Arc::new(world.files.client_config(&world.files.device).unwrap()));
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    let mut stream = tls.connect(ServerName::try_from(url.host.clone()).unwrap(), stream).await?;
    let (version, none): (u8, &[u8]) = if protocol == Protocol::V5 { (5, &[0]) } else { (4, &[]) };
    let flags = if stage.login.is_some() { 0xc2 } else { 0x02 };
    let mut body = [
        string(b"MQTT"),
        vec![version, flags, 0, 60],
        none.to_vec(),
        string(format!("by-hand-{}", stage.topic.replace('/', "-")).as_bytes()),
    ]
    .concat();
    if let Some((user, password)) = &stage.login {
        body.extend([string(user.as_bytes()), string(password.as_bytes())].concat());
    }
    stream.write_all(&frame(0x10, &body)).await?;
    let answer = packet(&mut stream).await?;
    if answer[0] == 0x20 && answer[3] == 0 { Ok(stream) } else { Err(io::Error::other(format!("CONNACK: {answer:?}"))) }
}

/// One short packet.
async fn packet(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut packet = vec![stream.read_u8().await?];
    let (mut length, mut shift) = (0, 0);
    loop {
        let digit = stream.read_u8().await?;
        packet.push(digit);
        length |= usize::from(digit & 0x7f) << shift;
        shift += 7;
        if digit & 0x80 == 0 {
            break;
        }
    }
    let from = packet.len();
    packet.resize(from + length, 0);
    stream.read_exact(&mut packet[from..]).await?;
    Ok(packet)
}
