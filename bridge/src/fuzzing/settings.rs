//! What an operator writes: the file, and the patterns in it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::config::{self, Qos};
use crate::mapping::filter::Filters;
use crate::message::{Message, Properties};
use crate::payload::Look;

/// Reads a configuration file.
///
/// # Panics
/// When an error is not one line, or a configuration breaks its own word.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match config::read_text(text) {
        Ok(config) => {
            assert!(!config.mappings.is_empty(), "a bridge without a mapping");
            for (index, mapping) in config.mappings.iter().enumerate() {
                assert!(config.mappings[..index].iter().all(|other| other.name != mapping.name), "{}", mapping.name);
                assert!(mapping.receive_maximum > 0 && mapping.concurrency > 0 && mapping.retry.max_attempts > 0);
                if let Err(error) = Filters::parse(&mapping.filter) {
                    assert_one_line(&error);
                }
            }
        }
        Err(error) => assert_one_line(&error),
    }
}

/// Compiles a pattern and asks it about a message. The first line is the pattern, the second the topic, the rest the
/// payload.
///
/// # Panics
/// When an error is not one line, the answer is not always the same, or what a pointer finds is not what a tree holds there.
pub fn filter(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let Ok(pattern) = serde_json::from_slice::<Value>(part()) else { return };
    let topic = String::from_utf8_lossy(part()).into_owned().into();
    let user = vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
    let message = Message {
        topic,
        payload: Bytes::copy_from_slice(part()),
        qos: Qos::AtLeastOnce,
        retain: false,
        dup: false,
        properties: Some(Arc::new(Properties { user, ..Properties::default() })),
    };
    if let Some(json) = Look::at(&message.payload).json() {
        let Ok(tree) = serde_json::from_slice::<Value>(&message.payload) else {
            panic!("readable, and no tree can hold it")
        };
        for pointer in ["", "/a", "/a/b", "/payload/0", "/0/a"] {
            let found = json.at(pointer).and_then(|json| serde_json::from_str::<Value>(json.as_written()).ok());
            assert_eq!(found.as_ref(), tree.pointer(pointer), "{pointer}");
        }
    }
    match Filters::parse(std::slice::from_ref(&pattern)) {
        Ok(filters) => {
            let matches = filters.matches(&message);
            let Ok(twice) = Filters::parse(&[pattern.clone(), pattern]) else { panic!("good once, and not twice") };
            assert_eq!(twice.matches(&message), matches, "or the same");
        }
        Err(error) => assert_one_line(&error),
    }
}

/// What stands in a log or on a terminal must not be able to forge anything there.
fn assert_one_line(error: &impl std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
}
