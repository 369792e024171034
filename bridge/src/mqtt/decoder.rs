//! Takes the packets out of the bytes of one connection. Keeps what must be remembered between two of them; decides
//! nothing about their content.

use bytes::BytesMut;

use super::packet::{Incoming, MAX_PACKET_SIZE, WireError};
use super::wire::Wire;

/// The reading side of one connection.
#[derive(Debug)]
pub struct Decoder {
    wire: Wire,
}

impl Decoder {
    /// For a connection on which nothing was read yet.
    pub fn new(wire: Wire) -> Self {
        Self { wire }
    }

    /// Takes the next whole packet from `input`, `None` when there is none yet.
    ///
    /// # Errors
    /// When the bytes are no packet that a broker may send; the connection must then be closed.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, WireError> {
        self.wire.decode(input, MAX_PACKET_SIZE)
    }
}
