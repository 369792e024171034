//! The steps of a script that send something.

use std::time::Duration;

use bridge::config::Protocol;
use tokio::time::sleep;

use super::reader::write;
use super::{Peer, ScriptError};
use crate::scripted::said::{Message, frame, length, string};

impl Peer {
    /// Sends SUBACK.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn suback(&mut self, packet_id: u16, codes: &[u8]) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.push(0);
        }
        body.extend(codes);
        self.bytes(&frame(0x90, &body)).await
    }

    /// Sends UNSUBACK for so many filters, all of them given up.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn unsuback(&mut self, packet_id: u16, filters: usize) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.resize(3 + filters, 0);
        }
        self.bytes(&frame(0xb0, &body)).await
    }

    /// Sends PUBLISH.
    ///
    /// # Errors
    /// When the connection is broken, or the codec will not write the message.
    pub async fn publish(&mut self, message: &Message) -> Result<(), ScriptError> {
        let bytes = message.bytes(self.protocol)?;
        self.bytes(&bytes).await
    }

    /// Sends PUBACK, under MQTT 5 with this reason code.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn puback(&mut self, packet_id: u16, reason: u8) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        if self.protocol == Protocol::V5 {
            body.push(reason);
        }
        self.bytes(&frame(0x40, &body)).await
    }

    /// The same, with a Reason String (MQTT 5, 3.4.2.2.2).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn puback_because(&mut self, packet_id: u16, reason: u8, words: &str) -> Result<(), ScriptError> {
        let mut body = packet_id.to_be_bytes().to_vec();
        body.push(reason);
        body.extend(reason_string(words));
        self.bytes(&frame(0x40, &body)).await
    }

    /// Sends DISCONNECT with this reason, which only MQTT 5 knows.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn disconnect(&mut self, reason: u8) -> Result<(), ScriptError> {
        self.bytes(&frame(0xe0, &[reason, 0])).await
    }

    /// The same, with a Reason String (MQTT 5, 3.14.2.2.3).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn disconnect_because(&mut self, reason: u8, words: &str) -> Result<(), ScriptError> {
        let mut body = vec![reason];
        body.extend(reason_string(words));
        self.bytes(&frame(0xe0, &body)).await
    }

    /// Sends these bytes, whatever they are.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<(), ScriptError> {
        write(&self.writer, bytes).await?;
        Ok(())
    }

    /// Sends these bytes one at a time, with a pause before each.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn drip(&mut self, bytes: &[u8], pause: Duration) -> Result<(), ScriptError> {
        for byte in bytes {
            sleep(pause).await;
            self.bytes(&[*byte]).await?;
        }
        Ok(())
    }
}

/// Properties that are a Reason String alone, with their length.
fn reason_string(words: &str) -> Vec<u8> {
    let property = [&[31], &string(words.as_bytes())[..]].concat();
    [length(property.len()), property].concat()
}
