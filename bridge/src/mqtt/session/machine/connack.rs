//! Checks CONNACK, and reports a broker that grants less than was asked for, because it may lose messages silently.

use std::time::{Duration, Instant};

use super::Machine;
use super::line::Line;
use crate::config::{Protocol, Qos};
use crate::mqtt::end::End;
use crate::mqtt::keep_alive::KeepAlive;
use crate::mqtt::packet::ConnAck;
use crate::mqtt::session::event::Event;
use crate::topic::TopicFilter;

impl Machine {
    /// A connection is made.
    pub(in crate::mqtt::session) fn connected(&mut self, connack: &ConnAck, now: Instant) {
        let keep_alive = KeepAlive::new(self.settings.link.keep_alive, connack.keep_alive, now);
        let mut line = Line::new(self.wire, connack.session_present, keep_alive, now);
        // MQTT 5 forbids such timers (4.4).
        if connack.session_present && self.settings.link.protocol == Protocol::V311 {
            line.resent_by = now + self.settings.redelivery_timer;
        }
        self.judge_session_present(connack.session_present);
        self.judge_session_expiry(connack.session_expiry);
        if let Some(assigned) = &connack.assigned_client_id
            && *assigned != self.settings.link.client_id
        {
            self.events.push(Event::ClientIdAssigned { assigned: assigned.clone() });
        }
        self.judge_maximum_qos(connack.limits.max_qos);
        line.missing = self.missing_feature(connack);
        line.has_identifiers = connack.subscription_ids_available && self.settings.link.protocol == Protocol::V5;
        self.line = Some(line);
    }

    /// MQTT 5, 3.2.2.3.2. Absent, it is as was asked for; MQTT 3.1.1 has no words for it.
    fn judge_session_expiry(&mut self, granted: Option<Duration>) {
        let asked = self.settings.session_expiry;
        let granted = granted.unwrap_or(asked);
        if self.settings.link.protocol == Protocol::V311 || self.retirement.has_begun() {
            return;
        }
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.metrics.session_expiry.set(seconds(granted));
        self.metrics.session_expiry_asked.set(seconds(asked));
        if granted.is_zero() {
            self.events.push(Event::SessionExpiryRefused { asked });
        } else if granted < asked {
            self.events.push(Event::SessionExpiryShortened { asked, granted });
        }
    }

    /// MQTT 5, 3.2.2.3.4. It is about what is published to the broker, and the broker must take a SUBSCRIBE with any
    /// QoS; but it then grants less, or has nothing to send at the QoS that was asked for.
    fn judge_maximum_qos(&mut self, most: Qos) {
        if most < self.settings.qos && !self.retirement.has_begun() {
            self.events.push(Event::QosLimited { asked: self.settings.qos as u8, most: most as u8 });
        }
    }

    /// MQTT 5, 3.2.2.3.11 and 3.2.2.3.13: a broker that cannot do what the subscription needs would grant something
    /// else, or close the connection.
    fn missing_feature(&self, connack: &ConnAck) -> Option<End> {
        self.filters.all().iter().find_map(|filter| missing_for(filter, connack))
    }
}

fn missing_for(filter: &TopicFilter, connack: &ConnAck) -> Option<End> {
    let (missing, way_out) = if filter.is_shared() && !connack.shared_available {
        ("no shared subscriptions", "subscribe without `$share/…/`, with one bridge for the mapping")
    } else if filter.has_wildcard() && !connack.wildcard_available {
        ("no wildcards in topic filters", "name the topic in full, in a mapping for each")
    } else {
        return None;
    };
    Some(End::lasting(format!("subscription to `{filter}`: the broker has {missing}; {way_out}")))
}
