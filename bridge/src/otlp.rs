//! Traces of deliveries: a span from receipt to outcome, its context for the function and for X-Ray, and the export to
//! a collector. Without the feature `otlp` all of it does nothing. Delays no message and loses none.

mod ended;
#[cfg(not(feature = "otlp"))]
#[path = "otlp/absent.rs"]
mod trace;

#[cfg(feature = "otlp")]
mod context;
#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod json;
#[cfg(feature = "otlp")]
mod queue;
#[cfg(feature = "otlp")]
mod reply;
#[cfg(feature = "otlp")]
mod span;
#[cfg(feature = "otlp")]
mod trace;
#[cfg(feature = "otlp")]
mod traces;

#[cfg(not(feature = "otlp"))]
pub use trace::Traces;
#[cfg(feature = "otlp")]
pub use traces::Traces;

pub use ended::Ended;
pub use trace::{Trace, Tracer};
pub(crate) use trace::{header, invoked};
