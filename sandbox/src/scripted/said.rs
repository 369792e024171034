//! The packets that a scripted broker sends: by the codec if possible, byte by byte if a correct codec would refuse.

use std::io;

use bridge::config::Protocol;
use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::v5::{Publish, PublishProperties};

/// CONNACK.
#[derive(Debug, Clone, Default)]
pub struct ConnAck {
    session_present: bool,
    code: u8,
    properties: Vec<u8>,
}

impl ConnAck {
    /// Accepted; the broker knows nothing of this client.
    #[must_use]
    pub fn fresh() -> Self {
        Self::default()
    }

    /// Accepted; the broker has kept the session.
    #[must_use]
    pub fn resumed() -> Self {
        Self { session_present: true, ..Self::default() }
    }

    /// Refused with this code: a reason code of MQTT 5, or a return code of MQTT 3.1.1.
    #[must_use]
    pub fn refused(code: u8) -> Self {
        Self { code, ..Self::default() }
    }

    /// Server Keep Alive, in seconds (MQTT 5, 3.2.2.3.14).
    #[must_use]
    pub fn server_keep_alive(mut self, seconds: u16) -> Self {
        self.properties.put_u8(19);
        self.properties.put_u16(seconds);
        self
    }

    /// Session Expiry Interval, in seconds (MQTT 5, 3.2.2.3.2).
    #[must_use]
    pub fn session_expiry(mut self, seconds: u32) -> Self {
        self.properties.put_u8(17);
        self.properties.put_u32(seconds);
        self
    }

    /// Server Reference (MQTT 5, 3.2.2.3.16).
    #[must_use]
    pub fn server_reference(self, text: &str) -> Self {
        self.text(28, text)
    }

    /// Reason String (MQTT 5, 3.2.2.3.9).
    #[must_use]
    pub fn reason(self, text: &str) -> Self {
        self.text(31, text)
    }

    /// Receive Maximum, for publishers (MQTT 5, 3.2.2.3.3).
    #[must_use]
    pub fn receive_maximum(mut self, number: u16) -> Self {
        self.properties.put_u8(33);
        self.properties.put_u16(number);
        self
    }

    /// Maximum QoS, for publishers (MQTT 5, 3.2.2.3.4).
    #[must_use]
    pub fn max_qos(mut self, qos: u8) -> Self {
        self.properties.extend([36, qos]);
        self
    }

    /// That nothing can be retained (MQTT 5, 3.2.2.3.5).
    #[must_use]
    pub fn without_retain(mut self) -> Self {
        self.properties.extend([37, 0]);
        self
    }

    /// That subscriptions cannot have identifiers (MQTT 5, 3.2.2.3.12).
    #[must_use]
    pub fn without_identifiers(mut self) -> Self {
        self.properties.extend([41, 0]);
        self
    }

    /// That there are no shared subscriptions (MQTT 5, 3.2.2.3.13).
    #[must_use]
    pub fn without_shared(mut self) -> Self {
        self.properties.extend([42, 0]);
        self
    }

    /// That topic filters cannot hold wildcards (MQTT 5, 3.2.2.3.11).
    #[must_use]
    pub fn without_wildcards(mut self) -> Self {
        self.properties.extend([40, 0]);
        self
    }

    /// Maximum Packet Size, for publishers, in bytes (MQTT 5, 3.2.2.3.6).
    #[must_use]
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.properties.put_u8(39);
        self.properties.put_u32(bytes);
        self
    }

    fn text(mut self, property: u8, text: &str) -> Self {
        self.properties.put_u8(property);
        self.properties.extend(string(text.as_bytes()));
        self
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self, protocol: Protocol) -> Vec<u8> {
        let mut body = vec![u8::from(self.session_present), self.code];
        if protocol == Protocol::V5 {
            body.extend(length(self.properties.len()));
            body.extend(&self.properties);
        }
        frame(0x20, &body)
    }
}

/// PUBLISH.
#[derive(Debug, Clone)]
pub struct Message {
    /// 0 at QoS 0.
    pub packet_id: u16,
    /// The quality of service; 1 unless changed.
    pub qos: u8,
    /// Whether it claims to have been sent before.
    pub dup: bool,
    /// Whether it claims to have been retained.
    pub retain: bool,
    /// `sensor/data` unless changed.
    pub topic: Bytes,
    /// The payload.
    pub payload: Bytes,
    /// MQTT 5.
    pub properties: PublishProperties,
}

