//! The broker's side of one connection: reads packets, answers them, and sends what its session has.

use std::time::Duration;

use bridge::config::Protocol;
use bytes::BytesMut;
use rumqttc::mqttbytes::v5::PublishProperties;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::publishing::{Confirmations, Said};
use super::session::Stored;
use super::{Broker, Word};
use crate::scripted::heard::{Packet, decode};
use crate::scripted::said::{Message, frame};

/// Holds the conversation until one side ends it.
pub(super) async fn hold(broker: Broker, stream: DuplexStream) {
    let (sender, words) = mpsc::unbounded_channel();
    let (number, protocol) = {
        let mut state = broker.state();
        let number = state.begun.len() as u64;
        state.begun.push(Instant::now());
        state.connections.insert(number, sender);
        (number, state.protocol)
    };
    let confirmations = Confirmations::default();
    let (client_id, answered_last, sends_at) = (None, None, None);
    let talk = Talk {
        broker: broker.clone(),
        stream,
        number,
        protocol,
        client_id,
        confirmations,
        answered_last,
        sends_at,
        has_begun: false,
        will_end: false,
    };
    talk.go_on(words).await;
    let mut state = broker.state();
    state.connections.remove(&number);
    state.leave(number);
}

struct Talk {
    broker: Broker,
    stream: DuplexStream,
    number: u64,
    protocol: Protocol,
    /// Who it is, once CONNECT has come.
    client_id: Option<String>,
    /// What it still has to confirm.
    confirmations: Confirmations,
    /// When it has answered a PINGREQ, where nothing has been heard since.
    answered_last: Option<Instant>,
    /// When it sends what there is room for.
    sends_at: Option<Instant>,
    /// It has sent something.
    has_begun: bool,
    /// What is written is the last.
    will_end: bool,
}

impl Talk {
    async fn go_on(mut self, mut words: mpsc::UnboundedReceiver<Word>) {
        let mut input = BytesMut::new();
        let mut output = Vec::new();
        loop {
            while let Some(packet) = decode(self.protocol, &mut input) {
                self.answer(packet, &mut output);
            }
            self.confirmations.write(&self.broker.state(), &mut output);
            self.send_again(&mut output);
            self.send(&mut output);
            if self.stream.write_all(&output).await.is_err() || self.will_end {
                return;
            }
            output.clear();
            let wake = self.wakes();
            tokio::select! {
                biased;
                word = words.recv() => match word {
                    Some(Word::Send) => {}
                    Some(Word::End(reason)) => {
                        if self.protocol == Protocol::V5 {
                            let _ = self.stream.write_all(&frame(0xe0, &[reason, 0])).await;
                        }
                        return;
                    }
                    None => return,
                },
                read = self.stream.read_buf(&mut input) => if !matches!(read, Ok(1..)) { return },
                () = sleep_until(wake) => {}
            }
        }
    }

    fn answer(&mut self, packet: Packet, output: &mut Vec<u8>) {
        let broker = self.broker.clone();
        let mut state = broker.state();
        let answered_last = self.answered_last.take();
        match packet {
            Packet::Connect(connect) => {
                if state.connect(self.number, &connect, output) {
                    self.client_id = Some(connect.client_id);
                } else {
                    self.will_end = true;
                }
            }
            Packet::Subscribe(subscribe) => state.subscribe(self.number, &subscribe, output),
            Packet::Unsubscribe { packet_id, filters } => {
                state.unsubscribe(self.number, (packet_id, &filters), answered_last, output);
            }
            Packet::Ack(ack) if ack.received => {
                let received = state.session(self.number).and_then(|session| session.received(ack.packet_id));
                match received {
                    Some(number) => {
                        state.record.broker(format!("PUBREC {} for {number}", ack.packet_id));
                        state.acknowledged(number);
                    }
                    None => state.record.broker(format!("PUBREC {} for nothing new", ack.packet_id)),
                }
                output.extend(frame(0x62, &ack.packet_id.to_be_bytes()));
            }
            Packet::Ack(ack) => {
                let acknowledged = state.session(self.number).and_then(|session| session.acknowledged(ack.packet_id));
                match acknowledged {
                    Some(stored) => {
                        state.record.broker(format!("PUBACK {} for {}", ack.packet_id, stored.number));
                        state.acknowledged(stored.number);
                    }
                    None => state.record.broker(format!("PUBACK {} for nothing", ack.packet_id)),
                }
            }
            Packet::Complete(packet_id) => {
                state.session(self.number).into_iter().for_each(|session| session.completed(packet_id));
            }
            Packet::Publish { packet_id, topic, payload, properties } => {
                let topic = String::from_utf8_lossy(&topic).into_owned();
                let said = Said { packet_id, topic, payload, properties: *properties };
                self.will_end = self.confirmations.take(&mut state, &said, output);
            }
            Packet::PingReq => {
                self.answered_last = Some(Instant::now());
                output.extend([0xd0, 0]);
            }
            Packet::Disconnect(_, expiry) => {
                // MQTT 5, 3.14.2.2.2.
                if let Some((session, seconds)) = state.session(self.number).zip(expiry) {
                    session.expires_after = Duration::from_secs(seconds.into());
                }
                self.will_end = true;
            }
            Packet::Other(what) => {
                state.record.violated("protocol", format!("the broker hears {what}"));
                self.will_end = true;
            }
        }
    }

