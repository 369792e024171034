//! Decompresses payloads that their publishers have compressed. It rejects a stream that is not complete or has bytes
//! behind it, and a stream that exceeds the limit before it allocates more than that. Pure.

mod gzip;
mod output;
mod zstd;

use bytes::Bytes;

use crate::message::Message;
use output::{Fault, Output};

/// The user property that says how a payload is compressed, where the mapping goes by that.
pub const PROPERTY: &str = "content-encoding";

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several, without dictionaries.
    Zstd,
}

/// Why a payload cannot be given to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The kind, as dead letters tell it: `ContentTooLarge` or `ContentUnreadable`.
    pub kind: &'static str,
    /// Why; nothing of the payload.
    pub why: String,
}

impl Compression {
    /// As users write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The one of that name, in whatever case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Zstd].into_iter().find(|compression| compression.name().eq_ignore_ascii_case(name))
    }

    /// What the message's own user property says. Nothing for what is not known here: the function may know it.
    #[must_use]
    pub fn said_by(message: &Message) -> Option<Self> {
        let user = &message.properties.as_ref()?.user;
        user.iter().find(|(name, _)| name == PROPERTY).and_then(|(_, value)| Self::named(value))
    }

    /// The payload as it was before, of at most `limit` bytes. An empty one stays empty.
    ///
    /// # Errors
    /// When it is not compressed so, is not whole, or becomes longer.
    pub fn undo(self, payload: &[u8], limit: usize) -> Result<Bytes, Unreadable> {
        let mut output = Output::new(limit);
        let done = match self {
            _ if payload.is_empty() => Ok(()),
            Self::Gzip => gzip::undo(payload, &mut output),
            Self::Zstd => zstd::undo(payload, &mut output),
        };
        let (name, length) = (self.name(), payload.len());
        match done {
            Ok(()) => Ok(output.finish()),
            Err(Fault::TooLarge) => Err(Unreadable {
                kind: "ContentTooLarge",
                why: format!(
                    "a payload of {length} bytes becomes more than {limit} without {name}, and no event takes more"
                ),
            }),
            Err(Fault::Broken(why)) => {
                Err(Unreadable { kind: "ContentUnreadable", why: format!("not a whole stream of {name}: {why}") })
            }
        }
    }
}

#[cfg(test)]
mod tests;
