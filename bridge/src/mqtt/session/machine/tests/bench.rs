//! A test bench for a session: the test acts as the broker, the functions, the operator and the clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};

use super::super::{Admitted, Machine};
use crate::config::{Protocol, Qos, Range};
use crate::delivery::{Outcome, Settlement, Ticket};
use crate::metrics::Metrics;
use crate::mqtt::end::End;
use crate::mqtt::link::Link;
use crate::mqtt::packet::ConnAck;
use crate::mqtt::retire::{QUIET, ROUNDS};
use crate::mqtt::session::event::Event;
use crate::mqtt::session::settings::{Identifies, Settings};
use crate::shutdown::Phase;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What the session sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Subscribe,
    Unsubscribe,
    PubAck(u16),
    PubRec(u16),
    PubComp(u16),
    Ping,
}

pub(super) struct Bench {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    input: BytesMut,
    pub(super) sent: Vec<Sent>,
    /// The last packet of each kind, by the first byte.
    packets: HashMap<u8, Vec<u8>>,
    /// All SUBSCRIBEs, behind their lengths.
    pub(super) subscribes: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
    /// Deliveries that wait for their outcome.
    pub(super) running: Vec<Admitted>,
    pub(super) admitted: usize,
    pub(super) end: Option<End>,
}

pub(super) fn settings(protocol: Protocol) -> Settings {
    Settings {
        mapping: "m".into(),
        link: Link {
            client_id: "bridge-m".into(),
            protocol,
            keep_alive: KEEP_ALIVE,
            connect_timeout: SECOND * 10,
            backoff: Range { min: SECOND, max: SECOND * 30 },
        },
        topic_filters: vec!["sensor/data".parse().unwrap()],
        former_filters: Vec::new(),
        subscribed: Vec::new(),
        leaves: false,
        qos: Qos::AtLeastOnce,
        receive_maximum: 4,
        max_outstanding_bytes: 1 << 20,
        session_expiry: SECOND * 3600,
        redelivery_timer: SECOND * 35,
        identifies: Identifies::default(),
    }
}

/// Runs the case under both protocol versions.
pub(super) fn both(case: impl Fn(Protocol)) {
    for protocol in [Protocol::V5, Protocol::V311] {
        eprintln!("MQTT {protocol}");
        case(protocol);
    }
}

pub(super) fn fresh() -> ConnAck {
    ConnAck::default()
}

