//! What a connection keeps in memory, and what it refuses.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::*;
use crate::message::Message;
use crate::mqtt::buffer::make_room;

/// A connection that is read as [`super::super::connection::Connection`] reads one.
struct Reader {
    decoder: Decoder,
    input: BytesMut,
    /// The highest number of buffered bytes.
    most: usize,
}

impl Reader {
    fn new(protocol: Protocol) -> Self {
        Self { decoder: Decoder::new(Wire(protocol)), input: BytesMut::new(), most: 0 }
    }

    /// Reads `stream` in pieces as large as there is room for, and returns what was in it.
    fn read(&mut self, mut stream: &[u8]) -> Result<Vec<Incoming>, WireError> {
        let mut packets = Vec::new();
        while !stream.is_empty() {
            make_room(&mut self.input);
            let room = self.input.capacity() - self.input.len();
            assert!(room > 0, "a read of nothing");
            let (piece, rest) = stream.split_at(room.min(stream.len()));
            self.input.extend_from_slice(piece);
            self.most = self.most.max(self.input.capacity());
            stream = rest;
            while let Some(packet) = self.decoder.next(&mut self.input)? {
                packets.push(packet);
            }
        }
        Ok(packets)
    }
}

fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut packet = BytesMut::new();
    packet.put_u8(first);
    put_variable_length(body.len(), &mut packet);
    packet.extend_from_slice(&body);
    packet.to_vec()
}

fn section(properties: &[u8]) -> Vec<u8> {
    let mut section = BytesMut::new();
    put_variable_length(properties.len(), &mut section);
    section.extend_from_slice(properties);
    section.to_vec()
}

/// PUBLISH at QoS 1 to `sensor/data`.
fn publish(packet_id: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    packet(0x32, &[b"\0\x0bsensor/data", &packet_id.to_be_bytes(), &section(properties), payload])
}

fn message(packet: Incoming) -> (u16, Message) {
    match packet {
        Incoming::Publish { packet_id, message, .. } => (packet_id, message),
        other => panic!("{other:?}"),
    }
}

/// How many bytes of memory a slice keeps alive, if it has no other owner.
fn kept(part: Bytes) -> usize {
    part.try_into_mut().expect("a buffer that several messages share").capacity()
}

/// The same of a topic and a payload, which have one buffer.
fn kept_both(topic: Bytes, payload: Bytes) -> usize {
    let begins = topic.as_ptr();
    drop(payload);
    let buffer = topic.try_into_mut().expect("a buffer that several messages share");
    assert_eq!(buffer.as_ptr(), begins, "the topic is not at the front");
    buffer.capacity()
}

/// Empty user properties.
fn bomb(count: usize) -> Vec<u8> {
    b"\x26\0\0\0\0".repeat(count)
}

#[test]
fn small_messages_keep_no_buffer_alive() {
    const COUNT: u16 = 65_000;
    let mut reader = Reader::new(Protocol::V5);
    let stream: Vec<u8> = (1..=COUNT).flat_map(|id| publish(id, b"\x09\0\x02id", &[b'x'; 100])).collect();
    let messages: Vec<_> = reader.read(&stream).unwrap().into_iter().map(|packet| message(packet).1).collect();
    assert_eq!(messages.len(), usize::from(COUNT));
    assert!(reader.most <= 32 * 1024, "{}", reader.most);
    drop(reader);
    let (mut told, mut real) = (0, 0);
    for message in messages {
        told += message.weight();
        // Queued as a delivery, which is larger than the message.
        real += size_of::<crate::delivery::Delivery>() + kept_both(message.topic.into_bytes(), message.payload);
        let properties = std::sync::Arc::into_inner(message.properties.unwrap()).unwrap();
        real += size_of_val(&properties) + kept(properties.correlation_data.unwrap());
    }
    assert!(real <= 2 * told && told <= 2 * real, "{real} bytes, said to be {told}");
}

