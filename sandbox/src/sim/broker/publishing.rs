//! How the broker handles messages that the bridge publishes: answers of the function, and dead letters. It confirms
//! each after some time, refuses it, or drops it silently.

use std::collections::VecDeque;

use bridge::config::Protocol;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::{Refuses, State};
use crate::scripted::heard::Properties;
use crate::scripted::said::frame;
use crate::sim::letter::{Letter, TOPIC};
use crate::sim::mapping::{Mapping, plain};

/// PUBLISH from the bridge.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) packet_id: u16,
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) properties: Properties,
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Answer(u64),
    Letter(Letter),
}

/// What a connection still has to confirm, in its order.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    due: VecDeque<(Instant, u16, Subject)>,
    /// It has passed one over.
    silent: bool,
}

impl Confirmations {
    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.front().map(|(at, ..)| *at)
    }

    /// Confirms what is due.
    pub(super) fn write(&mut self, state: &State, output: &mut Vec<u8>) {
        let now = Instant::now();
        while let Some((_, packet_id, subject)) = self.due.pop_front_if(|(at, ..)| *at <= now) {
            match subject {
                Subject::Answer(answer) => state.record.answer_confirmed(answer),
                Subject::Letter(letter) => letter.is_safe(&state.record, "topic"),
            }
            output.extend(frame(0x40, &packet_id.to_be_bytes()));
        }
    }

    /// Takes a message in. True when the broker ends the connection over it.
    pub(super) fn take(&mut self, state: &mut State, said: &Said, output: &mut Vec<u8>) -> bool {
        let record = state.record.clone();
        let Some(subject) = subject(state, said) else {
            record.violated("published", format!("a message on {}, of which nobody knows", said.topic));
            return false;
        };
        record.broker(format!("hears {subject:?} on {}", said.topic));
        let most = state.habits.takes.filter(|_| state.protocol == Protocol::V5);
        if most.is_some_and(|most| self.due.len() >= most.into()) {
            record.violated("published", "more at once than the broker takes");
        }
        let never = matches!(subject, Subject::Answer(answer)
            if state.refused_every > 0 && answer.is_multiple_of(state.refused_every));
        if never || state.refuses(Refuses::Publishes) {
            return refuse(state, said.packet_id, subject, never, output);
        }
        if state.refuses(Refuses::Confirmations) {
            // Each silence makes the bridge leave one connection.
            if !std::mem::replace(&mut self.silent, true) {
                record.broke();
            }
            return false;
        }
        self.due.push_back((Instant::now() + state.habits.confirms_after, said.packet_id, subject));
        false
    }
}

/// MQTT 3.1.1 has no other way to refuse a message than to end the connection.
fn refuse(state: &State, packet_id: u16, subject: Subject, never: bool, output: &mut Vec<u8>) -> bool {
    if let Subject::Answer(answer) = subject {
        state.record.answer_refused(answer, never && state.protocol == Protocol::V5);
    }
    if state.protocol == Protocol::V311 {
        state.record.broke();
        return true;
    }
    let [high, low] = packet_id.to_be_bytes();
    // Payload Format Invalid, or Quota Exceeded.
    output.extend(frame(0x40, &[high, low, if never { 0x99 } else { 0x97 }, 0]));
    false
}

/// What it is, when it is where it belongs.
fn subject(state: &State, said: &Said) -> Option<Subject> {
    let payload: Value = serde_json::from_slice(&said.payload).ok()?;
    if said.topic == TOPIC {
        let about = |name: &str| {
            let found = said.properties.user.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let letter = match state.protocol {
            Protocol::V5 => {
                let mapping = Mapping::named(about("dead-letter-mapping")?);
                Letter::of(&payload, about("dead-letter-error-type")?, mapping)
            }
            Protocol::V311 => Letter::read(&said.payload),
        };
        return letter.map(Subject::Letter);
    }
    let answer = payload["a"].as_u64()?;
    let number = state.record.about(answer)?;
    let key = plain(state.record.key_of(number)?);
    let asks = Bytes::from(number.to_string());
    let is_right = said.topic == format!("commands/{key}/{number}")
        || said.topic == format!("replies/{key}") && said.properties.correlation_data == Some(asks);
    (is_right && payload["n"].as_u64() == Some(number)).then_some(Subject::Answer(answer))
}
