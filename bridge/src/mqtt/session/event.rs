//! Changes of a session that operators should know. The machine reports them; [`log`](super::log) logs them.

use std::time::Duration;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The subscription stands.
    Subscribed,
    /// Messages come by the subscription and fill the window; the broker's answer to SUBSCRIBE stands behind them.
    SubscribedBehind { held: usize },
    /// The subscription was refused, or granted with less than was asked.
    SubscriptionDenied { filter: String, code: u8, reason: String },
    /// Another broker than the last one has accepted a connection; so many receipts wait there to be sent again.
    BrokerChanged { left: usize, unacknowledged: usize },
    /// The first broker is reachable again, and this one is left for good.
    GoingBack,
    /// The broker has lost the session, or says so as it always does.
    SessionLost { unacknowledged: usize, usual: bool },
    /// The broker said that it had lost a session which it had kept.
    SessionDenied,
    /// The broker keeps no session without a connection.
    SessionExpiryRefused { asked: Duration },
    /// The broker keeps the session for less time than was asked.
    SessionExpiryShortened { asked: Duration, granted: Duration },
    /// The broker takes a lower QoS at most than the subscription asks for.
    QosLimited { asked: u8, most: u8 },
    /// The broker gave us another client id.
    ClientIdAssigned { assigned: String },
    /// The first PUBLISH beyond Receive Maximum.
    ExceedsReceiveMaximum { in_flight: usize },
    /// The first message that the configured filter does not match.
    Unmatched { topic: String },
    /// UNSUBSCRIBE is sent although the broker may have messages queued.
    QueueUnproven { all: bool },
    /// The broker does not answer UNSUBSCRIBE, and what was asked for counts as done.
    UnsubscribeUnanswered { former: Vec<String>, all: bool },
    /// UNSUBACK has arrived.
    Unsubscribed { former: Vec<String>, all: bool },
}