#[test]
fn a_large_payload_is_shared_and_its_buffer_is_hardly_longer() {
    for (length, small) in [(16 * 1024, 3), (20_000, 70), (100_000, 200), (3 << 20, 1000)] {
        let mut reader = Reader::new(Protocol::V5);
        let before: Vec<u8> = (1..=small).flat_map(|id| publish(id, b"", b"x")).collect();
        let large = publish(9999, b"", &vec![b'y'; length]);
        let mut packets = reader.read(&[&before[..], &large, &before, &large].concat()).unwrap();
        let (id, last) = message(packets.pop().unwrap());
        let first = message(packets.remove(usize::from(small))).1;
        assert_eq!((id, first.payload.len(), last.payload.len()), (9999, length, length));
        drop(reader);
        for payload in [first.payload, last.payload] {
            let kept = kept(payload);
            assert!(kept <= 2 * length + 100, "{length} bytes keep {kept}");
        }
    }
}

#[test]
fn a_header_alone_costs_nothing() {
    for come in [10, 100_000] {
        let mut reader = Reader::new(Protocol::V311);
        let front = [&b"\x32\xff\xff\xff\x7f\0\x0bsensor/data\0\x01"[..], &vec![b'x'; come]].concat();
        assert!(reader.read(&front).unwrap().is_empty());
        assert!(reader.most <= 32 * 1024 + 2 * come, "{}", reader.most);
    }
}

#[test]
fn the_buffer_of_a_large_packet_is_not_kept_for_small_ones() {
    let mut reader = Reader::new(Protocol::V5);
    drop(reader.read(&publish(1, b"", &vec![b'x'; 1 << 20])).unwrap());
    drop(reader.read(&publish(2, b"", b"x")).unwrap());
    assert!(reader.input.capacity() <= 32 * 1024, "{}", reader.input.capacity());
}

/// 4 MB here; MQTT allows 250 MB. Nothing of it may be kept.
#[test]
fn a_publish_full_of_properties_goes_by_and_is_known_by_its_digest() {
    let mut reader = Reader::new(Protocol::V5);
    let body = [&section(&bomb(800_000))[..], b"payload"].concat();
    let skipped = packet(0x3b, &[b"\0\x0bsensor/data", &[0, 7], &body]);
    let packets = reader.read(&[publish(6, b"", b"a"), skipped, publish(8, b"", b"b")].concat()).unwrap();
    let [first, middle, last] = <[Incoming; 3]>::try_from(packets).unwrap().map(message);
    assert_eq!((first.0, first.1.payload, last.0, last.1.payload), (6, "a".into(), 8, "b".into()));
    let (id, message) = middle;
    assert_eq!((id, &*message.topic, message.dup, message.retain), (7, "sensor/data", true, true));
    let told = message.skipped().unwrap();
    assert_eq!((told.length, told.sha256), (body.len() as u64, Sha256::digest(&body).into()));
    assert!(told.why.contains("4000000 bytes") && told.why.contains("262144"), "{}", told.why);
    assert!(message.payload.is_empty() && message.weight() < 1000);
    assert!(reader.most <= 32 * 1024, "{}", reader.most);
}

#[test]
fn too_many_properties_go_by_even_when_they_are_small() {
    for (count, skipped) in [(2048, false), (2049, true)] {
        let packets = Reader::new(Protocol::V5).read(&publish(7, &bomb(count), b"x")).unwrap();
        let message = packets.into_iter().map(message).next().unwrap().1;
        assert_eq!(message.skipped().is_some(), skipped, "{count}");
        assert_eq!(message.payload.is_empty(), skipped, "{count}");
    }
}

#[test]
fn what_goes_by_must_be_a_publish_all_the_same() {
    let section = section(&bomb(100_000));
    for (what, first, front, code) in [
        ("QoS 3", 0x36, &b"\0\x01a\0\x07"[..], 0x81),
        ("QoS 0 with DUP", 0x38, b"\0\x01a", 0x81),
        ("packet id 0", 0x32, b"\0\x01a\0\0", 0x82),
        ("no topic", 0x32, b"\0\0\0\x07", 0x82),
    ] {
        let error = Reader::new(Protocol::V5).read(&packet(first, &[front, &section])).unwrap_err();
        assert_eq!(error.code, code, "{what}");
    }
}

#[test]
fn what_goes_by_may_have_a_topic_that_mqtt_forbids() {
    let packet = packet(0x32, &[b"\0\x02\xff#\0\x07", &section(&bomb(100_000))]);
    let (id, bomb) = message(Reader::new(Protocol::V5).read(&packet).unwrap().remove(0));
    assert_eq!((id, &bomb.topic[..]), (7, "??"));
    assert!(bomb.skipped().is_some() && bomb.unfit().is_some_and(|(kind, _)| kind == "TooLarge"), "{bomb:?}");
}

