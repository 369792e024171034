//! Sends spans to the collector, a batch at a time. If the collector does not accept a batch, it is counted and
//! dropped, so that spans never cost time or memory that messages need.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::json;
use super::reply::{self, Refused};
use super::span::Span;
use crate::aws::{Body, Fault, Http, Limits};
use crate::clock::{now, whole};
use crate::config::CollectorUrl;
use crate::metrics::SpanCounts;
use crate::repeats::Repeats;

/// The most spans of one request.
const BATCH: usize = 512;
/// How long a span waits for others.
const WINDOW: Duration = Duration::from_secs(5);
/// How long a collector may take.
const LIMITS: Limits = Limits { connect: Some(Duration::from_secs(5)), exchange: Some(Duration::from_secs(10)) };
/// The longest response; it says next to nothing.
const LONGEST: usize = 64 * 1024;

/// The way to one collector.
pub(super) struct Exporter {
    http: Http,
    endpoint: CollectorUrl,
    resource: Value,
    counts: SpanCounts,
    failures: Repeats,
}

impl Exporter {
    pub(super) fn new(http: &Http, endpoint: CollectorUrl, instance: &str, counts: SpanCounts) -> Self {
        let (http, resource) = (http.at_most(LONGEST), json::resource(instance));
        Self { http, endpoint, resource, counts, failures: Repeats::default() }
    }

    /// Until `closing` says that no more spans come; then what waits goes at once.
    pub(super) async fn run(mut self, mut spans: mpsc::Receiver<Span>, closing: oneshot::Receiver<()>) {
        let (mut closing, mut is_open) = (pin!(closing), true);
        let (mut batch, mut due) = (Vec::new(), None);
        loop {
            let room = BATCH - batch.len();
            let is_over = tokio::select! {
                biased;
                _ = &mut closing, if is_open => {
                    is_open = false;
                    spans.close();
                    continue;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => false,
                count = spans.recv_many(&mut batch, room) => {
                    due.get_or_insert_with(|| Instant::now() + WINDOW);
                    if count > 0 && count < room {
                        continue;
                    }
                    count == 0
                }
            };
            if !batch.is_empty() {
                self.export(&batch).await;
            }
            (due, batch) = (None, Vec::new());
            if is_over {
                return;
            }
        }
    }

    async fn export(&mut self, batch: &[Span]) {
        let spans = batch.len() as u64;
        let refused = match self.post(json::request(&self.resource, batch)).await {
            Ok((status, body)) => reply::read(status, &body, spans).err(),
            Err(fault) => Some(Refused { spans, cause: fault.to_string().into() }),
        };
        self.counts.exported.inc_by(spans - refused.as_ref().map_or(0, |refused| refused.spans));
        match refused {
            None => self.worked(),
            Some(refused) => self.failed(&refused),
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<(hyper::StatusCode, Bytes), Fault> {
        const AGENT: HeaderValue = HeaderValue::from_static(concat!("mqtt-lambda-bridge/", env!("CARGO_PKG_VERSION")));
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let body: Body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
        let request = Request::post(self.endpoint.uri().clone()).header(CONTENT_TYPE, JSON).header(USER_AGENT, AGENT);
        let request = request.body(body).map_err(|_| Fault::Request)?;
        let response = self.http.send(request, LIMITS).await?;
        Ok((response.status(), response.into_body()))
    }

    fn failed(&mut self, refused: &Refused) {
        self.counts.refused.inc_by(refused.spans);
        let Some(times) = self.failures.failed(now()) else { return };
        let (endpoint, spans, cause) = (&self.endpoint, refused.spans, &refused.cause);
        warn!(event = "trace.not_exported", times, spans, %endpoint, %cause, "spans not exported, and dropped; messages go on");
    }

    fn worked(&mut self) {
        if let Some(recovery) = self.failures.worked(now()) {
            let (after, failures) = (whole(recovery.after), recovery.failures);
            info!(event = "trace.restored", ?after, failures, "spans are exported again");
        }
    }
}

#[cfg(test)]
mod tests;
