//! Logs the changes of a session. Decides nothing.

use tracing::{error, info, warn};

use super::Settings;
use super::event::Event;
use crate::foreign::Foreign;
use crate::mqtt::transport::Agreed;
use crate::topic::some_of;

/// `broker` is its URL.
pub(super) fn log_connected(settings: &Settings, session_present: bool, tls: &Agreed, broker: Option<String>) {
    let (mapping, client_id) = (&settings.mapping, &settings.link.client_id);
    info!(event = "broker.connected", mapping, broker, session_present, %tls, client_id, "connected");
}

pub(super) fn log_event(settings: &Settings, event: &Event) {
    let (mapping, client_id) = (&settings.mapping, &settings.link.client_id);
    let topic_filter = some_of(&settings.topic_filters);
    match event {
        Event::Subscribed => info!(event = "subscription.granted", mapping, topic_filter, "subscribed"),
        Event::SubscribedBehind { held } => info!(
            event = "subscription.behind_messages",
            mapping,
            client_id,
            topic_filter,
            held,
            "at work; the broker's answer to SUBSCRIBE stands behind messages that are read when those held here are done"
        ),
        Event::SubscriptionDenied { filter: topic_filter, code, reason } => {
            let asked = settings.qos as u8;
            error!(
                event = "subscription.denied",
                mapping, client_id, topic_filter, asked, code, reason, "not subscribed"
            );
        }
        Event::SessionLost { unacknowledged, usual } => log_session_lost(settings, *unacknowledged, *usual),
        Event::BrokerChanged { left, unacknowledged } => log_broker_changed(settings, *left, *unacknowledged),
        Event::GoingBack => info!(
            event = "broker.going_back",
            mapping, client_id, "the first broker is reachable again; leaving this one for good"
        ),
        Event::SessionDenied => warn!(
            event = "session.denied",
            mapping,
            client_id,
            "the broker said that it has no session, and sent a message of it again: it never sets Session Present, so a \
             lost session cannot be told from a kept one"
        ),
        Event::SessionExpiryRefused { asked } => error!(
            event = "session.expiry_refused",
            mapping,
            client_id,
            ?asked,
            "the broker keeps no session: what is published while the bridge is away is lost; set its session expiry"
        ),
        Event::SessionExpiryShortened { asked, granted } => warn!(
            event = "session.expiry_shortened",
            mapping,
            client_id,
            ?asked,
            ?granted,
            "the broker keeps the session for less time than asked; raise its limit, or lower mqtt.session_expiry"
        ),
        Event::QosLimited { asked, most } => {
            let event = "session.qos_limited";
            warn!(event, mapping, client_id, asked, most, "the broker's Maximum QoS is lower than the mapping's qos");
        }
        Event::ClientIdAssigned { assigned } => {
            let assigned = &*Foreign::of(assigned);
            error!(
                event = "session.client_id_assigned",
                mapping, client_id, assigned, "the broker uses another client id"
            );
        }
        Event::ExceedsReceiveMaximum { in_flight } => {
            let receive_maximum = settings.receive_maximum;
            warn!(
                event = "broker.exceeds_receive_maximum",
                mapping,
                receive_maximum,
                in_flight,
                "the broker sends more than Receive Maximum allows; tolerated up to twice that limit; logged once"
            );
        }
        Event::Unmatched { topic } => warn!(
            event = "subscription.unmatched",
            mapping,
            topic = %Foreign::of(topic),
            topic_filter,
            "a message that no topic filter matches: the broker's session holds an older subscription; name its \
             filter in former_topic_filters to give it up; logged once"
        ),
        Event::QueueUnproven { all } => {
            let event = "session.queue_unproven";
            warn!(
                event,
                mapping, client_id, all, "unsubscribing, though the broker may have messages queued that it drops then"
            );
        }
        Event::UnsubscribeUnanswered { former, all } => {
            let event = "session.unsubscribe_unanswered";
            warn!(
                event,
                mapping,
                client_id,
                ?former,
                all,
                "the broker does not answer UNSUBSCRIBE; going on as if it had"
            );
        }
        Event::Unsubscribed { former, all } => {
            info!(event = "session.unsubscribed", mapping, client_id, ?former, all, "unsubscribed");
        }
    }
}

fn log_broker_changed(settings: &Settings, left: usize, unacknowledged: usize) {
    let (mapping, client_id, left) = (&settings.mapping, &settings.link.client_id, left + 1);
    warn!(
        event = "broker.changed",
        mapping,
        client_id,
        left,
        unacknowledged,
        "connected to another broker, which has a session of its own; what the one that is left holds stays there until the \
         session comes back or expires"
    );
}

/// `usual` with a broker that was seen to say so of a session that it had kept.
fn log_session_lost(settings: &Settings, unacknowledged: usize, usual: bool) {
    let (mapping, client_id) = (&settings.mapping, &settings.link.client_id);
    if usual {
        let event = "session.not_present";
        warn!(
            event,
            mapping, client_id, unacknowledged, "no session present, says this broker, which was wrong before"
        );
    } else {
        let event = "session.lost";
        error!(
            event,
            mapping, client_id, unacknowledged, "session lost: the broker kept neither queue nor subscription"
        );
    }
}

/// How a session has ended: with so many messages un-acknowledged, retired, or left behind.
pub(super) fn log_ended(settings: &Settings, unacknowledged: usize, retired: bool, left_behind: bool) {
    let (mapping, client_id) = (&settings.mapping, &settings.link.client_id);
    if unacknowledged > 0 {
        warn!(
            event = "session.ended",
            mapping, unacknowledged, "ended with messages un-acknowledged; the broker keeps them"
        );
    }
    if retired {
        info!(event = "session.retired", mapping, client_id, "retired: the broker has nothing more for it");
    } else if left_behind {
        error!(
            event = "session.left_behind",
            mapping,
            client_id,
            "cut short while retiring: the broker may hold messages that only this client id can fetch, until its session \
             expires"
        );
    }
}
