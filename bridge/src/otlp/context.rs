//! A position in a trace: W3C Trace Context, level 1, and the same for X-Ray. Pure.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::Sampling;
use crate::message::Properties;

/// The name of the user property.
const TRACEPARENT: &str = "traceparent";

/// 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceId([u8; 16]);

/// 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId([u8; 8]);

/// A span, as others name it as theirs. Written, it is a `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// Whether it is recorded.
    pub(super) sampled: bool,
}

impl Context {
    /// That of the publisher. A `traceparent` that is not exactly one, or is there twice, is ignored.
    pub(super) fn of_publisher(properties: Option<&Properties>) -> Option<Self> {
        let mut all = properties?.user.iter().filter(|(name, _)| name == TRACEPARENT);
        match (all.next(), all.next()) {
            (Some((_, value)), None) => Self::parse(value),
            _ => None,
        }
    }

    /// Trace Context, 3.2. Of the flags one has a meaning.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = || parts.next();
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        if version != "00" || next().is_some() {
            return None;
        }
        let [flags] = bytes(flags)?;
        let (trace, span) = (TraceId(bytes(trace)?), SpanId(bytes(span)?));
        let is_valid = trace.0 != [0; 16] && span.0 != [0; 8];
        is_valid.then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// That of a span below it.
    pub(super) fn child(self) -> Self {
        Self { span: SpanId::new(), ..self }
    }

    /// That of a span that begins a trace, recorded as `sampling` says.
    pub(super) fn root(sampling: Sampling, now: SystemTime) -> Self {
        let (trace, drawn) = TraceId::new(now);
        Self { trace, span: SpanId::new(), sampled: sampling.takes(drawn) }
    }

    /// As the header `X-Amzn-Trace-Id` says it (X-Ray developer guide, "Tracing header").
    pub(super) fn for_x_ray(self) -> String {
        let (trace, sampled) = (self.trace.to_string(), u8::from(self.sampled));
        let (time, rest) = trace.split_at(8);
        format!("Root=1-{time}-{rest};Parent={};Sampled={sampled}", self.span)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl TraceId {
    /// And what was drawn for its last bytes. It begins with the time, as X-Ray's own do.
    fn new(now: SystemTime) -> (Self, u64) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = u32::try_from(seconds).unwrap_or(u32::MAX);
        // Never zero, because an id of zero is invalid.
        let (middle, last) = (fastrand::u32(1..), fastrand::u64(..));
        let id = (u128::from(time) << 96) | (u128::from(middle) << 64) | u128::from(last);
        (Self(id.to_be_bytes()), last)
    }
}

impl SpanId {
    fn new() -> Self {
        Self(fastrand::u64(1..).to_be_bytes())
    }
}

/// Of lower-case hexadecimal digits, and no other.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_digit) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok()?;
    number.to_be_bytes()[16 - N..].try_into().ok()
}

macro_rules! in_hexadecimal {
    ($($id:ty)+) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

in_hexadecimal!(TraceId SpanId);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = Context::parse(GOOD).unwrap();
        assert_eq!((context.to_string().as_str(), context.sampled), (GOOD, true));
        let unsampled = Context::parse(&GOOD.replace("-01", "-00")).unwrap();
        assert!(!unsampled.sampled);
        let other_flags = Context::parse(&GOOD.replace("-01", "-ff")).unwrap();
        assert_eq!(other_flags.to_string(), GOOD, "flags without a meaning are not passed on");
        let child = context.child();
        assert_eq!((child.trace, child.sampled), (context.trace, true));
        assert_ne!(child.span, context.span);
    }

    #[test]
    fn whatever_is_no_traceparent_is_ignored() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let others = [
            GOOD.to_uppercase(),
            GOOD.replace("00-0", "01-0"),
            GOOD.replace("00-0", "ff-0"),
            GOOD.replace("00-0", "0-0"),
            GOOD.replace("-01", "-1"),
            GOOD.replace("-01", "-0g"),
            GOOD.replace("-01", "-+1"),
            GOOD.replace("-01", ""),
            GOOD.replace("b7ad", "+7ad"),
            GOOD.replace("0af7", "af7"),
            GOOD.replace('-', "_"),
            format!("{GOOD}-"),
            format!("{GOOD}-00"),
            format!(" {GOOD}"),
            format!("{GOOD}\n"),
            format!("00-{}", "é".repeat(26)),
        ];
        for text in others.iter().map(String::as_str).chain([zero_trace, zero_span, "", "-", "---"]) {
            assert_eq!(Context::parse(text), None, "{text}");
        }
    }

    #[test]
    fn it_comes_from_the_one_user_property_of_its_name() {
        let of = |names: &[&str]| {
            let user = names.iter().map(|name| ((*name).to_owned(), GOOD.to_owned())).collect();
            Context::of_publisher(Some(&Properties { user, ..Properties::default() }))
        };
        assert_eq!(of(&["a", "traceparent"]), Context::parse(GOOD));
        assert_eq!((of(&[]), of(&["Traceparent"]), of(&["traceparent", "traceparent"])), (None, None, None));
        assert_eq!(Context::of_publisher(None), None);
    }

    #[test]
    fn x_ray_has_it_in_its_own_form() {
        let header = Context::parse(GOOD).unwrap().for_x_ray();
        assert_eq!(header, "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1");
        assert!(Context::parse(&GOOD.replace("-01", "-00")).unwrap().for_x_ray().ends_with(";Sampled=0"));
    }

    #[test]
    fn a_trace_of_our_own_begins_with_the_time_and_is_sampled_as_wanted() {
        let now = UNIX_EPOCH + Duration::from_secs(0x6a5f_3c21);
        let root = |text: &str| Context::root(text.parse().unwrap(), now);
        let all: Vec<_> = (0..1_000).map(|_| root("30%")).collect();
        assert!(all.iter().all(|context| context.to_string().starts_with("00-6a5f3c21")));
        assert!(all.iter().all(|context| Context::parse(&context.to_string()) == Some(*context)));
        let sampled = all.iter().filter(|context| context.sampled).count();
        assert!((150..450).contains(&sampled), "{sampled} of 1000");
        assert!(!root("0%").sampled && root("100%").sampled);
    }
}
