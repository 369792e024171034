//! The mistakes that a configuration can have, each on one line that names the place. Never contains a line of the
//! file, nor a value that may be a secret.

use std::fmt::{self, Display};
use std::io;

use super::values::LogFormat;

/// The most mistakes that are shown; the rest is counted.
const MOST: usize = 20;

/// Why there is no configuration: all mistakes, in the order of the file, then those of variables and flags. Its
/// `Display` is one line, however many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    mistakes: Vec<String>,
    log: LogFormat,
}

impl ConfigError {
    /// How log lines were to be written, as far as that could be read.
    #[must_use]
    pub fn log(&self) -> LogFormat {
        self.log
    }

    pub(super) fn with_log(self, log: LogFormat) -> Self {
        Self { log, ..self }
    }

    /// Each mistake on a line of its own: the place, the cause, the way out. Of more than 20 the last line says how
    /// many more there are.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = self.mistakes.len().saturating_sub(MOST);
        let more = (more > 0).then(|| format!("and {more} more"));
        self.mistakes.iter().take(MOST).cloned().chain(more)
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [mistake] = self.mistakes.as_slice() {
            return f.write_str(mistake);
        }
        write!(f, "{} mistakes:", self.mistakes.len())?;
        self.lines().enumerate().try_for_each(|(index, line)| write!(f, " ({}) {line}", index + 1))
    }
}

impl std::error::Error for ConfigError {}

/// The mistakes so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(Place, String)>);

impl Mistakes {
    pub(super) fn add(&mut self, place: Place, reason: &(impl Display + ?Sized)) {
        self.0.push((place, reason.to_string()));
    }

    /// All of them, or what was made of a configuration without any.
    pub(super) fn or<T>(mut self, made: Option<T>) -> Result<T, ConfigError> {
        self.0.sort_by_key(|(place, _)| match place {
            Place::Line { line, .. } => *line,
            Place::Named(_) => usize::MAX,
        });
        let mistakes: Vec<_> = self.0.into_iter().map(|(place, reason)| format!("{place}: {reason}")).collect();
        made.filter(|_| mistakes.is_empty()).ok_or(ConfigError { mistakes, log: LogFormat::Auto })
    }
}

/// Where a setting was written. `Display` gives what stands before the reason in an error.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a file; without a key, it is the file that is wrong there.
    Line { file: String, line: usize, key: String },
    /// A variable, a flag, or a key that is written nowhere.
    Named(String),
}

impl Place {
    /// The same line, for a key that is not on it.
    pub(super) fn of_key(&self, key: &str) -> Self {
        match self {
            Self::Line { file, line, .. } => Self::Line { file: file.clone(), line: *line, key: key.to_owned() },
            Self::Named(_) => Self::Named(key.to_owned()),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, key } if key.is_empty() => write!(f, "{file}:{line}"),
            Self::Line { file, line, key } => write!(f, "{file}:{line}: {key}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// A system's error without its number, in lower case.
pub(crate) fn in_words(cause: &io::Error) -> String {
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

/// Never the name itself: who typed it did mean it.
fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = typed.to_lowercase();
    let allowed = name.chars().count().div_ceil(3);
    known
        .filter(|known| *known != typed)
        .map(|known| (strsim::levenshtein(&name, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// A name out of a file or the environment, made safe for one line.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_twenty_mistakes_are_counted() {
        let lines = |number: usize| {
            let mut mistakes = Mistakes::default();
            (0..number).for_each(|index| mistakes.add(Place::Named(format!("k{index}")), "wrong"));
            mistakes.or(Some(())).map_err(|error| error.lines().collect::<Vec<_>>())
        };
        assert_eq!(lines(0), Ok(()));
        assert_eq!(lines(1), Err(vec!["k0: wrong".to_owned()]));
        assert_eq!(lines(20).unwrap_err().last().unwrap(), "k19: wrong");
        assert_eq!(lines(23).unwrap_err()[19..], ["k19: wrong", "and 3 more"]);
    }

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
}