    /// What was not acknowledged in the broker's own time.
    fn send_again(&mut self, output: &mut Vec<u8>) {
        let broker = self.broker.clone();
        let mut state = broker.state();
        let (Some(after), now) = (state.habits.resends_after, Instant::now()) else { return };
        let (record, protocol) = (state.record.clone(), self.protocol);
        let Some(session) = state.session(self.number) else { return };
        let qos = session.qos;
        for flying in session.overdue(after, now) {
            self.has_begun = true;
            record.broker(format!("PUBLISH {} again, {}", flying.packet_id, flying.stored.number));
            let message = message(flying.packet_id, &flying.stored, now).qos(qos).again();
            write(message, flying.stored.ill_formed, protocol, output);
        }
    }

    /// What there is room for.
    fn send(&mut self, output: &mut Vec<u8>) {
        let broker = self.broker.clone();
        let mut state = broker.state();
        let (habits, record, protocol) = (state.habits, state.record.clone(), self.protocol);
        let Some(session) = state.session(self.number) else { return };
        let (qos, now) = (session.qos, Instant::now());
        session.drop_expired(&record, now);
        if !session.can_send() {
            self.sends_at = None;
            return;
        }
        let wait = if self.has_begun { habits.sends_after } else { habits.begins_after };
        if *self.sends_at.get_or_insert(now + wait) > now {
            return;
        }
        (self.sends_at, self.has_begun) = (None, true);
        while let Some(flying) = session.next(habits.reuses_at_once, now) {
            let dup = flying.stored.sent && habits.marks_again;
            let (packet_id, stored) = (flying.packet_id, &flying.stored);
            let again = if dup { ", DUP" } else { "" };
            record.broker(format!("PUBLISH {packet_id} {}{again}", stored.number));
            let message = message(packet_id, stored, now).qos(qos);
            write(if dup { message.again() } else { message }, stored.ill_formed, protocol, output);
            if let Some(flying) = session.in_flight.last_mut() {
                flying.stored.sent = true;
            }
        }
    }

    fn wakes(&self) -> Instant {
        let broker = self.broker.clone();
        let mut state = broker.state();
        let far = Instant::now() + Duration::from_hours(1);
        let far = self.confirmations.next().into_iter().chain(self.sends_at).fold(far, Instant::min);
        let Some(after) = state.habits.resends_after else { return far };
        let Some(session) = state.session(self.number) else { return far };
        session
            .in_flight
            .iter()
            .filter(|flying| !flying.received)
            .map(|flying| flying.sent_at + after)
            .fold(far, Instant::min)
    }
}

fn message(packet_id: u16, stored: &Stored, now: Instant) -> Message {
    let message = Message::new(packet_id, stored.payload.clone()).topic(stored.topic.clone());
    let message = if stored.retain { message.retained() } else { message };
    // In whole seconds, and never too early.
    let seconds = |expires: Instant| expires.saturating_duration_since(now).as_secs_f64().ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
    let message_expiry_interval = stored.expires.map(|expires| seconds(expires) as u32);
    let response_topic = stored.response_topic.clone();
    let correlation_data = response_topic.as_ref().map(|_| stored.number.to_string().into());
    message.properties(PublishProperties {
        message_expiry_interval,
        response_topic,
        correlation_data,
        subscription_identifiers: stored.by.iter().filter_map(|by| by.id).collect(),
        ..PublishProperties::default()
    })
}

fn write(message: Message, ill_formed: bool, protocol: Protocol, output: &mut Vec<u8>) {
    // Its own codec writes what the model has made.
    let Ok(bytes) = message.bytes(protocol) else { return };
    let begin = output.len();
    output.extend(&bytes);
    // The first byte of the device's name, which every filter leaves open.
    let topic = output[begin..].iter_mut().skip_while(|byte| **byte != b'/').nth(1);
    if let Some(byte) = topic.filter(|_| ill_formed) {
        *byte = 0xff;
    }
}
