//! Limits for the part of a packet that is in memory before it is decoded. A broker decides what it sends; these limits
//! decide how much of it the bridge keeps.

use super::packet::MAX_PACKET_SIZE;

/// The bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest packet, in bytes.
    pub packet: usize,
    /// The largest packet that is no PUBLISH, in bytes behind its fixed header.
    pub control_packet: usize,
    /// The largest property section, in bytes.
    pub properties: usize,
    /// How many user properties one packet may have.
    pub user_properties: usize,
}

/// The largest property section that is decoded, and the largest packet other than PUBLISH. It holds the three strings
/// of 65,535 bytes that a PUBLISH can have (Response Topic, Correlation Data, Content Type) and 64 KiB of user
/// properties beside them. MQTT itself allows 256 MiB, which would be ten times that once decoded.
pub const MAX_PROPERTIES_BYTES: usize = 256 * 1024;

/// How many user properties are decoded. An empty one is 5 bytes on the wire and 48 in memory.
pub const MAX_USER_PROPERTIES: usize = 2048;

impl Default for Bounds {
    /// Those of every connection. PUBLISH is bounded by MQTT alone: a broker silently drops what exceeds a smaller
    /// Maximum Packet Size (MQTT 5, 3.1.2-25).
    fn default() -> Self {
        Self {
            packet: MAX_PACKET_SIZE as usize,
            control_packet: MAX_PROPERTIES_BYTES,
            properties: MAX_PROPERTIES_BYTES,
            user_properties: MAX_USER_PROPERTIES,
        }
    }
}
