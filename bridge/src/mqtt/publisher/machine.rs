//! The publisher as a state machine: messages out, PUBACKs in. Pure: it has no socket and no clock of its own.
//! Acknowledges nothing, and writes everything that is due at once.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::window::{Number, Window};
use crate::config::Qos;
use crate::mqtt::decoder::Decoder;
use crate::mqtt::end::End;
use crate::mqtt::keep_alive::{Due, KeepAlive};
use crate::mqtt::link::Link;
use crate::mqtt::packet::{ConnAck, Hello, Incoming, Limits, Reason};
use crate::mqtt::wire::Wire;
use crate::outgoing::{Outgoing, PublishError};

/// How many bytes are written at once, give or take a message.
const WRITE_AHEAD: usize = 64 * 1024;
/// How long a connection that is to be replaced waits for its PUBACKs.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// See the module's page.
#[derive(Debug)]
pub(super) struct Machine {
    client_id: String,
    keep_alive: Duration,
    wire: Wire,
    pub(super) window: Window,
    /// The limits of the broker at the other end of this connection.
    limits: Limits,
    line: Option<Line>,
}

/// How long a broker may take to confirm any of the messages in flight. One that drops a message silently never does.
const PUBACK_WITHIN: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Debug)]
struct Line {
    decoder: Decoder,
    keep_alive: KeepAlive,
    next_tick: Instant,
    /// The deadline of the next PUBACK, while any is missing.
    puback_due: Option<Instant>,
    /// Until when it waits for PUBACKs before it is replaced by a connection with newer TLS files.
    leave_by: Option<Instant>,
    /// It has ended because the broker said nothing any more.
    is_silent: bool,
}

impl Machine {
    /// A publisher that never connected, for up to `capacity` messages.
    pub(super) fn new(link: &Link, capacity: usize) -> Self {
        Self {
            client_id: link.client_id.clone(),
            keep_alive: link.keep_alive,
            wire: Wire(link.protocol),
            window: Window::new(capacity),
            limits: Limits::default(),
            line: None,
        }
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            client_id: self.client_id.clone(),
            clean_start: true,
            keep_alive: self.keep_alive,
            session_expiry: Duration::ZERO,
            // Nothing is subscribed to, so nothing comes; zero is forbidden (MQTT 5, 3.1.2.11.3).
            receive_maximum: 1,
            will: None,
        }
    }

    pub(super) fn connected(&mut self, connack: &ConnAck, now: Instant) {
        self.limits = connack.limits;
        self.window.connect(connack.limits.receive_maximum);
        let keep_alive = KeepAlive::new(self.keep_alive, connack.keep_alive, now);
        let next_tick = now + keep_alive.period();
        self.line = Some(Line {
            decoder: Decoder::new(self.wire),
            keep_alive,
            next_tick,
            puback_due: None,
            leave_by: None,
            is_silent: false,
        });
    }

    /// The connection is closed. If it broke because of our own messages, no other client is the cause.
    pub(super) fn disconnected(&mut self, end: End) -> End {
        let is_silent = self.line.take().is_some_and(|line| line.is_silent);
        // Neither says anything of what was on its way.
        let may_blame = !is_silent && !matches!(end, End::Renewed);
        let over_ours = self.window.disconnect(may_blame);
        match end {
            End::Lost { why, lasting, taken_over, close, .. } if over_ours => {
                End::Lost { why, lasting, closed: false, taken_over, close }
            }
            other => other,
        }
    }

    pub(super) fn received(&mut self, bytes: usize, now: Instant) {
        self.line.iter_mut().for_each(|line| line.keep_alive.received(bytes, now));
    }

    pub(super) fn written(&mut self, now: Instant) {
        self.line.iter_mut().for_each(|line| line.keep_alive.sent(now));
        self.window.written();
    }

    pub(super) fn wakes(&self, now: Instant) -> Instant {
        let Some(line) = &self.line else { return now };
        [line.leave_by, line.puback_due].into_iter().flatten().fold(line.next_tick, Instant::min)
    }

    /// Confirmations come first, so that a confirmed message is not sent twice.
    pub(super) fn give_way(&mut self, now: Instant) {
        self.window.hold();
        self.line.iter_mut().for_each(|line| line.leave_by = Some(now + LEAVE_WITHIN));
    }

    /// Everything that can be done without waiting for the broker; messages that nobody waits for are not sent.
    pub(super) fn turn(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now: Instant,
        is_awaited: impl Fn(Number) -> bool,
    ) -> Result<(), End> {
        let Some(mut line) = self.line.take() else { return Ok(()) };
        let mut result = self.hear(&mut line, input, now);
        if result.is_ok() {
            result = self.say(&mut line, output, now, is_awaited);
        }
        self.line = Some(line);
        result
    }

    fn hear(&mut self, line: &mut Line, input: &mut BytesMut, now: Instant) -> Result<(), End> {
        while let Some(packet) = line.decoder.next(input)? {
            line.keep_alive.alive(now);
            if matches!(packet, Incoming::PubAck { .. }) {
                line.puback_due = None;
            }
            self.take(packet)?;
        }
        Ok(())
    }

    fn say(
        &mut self,
        line: &mut Line,
        output: &mut BytesMut,
        now: Instant,
        is_awaited: impl Fn(Number) -> bool,
    ) -> Result<(), End> {
        if self.window.is_at_rest() || line.leave_by.is_some_and(|by| by <= now) {
            return Err(End::Renewed);
        }
        if line.next_tick <= now {
            line.next_tick = now + line.keep_alive.period();
            match line.keep_alive.due(now) {
                Due::Nothing => {}
                Due::Ping => self.wire.pingreq(output)?,
                Due::Dead => {
                    line.is_silent = true;
                    return Err(End::lost("the broker is silent: no answer to PINGREQ"));
                }
            }
        }
        self.write(output, is_awaited);
        if !self.window.is_waiting() {
            line.puback_due = None;
        } else if *line.puback_due.get_or_insert(now + PUBACK_WITHIN) <= now {
            return Err(End::lost(format!("no PUBACK within {PUBACK_WITHIN:?}")));
        }
        Ok(())
    }

    /// Fills `out` with what may be sent now, up to [`WRITE_AHEAD`].
    fn write(&mut self, out: &mut BytesMut, is_awaited: impl Fn(Number) -> bool) {
        while out.len() < WRITE_AHEAD
            && let Some(entry) = self.window.next(&is_awaited)
        {
            match self.encode(entry.packet_id, &entry.outgoing, out) {
                Ok(()) => self.window.sent(entry),
                Err(error) => self.window.finish(entry, Err(error)),
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
            Incoming::PubAck { packet_id, refused, unheard } => self.confirm(packet_id, refused, unheard),
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

    fn confirm(&mut self, packet_id: u16, refused: Option<Reason>, unheard: bool) -> Result<(), End> {
        let Some(entry) = self.window.confirmed(packet_id) else {
            return Err(End::protocol_error("a PUBACK for no PUBLISH of ours"));
        };
        let topic = entry.outgoing.topic.clone();
        let verdict = match refused {
            None if unheard && entry.outgoing.needs_reader => Err(PublishError::Unread { topic }),
            None => Ok(()),
            Some(Reason { code, text: reason }) => Err(PublishError::Refused { topic, code, reason }),
        };
        self.window.finish(entry, verdict);
        Ok(())
    }
}
