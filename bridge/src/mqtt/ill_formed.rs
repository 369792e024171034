//! Text in a PUBLISH that MQTT forbids (MQTT 5, 1.5.4 and 3.3.2.1; MQTT 3.1.1, 1.5.3 and 3.3.2.1): it asks the receiver
//! to close the connection. But there are brokers that forward what a device has put there (docs/brokers.md), and they
//! send it again on the next connection, so a single message would stop all behind it for ever. So each invalid byte is
//! replaced in its place, for the decoder to accept the packet, and the message is marked: no function gets it.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::property_section::strings;
use crate::message::IllFormed;

/// Stands for each byte that is not allowed, so that no length changes.
const REPLACEMENT: u8 = b'?';

/// Where the text of a packet is, and its properties; empty where it has none. Counted as in the packet.
pub(super) struct Places {
    pub(super) topic: Range<usize>,
    pub(super) properties: Range<usize>,
}

/// Replaces invalid text at these places; `None` where all is well.
pub(super) fn replace_invalid(packet: &mut [u8], places: &Places) -> Option<IllFormed> {
    let (topic, section) = (packet.get(places.topic.clone())?, packet.get(places.properties.clone())?);
    let of_topic = fault_of_topic(topic);
    let of_properties = || strings(section).find_map(|(name, at)| Some((name, fault(&section[at])?)));
    let (text, wrong) = of_topic.map(|wrong| ("topic", wrong)).or_else(of_properties)?;
    let sha256 = digest(topic, section);
    if of_topic.is_some() {
        replace_in(&mut packet[places.topic.clone()], b"\0+#");
    }
    let section = &mut packet[places.properties.clone()];
    let broken: Vec<_> =
        strings(section).map(|(_, at)| at).filter(|at| fault(&section[at.clone()]).is_some()).collect();
    for at in broken {
        replace_in(&mut section[at], b"\0");
    }
    Some(IllFormed { why: format!("{text}: {wrong}; each such byte is shown as `?`"), sha256 })
}

/// Messages that are told apart by these bytes alone stay different messages. Only of text: the Message Expiry Interval
/// makes no message a different one, and the rest is compared by itself.
fn digest(topic: &[u8], section: &[u8]) -> [u8; 32] {
    let texts = strings(section).map(|(_, at)| &section[at]);
    let whole = |digest: Sha256, text: &[u8]| digest.chain_update(text.len().to_be_bytes()).chain_update(text);
    std::iter::once(topic).chain(texts).fold(Sha256::new(), whole).finalize().into()
}

fn fault_of_topic(topic: &[u8]) -> Option<&'static str> {
    let wildcard = topic.iter().any(|byte| matches!(byte, b'+' | b'#'));
    fault(topic).or_else(|| wildcard.then_some("a wildcard in it"))
}

fn fault(text: &[u8]) -> Option<&'static str> {
    if std::str::from_utf8(text).is_err() {
        return Some("not UTF-8");
    }
    text.contains(&0).then_some("a NUL in it")
}

fn replace_in(text: &mut [u8], forbidden: &[u8]) {
    let mut at = 0;
    while let Err(error) = std::str::from_utf8(&text[at..]) {
        let from = at + error.valid_up_to();
        at = error.error_len().map_or(text.len(), |length| from + length);
        text[from..at].fill(REPLACEMENT);
    }
    text.iter_mut().filter(|byte| forbidden.contains(byte)).for_each(|byte| *byte = REPLACEMENT);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packet afterwards, and what was wrong with it.
    fn replaced(topic: &[u8], section: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut packet = [topic, section, b"payload\xff"].concat();
        let end = topic.len() + section.len();
        let places = Places { topic: 0..topic.len(), properties: topic.len()..end };
        let found = replace_invalid(&mut packet, &places);
        assert_eq!(packet.split_off(end), b"payload\xff", "the payload is nobody's text");
        (packet, found.map(|found| found.why))
    }

    #[test]
    fn what_mqtt_allows_is_left_alone() {
        let section = "\x26\0\x03k\u{e9}\0\x03v\u{e9}\x09\0\x02\u{0}\u{0}\x03\0\x01c".as_bytes();
        for topic in ["sensor/data", "caf\u{e9}", "\u{10ffff}", "\u{1}", "?"] {
            assert_eq!(replaced(topic.as_bytes(), section), ([topic.as_bytes(), section].concat(), None));
        }
    }

    #[test]
    fn every_byte_that_is_not_allowed_is_replaced_and_no_other() {
        let rows: [(&[u8], &[u8], &str); 7] = [
            (b"caf\xe9/data", b"caf?/data", "topic: not UTF-8"),
            (b"\xff\xfe", b"??", "topic: not UTF-8"),
            (b"\xed\xa0\x80", b"???", "topic: not UTF-8"),
            (b"cut \xe2\x82", b"cut ??", "topic: not UTF-8"),
            (b"a\0b", b"a?b", "topic: a NUL in it"),
            (b"a/+/#", b"a/?/?", "topic: a wildcard in it"),
            (b"\xe9\0+", b"???", "topic: not UTF-8"),
        ];
        for (topic, expected, why) in rows {
            let (packet, said) = replaced(topic, b"");
            assert_eq!(packet, expected);
            assert!(said.as_ref().is_some_and(|said| said.starts_with(why)), "{said:?}");
        }
    }

    #[test]
    fn each_string_of_the_properties_is_looked_at() {
        let rows: [(&[u8], &[u8], &str); 5] = [
            (b"\x26\0\x01\xff\0\x01v", b"\x26\0\x01?\0\x01v", "user property: not UTF-8"),
            (b"\x26\0\x01k\0\x02v\0", b"\x26\0\x01k\0\x02v?", "user property: a NUL in it"),
            (b"\x02\0\0\0\x01\x03\0\x01\xff", b"\x02\0\0\0\x01\x03\0\x01?", "content type: not UTF-8"),
            (b"\x08\0\x02\xc3a", b"\x08\0\x02?a", "response topic: not UTF-8"),
            (b"\x08\0\x01+\x26\0\x01\xff\0\x01\xfe", b"\x08\0\x01+\x26\0\x01?\0\x01?", "user property: not UTF-8"),
        ];
        for (section, expected, why) in rows {
            let (packet, said) = replaced(b"t", section);
            assert_eq!(packet[1..], *expected);
            assert!(said.as_ref().is_some_and(|said| said.starts_with(why)), "{said:?}");
        }
    }

    #[test]
    fn two_messages_that_look_the_same_afterwards_are_different_ones() {
        let digest = |topic: &[u8]| {
            let places = Places { topic: 0..topic.len(), properties: 0..0 };
            replace_invalid(&mut topic.to_vec(), &places).unwrap().sha256
        };
        assert_eq!(digest(b"\xff"), digest(b"\xff"));
        assert_ne!(digest(b"\xff"), digest(b"\xfe"));
    }
}
