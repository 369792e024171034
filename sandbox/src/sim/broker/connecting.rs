//! CONNECT: the session that a client gets, and what CONNACK says of it.

use std::time::Duration;

use bridge::config::Protocol;

use super::session::Session;
use super::{Refuses, State, Word};
use crate::scripted::heard::Connect;
use crate::scripted::said::{ConnAck, frame};
use crate::sim::record::Again;

impl State {
    /// False if it is refused.
    pub(super) fn connect(&mut self, connection: u64, connect: &Connect, output: &mut Vec<u8>) -> bool {
        self.expire();
        if self.refuses(Refuses::Connections) {
            // Server unavailable.
            let code = if self.protocol == Protocol::V5 { 0x88 } else { 3 };
            output.extend(ConnAck::refused(code).bytes(self.protocol));
            return false;
        }
        let (record, client_id) = (self.record.clone(), &connect.client_id);
        if connect.clean_start
            && let Some(session) = self.sessions.remove(client_id)
        {
            session.drop_as_asked(&record, "clean start");
        }
        if client_id.ends_with("-publisher") {
            record.reconnected(client_id);
        }
        let present = self.sessions.contains_key(client_id);
        let asked = self.asked_expiry(connect);
        let granted = self.habits.grants.map_or(asked, |longest| longest.min(asked));
        self.begin_session(connection, connect, granted, present);
        record.broker(format!("CONNECT {client_id}, session present: {present}"));
        let shortened = (granted < asked).then_some(granted);
        output.extend(self.connack(present, shortened).bytes(self.protocol));
        // MQTT 5, 4.4: PUBREL is sent again, too.
        let flying = self.session(connection).into_iter().flat_map(|session| &session.in_flight);
        for flying in flying.filter(|flying| flying.received) {
            output.extend(frame(0x62, &flying.packet_id.to_be_bytes()));
        }
        true
    }

    fn asked_expiry(&self, connect: &Connect) -> Duration {
        match self.protocol {
            Protocol::V5 => Duration::from_secs(connect.session_expiry.unwrap_or(0).into()),
            Protocol::V311 if connect.clean_start => Duration::ZERO,
            Protocol::V311 => Duration::from_hours(24 * 365),
        }
    }

    /// The connection has the session from now on, a kept one or a new one, and an earlier connection of it ends.
    fn begin_session(&mut self, connection: u64, connect: &Connect, expires_after: Duration, present: bool) {
        let (habits, record, client_id) = (self.habits, self.record.clone(), &connect.client_id);
        let session =
            self.sessions.entry(client_id.clone()).or_insert_with(|| Session::new(client_id.clone(), habits.first_id));
        session.expires_after = expires_after;
        session.expires_at = None;
        let receive_maximum = connect.receive_maximum.map_or(usize::MAX, usize::from);
        session.window = habits.window.min(receive_maximum.saturating_mul(habits.exceeds));
        let forgotten = record.forgotten_by(client_id);
        let knows = std::mem::replace(&mut session.forgotten, forgotten) == forgotten;
        // The bridge cannot recognise a message if CONNACK denies the session, or if DUP is not set.
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
        if let Some(earlier) = session.connection.replace(connection)
            && let Some(sender) = self.connections.get(&earlier)
        {
            let _ = sender.send(Word::End(0x8e));
        }
    }

    fn connack(&self, present: bool, shortened: Option<Duration>) -> ConnAck {
        let habits = self.habits;
        let mut connack = if present && habits.says_present { ConnAck::resumed() } else { ConnAck::fresh() };
        if let Some(granted) = shortened {
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
        connack
    }
}
