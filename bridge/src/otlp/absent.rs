//! Takes the place of traces if the bridge is built without the feature `otlp`. The configuration refuses a collector
//! before this code is reached. It stores, counts and allocates nothing for a message.

use std::fmt;

use super::Ended;
use crate::aws::Http;
use crate::config;
use crate::message::Properties;
use crate::metrics::TraceMetrics;

/// No traces.
#[derive(Debug)]
pub struct Traces;

/// Begins none.
#[derive(Debug, Clone, Default)]
pub struct Tracer(());

/// None.
#[derive(Debug, Default)]
pub struct Trace(());

/// Never there.
#[derive(Debug, Clone, Copy)]
pub enum Parent {}

impl Traces {
    pub(crate) fn start(_: &config::Trace, _: &str, _: &Http, _: &TraceMetrics) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as where there are traces")]
    pub(crate) fn of(&self, _: &str) -> Tracer {
        Tracer(())
    }

    #[expect(clippy::unused_async, reason = "as where there are traces")]
    pub(crate) async fn flush(&mut self) {}
}

impl Tracer {
    #[expect(clippy::unused_self, reason = "as where there are traces")]
    pub(crate) fn begin(&self, _: Option<&Properties>) -> Trace {
        Trace(())
    }
}

#[expect(clippy::unused_self, reason = "as where there are traces")]
impl Trace {
    pub(crate) fn traceparent(&self) -> Option<Parent> {
        None
    }

    pub(crate) fn end(&mut self, _: Ended<'_>) {}
}

impl fmt::Display for Parent {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

pub(crate) fn header<'a>(_: impl Iterator<Item = &'a Trace>) -> Option<String> {
    None
}

pub(crate) fn invoked<'a>(_: impl Iterator<Item = &'a mut Trace>) {}
