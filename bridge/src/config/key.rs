//! The definition of a key: its place, the kind of its values with their bounds, its default, and its environment
//! variable and flag. The sections define the keys themselves. Holds no value of any configuration.

use std::time::Duration;

use clap::ValueEnum;

use super::values::{InvalidValue, names, parse_duration, parse_size};

/// What each environment variable of the bridge begins with.
pub(crate) const VARIABLE_PREFIX: &str = "BRIDGE_";

/// The variable that names the file; no key.
pub(crate) const FILE_VARIABLE: &str = "BRIDGE_CONFIG";

/// The variable that holds the password for the broker. No key: in a file of settings, or as a flag, others could read
/// it.
pub(crate) const PASSWORD_VARIABLE: &str = "BRIDGE_MQTT_PASSWORD";

/// What the path of each key of a mapping begins with.
pub(super) const MAPPING_PREFIX: &str = "mapping.";

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its place in the file: `mqtt.tls.ca_file`, or `mapping.retry.max_age` in each `[[mapping]]`.
    pub(crate) path: &'static str,
    /// One sentence without a full stop.
    pub(crate) doc: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Fallback,
    /// The long flag, without dashes.
    pub(crate) flag: Option<&'static str>,
    is_live: bool,
}

/// What a key's value is, and between which bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    File,
    Range,
    Size,
    Switch,
    /// Texts: a list in the file, elsewhere one text in which commas part them.
    List,
    /// A text, or a list of them; elsewhere one text in which commas part them.
    Texts,
    /// JSON objects: a list of tables in the file, elsewhere JSON.
    Json,
    /// One of a few words.
    Choice(fn() -> Vec<String>),
    Number(u64, u64),
    Period(Duration, Duration),
    /// A duration that MQTT carries as a number of seconds.
    Seconds(Duration, Duration),
}

/// The default of a key; `Required` and `Absent` have an example, as it is written in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fallback {
    Required(&'static str),
    Absent(&'static str),
    Is(&'static str),
}

/// What a change needs while the bridge runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: it holds from the reload on.
    Nothing,
    /// The mapping drains and starts again; the others keep running.
    Mapping,
    /// A reload refuses it.
    Restart,
}

impl Kind {
    /// One of the words of `T`.
    pub(super) fn of<T: ValueEnum>() -> Self {
        Self::Choice(names::<T>)
    }

    /// A key that must be given.
    pub(super) fn required(self, example: &'static str) -> Key {
        self.key(Fallback::Required(example))
    }

    /// A key without a default.
    pub(super) fn absent(self, example: &'static str) -> Key {
        self.key(Fallback::Absent(example))
    }

    /// A key that has this value unless given.
    pub(super) fn is(self, default: &'static str) -> Key {
        self.key(Fallback::Is(default))
    }

    fn key(self, default: Fallback) -> Key {
        Key { path: "", doc: "", kind: self, default, flag: None, is_live: false }
    }

    /// What `--help` calls the value.
    pub(crate) fn value_name(self) -> &'static str {
        match self {
            Self::Text | Self::Texts | Self::Choice(_) => "TEXT",
            Self::File => "FILE",
            Self::Range => "RANGE",
            Self::Size => "SIZE",
            Self::Switch => "BOOLEAN",
            Self::List => "LIST",
            Self::Json => "JSON",
            Self::Number(..) => "NUMBER",
            Self::Period(..) | Self::Seconds(..) => "DURATION",
        }
    }

    /// The bounds in words, when it has any.
    pub(crate) fn bounds(self) -> Option<String> {
        match self {
            Self::Number(min, max) => Some(format!("{min} to {max}")),
            Self::Period(min, max) | Self::Seconds(min, max) => {
                Some(format!("{} to {}", humantime::format_duration(min), humantime::format_duration(max)))
            }
            _ => None,
        }
    }

    /// Reads a whole number between the bounds; of a size, its bytes.
    pub(super) fn number(self, text: &str) -> Result<u64, InvalidValue> {
        let number = match self {
            Self::Size => parse_size(text)?,
            _ => text.parse().map_err(|_| InvalidValue::new("not a whole number"))?,
        };
        match self {
            Self::Number(min, max) if !(min..=max).contains(&number) => Err(self.out_of_bounds()),
            Self::Size if number == 0 => Err(InvalidValue::new("must be at least one byte")),
            _ => Ok(number),
        }
    }

    /// Reads a duration between the bounds.
    pub(super) fn duration(self, text: &str) -> Result<Duration, InvalidValue> {
        let duration = parse_duration(text)?;
        match self {
            Self::Period(min, max) | Self::Seconds(min, max) if !(min..=max).contains(&duration) => {
                Err(self.out_of_bounds())
            }
            Self::Seconds(..) if duration.subsec_nanos() > 0 => Err(InvalidValue::new("must be whole seconds")),
            _ => Ok(duration),
        }
    }

    fn out_of_bounds(self) -> InvalidValue {
        InvalidValue::new(format!("out of bounds; allowed is {}", self.bounds().unwrap_or_default()))
    }
}

impl Key {
    /// With this long flag.
    pub(super) fn flag(self, flag: &'static str) -> Self {
        Self { flag: Some(flag), ..self }
    }

    /// With a value that may change at any time.
    pub(super) fn live(self) -> Self {
        Self { is_live: true, ..self }
    }

    /// At its place, with its documentation.
    pub(super) fn at(self, path: &'static str, doc: &'static str) -> Self {
        Self { path, doc: doc.trim().trim_end_matches('.'), ..self }
    }

    /// The environment variable, for a mapping the one of a configuration with a single mapping.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }

    /// The environment variable for one mapping of several.
    pub(super) fn variable_of(&self, mapping: &str) -> Option<String> {
        let path = self.path.strip_prefix(MAPPING_PREFIX)?;
        let name = format!("{VARIABLE_PREFIX}MAPPING_{mapping}_{path}");
        Some(name.replace(['.', '-'], "_").to_uppercase())
    }

    /// Whether it belongs to a mapping.
    pub(super) fn is_of_mapping(&self) -> bool {
        self.path.starts_with(MAPPING_PREFIX)
    }

    /// What a change of its value needs.
    pub(crate) fn change(&self) -> Change {
        match self {
            _ if self.is_of_mapping() => Change::Mapping,
            Self { is_live: true, .. } => Change::Nothing,
            _ => Change::Restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_allowed_and_nothing_beyond() {
        let number = Kind::Number(1, 10);
        assert_eq!((number.number("1"), number.number("10")), (Ok(1), Ok(10)));
        assert_eq!(number.number("0").unwrap_err().to_string(), "out of bounds; allowed is 1 to 10");
        assert!(number.number("11").is_err() && number.number("-1").is_err() && number.number("1.5").is_err());

        let seconds = Kind::Seconds(Duration::from_secs(5), Duration::from_mins(1));
        assert_eq!(seconds.duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds.duration("1m"), Ok(Duration::from_mins(1)));
        assert_eq!(seconds.duration("61s").unwrap_err().to_string(), "out of bounds; allowed is 5s to 1m");
        assert_eq!(seconds.duration("5500ms").unwrap_err().to_string(), "must be whole seconds");
        assert!(Kind::Size.number("0").is_err());
    }
}
