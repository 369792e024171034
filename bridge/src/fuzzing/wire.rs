//! What a broker may send: any bytes, in pieces of any size.

use bytes::BytesMut;

use crate::config::Protocol;
use crate::mqtt::{Bounds, Decoder, Wire};

/// Small enough that a case can exceed each of them.
const BOUNDS: Bounds = Bounds { packet: 16 * 1024, control_packet: 1024, properties: 40, user_properties: 3 };

/// Decodes a stream of packets; the first byte chooses the protocol version.
///
/// # Panics
/// When the packets depend on how the stream was cut into pieces, or when bytes vanish without a packet or an error.
pub fn mqtt(bytes: &[u8]) {
    let Some((version, stream)) = bytes.split_first() else { return };
    let wire = Wire(if version % 2 == 0 { Protocol::V5 } else { Protocol::V311 });
    let whole = decode(wire, [stream].into_iter());
    assert_eq!(whole, decode(wire, stream.chunks(1)), "one byte at a time");
    assert_eq!(whole, decode(wire, stream.chunks(7)), "seven bytes at a time");
}

/// The packets, as text, and the reason code with which the connection would be closed.
fn decode<'a>(wire: Wire, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<u8>) {
    let (mut decoder, mut input, mut packets) = (Decoder::within(wire, BOUNDS), BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let (before, skipping) = (input.len(), decoder.is_skipping());
            match decoder.next(&mut input) {
                Ok(Some(packet)) => {
                    assert!(skipping || input.len() < before, "a packet of no bytes: {packet:?}");
                    packets.push(format!("{packet:?}"));
                }
                Ok(None) if decoder.is_skipping() => {
                    assert!(input.is_empty(), "bytes are left of a packet that passes by");
                    break;
                }
                Ok(None) => {
                    assert_eq!(input.len(), before, "bytes have vanished");
                    break;
                }
                Err(error) => return (packets, Some(error.code)),
            }
        }
    }
    (packets, None)
}
