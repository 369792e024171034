//! A finished span: one delivery, as it is exported. Never the payload.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::{Context, SpanId};
use super::ended::Ended;
use crate::clock::now;

/// The longest topic or topic filter in a span, in bytes.
const LONGEST: usize = 256;
/// The most links of one span; the others are only counted. SDKs keep as many.
const MOST_LINKS: usize = 128;

/// The fields that all spans of a mapping share.
#[derive(Debug)]
pub(super) struct Kin {
    pub(super) mapping: String,
    /// The name of its spans.
    pub(super) name: String,
}

impl Kin {
    pub(super) fn of(mapping: &str) -> Self {
        Self { mapping: mapping.to_owned(), name: format!("process {mapping}") }
    }
}

/// The spans whose deliveries went in the same invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) to: Vec<Context>,
    pub(super) dropped: u32,
}

impl Links {
    pub(super) fn to(all: impl IntoIterator<Item = Context>) -> Self {
        let mut links = Self::default();
        for context in all {
            if links.to.len() < MOST_LINKS {
                links.to.push(context);
            } else {
                links.dropped += 1;
            }
        }
        links
    }
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) kin: Arc<Kin>,
    pub(super) context: Context,
    pub(super) parent: Option<SpanId>,
    /// Since 1970, and never after the end.
    pub(super) begun: Duration,
    pub(super) ended: Duration,
    pub(super) topic: String,
    pub(super) subscription: Option<String>,
    pub(super) record: String,
    pub(super) qos: u8,
    pub(super) outcome: &'static str,
    pub(super) failed: bool,
    pub(super) invocations: u32,
    pub(super) links: Links,
}

impl Span {
    pub(super) fn of(kin: Arc<Kin>, (context, parent): (Context, Option<SpanId>), ended: Ended<'_>) -> Self {
        let (received_at, received) = ended.received;
        let begun = since_1970(received_at);
        Self {
            kin,
            context,
            parent,
            begun,
            // Measured with the monotonic clock.
            ended: begun + now().saturating_duration_since(received),
            topic: brief(ended.topic),
            subscription: ended.subscription.map(brief),
            record: brief(&ended.record.to_string()),
            qos: ended.qos,
            outcome: ended.outcome,
            failed: ended.failed,
            invocations: 0,
            links: Links::default(),
        }
    }
}

fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Cut between two characters.
fn brief(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_long_topic_is_cut_between_two_characters() {
        assert_eq!(brief("a/b"), "a/b");
        let long = brief(&format!("a{}", "é".repeat(200)));
        assert_eq!((long.len(), long.chars().last()), (255, Some('é')));
    }

    #[test]
    fn a_span_never_ends_before_it_begins() {
        let received = now() + Duration::from_mins(1);
        let ended = Ended {
            topic: "t",
            subscription: None,
            record: &1,
            qos: 1,
            outcome: "delivered",
            failed: false,
            received: (UNIX_EPOCH + Duration::from_secs(7), received),
        };
        let span = Span::of(Arc::new(Kin::of("m")), (Context::parse(CONTEXT).unwrap(), None), ended);
        assert_eq!((span.begun, span.ended), (Duration::from_secs(7), Duration::from_secs(7)));
    }

    #[test]
    fn links_are_bounded_and_the_others_counted() {
        let links = Links::to(vec![Context::parse(CONTEXT).unwrap(); MOST_LINKS + 7]);
        assert_eq!((links.to.len(), links.dropped), (MOST_LINKS, 7));
    }
}
