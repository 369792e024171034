use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::advance;

use super::super::about::About;
use super::super::watched::Signs;
use super::*;
use crate::clock::now;
use crate::config::{Config, Overrides};
use crate::latest::Latest;
use crate::mapping::Holding;
use crate::metrics::{MappingMetrics, Metrics};
use crate::mqtt::Status;

const LIMITS: Limits =
    Limits { degraded_after: Duration::from_mins(5), silent_after: Duration::from_hours(2), degraded_is_ready: true };
const MINUTE: Duration = Duration::from_mins(1);

fn watched(status: Status, standing: Standing) -> Watched {
    let (session, signs) = (watch::channel(status).1, Signs::default());
    Watched { mapping: "m".into(), session, signs, paused: None, standing, about: None }
}

/// A mapping that is subscribed, with its numbers.
fn at_work() -> (Watched, MappingMetrics) {
    let metrics = Metrics::new().mapping("m");
    let (topic_filter, function) = ("a/+".to_owned(), "f".to_owned());
    let about = About { topic_filter, function, concurrency: 1, destinations: Vec::new(), metrics: metrics.clone() };
    (Watched { about: Some(Arc::new(about)), ..watched(Status::Ready(None), Standing::Stays) }, metrics)
}

fn says(watched: &Watched) -> String {
    Health::of(std::slice::from_ref(watched), LIMITS).in_words()
}

#[test]
fn f30_what_an_operator_must_know_of_a_mapping_that_is_ready_is_a_note() {
    let ready = || Status::Ready(Some("the broker keeps no\nsession".into()));
    assert_eq!(says(&watched(ready(), Standing::Stays)), "ready\nnote: mapping `m`: the broker keeps no\\nsession\n");
    assert_eq!(says(&watched(ready(), Standing::Retires)), "ready\n");
    assert_eq!(says(&watched(Status::Ready(None), Standing::Stays)), "ready\n");
}

#[test]
fn f38_a_refusing_destination_is_degraded_and_held_messages_are_a_note_until_they_leave_no_room() {
    let (letters, holding) = (watch::Sender::new(None), watch::Sender::new(None));
    let signs = Signs { letters: letters.subscribe(), holding: holding.subscribe(), ..Signs::default() };
    let watched = Watched { signs, ..watched(Status::Ready(None), Standing::Stays) };
    assert_eq!(says(&watched), "ready\n");
    letters.send_replace(Some("failure destination a: no such queue".into()));
    holding.send_replace(Some(Holding { messages: 2, window: 256, is_full: false }));
    let said = says(&watched);
    assert!(said.starts_with("degraded\ndegraded: mapping `m`: failure destination a: no such queue\nnote: mapping `m`: 2 of 256 messages held"), "{said}");
    let health = Health::of(std::slice::from_ref(&watched), LIMITS);
    assert_eq!(health.headline(), "degraded: ask /readyz or the log for the reason");
    let strict = Limits { degraded_is_ready: false, ..LIMITS };
    assert!(health.is_ready(LIMITS) && !health.is_ready(strict));
    holding.send_replace(Some(Holding { messages: 2, window: 256, is_full: true }));
    assert!(says(&watched).contains("nothing more is received"));
    let full = Health::of(std::slice::from_ref(&watched), LIMITS);
    assert!(!full.is_ready(LIMITS) && full.headline().starts_with("not ready: mapping `m`: "), "{}", full.headline());
}

