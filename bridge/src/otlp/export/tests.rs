//! Batches, failures and shutdown, with a collector in memory and a paused clock.

use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use hyper::Response;
use tokio::task::JoinHandle;

use super::super::context::Context;
use super::super::ended::Ended;
use super::super::queue::Queue;
use super::super::span::Kin;
use super::*;
use crate::aws::{Answering, Service};
use crate::metrics::Metrics;

/// Answers the requests in this order, the last answer for ever, and records the number of spans in each.
#[derive(Debug, Clone)]
struct Collector(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    answers: Vec<Option<u16>>,
    requests: Vec<usize>,
}

impl Service for Collector {
    fn answer(&self, request: hyper::Request<Bytes>) -> Answering {
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(request.uri().path(), "/v1/traces");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len();
        let mut kept = self.0.lock().unwrap();
        kept.requests.push(spans);
        let answer = if kept.answers.len() > 1 { kept.answers.remove(0) } else { kept.answers[0] };
        Box::pin(async move {
            match answer {
                None => std::future::pending().await,
                Some(status) => Ok(Response::builder().status(status).body(Bytes::from_static(b"{}")).unwrap()),
            }
        })
    }
}

struct Running {
    collector: Collector,
    queue: Queue,
    counts: SpanCounts,
    closing: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    fn with(answers: &[Option<u16>]) -> Self {
        let collector = Collector(Arc::new(Mutex::new(Kept { answers: answers.to_vec(), requests: Vec::new() })));
        let counts = Metrics::new().traces().counts();
        let (queue, spans) = Queue::new(counts.clone());
        let (closing, closed) = oneshot::channel();
        let endpoint = "http://collector:4318/v1/traces".parse().unwrap();
        let exporter = Exporter::new(&Http::in_memory(collector.clone()), endpoint, "bridge-1", counts.clone());
        let task = tokio::spawn(exporter.run(spans, closed));
        Self { collector, queue, counts, closing: Some(closing), task }
    }

    fn put(&self, spans: usize) {
        let kin = Arc::new(Kin::of("m"));
        let context = Context::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        let ended = Ended {
            topic: "t",
            subscription: None,
            record: &1,
            qos: 1,
            outcome: "delivered",
            failed: false,
            received: (UNIX_EPOCH, now()),
        };
        (0..spans).for_each(|_| self.queue.put(|| Span::of(kin.clone(), (context, None), ended)));
    }

    fn requests(&self) -> Vec<usize> {
        self.collector.0.lock().unwrap().requests.clone()
    }

    fn counted(&self) -> (u64, u64, u64) {
        (self.counts.exported.get(), self.counts.refused.get(), self.counts.dropped.get())
    }

    async fn closed(&mut self) {
        drop(self.closing.take());
        (&mut self.task).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_or_its_time_has_come() {
    let mut running = Running::with(&[Some(200)]);
    running.put(BATCH + 3);
    tokio::time::sleep(WINDOW / 2).await;
    assert_eq!(running.requests(), [BATCH], "the rest waits for others");
    tokio::time::sleep(WINDOW).await;
    assert_eq!(running.requests(), [BATCH, 3]);
    running.put(2);
    running.closed().await;
    assert_eq!(running.requests(), [BATCH, 3, 2], "the last ones go at once");
    assert_eq!(running.counted(), (BATCH as u64 + 5, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_does_not_take_is_counted_and_the_next_batch_goes_on() {
    let mut running = Running::with(&[Some(503), Some(400), Some(200)]);
    for _ in 0..3 {
        running.put(4);
        tokio::time::sleep(WINDOW * 2).await;
    }
    assert_eq!(running.counted(), (4, 8, 0));
    running.closed().await;
    assert_eq!(running.requests(), [4, 4, 4], "no batch is sent twice");
}

/// Adding a span never waits, however long the collector takes.
#[tokio::test(start_paused = true)]
async fn a_collector_that_never_answers_costs_spans_alone() {
    let running = Running::with(&[None]);
    running.put(1);
    tokio::time::sleep(WINDOW + Duration::from_secs(1)).await;
    assert_eq!(running.requests(), [1]);
    running.put(2_050);
    assert_eq!(running.counted(), (0, 0, 2));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(running.counted(), (0, 1, 2), "its time is over, and the next batch is on its way");
    assert_eq!(running.requests(), [1, BATCH]);
}
