//! One connection of the publisher from CONNACK to its end: messages out, PUBACKs in. Acknowledges nothing, and writes
//! all that is due at once.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use super::Publisher;
use crate::config::Qos;
use crate::mqtt::connect::hang_up;
use crate::mqtt::connection::Connection;
use crate::mqtt::decoder::Decoder;
use crate::mqtt::end::End;
use crate::mqtt::keep_alive::{Due, KeepAlive};
use crate::mqtt::packet::{ConnAck, Incoming, Reason};
use crate::mqtt::session::Status;
use crate::outgoing::{Outgoing, PublishError};
use crate::shutdown::Phase;

/// How many bytes are written at once, give or take a message.
const WRITE_AHEAD: usize = 64 * 1024;
/// How long a connection that gives way waits for its PUBACKs, give or take a tick.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// What a connection needs beside its publisher.
struct Line {
    connection: Connection,
    decoder: Decoder,
    keep_alive: KeepAlive,
    /// Until when it waits for PUBACKs before it gives way to a connection with newer TLS files.
    leave_by: Option<Instant>,
}

impl Publisher {
    /// Serves the connection until it ends, and says how it did.
    pub(super) async fn serve(&mut self, connection: Connection, connack: &ConnAck) -> End {
        let (tls, client_id) = (connection.agreed(), &self.settings.client_id);
        info!(event = "broker.connected", client_id, %tls, "publisher connected");
        self.status.send_replace(Status::Ready);
        self.limits = connack.limits;
        self.window.connect(connack.limits.receive_maximum);
        let keep_alive = KeepAlive::new(connack.keep_alive.unwrap_or(self.settings.keep_alive), Instant::now());
        let mut line = Line { connection, decoder: Decoder::new(self.wire), keep_alive, leave_by: None };
        let end = self.converse(&mut line).await;
        hang_up(self.wire, line.connection, &end).await;
        end
    }

    async fn converse(&mut self, line: &mut Line) -> End {
        let mut ticks = interval(line.keep_alive.period());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut shutdown, mut freshness) = (self.shutdown.clone(), line.connection.freshness());
        loop {
            if let Err(end) = self.turn(line).await {
                return end;
            }
            if self.window.is_at_rest() || line.leave_by.is_some_and(|by| by <= Instant::now()) {
                return End::Renewed;
            }
            let full = self.window.is_full();
            tokio::select! {
                more = self.window.fill(), if !full => {
                    if !more {
                        return End::Drained;
                    }
                }
                read = line.connection.read() => {
                    line.keep_alive.received(Instant::now());
                    if let Err(error) = read {
                        return error.into();
                    }
                }
                () = shutdown.reached(Phase::Stopping) => return End::Drained,
                () = freshness.outdated(), if line.leave_by.is_none() => {
                    // What is confirmed first is not sent twice.
                    self.window.hold();
                    line.leave_by = Some(Instant::now() + LEAVE_WITHIN);
                }
                _ = ticks.tick() => match line.keep_alive.due(Instant::now()) {
                    Due::Nothing => {}
                    Due::Ping => if let Err(error) = self.wire.pingreq(&mut line.connection.output) {
                        return error.into();
                    },
                    Due::Dead => return End::lost("the broker is silent: no answer to PINGREQ"),
                },
            }
        }
    }

    /// Everything that can be done without waiting for the broker.
    async fn turn(&mut self, line: &mut Line) -> Result<(), End> {
        while let Some(packet) = line.decoder.next(&mut line.connection.input)? {
            self.take(packet)?;
        }
        loop {
            self.write(&mut line.connection.output);
            if line.connection.output.is_empty() {
                return Ok(());
            }
            line.connection.flush(self.settings.keep_alive).await?;
            line.keep_alive.sent(Instant::now());
            self.window.written();
        }
    }

    /// Fills `out` with what may be sent now, up to [`WRITE_AHEAD`].
    fn write(&mut self, out: &mut BytesMut) {
        while out.len() < WRITE_AHEAD
            && let Some(entry) = self.window.next()
        {
            match self.encode(entry.packet_id, entry.outgoing(), out) {
                Ok(()) => self.window.sent(entry),
                Err(error) => entry.finish(Err(error)),
            }
        }
    }

    /// Appends the packet, or nothing when this broker could only answer it by closing the connection.
    fn encode(&self, packet_id: u16, outgoing: &Outgoing, out: &mut BytesMut) -> Result<(), PublishError> {
        let topic = || outgoing.topic.clone();
        if let Some(cause) = self.obstacle(outgoing) {
            return Err(PublishError::Impossible { topic: topic(), cause: cause.into() });
        }
        let begin = out.len();
        if let Err(error) = self.wire.publish(packet_id, outgoing, out) {
            out.truncate(begin);
            return Err(PublishError::Impossible { topic: topic(), cause: error.text });
        }
        let (bytes, limit) = (out.len() - begin, self.limits.max_packet_size);
        if bytes > limit as usize {
            out.truncate(begin);
            return Err(PublishError::TooLarge { topic: topic(), bytes, limit });
        }
        Ok(())
    }

    /// MQTT 5, 3.2.2.3.4 and 3.2.2.3.5.
    fn obstacle(&self, outgoing: &Outgoing) -> Option<&'static str> {
        match outgoing {
            Outgoing { qos: Qos::ExactlyOnce, .. } => Some("qos 2 is not spoken here; use 0 or 1"),
            _ if outgoing.qos > self.limits.max_qos => Some("the broker takes qos 0 alone"),
            _ if outgoing.retain && !self.limits.retain => Some("the broker keeps no retained messages"),
            _ => None,
        }
    }

    fn take(&mut self, packet: Incoming) -> Result<(), End> {
        match packet {
            Incoming::PubAck { packet_id, refused } => self.confirm(packet_id, refused),
            Incoming::PingResp => Ok(()),
            Incoming::Disconnect(reason) => Err(End::disconnected(&reason)),
            Incoming::ConnAck(_) => Err(End::protocol_error("a second CONNACK")),
            Incoming::Publish { .. } => Err(End::protocol_error("a PUBLISH to a client that subscribes to nothing")),
            Incoming::PubRel(_) => Err(End::protocol_error("PUBREL")),
            Incoming::SubAck { .. } => Err(End::protocol_error("SUBACK")),
            Incoming::UnsubAck { .. } => Err(End::protocol_error("UNSUBACK")),
            Incoming::Unexpected(name) => Err(End::protocol_error(name)),
        }
    }

    fn confirm(&mut self, packet_id: u16, refused: Option<Reason>) -> Result<(), End> {
        let Some(entry) = self.window.confirmed(packet_id) else {
            return Err(End::protocol_error("a PUBACK for no PUBLISH of ours"));
        };
        let topic = entry.outgoing().topic.clone();
        entry.finish(match refused {
            None => Ok(()),
            Some(Reason { code, text: reason }) => Err(PublishError::Refused { topic, code, reason }),
        });
        Ok(())
    }
}
