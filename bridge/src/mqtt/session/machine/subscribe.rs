//! Sends SUBSCRIBE, and checks SUBACK.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::BytesMut;

use super::Machine;
use super::line::Line;
use crate::config::Protocol;
use crate::mqtt::end::End;
use crate::mqtt::packet::{Subscription, WireError};
use crate::mqtt::session::event::Event;

/// The most filters in one SUBSCRIBE or UNSUBSCRIBE; AWS `IoT` Core takes no more.
pub(super) const FILTERS_IN_ONE: usize = 8;

/// The packet identifier of a SUBSCRIBE, of which a connection sends each once: any but that of UNSUBSCRIBE.
fn packet_id(number: usize) -> u16 {
    u16::try_from(if number == 0 { 1 } else { number + 2 }).unwrap_or(u16::MAX)
}

impl Machine {
    /// The first SUBSCRIBE of a connection. Under MQTT 5 a repeated SUBSCRIBE brings no retained messages again (Retain
    /// Handling 1, 3.8.3.1), so it is sent on every connection, because an existing session may have another
    /// subscription than the configured one. MQTT 3.1.1 has no Retain Handling. There a SUBACK that this process has
    /// seen is enough for its filters while the session still exists, unless a CONNECT since then was never answered,
    /// because that CONNECT may have made a new session.
    pub(super) fn begin(&mut self, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        if self.leaves() {
            return self.begin_retirement(line, now);
        }
        let keeps = self.settings.link.protocol == Protocol::V311 && line.session_present;
        let wanted: Vec<_> = (0..self.subscribed.len()).filter(|index| !(keeps && self.subscribed[*index])).collect();
        if wanted.is_empty() {
            self.events.push(Event::Subscribed);
            return Ok(());
        }
        if let Some(end) = line.missing.take() {
            return Err(end);
        }
        line.suback_due = Some(now + self.settings.link.connect_timeout);
        Ok(self.subscribe(&wanted, line, output)?)
    }

    /// All of them at once, in their order. An identifier holds for all filters of a packet (MQTT 5, 3.8.2.1.2), so
    /// with identifiers each has its own; one filter alone needs none.
    fn subscribe(&self, wanted: &[usize], line: &mut Line, output: &mut BytesMut) -> Result<(), WireError> {
        let apart = line.has_identifiers && self.filters.all().len() > 1;
        let in_one = if apart { 1 } else { FILTERS_IN_ONE };
        for (number, indices) in wanted.chunks(in_one).enumerate() {
            let packet_id = packet_id(number);
            let filters: Vec<_> = indices.iter().map(|index| self.filters.all()[*index].as_str()).collect();
            let identifier = apart.then(|| self.filters.id(indices[0]));
            let qos = self.settings.qos;
            self.wire.subscribe(&Subscription { packet_id, topic_filters: &filters, identifier, qos }, output)?;
            line.unanswered.insert(packet_id, indices.to_vec());
        }
        Ok(())
    }

    /// What a broker may mean by closing the connection in place of SUBACK for one of these.
    pub(super) fn denied_by_closing(&self, unanswered: &BTreeMap<u16, Vec<usize>>) -> String {
        let first = unanswered.values().flatten().next().and_then(|index| self.filters.all().get(*index));
        let Some(filter) = first else { return String::new() };
        let hint = if filter.is_shared() {
            "; the broker may have no shared subscriptions, or not allow this one"
        } else {
            "; the broker may not allow it"
        };
        format!(" in answer to SUBSCRIBE `{filter}`{hint}")
    }

    pub(super) fn judge_suback(
        &mut self,
        packet_id: u16,
        (codes, said): (&[u8], Option<&str>),
        line: &mut Line,
        now: Instant,
    ) -> Result<(), End> {
        let Some(indices) = line.unanswered.remove(&packet_id) else {
            return Err(End::protocol_error("a SUBACK for no SUBSCRIBE of ours"));
        };
        if codes.len() != indices.len() {
            return Err(End::protocol_error("a SUBACK with more or fewer reason codes than filters"));
        }
        line.has_suback = true;
        for (index, code) in indices.into_iter().zip(codes) {
            self.judge_granted(index, *code, said, line);
        }
        // Each SUBACK gets the full time.
        line.suback_due = (!line.unanswered.is_empty()).then(|| now + self.settings.link.connect_timeout);
        if line.suback_due.is_some() {
            return Ok(());
        }
        if let Some((why, count)) = line.denied.take() {
            let more =
                if count > 1 { format!("; and so for {} more of its filters", count - 1) } else { String::new() };
            return Err(End::lasting(format!("{why}{more}")));
        }
        // They were subscribed in their order, so the first of several that match was there before the others.
        self.paired |= line.session_is_new && !self.denies_sessions;
        self.events.push(Event::Subscribed);
        self.begin_doubt(line, now);
        Ok(())
    }

    /// MQTT 5, 3.9.3: anything but the QoS asked for is a fault that somebody has to fix. Each filter is judged by
    /// itself.
    fn judge_granted(&mut self, index: usize, code: u8, said: Option<&str>, line: &mut Line) {
        let asked = self.settings.qos as u8;
        self.subscribed[index] = code == asked;
        if code == asked {
            return;
        }
        let reason = if code < asked {
            format!("the broker grants QoS {code} where QoS {asked} was asked")
        } else {
            format!("refused by the broker with reason 0x{code:02x} ({})", suback_text(code))
        };
        let (filter, reason) = (self.filters.all()[index].to_string(), with_their_words(reason, said));
        let first = || (format!("subscription to `{filter}`: {reason}"), 0);
        line.denied.get_or_insert_with(first).1 += 1;
        self.events.push(Event::SubscriptionDenied { filter, code, reason });
    }
}

/// Our words, and the broker's own behind them.
pub(super) fn with_their_words(ours: String, theirs: Option<&str>) -> String {
    match theirs {
        None | Some("") => ours,
        Some(theirs) => format!("{ours}: {theirs}"),
    }
}

/// MQTT 5, 3.9.3; MQTT 3.1.1 knows 0x80 alone.
fn suback_text(code: u8) -> &'static str {
    match code {
        0x83 => "implementation specific error",
        0x87 => "not authorized; check the broker's ACL for this client",
        0x8f => "topic filter invalid",
        0x91 => "packet identifier in use",
        0x97 => "quota exceeded",
        0x9e => "shared subscriptions not supported",
        0xa2 => "wildcard subscriptions not supported",
        _ => "unspecified; check the broker's log and ACL",
    }
}
