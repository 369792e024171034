//! The trace of a delivery from receipt to span.

use std::time::UNIX_EPOCH;

use tokio::sync::mpsc::Receiver;

use super::*;
use crate::clock::now;
use crate::metrics::{Metrics, SpanCounts};

const PUBLISHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";

fn tracer(sampling: &str) -> (Tracer, Receiver<Span>, SpanCounts) {
    let counts = Metrics::new().traces().counts();
    let (queue, spans) = Queue::new(counts.clone());
    (Tracer::new("sensor-data", sampling.parse().unwrap(), queue), spans, counts)
}

fn properties(flags: &str) -> Properties {
    let user = vec![("traceparent".to_owned(), format!("{PUBLISHER}{flags}"))];
    Properties { user, ..Properties::default() }
}

fn end(trace: &mut Trace, outcome: &'static str) {
    let received = (UNIX_EPOCH, now());
    let subscription = Some("sensor/+");
    trace.end(Ended { topic: "sensor/1", subscription, record: &"r-1", qos: 2, outcome, failed: true, received });
}

#[test]
fn the_publisher_s_trace_goes_on_and_its_flag_decides() {
    for (flags, sampling, sampled) in [("01", "0%", true), ("00", "100%", false)] {
        let (tracer, mut spans, _) = tracer(sampling);
        let mut trace = tracer.begin(Some(&properties(flags)));
        let handed_on = trace.traceparent().unwrap();
        assert!(handed_on.to_string().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_ne!(handed_on.to_string(), format!("{PUBLISHER}{flags}"), "it names our span and not the publisher's");
        assert_eq!(handed_on.sampled, sampled);
        invoked([&mut trace].into_iter());
        end(&mut trace, "dead_lettered");
        let Ok(span) = spans.try_recv() else {
            assert!(!sampled);
            continue;
        };
        assert!(sampled);
        assert_eq!(span.context, handed_on);
        assert_eq!(span.parent.unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!((span.topic.as_str(), span.subscription.as_deref()), ("sensor/1", Some("sensor/+")));
        assert_eq!((span.record.as_str(), span.qos, span.outcome, span.failed), ("r-1", 2, "dead_lettered", true));
        assert_eq!((span.invocations, span.kin.mapping.as_str()), (1, "sensor-data"));
    }
}

#[test]
fn without_one_the_share_decides() {
    for (sampling, sampled) in [("0%", false), ("100%", true)] {
        let (tracer, mut spans, _) = tracer(sampling);
        let mut trace = tracer.begin(None);
        assert_eq!(trace.traceparent().unwrap().sampled, sampled);
        end(&mut trace, "delivered");
        assert_eq!(spans.try_recv().ok().map(|span| span.parent), sampled.then_some(None));
    }
}

#[test]
fn a_delivery_has_one_span_and_without_traces_none() {
    let (tracer, mut spans, _) = tracer("100%");
    let mut trace = tracer.begin(None);
    end(&mut trace, "delivered");
    end(&mut trace, "abandoned");
    assert_eq!(spans.try_recv().unwrap().outcome, "delivered");
    assert!(spans.try_recv().is_err());
    let mut none = Tracer::default().begin(Some(&properties("01")));
    end(&mut none, "delivered");
    assert_eq!((none.traceparent(), header([&none].into_iter())), (None, None));
}

#[test]
fn an_invocation_has_the_context_of_the_first_that_is_sampled() {
    let (tracer, mut spans, _) = tracer("100%");
    let (unsampled, sampled) = (properties("00"), properties("01"));
    let mut begun: Vec<_> =
        [&unsampled, &sampled, &sampled, &sampled].map(|properties| tracer.begin(Some(properties))).into();
    let contexts: Vec<_> = begun.iter().map(|trace| trace.traceparent().unwrap()).collect();
    assert_eq!(header(begun.iter()).unwrap(), contexts[1].for_x_ray());
    assert_eq!(header(begun[..1].iter()).unwrap(), contexts[0].for_x_ray(), "that it is not sampled is said, too");
    assert_eq!(header([].iter()), None);
    invoked(begun.iter_mut());
    invoked(begun.iter_mut());
    begun.iter_mut().for_each(|trace| end(trace, "delivered"));
    let found: Vec<_> = std::iter::from_fn(|| spans.try_recv().ok()).collect();
    let links: Vec<_> = found.iter().map(|span| span.links.to.clone()).collect();
    assert_eq!(links, [contexts[2..].to_vec(), vec![contexts[1]], vec![contexts[1]]]);
    assert!(found.iter().all(|span| span.invocations == 2));
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (tracer, mut spans, counts) = tracer("100%");
    for _ in 0..2_050 {
        end(&mut tracer.begin(None), "delivered");
    }
    assert_eq!(counts.dropped.get(), 2);
    assert_eq!(std::iter::from_fn(|| spans.try_recv().ok()).count(), 2_048);
}
