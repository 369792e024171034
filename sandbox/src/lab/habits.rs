//! The behaviour of each broker of the lab: one table that the lab's scenarios check and docs/brokers.md shows. Plain
//! data.

use std::time::Duration;

use bridge::config::Protocol;

use super::Product;

/// Where a broker keeps sessions and what is queued in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// On disk: they outlive its restart and its crash.
    OnDisk,
    /// In memory: they outlive the bridge's connections only.
    InMemory,
}

/// What becomes of SUBSCRIBE `$share/group/filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// It is a shared subscription.
    Works,
    /// The broker refuses, by CONNACK, SUBACK, or by closing the connection.
    Refused,
    /// The broker grants it as a topic of that name, to which nobody ever publishes. Nothing on the wire tells.
    TakenLiterally,
}

/// Who should not be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// A client that shows no certificate.
    WithoutCertificate,
    /// One whose certificate another CA has issued.
    OfAnotherCa,
}

const ALL_STRANGERS: &[Stranger] = &[Stranger::WithoutCertificate, Stranger::OfAnotherCa];

/// What a broker does under each version of MQTT that it speaks.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Which broker.
    pub product: Product,
    /// The versions it speaks, each with its way with shared subscriptions.
    pub speaks: &'static [(Protocol, Shared)],
    /// Whom it lets in besides those who have a certificate of its CA, though it is told to verify certificates.
    pub lets_in: &'static [Stranger],
    /// Where its sessions are.
    pub kept: Kept,
    /// The longest session that the lab's configuration of it grants, where it says so in CONNACK.
    pub longest_session: Option<Duration>,
    /// Whether CONNACK says Session Present when the session is there.
    pub says_session_present: bool,
    /// Whether what is sent again after a reconnect is marked as such (DUP): then nothing that still runs is invoked
    /// again.
    pub marks_sent_again: bool,
    /// Whether it drops at UNSUBSCRIBE what is queued, which MQTT allows, and what is in flight, which it does not (MQTT 3.1.1 and
    /// 5, 3.10.4).
    pub drops_at_unsubscribe: bool,
    /// The versions under which it never answers UNSUBSCRIBE in a session that was resumed.
    pub unanswered_unsubscribe: &'static [Protocol],
    /// What its log says when it serves nobody any more until it is started again, though its process runs.
    pub dies_of: Option<&'static str>,
    /// The setting of the timer by which it sends messages again on the same connection.
    pub sends_again_by: Option<&'static str>,
    /// Its own limit of un-acknowledged messages for a client, where it is low enough to matter.
    pub window: &'static str,
    /// What to set, in one line.
    pub set: &'static str,
}

const V5: Protocol = Protocol::V5;
const V311: Protocol = Protocol::V311;

/// What most brokers do.
const USUAL: Habits = Habits {
    product: Product::Mosquitto,
    speaks: &[(V311, Shared::TakenLiterally)],
    lets_in: &[],
    kept: Kept::OnDisk,
    longest_session: None,
    says_session_present: true,
    marks_sent_again: true,
    drops_at_unsubscribe: false,
    unanswered_unsubscribe: &[],
    dies_of: None,
    sends_again_by: None,
    window: "",
    set: "",
};

/// All of them, in the order of [`Product::ALL`].
pub const ALL: [Habits; 9] = [
    Habits {
        speaks: &[(V5, Shared::Works), (V311, Shared::Works)],
        window: "`max_inflight_messages` 20",
        set: "`persistence true`, `autosave_interval 1`, `max_inflight_messages`, `max_queued_messages`",
        ..USUAL
    },
    Habits {
        product: Product::RabbitMq3,
        window: "`mqtt.prefetch` 10",
        set: "`mqtt.prefetch`, `mqtt.subscription_ttl`",
        ..USUAL
    },
    Habits {
        product: Product::RabbitMq4,
        speaks: &[(V5, Shared::Refused), (V311, Shared::TakenLiterally)],
        longest_session: Some(Duration::from_hours(24)),
        window: "`mqtt.prefetch` 10",
        set: "`mqtt.prefetch`, `mqtt.max_session_expiry_interval_seconds`",
        ..USUAL
    },
    Habits {
        product: Product::Ejabberd,
        lets_in: ALL_STRANGERS,
        speaks: &[(V5, Shared::Refused), (V311, Shared::Refused)],
        kept: Kept::InMemory,
        longest_session: Some(Duration::from_hours(1)),
        window: "1, fixed",
        set: "`session_expiry`, `max_queue`",
        ..USUAL
    },
    Habits { product: Product::Nats29, ..NATS },
    Habits { product: Product::Nats215, ..NATS },
    Habits {
        product: Product::ActiveMq,
        says_session_present: false,
        drops_at_unsubscribe: true,
        window: "`activeMQSubscriptionPrefetch` 100",
        set: "`persistenceAdapter`, `transport.activeMQSubscriptionPrefetch`",
        ..USUAL
    },
    Habits {
        product: Product::Aedes,
        kept: Kept::InMemory,
        marks_sent_again: false,
        set: "a `persistence` of its own packages",
        ..USUAL
    },
    Habits {
        product: Product::Rumqttd,
        speaks: &[(V5, Shared::Works), (V311, Shared::Works)],
        lets_in: ALL_STRANGERS,
        kept: Kept::InMemory,
        marks_sent_again: false,
        drops_at_unsubscribe: true,
        unanswered_unsubscribe: &[V311],
        // A client that connects at the moment in which its last connection ends: `remote` of rumqttd/src/server/broker.rs panics
        // with a lock held, and so does every connection after it.
        dies_of: Some("PoisonError"),
        window: "`max_inflight_count`",
        set: "`max_inflight_count`, `max_segment_size`",
        ..USUAL
    },
];

const NATS: Habits = Habits {
    drops_at_unsubscribe: true,
    sends_again_by: Some("mqtt.ack_wait"),
    window: "`mqtt.max_ack_pending` 100",
    set: "`mqtt.ack_wait`, `mqtt.max_ack_pending`, `jetstream.store_dir`",
    ..USUAL
};

impl Habits {
    /// Those of this broker.
    #[must_use]
    pub fn of(product: Product) -> Self {
        let found = ALL.into_iter().find(|habits| habits.product == product);
        found.unwrap_or(Self { product, ..USUAL })
    }

    /// How many messages certainly run at once when the bridge allows ten: some brokers send fewer.
    #[must_use]
    pub fn running(&self) -> u8 {
        if self.product == Product::Ejabberd { 1 } else { 10 }
    }

    /// Whether the bridge knows what is sent again after a reconnect: it is marked, and comes before anything new.
    #[must_use]
    pub fn is_known_again(&self) -> bool {
        self.marks_sent_again && self.sends_again_by.is_none()
    }

    /// What becomes of a shared subscription under this version of MQTT.
    #[must_use]
    pub fn shared(&self, protocol: Protocol) -> Shared {
        let found = self.speaks.iter().find(|(spoken, _)| *spoken == protocol);
        found.map_or(Shared::Refused, |(_, shared)| *shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_has_habits_in_its_place() {
        for (product, habits) in Product::ALL.into_iter().zip(ALL) {
            assert_eq!(habits.product, product);
            assert!(!habits.speaks.is_empty() && !habits.set.is_empty(), "{product:?}");
        }
    }
}
