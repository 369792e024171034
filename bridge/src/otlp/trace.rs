//! The trace of one delivery: it begins at receipt, passes its context on, and becomes a span at the outcome. A
//! delivery that is not sampled has a context too, so that the function knows the decision.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::context::{Context, SpanId};
use super::ended::Ended;
use super::queue::Queue;
use super::span::{Kin, Links, Span};
use crate::config::Sampling;
use crate::message::Properties;

/// Begins the traces of one mapping; by default none.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    kin: Arc<Kin>,
    sampling: Sampling,
    queue: Queue,
}

/// The trace of one delivery; by default none.
#[derive(Default)]
pub struct Trace(Option<Box<Begun>>);

struct Begun {
    shared: Arc<Shared>,
    context: Context,
    parent: Option<SpanId>,
    invocations: u32,
    links: Links,
}

impl Tracer {
    pub(super) fn new(mapping: &str, sampling: Sampling, queue: Queue) -> Self {
        Self(Some(Arc::new(Shared { kin: Arc::new(Kin::of(mapping)), sampling, queue })))
    }

    /// The trace of a message that was received just now: its publisher's, or one of its own.
    pub(crate) fn begin(&self, properties: Option<&Properties>) -> Trace {
        let Some(shared) = &self.0 else { return Trace(None) };
        let publisher = Context::of_publisher(properties);
        let context = match publisher {
            Some(publisher) => publisher.child(),
            None => Context::root(shared.sampling, SystemTime::now()),
        };
        let (shared, parent) = (Arc::clone(shared), publisher.map(|publisher| publisher.span));
        Trace(Some(Box::new(Begun { shared, context, parent, invocations: 0, links: Links::default() })))
    }
}

#[cfg(test)]
impl Tracer {
    /// One whose spans go nowhere, for all messages.
    pub(crate) fn for_tests() -> Self {
        let counts = crate::metrics::Metrics::new().traces().counts();
        Self::new("m", "100%".parse().unwrap(), Queue::new(counts).0)
    }
}

impl Trace {
    /// The context that other spans use as their parent.
    pub(crate) fn traceparent(&self) -> Option<Context> {
        self.0.as_ref().map(|begun| begun.context)
    }

    /// The delivery has its outcome. The first call counts.
    pub(crate) fn end(&mut self, ended: Ended<'_>) {
        let Some(Begun { shared, context, parent, invocations, links }) = self.0.take().map(|begun| *begun) else {
            return;
        };
        if context.sampled {
            let kin = || Arc::clone(&shared.kin);
            shared.queue.put(|| Span { invocations, links, ..Span::of(kin(), (context, parent), ended) });
        }
    }

    fn is_sampled(&self) -> bool {
        self.0.as_ref().is_some_and(|begun| begun.context.sampled)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.traceparent()).finish()
    }
}

/// The header `X-Amzn-Trace-Id` of an invocation for these deliveries. One invocation has one: that of the first that
/// is sampled, and of the first where none is.
pub(crate) fn header<'a>(traces: impl Iterator<Item = &'a Trace> + Clone) -> Option<String> {
    let chosen = traces.clone().find(|trace| trace.is_sampled()).or_else(|| traces.clone().next())?;
    chosen.traceparent().map(Context::for_x_ray)
}

/// Books an invocation for these deliveries. The one whose context the invocation has is linked with the others, both
/// ways, as they were in their latest invocation.
pub(crate) fn invoked<'a>(traces: impl Iterator<Item = &'a mut Trace>) {
    let mut begun: Vec<_> = traces.filter_map(|trace| trace.0.as_deref_mut()).collect();
    begun.iter_mut().for_each(|begun| begun.invocations += 1);
    begun.retain(|begun| begun.context.sampled);
    let Some((first, others)) = begun.split_first_mut() else { return };
    first.links = Links::to(others.iter().map(|other| other.context));
    let link = Links::to([first.context]);
    others.iter_mut().for_each(|other| other.links.clone_from(&link));
}

#[cfg(test)]
mod tests;
