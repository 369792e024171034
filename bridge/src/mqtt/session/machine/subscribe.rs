//! SUBSCRIBE, and what SUBACK says of it.

use std::time::Instant;

use bytes::BytesMut;

use super::Machine;
use super::line::Line;
use crate::config::Protocol;
use crate::mqtt::end::End;
use crate::mqtt::packet::Subscription;
use crate::mqtt::session::event::Event;

/// The packet identifier of the one SUBSCRIBE that a connection ever sends.
const SUBSCRIBE_ID: u16 = 1;

impl Machine {
    /// What a connection begins with. Under MQTT 5 subscribing again repeats nothing that was retained (Retain Handling 1,
    /// 3.8.3.1), so it is done on every connection: a session that is present may hold another subscription than the one
    /// configured. MQTT 3.1.1 has no such word; there a SUBACK seen by this process, in a session that is still there, will
    /// do, unless a CONNECT since then was never answered: a session that it made would be there as well.
    pub(super) fn begin(&mut self, line: &mut Line, output: &mut BytesMut, now: Instant) -> Result<(), End> {
        if self.leaves() {
            return self.begin_retirement(line, now);
        }
        if self.settings.link.protocol == Protocol::V311 && line.session_present && self.subscribed {
            self.events.push(Event::Subscribed);
            return Ok(());
        }
        if let Some(end) = line.missing.take() {
            return Err(end);
        }
        line.suback_due = Some(now + self.settings.link.connect_timeout);
        let filter = self.settings.topic_filter.to_string();
        let subscription = Subscription { packet_id: SUBSCRIBE_ID, topic_filter: &filter, qos: self.settings.qos };
        Ok(self.wire.subscribe(&subscription, output)?)
    }

    /// What a broker may mean by closing the connection in place of SUBACK.
    pub(super) fn denied_by_closing(&self) -> String {
        let filter = &self.settings.topic_filter;
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
        if packet_id != SUBSCRIBE_ID || line.suback_due.take().is_none() {
            return Err(End::protocol_error("a SUBACK for no SUBSCRIBE of ours"));
        }
        self.judge_granted(codes, said)?;
        self.begin_doubt(line, now);
        Ok(())
    }

    /// MQTT 5, 3.9.3: anything but the QoS asked for is a fault that somebody has to fix.
    fn judge_granted(&mut self, codes: &[u8], said: Option<&str>) -> Result<(), End> {
        let asked = self.settings.qos as u8;
        let [code] = *codes else {
            return Err(End::protocol_error("a SUBACK with more than one reason code"));
        };
        let reason = match code {
            code if code == asked => {
                self.subscribed = true;
                self.events.push(Event::Subscribed);
                return Ok(());
            }
            granted if granted < asked => {
                format!("the broker grants QoS {granted} where QoS {asked} was asked")
            }
            code => format!("refused by the broker with reason 0x{code:02x} ({})", suback_text(code)),
        };
        let reason = with_their_words(reason, said);
        let why = format!("subscription to `{}`: {reason}", self.settings.topic_filter);
        self.events.push(Event::SubscriptionDenied { code, reason });
        Err(End::lasting(why))
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