/// A broker counts the expiry down, and a copy that looks like another message would be acknowledged twice.
#[test]
fn copies_of_what_cannot_be_decoded_are_equal_whatever_is_left_of_their_life() {
    let read = |packet: &[u8]| message(Reader::new(Protocol::V5).read(packet).unwrap().remove(0)).1;
    let equal = |one: &Message, other: &Message| {
        let (one, other) = (one.properties.as_ref().unwrap(), other.properties.as_ref().unwrap());
        one.skipped == other.skipped && one.ill_formed == other.ill_formed
    };
    for properties in [bomb(60_000), b"\x26\0\x01\xff\0\0".to_vec()] {
        let copy = |expiry: u8, text: &[u8]| {
            let expiry = [&[2, 0, 0, 0, expiry][..], &[3, 0, 1], text].concat();
            read(&publish(7, &[&properties[..], &expiry].concat(), b"x"))
        };
        let (first, later, other) = (copy(9, b"a"), copy(8, b"a"), copy(9, b"b"));
        assert!(first.unfit().is_some() && equal(&first, &later), "{first:?} {later:?}");
        let is_same = equal(&first, &other) && first.properties == other.properties;
        assert!(!is_same, "{other:?}");
    }
}

/// Only the front of each is there, or it is small: the refusal needs no further byte.
#[test]
fn what_is_too_large_and_no_publish_is_refused_before_it_is_there() {
    let huge_suback = &packet(0x90, &[&vec![0; 300_000]])[..20];
    let huge_connack = &packet(0x20, &[&[0, 0], &section(&bomb(60_000))])[..20];
    let many_in_connack = packet(0x20, &[&[0, 0], &section(&bomb(2049))]);
    let many_in_suback = packet(0x90, &[&[0, 1], &section(&bomb(2049)), &[1]]);
    for (what, bytes, lasting) in [
        ("SUBACK", huge_suback, false),
        ("CONNACK", huge_connack, true),
        ("CONNACK with many properties", &many_in_connack, true),
        ("SUBACK with many properties", &many_in_suback, false),
    ] {
        let error = Reader::new(Protocol::V5).read(bytes).unwrap_err();
        assert_eq!((error.code, error.lasting), (0x95, lasting), "{what}: {error}");
    }
    let error = Reader::new(Protocol::V311).read(huge_suback).unwrap_err();
    assert_eq!(error.code, 0x95, "MQTT 3.1.1 too");
}

#[test]
fn a_reason_string_as_long_as_can_be_is_taken() {
    let properties = [&[0x1f, 0xff, 0xff][..], &vec![b'x'; 65_535]].concat();
    let packets = Reader::new(Protocol::V5).read(&packet(0xe0, &[&[0x8b], &section(&properties)])).unwrap();
    assert!(matches!(&packets[..], [Incoming::Disconnect(reason)] if reason.code == 0x8b));
}

#[test]
fn a_property_that_stands_twice_is_a_protocol_error_in_every_packet() {
    let twice = section(b"\x1f\0\x01a\x1f\0\x01b");
    for (what, bytes) in [
        ("PUBLISH", publish(7, b"\x03\0\x01a\x03\0\x01b", b"x")),
        ("CONNACK", packet(0x20, &[&[0, 0], &twice])),
        ("PUBACK", packet(0x40, &[&[0, 1, 0], &twice])),
        ("PUBREL", packet(0x62, &[&[0, 1, 0], &twice])),
        ("SUBACK", packet(0x90, &[&[0, 1], &twice, &[1]])),
        ("UNSUBACK", packet(0xb0, &[&[0, 1], &twice, &[0]])),
        ("DISCONNECT", packet(0xe0, &[&[0], &twice])),
    ] {
        assert_eq!(Reader::new(Protocol::V5).read(&bytes).unwrap_err().code, 0x82, "{what}");
    }
    let repeated = b"\x26\0\x01a\0\x01b\x26\0\x01a\0\x01b\x0b\x01\x0b\x02";
    let packets = Reader::new(Protocol::V5).read(&publish(7, repeated, b"x")).unwrap();
    assert_eq!(packets.into_iter().map(message).next().unwrap().1.properties.unwrap().user.len(), 2);
}
