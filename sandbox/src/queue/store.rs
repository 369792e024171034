//! The messages of a queue, and who may see them when. Pure: does no I/O and takes the time as an argument.

use std::fmt::Write;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

/// How long a FIFO queue knows a message again (SQS developer guide, "Exactly-once processing").
const DEDUPLICATION: Duration = Duration::from_mins(5);

/// A message of the queue.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its text.
    pub body: String,
    /// The message group, in a FIFO queue.
    pub group: Option<String>,
    /// How often it has been received.
    pub receives: u32,
    receipt: String,
    invisible_until: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) messages: Vec<Message>,
    /// Deduplication id, message id, and when.
    known: Vec<(String, String, Instant)>,
    count: u64,
}

impl Store {
    /// Returns its id; the old one's when the queue has seen it before.
    pub(super) fn put(&mut self, body: String, group: Option<String>, known_by: Option<(String, Instant)>) -> String {
        self.count += 1;
        let id = format!("message-{}", self.count);
        if let Some((name, now)) = known_by {
            self.known.retain(|(_, _, at)| now.saturating_duration_since(*at) < DEDUPLICATION);
            if let Some((_, id, _)) = self.known.iter().find(|(known, _, _)| *known == name) {
                return id.clone();
            }
            self.known.push((name, id.clone(), now));
        }
        let (receipt, invisible_until) = (format!("{id}#0"), None);
        self.messages.push(Message { id: id.clone(), body, group, receives: 0, receipt, invisible_until });
        id
    }

    /// Lends up to `most` messages for as long as `hold`, each with a fresh receipt.
    pub(super) fn lend(&mut self, most: usize, hold: Duration, now: Instant) -> Vec<(Message, String)> {
        let visible = |message: &&mut Message| message.invisible_until.is_none_or(|until| until <= now);
        let mut lent = Vec::new();
        for message in self.messages.iter_mut().filter(visible).take(most) {
            message.receives += 1;
            message.receipt = format!("{}#{}", message.id, message.receives);
            message.invisible_until = Some(now + hold);
            lent.push((message.clone(), message.receipt.clone()));
        }
        lent
    }

    /// When the next message comes back.
    pub(super) fn next_visible(&self) -> Option<Instant> {
        self.messages.iter().filter_map(|message| message.invisible_until).min()
    }

    /// A receipt that is no longer the message's last one deletes nothing.
    pub(super) fn delete(&mut self, receipt: &str) {
        self.messages.retain(|message| message.receipt != receipt);
    }

    /// False when the receipt is nobody's.
    pub(super) fn hide(&mut self, receipt: &str, until: Instant) -> bool {
        let found = self.messages.iter_mut().find(|message| message.receipt == receipt);
        found.map(|message| message.invisible_until = Some(until)).is_some()
    }

    pub(super) fn release_all(&mut self) {
        self.messages.iter_mut().for_each(|message| message.invisible_until = None);
    }

    pub(super) fn invisible(&self, now: Instant) -> usize {
        self.messages.iter().filter(|message| message.invisible_until.is_some_and(|until| until > now)).count()
    }
}

/// The MD5, in hexadecimal.
#[must_use]
pub fn md5(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(Md5::digest(bytes).as_slice())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    // Writing to a string cannot fail.
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(30);

    #[test]
    fn a_lent_message_comes_back_unless_it_is_deleted() {
        let (mut store, now) = (Store::default(), Instant::now());
        store.put("a".into(), None, None);
        store.put("b".into(), None, None);
        let lent = store.lend(10, HOLD, now);
        assert_eq!(lent.len(), 2);
        assert!(store.lend(10, HOLD, now).is_empty());
        assert_eq!((store.invisible(now), store.next_visible()), (2, Some(now + HOLD)));
        store.delete(&lent[0].1);
        let again = store.lend(10, HOLD, now + HOLD);
        assert_eq!(again.iter().map(|(message, _)| message.body.as_str()).collect::<Vec<_>>(), ["b"]);
        store.delete(&lent[1].1);
        assert_eq!(store.messages.len(), 1, "an old receipt deletes nothing");
        assert!(store.hide(&again[0].1, now) && !store.hide("nobody's", now));
        assert_eq!(store.lend(10, HOLD, now).len(), 1);
    }

    #[test]
    fn a_fifo_queue_knows_a_message_again_for_five_minutes() {
        let (mut store, now) = (Store::default(), Instant::now());
        let mut put = |at| store.put("a".into(), None, Some(("sum".into(), at)));
        assert_eq!(put(now), put(now + DEDUPLICATION / 2));
        assert_ne!(put(now), put(now + DEDUPLICATION));
        assert_eq!(store.messages.len(), 2);
    }
}
