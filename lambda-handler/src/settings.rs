//! The settings of the function from environment variables: the one list of their names, and the errors for invalid
//! values at startup. Pure: the environment is an argument.

use std::time::Duration;

use crate::reading::TEMPERATURE_RANGE;
use crate::thresholds::Thresholds;
use crate::topics::{DeviceTopics, DeviceTopicsError};

const READINGS_TABLE: &str = "READINGS_TABLE";
const READINGS_TTL: &str = "READINGS_TTL";
const DEVICE_TOPICS: &str = "DEVICE_TOPICS";
const TEMPERATURE_MIN: &str = "TEMPERATURE_MIN";
const TEMPERATURE_MAX: &str = "TEMPERATURE_MAX";
const METRICS_NAMESPACE: &str = "METRICS_NAMESPACE";

/// The shortest time to keep readings. A repeated record is known by the item of the first, so items have to live
/// longer than a broker may hold a message back: the session's expiry and the time it takes to drain what has piled up.
pub const SHORTEST_TTL: Duration = Duration::from_hours(24);
/// The longest, in whole years of 365 days: far above it a sum of times could not be represented.
pub const LONGEST_TTL: Duration = Duration::from_hours(24 * 365 * 100);

/// All settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where readings are stored: `READINGS_TABLE`. Without it they are only logged.
    pub table: Option<String>,
    /// How long they are kept, from when the bridge received them: `READINGS_TTL`, such as `30d`. Without it, for ever.
    pub ttl: Option<Duration>,
    /// Which topics belong to which device: `DEVICE_TOPICS`, such as `devices/{device_id}/data`. Without it,
    /// `devices/{device_id}/#`.
    pub device_topics: DeviceTopics,
    /// Which temperatures are in order: `TEMPERATURE_MIN` and `TEMPERATURE_MAX`, in °C. Without them, all.
    pub thresholds: Thresholds,
    /// The CloudWatch namespace of the metrics: `METRICS_NAMESPACE`.
    pub namespace: String,
}

/// A value that cannot be meant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// `READINGS_TTL` is no duration.
    #[error("READINGS_TTL: `{0}` is not a duration: write for example `30d`")]
    Duration(String),
    /// `READINGS_TTL` is shorter than [`SHORTEST_TTL`].
    #[error(
        "READINGS_TTL: `{0}` is shorter than a day: a record that a broker sends again later would be stored twice"
    )]
    Short(String),
    /// `READINGS_TTL` is longer than [`LONGEST_TTL`].
    #[error("READINGS_TTL: `{0}` is longer than a hundred years: leave it out to keep readings for ever")]
    Long(String),
    /// `DEVICE_TOPICS` holds a pattern that cannot be meant.
    #[error("DEVICE_TOPICS: {0}")]
    DeviceTopics(#[from] DeviceTopicsError),
    /// A threshold is no number.
    #[error("{0}: `{1}` is not a number: write degrees Celsius, for example `30.5`")]
    Number(&'static str, String),
    /// A threshold that no reading can pass, because such readings are refused.
    #[error(
        "{0}: {1} is outside {min}..={max} °C, where every reading is: leave it out to have no threshold",
        min = TEMPERATURE_RANGE.start(), max = TEMPERATURE_RANGE.end()
    )]
    Unreachable(&'static str, f64),
    /// The thresholds leave nothing between them.
    #[error("TEMPERATURE_MIN: {0} is not below TEMPERATURE_MAX, which is {1}")]
    Crossed(f64, f64),
    /// CloudWatch has no such namespace.
    #[error("METRICS_NAMESPACE: `{0}` is no namespace: up to 255 of the characters A-Z a-z 0-9 . - _ / # :")]
    Namespace(String),
}

impl Settings {
    /// Reads what `variable` gives for each name. A variable that is empty or blank counts as absent.
    ///
    /// # Errors
    /// The first value that cannot be meant.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let get = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        Ok(Self {
            table: get(READINGS_TABLE),
            ttl: get(READINGS_TTL).map(ttl).transpose()?,
            device_topics: get(DEVICE_TOPICS).map(|text| DeviceTopics::read(&text)).transpose()?.unwrap_or_default(),
            thresholds: thresholds(
                get(TEMPERATURE_MIN).map(|value| degrees(TEMPERATURE_MIN, value)).transpose()?,
                get(TEMPERATURE_MAX).map(|value| degrees(TEMPERATURE_MAX, value)).transpose()?,
            )?,
            namespace: get(METRICS_NAMESPACE).map_or_else(|| Ok("MqttLambdaBridge".to_owned()), namespace)?,
        })
    }
}

