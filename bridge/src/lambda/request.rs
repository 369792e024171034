//! What one invocation sends, in the format of its mapping. Pure.

use super::{encode, raw};
use crate::config::Format;
use crate::delivery::Delivery;
use crate::otlp;

/// An event, and what goes beside it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The event.
    pub event: Vec<u8>,
    /// The client context, in base64. Lambda hands it to the function in synchronous invocations alone.
    pub context: Option<String>,
    /// The header `X-Amzn-Trace-Id`, where there are traces.
    pub trace: Option<String>,
}

/// An event and nothing beside it.
impl From<Vec<u8>> for Request {
    fn from(event: Vec<u8>) -> Self {
        Self { event, context: None, trace: None }
    }
}

impl Request {
    /// The request for these deliveries, in their order; of `Format::Raw` the first one, since there is no other.
    pub fn new(format: Format, mapping: &str, deliveries: &[Delivery]) -> Self {
        let trace = otlp::header(deliveries.iter().map(|delivery| &delivery.trace));
        match (format, deliveries.first()) {
            (Format::Raw, Some(delivery)) => {
                Self { event: raw::event(delivery), context: Some(raw::context(mapping, delivery)), trace }
            }
            _ => Self { trace, ..encode::encode(mapping, deliveries.iter()).into() },
        }
    }

    /// How many bytes an event of them has at least: no way of writing makes a payload shorter.
    #[must_use]
    pub fn least_bytes(deliveries: &[Delivery]) -> usize {
        deliveries.iter().map(|delivery| delivery.payload().len()).sum()
    }
}
