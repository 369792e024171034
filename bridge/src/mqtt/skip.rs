//! Skips a PUBLISH whose properties are too large to be decoded: only its length and its digest are kept. Never holds
//! more of it than one read.

mod expiry;

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sha2::{Digest, Sha256};

use super::packet::Incoming;
use crate::message::{IllFormed, Message, Properties, Skipped};
use expiry::Expiry;

/// One such packet, of which the front was read.
pub(super) struct Skip {
    packet_id: u16,
    message: Message,
    why: String,
    /// What was wrong with its topic.
    ill_formed: Option<IllFormed>,
    /// How many bytes say how long the properties are.
    before: usize,
    expiry: Expiry,
    left: usize,
    length: u64,
    digest: Sha256,
}

/// What of the packet is still to come: so many bytes, which begin with the length of the properties, in so many bytes,
/// and the properties.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    pub(super) bytes: usize,
    pub(super) before: usize,
    pub(super) properties: usize,
}

impl Skip {
    pub(super) fn new(
        packet_id: u16,
        message: Message,
        behind: Behind,
        why: String,
        ill_formed: Option<IllFormed>,
    ) -> Self {
        let Behind { bytes: left, before, properties } = behind;
        let (expiry, digest) = (Expiry::within(properties), Sha256::new());
        Self { packet_id, message, why, ill_formed, before, expiry, left, length: left as u64, digest }
    }

    /// Takes from `input` what belongs to the packet. `Ok` with what stands for it when its end is reached.
    pub(super) fn take(mut self: Box<Self>, input: &mut BytesMut) -> Result<Incoming, Box<Self>> {
        let here = self.left.min(input.len());
        let before = self.before.min(here);
        self.before -= before;
        self.expiry.hide(&mut input[before..here]);
        self.digest.update(&input[..here]);
        input.advance(here);
        self.left -= here;
        if self.left > 0 {
            return Err(self);
        }
        let Self { packet_id, mut message, why, ill_formed, length, digest, .. } = *self;
        let skipped = Skipped { why, length, sha256: digest.finalize().into() };
        message.properties = Some(Arc::new(Properties { skipped: Some(Box::new(skipped)), ..Properties::default() }));
        if let Some(found) = ill_formed {
            message.mark(found);
        }
        Ok(Incoming::Publish { packet_id, message, subscriptions: Vec::new() })
    }
}
