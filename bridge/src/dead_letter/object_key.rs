//! The key of the object for a dead letter. A listing of keys is in the order of receipt, and two letters with the same
//! key are equal in every byte. A key contains no part of a topic or payload, which could have a meaning in a path.

use super::DeadLetter;
use super::digest::Sha;

/// The most characters of a record's id: a publisher's own can have any length.
const LONGEST_ID: usize = 100;
/// The number of hexadecimal digits of the SHA-256 in a key; 128 bits are enough to distinguish letters.
const DIGITS: usize = 32;

/// `20261120T120000.123Z-<mapping>-<id>-<hash>.json`, behind the prefix. The hash is that of the letter's JSON.
pub(super) fn object_key(prefix: &str, letter: &DeadLetter, sum: &Sha) -> String {
    let time: String = letter.received_at.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    let (mapping, id, hash) = (&letter.mapping, in_order(&letter.id), sum.hexadecimal());
    format!("{prefix}{time}-{mapping}-{}-{}.json", harmless(&id), &hash[..DIGITS])
}

/// Pads the number in an id of the bridge's own to a fixed width, so that letters of one millisecond stay in order.
fn in_order(id: &str) -> String {
    let numbered = |(run, number): (&str, &str)| {
        let is_ours = run.len() == 16 && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        number.parse::<u64>().ok().filter(|_| is_ours).map(|number| format!("{run}-{number:020}"))
    };
    id.rsplit_once('-').and_then(numbered).unwrap_or_else(|| id.to_owned())
}

fn harmless(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    id.chars().take(LONGEST_ID).map(|c| if allowed(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use event::Encoding;
    use proptest::prelude::*;

    use super::*;

    fn letter(id: &str, received_at: &str) -> DeadLetter {
        DeadLetter {
            mapping: "sensor-data".into(),
            function: "f".into(),
            id: id.into(),
            topic: "a/../b?#".into(),
            qos: 1,
            retain: false,
            user_properties: Vec::new(),
            content_type: None,
            response_topic: None,
            correlation_data: None,
            payload: String::new(),
            encoding: Encoding::Text,
            subscription: None,
            content_encoding: None,
            skipped: None,
            redrive: None,
            received_at: received_at.into(),
            first_attempt_at: String::new(),
            last_attempt_at: String::new(),
            attempts: 1,
            error_type: String::new(),
            error_message: String::new(),
        }
    }

    fn key(id: &str, received_at: &str) -> String {
        object_key("dead/", &letter(id, received_at), &Sha::of("abc"))
    }

    #[test]
    fn it_says_when_through_which_mapping_and_which() {
        assert_eq!(
            key("0b1f0c7e9a3d2468-42", "2026-11-20T12:00:00.123Z"),
            "dead/20261120T120000.123Z-sensor-data-0b1f0c7e9a3d2468-00000000000000000042-\
             ba7816bf8f01cfea414140de5dae2223.json"
        );
        assert!(key("../a b/+ä", "").starts_with("dead/-sensor-data-.._a_b___-"), "{}", key("../a b/+ä", ""));
    }

    proptest! {
        #[test]
        fn listed_they_are_in_the_order_of_receipt(a in 0u64..4_000_000_000_000, b in 0u64..4_000_000_000_000) {
            let at = |millis| {
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis);
                key("x", &humantime::format_rfc3339_millis(time).to_string())
            };
            prop_assert_eq!(at(a).cmp(&at(b)), a.cmp(&b));
        }

        #[test]
        fn within_a_millisecond_too(a: u64, b: u64) {
            let numbered = |sequence| key(&crate::delivery::RecordId::Numbered { run: 7, sequence }.to_string(), "");
            prop_assert_eq!(numbered(a).cmp(&numbered(b)), a.cmp(&b));
        }

        #[test]
        fn whatever_the_publisher_says_it_is_short_and_harmless(id: String) {
            let key = key(&id, "2026-11-20T12:00:00.123Z");
            let name = key.strip_prefix("dead/").unwrap();
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{}", name);
            prop_assert!(name.len() < 256);
        }
    }
}