fn ttl(value: String) -> Result<Duration, SettingsError> {
    match humantime::parse_duration(&value) {
        Err(_) => Err(SettingsError::Duration(value)),
        Ok(ttl) if ttl < SHORTEST_TTL => Err(SettingsError::Short(value)),
        Ok(ttl) if ttl > LONGEST_TTL => Err(SettingsError::Long(value)),
        Ok(ttl) => Ok(ttl),
    }
}

fn degrees(name: &'static str, value: String) -> Result<f64, SettingsError> {
    match value.parse::<f64>() {
        Ok(degrees) if !degrees.is_finite() => Err(SettingsError::Number(name, value)),
        Ok(degrees) if !TEMPERATURE_RANGE.contains(&degrees) => Err(SettingsError::Unreachable(name, degrees)),
        Ok(degrees) => Ok(degrees),
        Err(_) => Err(SettingsError::Number(name, value)),
    }
}

fn thresholds(min: Option<f64>, max: Option<f64>) -> Result<Thresholds, SettingsError> {
    match (min, max) {
        (Some(min), Some(max)) if min >= max => Err(SettingsError::Crossed(min, max)),
        _ => Ok(Thresholds { min, max }),
    }
}

fn namespace(value: String) -> Result<String, SettingsError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
    if value.len() <= 255 && value.bytes().all(allowed) { Ok(value) } else { Err(SettingsError::Namespace(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_told_is_log_only_without_thresholds() {
        let settings = read(&[]).unwrap();
        let (namespace, device_topics) = ("MqttLambdaBridge".to_owned(), DeviceTopics::default());
        let thresholds = Thresholds::default();
        assert_eq!(settings, Settings { table: None, ttl: None, device_topics, thresholds, namespace });
    }

    #[test]
    fn everything_told_is_read() {
        let settings = read(&[
            ("READINGS_TABLE", "readings"),
            ("READINGS_TTL", "30d"),
            ("DEVICE_TOPICS", "plant/{device_id}"),
            ("TEMPERATURE_MIN", "-5"),
            ("TEMPERATURE_MAX", " 30.5 "),
            ("METRICS_NAMESPACE", "Plant/North"),
        ]);
        let expected = Settings {
            table: Some("readings".to_owned()),
            ttl: Some(Duration::from_hours(720)),
            device_topics: DeviceTopics::read("plant/{device_id}").unwrap(),
            thresholds: Thresholds { min: Some(-5.0), max: Some(30.5) },
            namespace: "Plant/North".to_owned(),
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn an_empty_variable_is_none() {
        let names = [READINGS_TABLE, READINGS_TTL, DEVICE_TOPICS, TEMPERATURE_MIN, TEMPERATURE_MAX, METRICS_NAMESPACE];
        let empty: Vec<_> = names.into_iter().zip(["", " ", "", "", "\t", ""]).collect();
        assert_eq!(read(&empty), read(&[]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_way_out() {
        for (name, value, reason) in [
            ("READINGS_TTL", "soon", "READINGS_TTL: `soon` is not a duration: write for example `30d`"),
            ("READINGS_TTL", "30", "READINGS_TTL: `30` is not a duration: write for example `30d`"),
            ("READINGS_TTL", "23h", "READINGS_TTL: `23h` is shorter than a day: "),
            ("READINGS_TTL", "101years", "READINGS_TTL: `101years` is longer than a hundred years: "),
            ("DEVICE_TOPICS", "devices/+/data", "DEVICE_TOPICS: `devices/+/data`: `{device_id}` must be "),
            ("TEMPERATURE_MIN", "cold", "TEMPERATURE_MIN: `cold` is not a number: "),
            ("TEMPERATURE_MAX", "NaN", "TEMPERATURE_MAX: `NaN` is not a number: "),
            ("TEMPERATURE_MAX", "inf", "TEMPERATURE_MAX: `inf` is not a number: "),
            ("TEMPERATURE_MAX", "200", "TEMPERATURE_MAX: 200 is outside -55..=125 °C, where every reading is: "),
            ("METRICS_NAMESPACE", "a b", "METRICS_NAMESPACE: `a b` is no namespace: "),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
        let crossed = read(&[("TEMPERATURE_MIN", "30"), ("TEMPERATURE_MAX", "30")]).unwrap_err();
        assert_eq!(crossed, "TEMPERATURE_MIN: 30 is not below TEMPERATURE_MAX, which is 30");
    }
}
