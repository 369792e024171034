//! The world of a case: broker, certificates, and the configuration of its bridge.

use super::super::BenchError;
use super::super::case::{Case, Incident, Members};
use super::super::choice::Choice;
use super::super::shared;
use crate::broker::BrokerOptions;
use crate::lambda::{Answer, Function};
use crate::world::{FUNCTION, World};

/// More than a window of MQTT can hold.
const QUEUE: usize = 1_000_000;

/// One for this case, whose bridge has its admin endpoint on this port.
pub(super) async fn of(case: &Case, broker: &Choice, admin: u16) -> Result<World, BenchError> {
    // The broker must not drop messages, and must not be the bottleneck.
    let options = BrokerOptions {
        max_queued_messages: QUEUE,
        max_inflight: u16::MAX,
        program: broker.program.clone(),
        ..BrokerOptions::default()
    };
    let builder = World::builder()
        .broker(broker.kind.clone())
        .broker_options(options)
        .function(Function::inline(FUNCTION, |_| async { Answer::null() }));
    let builder = settings(case, admin).iter().fold(builder, |builder, (key, value)| builder.set(key, value));
    Ok(builder.without_bridge().await?)
}

/// What the case asks of the bridge.
fn settings(case: &Case, admin: u16) -> Vec<(&'static str, String)> {
    let window = if case.incident == Incident::Hold { "65000" } else { "2000" };
    let mut settings = vec![
        ("mapping.concurrency", case.concurrency.to_string()),
        ("mapping.receive_maximum", window.to_owned()),
        ("mapping.batch.max_records", case.batch.to_string()),
    ];
    if case.incident == Incident::Hold {
        // The window is to be full before the memory is.
        settings.push(("mapping.max_outstanding_bytes", "100MiB".to_owned()));
    }
    if case.members != Members::Alone {
        settings.push(("mapping.topic_filter", shared::FILTER.to_owned()));
    }
    match case.members {
        // Bridges on one machine cannot have one port.
        Members::Bridges(_) => {}
        Members::Sessions(sessions) => settings.push(("mapping.sessions", sessions.to_string())),
        Members::Alone => settings.push(("admin.listen", format!("127.0.0.1:{admin}"))),
    }
    if case.batch > 1 {
        settings.push(("mapping.batch.max_window", "10ms".to_owned()));
    }
    settings.extend(case.inside.settings().map(|(key, value)| (key, value.to_owned())));
    settings
}

#[cfg(test)]
mod tests {
    use super::super::super::case::{Contender, Inside};
    use super::*;

    fn setting(case: &Case, key: &str) -> Option<String> {
        settings(case, 7).into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    #[test]
    fn a_case_is_what_its_bridge_is_told() {
        let case = Case::batches(Contender::Lean, 10, 100);
        assert_eq!(setting(&case, "mapping.batch.max_records").as_deref(), Some("100"));
        assert_eq!(setting(&case, "mapping.filter"), None);
        assert!(setting(&Case { inside: Inside::FILTER, ..case }, "mapping.filter").is_some());
        assert_eq!(setting(&case, "admin.listen").as_deref(), Some("127.0.0.1:7"));
        assert_eq!(setting(&case, "mapping.topic_filter"), None);
    }

    #[test]
    fn who_shares_has_a_shared_subscription() {
        let case = Case::backlog(Contender::Lean, 10);
        for (members, sessions) in [(Members::Sessions(4), Some("4")), (Members::Bridges(3), None)] {
            let case = Case { members, ..case };
            assert_eq!(setting(&case, "mapping.topic_filter").as_deref(), Some(shared::FILTER));
            assert_eq!(setting(&case, "mapping.sessions").as_deref(), sessions);
        }
        assert_eq!(setting(&Case { members: Members::Bridges(3), ..case }, "admin.listen"), None);
    }
}