pub(super) fn present() -> ConnAck {
    ConnAck { session_present: true, ..ConnAck::default() }
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        Self::resuming(settings, 0)
    }

    /// An earlier session of the same client id was connected to this broker last.
    pub(super) fn resuming(settings: Settings, broker: usize) -> Self {
        let machine = Machine::new(settings, Metrics::new().mapping("m"), 7).resuming_at(broker);
        let (sent, events, running, subscribes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (now, input, packets) = (Instant::now(), BytesMut::new(), HashMap::new());
        Self { machine, now, input, sent, packets, subscribes, events, running, admitted: 0, end: None }
    }

    /// Connected and subscribed, with nothing on record.
    pub(super) fn ready(protocol: Protocol) -> Self {
        let mut bench = Self::new(settings(protocol));
        bench.connect(&fresh());
        bench.suback(1);
        bench.forget();
        bench
    }

    pub(super) fn connect(&mut self, connack: &ConnAck) {
        self.end = None;
        self.input.clear();
        self.machine.connected(connack, self.now);
        self.turn();
    }

    /// The connection breaks, and the next one is made.
    pub(super) fn reconnect(&mut self, connack: &ConnAck) {
        self.disconnect();
        self.connect(connack);
    }

    /// The next connection resumes the session. Under MQTT 5 it subscribes again, which is answered.
    pub(super) fn resume(&mut self) {
        self.reconnect(&present());
        if self.v5() {
            self.suback(1);
        }
    }

    pub(super) fn disconnect(&mut self) {
        let end = self.end.take().unwrap_or_else(|| End::lost("reset"));
        let end = self.machine.disconnected(end);
        self.events.append(&mut self.machine.take_events());
        self.end = Some(end);
    }

    pub(super) fn turn(&mut self) {
        let mut output = BytesMut::new();
        if let Err(end) = self.machine.turn(&mut self.input, &mut output, self.now) {
            self.end = Some(end);
        }
        if !output.is_empty() {
            self.machine.written(self.now);
        }
        self.read(output);
        let admitted: Vec<_> = self.machine.take_admitted().collect();
        self.admitted += admitted.len();
        self.running.extend(admitted);
        self.events.append(&mut self.machine.take_events());
    }

    fn read(&mut self, output: BytesMut) {
        let mut rest = &output[..];
        while let [first, length, body @ ..] = rest {
            assert!(*length < 128, "a longer packet than these cases send");
            let (body, behind) = body.split_at(usize::from(*length));
            self.packets.insert(*first, body.to_vec());
            if *first == 0x82 {
                self.subscribes.push(body.to_vec());
            }
            let id = || u16::from_be_bytes([body[0], body[1]]);
            self.sent.push(match first {
                0x82 => Sent::Subscribe,
                0xa2 => Sent::Unsubscribe,
                0x40 => Sent::PubAck(id()),
                0x50 => Sent::PubRec(id()),
                0x70 => Sent::PubComp(id()),
                0xc0 => Sent::Ping,
                other => panic!("packet {other:#x}"),
            });
            rest = behind;
        }
    }

    /// Time passes, in steps as small as the session asks for, with a broker that answers pings or does not.
    pub(super) fn pass(&mut self, time: Duration, answers: bool) {
        let until = self.now + time;
        while self.end.is_none() && self.now < until {
            self.now = self.machine.wakes(self.now).clamp(self.now + SECOND / 100, until);
            let pings = self.pings();
            self.turn();
            if answers {
                (pings..self.pings()).for_each(|_| self.pong());
            }
        }
    }

    /// Plays a broker that has nothing more, until that is proven.
    pub(super) fn prove(&mut self) {
        (0..ROUNDS).for_each(|_| self.pong());
        self.pass(QUIET, true);
    }

    /// The same on a connection whose session was there, which takes longer under MQTT 3.1.1.
    pub(super) fn prove_again(&mut self) {
        let asked = |bench: &Self| bench.sent.iter().filter(|sent| **sent == Sent::Unsubscribe).count();
        let (before, until) = (asked(self), self.now + QUIET + self.machine.settings.redelivery_timer);
        (0..ROUNDS).for_each(|_| self.pong());
        while asked(self) == before && self.now < until {
            self.pass(SECOND, true);
        }
    }

    pub(super) fn pings(&self) -> usize {
        self.sent.iter().filter(|sent| **sent == Sent::Ping).count()
    }

    /// These bytes arrive.
    pub(super) fn arrive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.machine.received(bytes.len(), self.now);
        self.turn();
    }

    /// Messages of QoS 1 that arrive in one piece, with packet identifiers from 1 on.
    pub(super) fn arrive_together(&mut self, payloads: &[&str]) {
        let packets = (1..).zip(payloads).map(|(id, payload)| self.packet_of("sensor/data", 1, id, payload, false));
        let bytes = packets.collect::<Vec<_>>().concat();
        self.arrive(&bytes);
    }

    pub(super) fn pong(&mut self) {
        self.arrive(&[0xd0, 0]);
    }

    fn v5(&self) -> bool {
        self.machine.settings.link.protocol == Protocol::V5
    }

    /// SUBACK with this code.
    pub(super) fn suback(&mut self, code: u8) {
        let packet: &[u8] = if self.v5() { &[0x90, 4, 0, 1, 0, code] } else { &[0x90, 3, 0, 1, code] };
        self.arrive(packet);
    }

    /// SUBACK to the SUBSCRIBE of this packet identifier.
    pub(super) fn suback_to(&mut self, packet_id: u8, codes: &[u8]) {
        let properties: &[u8] = if self.v5() { &[0] } else { &[] };
        let length = u8::try_from(2 + properties.len() + codes.len()).unwrap();
        self.arrive(&[&[0x90, length, 0, packet_id], properties, codes].concat());
    }

    /// A message of QoS 1 under MQTT 5 that belongs to these subscriptions.
    pub(super) fn copy(&mut self, topic: &str, packet_id: u16, payload: &str, subscriptions: &[u32]) {
        let mut properties = Vec::new();
        for subscription in subscriptions {
            properties.push(0x0b);
            let mut rest = *subscription;
            loop {
                let digit = u8::try_from(rest % 128).unwrap();
                rest /= 128;
                properties.push(if rest > 0 { digit | 0x80 } else { digit });
                if rest == 0 {
                    break;
                }
            }
        }
        let mut body = BytesMut::new();
        body.put_u16(u16::try_from(topic.len()).unwrap());
        body.put_slice(topic.as_bytes());
        body.put_u16(packet_id);
        body.put_u8(u8::try_from(properties.len()).unwrap());
        body.put_slice(&properties);
        body.put_slice(payload.as_bytes());
        self.arrive(&[&[0x32, u8::try_from(body.len()).unwrap()], &body[..]].concat());
    }

    /// UNSUBACK for so many filters.
    pub(super) fn unsuback(&mut self, filters: u8) {
        self.unsuback_to(2, filters);
    }

    /// UNSUBACK to the UNSUBSCRIBE of this packet identifier.
    pub(super) fn unsuback_to(&mut self, packet_id: u16, filters: u8) {
        let [high, low] = packet_id.to_be_bytes();
        let mut packet = vec![0xb0, 2, high, low];
        if self.v5() {
            packet[1] += 1 + filters;
            packet.extend(vec![0; usize::from(filters) + 1]);
        }
        self.arrive(&packet);
    }

    pub(super) fn publish(&mut self, packet_id: u16, payload: &str) {
        self.message("sensor/data", 1, packet_id, payload, false);
    }

    pub(super) fn again(&mut self, packet_id: u16, payload: &str) {
        self.message("sensor/data", 1, packet_id, payload, true);
    }

    pub(super) fn message(&mut self, topic: &str, qos: u8, packet_id: u16, payload: &str, dup: bool) {
        let packet = self.packet_of(topic, qos, packet_id, payload, dup);
        self.arrive(&packet);
    }

    fn packet_of(&self, topic: &str, qos: u8, packet_id: u16, payload: &str, dup: bool) -> Vec<u8> {
        let mut body = BytesMut::new();
        body.put_u16(u16::try_from(topic.len()).unwrap());
        body.put_slice(topic.as_bytes());
        if qos > 0 {
            body.put_u16(packet_id);
        }
        if self.v5() {
            body.put_u8(0);
        }
        body.put_slice(payload.as_bytes());
        let mut packet = vec![0x30 | qos << 1 | u8::from(dup) << 3, u8::try_from(body.len()).unwrap()];
        packet.extend(body);
        packet
    }

    /// The delivery with this payload has its outcome.
    pub(super) fn settle(&mut self, payload: &str, outcome: Outcome) {
        let index = self.running.iter().position(|admitted| admitted.message.payload == payload.as_bytes()).unwrap();
        let Admitted { message, ticket, .. } = self.running.remove(index);
        let ticket: Ticket = ticket;
        self.machine.settled(Settlement { ticket, outcome, weight: message.weight() });
        self.turn();
    }

    pub(super) fn done(&mut self, payload: &str) {
        self.settle(payload, Outcome::Delivered);
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.machine.enter(phase);
        self.turn();
    }

    pub(super) fn unanswered(&mut self) {
        self.machine.unanswered_by(self.machine.brokers.current);
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.machine.pause(paused);
        self.turn();
    }

    /// What was sent since the last time, pings left out.
    pub(super) fn take_sent(&mut self) -> Vec<Sent> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().filter(|sent| *sent != Sent::Ping).collect()
    }

    /// The last packet that began with this byte, behind its length.
    pub(super) fn packet(&self, first: u8) -> &[u8] {
        &self.packets[&first]
    }

    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.events.clear();
    }

    /// Why the connection ends, if it does.
    pub(super) fn why(&self) -> String {
        match &self.end {
            Some(End::Lost { why, .. }) => why.clone(),
            other => format!("{other:?}"),
        }
    }

    pub(super) fn is_lasting(&self) -> bool {
        matches!(self.end, Some(End::Lost { lasting: true, .. }))
    }
}
