//! Finds the parts of a packet before all of it is there: the fixed header and the property section (MQTT 5, 2.1 and
//! 2.2.2). Checks lengths and nothing else.

use super::packet::WireError;

/// The types of packet that stand on their own here (MQTT 5, 2.1.2).
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;

/// The fixed header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The first byte: type and flags.
    pub(super) first: u8,
    /// The length of the fixed header.
    pub(super) header: usize,
    /// How many bytes follow it.
    pub(super) remaining: usize,
}

/// Where the property section of a packet lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The packet is of a type, or of a length, that has none; or it ends before it.
    None,
    /// More bytes must come to tell.
    Unknown,
    /// Counted from the end of the fixed header.
    At {
        /// The offset of the section's length.
        length_at: usize,
        /// The offset of its first byte.
        start: usize,
        /// The offset behind its last byte.
        end: usize,
    },
}

impl Frame {
    /// The header at the front of `input`; `None` until it is complete.
    ///
    /// # Errors
    /// When the remaining length has more than four bytes.
    pub(super) fn of(input: &[u8]) -> Result<Option<Self>, WireError> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let length = variable_length(rest).map_err(|TooLong| WireError::malformed("remaining length: too long"))?;
        Ok(length.map(|(bytes, remaining)| Self { first, header: 1 + bytes, remaining }))
    }

    /// The length of the packet, its fixed header included.
    pub(super) fn length(self) -> usize {
        self.header + self.remaining
    }

    pub(super) fn is_publish(self) -> bool {
        self.first & 0xf0 == PUBLISH
    }

    pub(super) fn is_connack(self) -> bool {
        self.first & 0xf0 == CONNACK
    }

    /// Where the properties are, as far as `body`, which is what follows the fixed header, tells so far. MQTT 5 only.
    ///
    /// # Errors
    /// When the properties are longer than the packet, or their length is none.
    pub(super) fn properties(self, body: &[u8]) -> Result<Section, WireError> {
        let Some(length_at) = self.properties_at(body) else { return Ok(Section::Unknown) };
        if length_at >= self.remaining {
            return Ok(Section::None);
        }
        let body = &body[..body.len().min(self.remaining)];
        let length = body.get(length_at..).map_or(Ok(None), variable_length);
        match length.map_err(|TooLong| WireError::malformed("length of the properties: too long"))? {
            Some((bytes, length)) if length_at + bytes + length <= self.remaining => {
                let start = length_at + bytes;
                Ok(Section::At { length_at, start, end: start + length })
            }
            Some(_) => Err(WireError::malformed("properties: longer than their packet")),
            None if body.len() < self.remaining => Ok(Section::Unknown),
            None => Err(WireError::malformed("length of the properties: cut off")),
        }
    }

    /// Where the topic of a PUBLISH is, counted from the end of the fixed header; empty when it is longer than the packet.
    pub(super) fn topic(self, body: &[u8]) -> std::ops::Range<usize> {
        let length = body.first_chunk::<2>().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        if 2 + length <= self.remaining { 2..2 + length } else { 0..0 }
    }

    /// Where their length is; beyond the end where there are none, `None` as long as that cannot be told.
    fn properties_at(self, body: &[u8]) -> Option<usize> {
        Some(match self.first & 0xf0 {
            PUBLISH => {
                let topic = usize::from(u16::from_be_bytes(body.first_chunk::<2>().copied().or_else(|| self.ends())?));
                let packet_id = if self.first & 0x06 == 0 { 0 } else { 2 };
                2 + topic + packet_id
            }
            CONNACK | 0x90 | 0xb0 => 2,
            // PUBACK to PUBCOMP.
            0x40 | 0x50 | 0x60 | 0x70 => 3,
            // DISCONNECT and AUTH.
            0xe0 | 0xf0 => 1,
            _ => self.remaining,
        })
    }

    /// A PUBLISH that is too short for the length of a topic has no properties either.
    fn ends(self) -> Option<[u8; 2]> {
        (self.remaining < 2).then_some([0xff, 0xff])
    }
}

struct TooLong;

/// A variable byte integer (MQTT 5, 1.5.5): how many bytes it has, and its value. `None` until it is complete.
fn variable_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, TooLong> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((index + 1, value)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(TooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(packet: &[u8]) -> Result<Section, u8> {
        let frame = Frame::of(packet).ok().flatten().unwrap();
        frame.properties(&packet[frame.header..]).map_err(|error| error.code)
    }

    #[test]
    fn properties_are_found_in_each_type_of_packet() {
        let at = |length_at, length| {
            let start = length_at + 1;
            Ok(Section::At { length_at, start, end: start + length })
        };
        let rows: [(&str, &[u8], Result<Section, u8>); 12] = [
            ("CONNACK", b"\x20\x05\0\0\x02ab", at(2, 2)),
            ("PUBLISH at QoS 0", b"\x30\x06\0\x01t\x01ap", at(3, 1)),
            ("PUBLISH at QoS 1", b"\x32\x08\0\x01t\0\x07\x01ap", at(5, 1)),
            (
                "PUBLISH with a huge section, of which nothing is there",
                b"\x30\xff\xff\xff\x7f\0\x01t",
                Ok(Section::Unknown),
            ),
            ("PUBACK without", b"\x40\x02\0\x01", Ok(Section::None)),
            ("PUBACK with a reason", b"\x40\x03\0\x01\0", Ok(Section::None)),
            ("PUBACK", b"\x40\x04\0\x01\0\0", at(3, 0)),
            ("SUBACK", b"\x90\x04\0\x01\0\0", at(2, 0)),
            ("DISCONNECT", b"\xe0\x02\x8e\0", at(1, 0)),
            ("PINGRESP", b"\xd0\0", Ok(Section::None)),
            ("more properties than packet", b"\x20\x05\0\0\x03ab", Err(0x81)),
            ("a length that is cut off", b"\x20\x03\0\0\x80", Err(0x81)),
        ];
        for (what, packet, expected) in rows {
            assert_eq!(section(packet), expected, "{what}");
        }
    }

    #[test]
    fn a_header_is_waited_for_and_one_that_never_ends_is_refused() {
        for part in [&b""[..], b"\x30", b"\x30\x80", b"\x30\xff\xff\xff"] {
            assert_eq!(Frame::of(part).ok().flatten(), None, "{part:02x?}");
        }
        let largest = Frame::of(b"\x30\xff\xff\xff\x7f").ok().flatten().unwrap();
        assert_eq!(largest.length(), 268_435_460);
        assert_eq!(Frame::of(b"\x30\xff\xff\xff\xff").unwrap_err().code, 0x81);
    }
}
