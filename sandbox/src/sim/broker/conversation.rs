//! The broker's side of one connection: reads packets, answers them, and sends what its session has.

use std::time::Duration;

use bridge::config::Protocol;
use bytes::BytesMut;
use rumqttc::mqttbytes::v5::PublishProperties;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::publishing::{Confirmations, Said};
use super::session::{Session, Stored};
use super::{Broker, Refuses, State, Word};
use crate::scripted::heard::{Connect, Packet, decode};
use crate::scripted::said::{ConnAck, Message, frame};
use crate::sim::record::Again;

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
            Packet::Connect(connect) => self.connect(&mut state, &connect, output),
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

    fn connect(&mut self, state: &mut State, connect: &Connect, output: &mut Vec<u8>) {
        state.expire();
        if state.refuses(Refuses::Connections) {
            // Server unavailable.
            let code = if self.protocol == Protocol::V5 { 0x88 } else { 3 };
            output.extend(ConnAck::refused(code).bytes(self.protocol));
            self.will_end = true;
            return;
        }
        let (habits, record) = (state.habits, state.record.clone());
        let client_id = connect.client_id.clone();
        if connect.clean_start
            && let Some(session) = state.sessions.remove(&client_id)
        {
            session.drop_as_asked(&record, "clean start");
        }
        if client_id.ends_with("-publisher") {
            record.reconnected(&client_id);
        }
        let present = state.sessions.contains_key(&client_id);
        let expiry = match self.protocol {
            Protocol::V5 => Duration::from_secs(connect.session_expiry.unwrap_or(0).into()),
            Protocol::V311 if connect.clean_start => Duration::ZERO,
            Protocol::V311 => Duration::from_hours(24 * 365),
        };
        let granted = habits.grants.map_or(expiry, |longest| longest.min(expiry));
        let session =
            state.sessions.entry(client_id.clone()).or_insert_with(|| Session::new(client_id.clone(), habits.first_id));
        session.expires_after = granted;
        session.expires_at = None;
        let receive_maximum = connect.receive_maximum.map_or(usize::MAX, usize::from);
        session.window = habits.window.min(receive_maximum.saturating_mul(habits.exceeds));
        // The bridge cannot recognise a message if CONNACK denies the session, or if DUP is not set.
        let forgotten = record.forgotten_by(&client_id);
        let knows = std::mem::replace(&mut session.forgotten, forgotten) == forgotten;
        let again = if habits.again_by_timer {
            Again::Late
        } else if knows && habits.marks_again && habits.says_present {
            Again::Recognised
        } else {
            Again::Unknown
        };
        record.sent_again(&session.comes_again(), again);
        // It may be that no more than one of them was subscribed to, so all of them count.
        record.repeats(&session.copies());
        (session.is_new, session.fed_at) = (!present, None);
        if !habits.again_by_timer {
            session.rewind(habits.renumbers, habits.first_id);
        }
        if let Some(earlier) = session.connection.replace(self.number)
            && let Some(sender) = state.connections.get(&earlier)
        {
            let _ = sender.send(Word::End(0x8e));
        }
        record.broker(format!("CONNECT {client_id}, session present: {present}"));
        let mut connack = if present && habits.says_present { ConnAck::resumed() } else { ConnAck::fresh() };
        if granted < expiry {
            connack = connack.session_expiry(u32::try_from(granted.as_secs()).unwrap_or(u32::MAX));
        }
        if let Some(seconds) = habits.server_keep_alive {
            connack = connack.server_keep_alive(seconds);
        }
        if self.protocol == Protocol::V5 && !habits.names_filters {
            connack = connack.without_identifiers();
        }
        if let Some(number) = habits.takes {
            connack = connack.receive_maximum(number);
        }
        output.extend(connack.bytes(self.protocol));
        // MQTT 5, 4.4: PUBREL is sent again, too.
        let flying = state.session(self.number).into_iter().flat_map(|session| &session.in_flight);
        for flying in flying.filter(|flying| flying.received) {
            output.extend(frame(0x62, &flying.packet_id.to_be_bytes()));
        }
        self.client_id = Some(client_id);
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
            write(message(flying.packet_id, &flying.stored, now).qos(qos).again(), protocol, output);
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
            write(if dup { message.again() } else { message }, protocol, output);
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

fn write(message: Message, protocol: Protocol, output: &mut Vec<u8>) {
    // Its own codec writes what the model has made.
    if let Ok(bytes) = message.bytes(protocol) {
        output.extend(&bytes);
    }
}
