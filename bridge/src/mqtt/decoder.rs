//! Decodes the packets of one connection. Refuses or skips a packet that is too large before all of it is in memory,
//! and keeps the state between two reads. Does not interpret the content of packets.

use std::ops::Range;

use bytes::{Buf, BufMut, BytesMut};

use super::bounds::Bounds;
use super::buffer::{leave_to_packet, make_room_for};
use super::frame::{Frame, Section};
use super::ill_formed::{Places, replace_invalid};
use super::packet::{Incoming, WireError};
use super::property_section::user_properties;
use super::skip::{Behind, Skip};
use super::wire::Wire;
use crate::config::Protocol;
use crate::message::IllFormed;

/// The reading side of one connection.
pub struct Decoder {
    wire: Wire,
    bounds: Bounds,
    /// A PUBLISH that passes by.
    skip: Option<Box<Skip>>,
    /// The packet at the front of the input is within the bounds, as far as it is not there yet.
    judged: bool,
}

/// What to do with the packet at the front of the input.
enum Verdict {
    /// Decode it, once it is complete.
    Decode,
    /// More bytes must come to tell.
    Wait,
    /// Let it pass by: from so many bytes behind its fixed header on, where its properties begin, and to where they end.
    Skip { from: usize, section: Range<usize>, why: String },
}

impl Decoder {
    /// For a connection on which nothing was read yet.
    pub fn new(wire: Wire) -> Self {
        Self::within(wire, Bounds::default())
    }

    /// The same with other bounds.
    pub fn within(wire: Wire, bounds: Bounds) -> Self {
        Self { wire, bounds, skip: None, judged: false }
    }

    /// Takes the next whole packet from `input`, `None` when there is none yet; then `input` has room for more of it.
    /// Only the one that appends to `input` may change it between two calls.
    ///
    /// # Errors
    /// When the bytes are no packet that a broker may send; the connection must then be closed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, WireError> {
        if let Some(skip) = self.skip.take() {
            return Ok(self.pass(skip, input));
        }
        let Some(frame) = Frame::of(input)? else { return Ok(None) };
        if !self.judged {
            match self.judge(frame, &input[frame.header..])? {
                Verdict::Decode => self.judged = true,
                Verdict::Wait => {
                    make_room_for(frame.length(), input);
                    return Ok(None);
                }
                Verdict::Skip { from, section, why } => {
                    let behind = Behind {
                        bytes: frame.remaining - from,
                        before: section.start - from,
                        properties: section.len(),
                    };
                    let skip = self.begin_skip(frame, behind, why, input)?;
                    return Ok(self.pass(skip, input));
                }
            }
        }
        if input.len() < frame.length() {
            make_room_for(frame.length(), input);
            return Ok(None);
        }
        self.judged = false;
        let ill_formed =
            if frame.is_publish() { self.replace_invalid(frame, &mut input[frame.header..]) } else { None };
        let mut packet = self.wire.decode(input, u32::try_from(self.bounds.packet).unwrap_or(u32::MAX))?;
        if let (Some(found), Some(Incoming::Publish { message, .. })) = (ill_formed, &mut packet) {
            message.mark(found);
        }
        leave_to_packet(frame.length(), input);
        Ok(packet)
    }

    /// Replaces invalid text of a PUBLISH that is there as a whole.
    fn replace_invalid(&self, frame: Frame, body: &mut [u8]) -> Option<IllFormed> {
        let properties = match self.wire.0 {
            Protocol::V311 => 0..0,
            Protocol::V5 => match frame.properties(body) {
                Ok(Section::At { start, end, .. }) => start..end,
                _ => 0..0,
            },
        };
        replace_invalid(body, &Places { topic: frame.topic(body), properties })
    }

    /// Whether bytes that were taken belong to a packet that was not handed out yet.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn is_skipping(&self) -> bool {
        self.skip.is_some()
    }

    fn judge(&self, frame: Frame, body: &[u8]) -> Result<Verdict, WireError> {
        if frame.length() > self.bounds.packet {
            return Err(too_large(frame, self.bounds.packet));
        }
        if !frame.is_publish() && frame.remaining > self.bounds.control_packet {
            return Err(too_large(frame, self.bounds.control_packet));
        }
        if self.wire.0 == Protocol::V311 {
            return Ok(Verdict::Decode);
        }
        let (length_at, start, end) = match frame.properties(body)? {
            Section::None => return Ok(Verdict::Decode),
            Section::Unknown => return Ok(Verdict::Wait),
            Section::At { length_at, start, end } => (length_at, start, end),
        };
        let excess = if end - start > self.bounds.properties {
            format!("properties of {} bytes, where {} are decoded at most", end - start, self.bounds.properties)
        } else {
            let Some(section) = body.get(start..end) else { return Ok(Verdict::Wait) };
            let count = user_properties(section)?;
            if count <= self.bounds.user_properties {
                return Ok(Verdict::Decode);
            }
            format!("{count} user properties, where {} are decoded at most", self.bounds.user_properties)
        };
        if frame.is_publish() {
            return Ok(Verdict::Skip { from: length_at, section: start..end, why: excess });
        }
        let text = format!("packet from the broker: {excess}");
        Err(WireError { lasting: frame.is_connack(), ..WireError::new(0x95, text) })
    }

    /// Decodes the front of a PUBLISH, as if it had neither properties nor payload, and takes it from `input`.
    fn begin_skip(
        &self,
        frame: Frame,
        behind: Behind,
        why: String,
        input: &mut BytesMut,
    ) -> Result<Box<Skip>, WireError> {
        let from = frame.remaining - behind.bytes;
        let body = &mut input[frame.header..];
        let ill_formed = replace_invalid(body, &Places { topic: frame.topic(body), properties: 0..0 });
        let front = &input[frame.header..][..from];
        let mut bare = BytesMut::with_capacity(from + 6);
        bare.put_u8(frame.first);
        // No properties: their length, 0, takes one byte.
        put_variable_length(from + 1, &mut bare);
        bare.extend_from_slice(front);
        bare.put_u8(0);
        let Some(Incoming::Publish { packet_id, message, .. }) = self.wire.decode(&mut bare, u32::MAX)? else {
            return Err(WireError::malformed("a PUBLISH that is none"));
        };
        input.advance(frame.header + from);
        Ok(Box::new(Skip::new(packet_id, message, behind, why, ill_formed)))
    }

    fn pass(&mut self, skip: Box<Skip>, input: &mut BytesMut) -> Option<Incoming> {
        match skip.take(input) {
            Ok(packet) => Some(packet),
            Err(unfinished) => {
                self.skip = Some(unfinished);
                None
            }
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let skips = self.skip.is_some();
        f.debug_struct("Decoder").field("wire", &self.wire).field("skips", &skips).finish_non_exhaustive()
    }
}

/// In CONNACK it will be the same the next time.
fn too_large(frame: Frame, limit: usize) -> WireError {
    let text = format!("packet from the broker: {} bytes, where {limit} are taken at most", frame.length());
    WireError { lasting: frame.is_connack(), ..WireError::new(0x95, text) }
}

/// MQTT 5, 1.5.5.
fn put_variable_length(mut length: usize, out: &mut BytesMut) {
    loop {
        let [low, ..] = (length % 128).to_le_bytes();
        length /= 128;
        out.put_u8(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