#[tokio::test(start_paused = true)]
async fn a_mapping_whose_every_invocation_fails_for_long_is_degraded_until_one_succeeds() {
    let (watched, metrics) = at_work();
    let failing = metrics.live.failing();
    for _ in 0..5 {
        failing.failed("function failed: ValueError", now());
        assert_eq!(says(&watched), "ready\n");
        advance(MINUTE).await;
    }
    failing.failed("function failed: ValueError", now());
    let why = "every invocation has failed for 5m (6 in all); the last one: function failed: ValueError";
    assert_eq!(says(&watched), format!("degraded\ndegraded: mapping `m`: {why}\n"));
    failing.succeeded();
    assert_eq!(says(&watched), "ready\n");
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_never_hears_anything_says_so_until_it_does() {
    let (watched, metrics) = at_work();
    let shows = || {
        show(std::slice::from_ref(&watched), LIMITS, Phase::Running, &Metrics::new());
        metrics.silent.get()
    };
    assert_eq!(says(&watched), "ready\n");
    metrics.live.subscribed();
    advance(MINUTE * 119).await;
    assert_eq!((says(&watched).as_str(), shows()), ("ready\n", 0));
    advance(MINUTE).await;
    let said = says(&watched);
    assert!(
        said.starts_with("ready\nnote: mapping `m`: subscribed to `a/+` for 2h, and no message has ever come"),
        "{said}"
    );
    assert_eq!(shows(), 1);
    metrics.last_received.set(1);
    assert_eq!((says(&watched).as_str(), shows()), ("ready\n", 0));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_stays_full_is_a_note() {
    let (watched, metrics) = at_work();
    let session = metrics.live.session("c");
    session.oldest(Some(now()));
    metrics.window_capacity.set(2);
    metrics.outstanding.set(2);
    advance(Duration::from_secs(59)).await;
    assert_eq!(says(&watched), "ready\n", "a busy mapping fills it for moments");
    advance(MINUTE).await;
    let said = says(&watched);
    assert!(said.contains("window full: 2 of 2 messages in flight, the oldest for 1m 59s"), "{said}");
    metrics.outstanding.set(1);
    assert_eq!(says(&watched), "ready\n");
}

#[test]
fn a_paused_mapping_says_since_when_and_how_to_go_on() {
    let (watched, metrics) = at_work();
    let watched = Watched { paused: Some(Latest::new(false)), ..watched };
    // No session has heard of it yet.
    assert_eq!((watched.hold(true), watched.hold(true), metrics.paused.get()), (Some(true), Some(false), 1));
    let (said, today) = (says(&watched), humantime::format_rfc3339_seconds(SystemTime::now()).to_string());
    assert!(
        said.contains(&format!("paused since {}", &today[..10])) && said.contains("`mqtt-lambda-bridge resume m`"),
        "{said}"
    );
    assert_eq!((watched.hold(false), says(&watched).as_str()), (Some(true), "ready\n"));
}

/// What the gauges `ready` and `degraded` of mapping `m` show, and the one of the bridge, held against the judgement of
/// `/readyz`.
fn shows(all: &[Watched], limits: Limits, phase: Phase, mapping: &MappingMetrics) -> (i64, i64, bool) {
    let bridge = Metrics::new();
    show(all, limits, phase, &bridge);
    let health = Health::of(all, limits);
    assert_eq!(bridge.is_ready(), is_ready(all, limits, phase));
    assert_eq!(mapping.degraded.get() == 1, !health.degraded.is_empty());
    // The body of /readyz names exactly the mappings that are not ready.
    let blamed = !health.degraded.is_empty() && !limits.degraded_is_ready || health.troubles.contains("mapping `m`: ");
    assert_eq!(mapping.ready.get() == 0, phase != Phase::Running || blamed);
    (mapping.ready.get(), mapping.degraded.get(), bridge.is_ready())
}

#[test]
fn the_gauges_say_what_readyz_says() {
    let (letters, fault) = (watch::Sender::new(None), watch::Sender::new(None));
    let (mut watched, metrics) = at_work();
    watched.signs = Signs { letters: letters.subscribe(), fault: fault.subscribe(), ..Signs::default() };
    // Another session of the same mapping, in no trouble of its own.
    let all = [watched.clone(), watched];
    let strict = Limits { degraded_is_ready: false, ..LIMITS };
    let shows = |limits, phase| shows(&all, limits, phase, &metrics);
    assert_eq!(shows(LIMITS, Phase::Running), (1, 0, true));
    for phase in [Phase::Retiring, Phase::Draining, Phase::Stopping] {
        assert_eq!(shows(LIMITS, phase), (0, 0, false));
    }
    letters.send_replace(Some("full".to_owned()));
    assert_eq!((shows(LIMITS, Phase::Running), shows(strict, Phase::Running)), ((1, 1, true), (0, 1, false)));
    fault.send_replace(Some("denied".to_owned()));
    assert_eq!(shows(LIMITS, Phase::Running), (0, 1, false));
}

#[test]
fn the_gauges_say_what_readyz_says_of_a_mapping_that_changes_or_leaves_and_of_the_publisher() {
    let (watched, metrics) = at_work();
    let fault = watch::Sender::new(None);
    let signs = || Signs { fault: fault.subscribe(), ..Signs::default() };
    let stands = |standing| Watched { standing, signs: signs(), ..watched.clone() };
    let shows = |all: &[Watched]| shows(all, LIMITS, Phase::Running, &metrics);
    assert_eq!(shows(&[stands(Standing::Changes)]), (0, 0, false), "draining for its new settings");
    fault.send_replace(Some("denied".to_owned()));
    assert_eq!(shows(&[stands(Standing::Retires)]), (1, 0, true), "nobody's readiness depends on it");
    fault.send_replace(None);
    let publisher =
        |status| Watched { mapping: "(publisher)".into(), ..super::tests::watched(status, Standing::Stays) };
    let with = |status| shows(&[watched.clone(), publisher(status)]);
    assert_eq!(with(Status::Ready(None)), (1, 0, true));
    assert_eq!((with(Status::Connecting), with(Status::Failing("refused".into()))), ((1, 0, false), (1, 0, false)));
    // A retiring bridge is ready, whatever the state of its publisher.
    assert!(
        is_ready(&[], LIMITS, Phase::Retiring) && is_ready(&[publisher(Status::Connecting)], LIMITS, Phase::Retiring)
    );
}

#[test]
fn the_keys_of_the_configuration_are_the_limits() {
    let needed =
        [("mqtt.url", "mqtts://b"), ("mapping.topic_filter", "a"), ("mapping.function", "f"), ("mapping.name", "m")];
    let keys = [("admin.degraded", "unready"), ("admin.degraded_after", "7s"), ("admin.silent_after", "9s")];
    let limits = |keys: &[(&str, &str)]| {
        let all = needed.iter().chain(keys).fold(Overrides::default(), |all, (key, value)| all.set(*key, *value));
        Limits::from(&Config::load(None, [], all).unwrap().admin)
    };
    let usual = limits(&[]);
    assert!(
        usual.degraded_is_ready
            && usual.degraded_after == LIMITS.degraded_after
            && usual.silent_after == LIMITS.silent_after
    );
    let set = limits(&keys);
    assert!(!set.degraded_is_ready && set.degraded_after.as_secs() == 7 && set.silent_after.as_secs() == 9);
}
