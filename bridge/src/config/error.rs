//! What can be wrong with a configuration, on one line that names the place. Never holds a line of the file, nor a value
//! that may be a secret.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// Why there is no configuration. Its `Display` is one line: the place, the cause, the way out.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {}", in_words(.cause))]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not TOML.
    #[error("{file}:{line}: {reason}")]
    Syntax {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// A key is unknown, missing, or has a value it cannot have.
    #[error("{place}: {reason}")]
    Setting {
        /// `bridge.toml:12: mqtt.url`, `BRIDGE_MQTT_URL`, `--url`, or the key alone when it is given nowhere.
        place: String,
        /// The cause and the way out.
        reason: String,
    },
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, cause: io::Error) -> Self {
        Self::Unreadable { file: file.display().to_string(), cause }
    }

    pub(super) fn setting(place: &(impl Display + ?Sized), reason: &(impl Display + ?Sized)) -> Self {
        Self::Setting { place: place.to_string(), reason: reason.to_string() }
    }
}

/// A system's error without its number, in lower case.
pub(super) fn in_words(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::InvalidData => "not UTF-8 text".to_owned(),
        kind => format!("cannot be read: {kind}"),
    }
}

/// Why a key, a variable or a flag is not known, with the nearest of the `known` ones.
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    if weakens_tls(name) {
        return "there is no switch that weakens TLS; name the broker's authority with `mqtt.tls.ca_file`".to_owned();
    }
    if is_password(name) {
        return "no password stands here, where others could read it; write it to a file of mode 0600 and name that in \
                `mqtt.password_file`, or set BRIDGE_MQTT_PASSWORD"
            .to_owned();
    }
    match nearest(name, known) {
        Some(nearest) => format!("unknown {what}; did you mean `{nearest}`?"),
        None => format!("unknown {what}; `mqtt-lambda-bridge config` names them all"),
    }
}

/// Whether a name asks for what is not to be had: a connection whose other end is not verified.
fn weakens_tls(name: &str) -> bool {
    const ASKING: &[&str] =
        &["insecure", "verif", "unauthorized", "untrusted", "danger", "check_hostname", "plaintext"];
    let name = name.to_ascii_lowercase().replace('-', "_");
    ASKING.iter().any(|word| name.contains(word))
}

/// Whether a name stands for a password itself.
fn is_password(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace(['-', '.'], "_");
    let name = name.strip_prefix("mqtt_").unwrap_or(&name);
    ["password", "passwd", "passphrase", "pass", "token"].contains(&name)
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let allowed = name.chars().count().div_ceil(3);
    known
        .map(|known| (distance(&name, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The number of characters to insert, drop or change between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A name out of a file or the environment, made safe for one line.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_not() {
        let known = ["url", "client_id", "keep_alive"];
        assert_eq!(unknown("key", "clientid", known.into_iter()), "unknown key; did you mean `client_id`?");
        assert_eq!(unknown("key", "Keep-Alive", known.into_iter()), "unknown key; did you mean `keep_alive`?");
        assert!(unknown("key", "certificate", known.into_iter()).ends_with("names them all"));
    }

    #[test]
    fn a_wish_for_less_security_has_an_answer_of_its_own() {
        for name in
            ["insecure", "tls_insecure", "verify", "skip_verify", "no-verify", "verifyHostname", "rejectUnauthorized"]
        {
            assert!(
                unknown("key", name, ["url"].into_iter()).starts_with("there is no switch that weakens TLS"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_password_in_the_wrong_place_is_shown_the_right_one() {
        for name in ["password", "mqtt.password", "--password", "--mqtt-password", "Passwd", "token"] {
            let said = unknown("key", name, ["url", "password_file"].into_iter());
            assert!(said.contains("`mqtt.password_file`, or set BRIDGE_MQTT_PASSWORD"), "{name}: {said}");
        }
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