impl Message {
    /// At QoS 1, on the topic of the sandbox's mapping.
    #[must_use]
    pub fn new(packet_id: u16, payload: impl Into<Bytes>) -> Self {
        Self {
            packet_id,
            qos: 1,
            dup: false,
            retain: false,
            topic: Bytes::from_static(b"sensor/data"),
            payload: payload.into(),
            properties: PublishProperties::default(),
        }
    }

    /// The same, sent again.
    #[must_use]
    pub fn again(self) -> Self {
        Self { dup: true, ..self }
    }

    /// With this quality of service; 0 has no packet id.
    #[must_use]
    pub fn qos(self, qos: u8) -> Self {
        Self { qos, packet_id: if qos == 0 { 0 } else { self.packet_id }, ..self }
    }

    /// On this topic.
    #[must_use]
    pub fn topic(self, topic: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), ..self }
    }

    /// Marked as retained.
    #[must_use]
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }

    /// With these properties under MQTT 5.
    #[must_use]
    pub fn properties(self, properties: PublishProperties) -> Self {
        Self { properties, ..self }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When the codec will not write it: then a script writes it with [`frame`].
    pub fn bytes(&self, protocol: Protocol) -> io::Result<BytesMut> {
        let mut out = BytesMut::new();
        match protocol {
            Protocol::V5 => self.v5().write(&mut out).map(drop).map_err(io::Error::other)?,
            Protocol::V311 => self.v311().write(&mut out).map(drop).map_err(io::Error::other)?,
        }
        Ok(out)
    }

    fn v5(&self) -> Publish {
        Publish {
            dup: self.dup,
            qos: rumqttc::mqttbytes::qos(self.qos).unwrap_or_default(),
            retain: self.retain,
            topic: self.topic.clone(),
            pkid: self.packet_id,
            payload: self.payload.clone(),
            properties: Some(self.properties.clone()),
        }
    }

    fn v311(&self) -> rumqttc_v4::mqttbytes::v4::Publish {
        use rumqttc_v4::QoS;
        rumqttc_v4::mqttbytes::v4::Publish {
            dup: self.dup,
            qos: [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(self.qos) % 3],
            retain: self.retain,
            topic: self.topic.clone(),
            pkid: self.packet_id,
            payload: self.payload.clone(),
        }
    }
}

/// Any packet: its first byte, the length of its body, and the body.
#[must_use]
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    out.extend(length(body.len()));
    out.extend(body);
    out
}

/// A string, or binary, with its length before it (MQTT 5, 1.5.4 and 1.5.6).
#[must_use]
pub fn string(text: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    out.extend(text);
    out
}

/// A variable byte integer (MQTT 5, 1.5.5).
pub(super) fn length(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let digit = u8::try_from(number % 128).unwrap_or_default();
        number /= 128;
        if number == 0 {
            out.push(digit);
            return out;
        }
        out.push(digit | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_specification() {
        for (number, expected) in
            [(0, vec![0]), (127, vec![0x7f]), (128, vec![0x80, 1]), (2_097_152, vec![0x80, 0x80, 0x80, 1])]
        {
            assert_eq!(length(number), expected);
        }
    }

    #[test]
    fn connack_is_one_that_the_codec_reads() {
        let connack = ConnAck::resumed().server_keep_alive(7).reason("why").max_packet_size(64).receive_maximum(3);
        let mut bytes = BytesMut::from(&connack.bytes(Protocol::V5)[..]);
        let rumqttc::mqttbytes::v5::Packet::ConnAck(read) =
            rumqttc::mqttbytes::v5::Packet::read(&mut bytes, None).unwrap()
        else {
            panic!("no CONNACK")
        };
        let properties = read.properties.unwrap();
        assert!(read.session_present);
        assert_eq!((properties.server_keep_alive, properties.max_packet_size), (Some(7), Some(64)));
        assert_eq!((properties.receive_max, properties.reason_string.as_deref()), (Some(3), Some("why")));
        assert_eq!(ConnAck::refused(5).bytes(Protocol::V311), [0x20, 2, 0, 5]);
    }
}
