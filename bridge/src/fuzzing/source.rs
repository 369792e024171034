//! Makes values out of the bytes of one case. Any bytes work; when they are used up, zeroes follow.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::config::Qos;
use crate::delivery::{Delivery, RecordId, Ticket};
use crate::message::{Message, Properties};

/// The run part of all record ids here: that of the contract's fixtures.
pub(super) const RUN: u64 = 0x5b1f_0c7e_9a3d_2468;

/// The bytes of one case that are not used yet.
#[derive(Debug)]
pub(super) struct Source<'a>(pub(super) &'a [u8]);

impl<'a> Source<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Takes as many bytes as the next byte says, or all that are left.
    pub(super) fn chunk(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (chunk, rest) = self.0.split_at(length);
        self.0 = rest;
        chunk
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.chunk()).into_owned()
    }

    /// A message whose payload is the rest.
    pub(super) fn message(mut self) -> Message {
        let flags = self.byte();
        let properties = (flags & 1 != 0).then(|| Arc::new(self.properties(flags)));
        let topic = self.text().into();
        let qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][usize::from(flags >> 6) % 3];
        let (retain, dup) = (flags & 2 != 0, flags & 4 != 0);
        Message { topic, payload: Bytes::copy_from_slice(self.0), qos, retain, dup, properties }
    }

    fn properties(&mut self, flags: u8) -> Properties {
        Properties {
            expiry: None,
            content_type: (flags & 8 != 0).then(|| self.text()),
            response_topic: (flags & 16 != 0).then(|| self.text()),
            correlation_data: (flags & 32 != 0).then(|| Bytes::copy_from_slice(self.chunk())),
            user: (0..self.byte() % 4).map(|_| (self.text(), self.text())).collect(),
            ..Properties::default()
        }
    }
}

/// A delivery of it that nobody waits for.
pub(super) fn delivery(sequence: u64, message: Message) -> Delivery {
    let (settler, _) = mpsc::channel(1);
    let id = RecordId::Numbered { run: RUN, sequence };
    Delivery::new(message, id, Ticket { epoch: 1, slot: sequence }, settler)
}
