//! Which temperatures are in range, and the command to a device whose reading is not. Pure: the same record always
//! gives the same command.

use std::fmt;

use event::{Encoding, Publish, Record};
use serde::Serialize;

use crate::reading::Reading;

/// The lowest and the highest temperature that are in order, in °C; both belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Thresholds {
    /// Below it a reading is too cold. `None`: no reading is.
    pub min: Option<f64>,
    /// Above it a reading is too warm. `None`: no reading is.
    pub max: Option<f64>,
}

/// A reading that is not in order, with the threshold it has passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Breach {
    /// Colder than the lowest.
    Below(f64),
    /// Warmer than the highest.
    Above(f64),
}

impl Thresholds {
    /// How a temperature is out of range.
    #[must_use]
    pub fn breach(&self, temperature: f64) -> Option<Breach> {
        let below = self.min.filter(|min| temperature < *min).map(Breach::Below);
        below.or_else(|| self.max.filter(|max| temperature > *max).map(Breach::Above))
    }
}

impl fmt::Display for Thresholds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (None, None) => f.write_str("none"),
            (Some(min), None) => write!(f, "at least {min} °C"),
            (None, Some(max)) => write!(f, "at most {max} °C"),
            (Some(min), Some(max)) => write!(f, "{min} to {max} °C"),
        }
    }
}

impl Breach {
    /// The word for it in an item and in a log line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Below(_) => "below",
            Self::Above(_) => "above",
        }
    }

    /// The command to the device on `devices/{device_id}/command`, with the quality of service of the mapping.
    ///
    /// `None` for a device whose id cannot be one level of a topic: published as it is, it would reach another topic,
    /// or be refused by the bridge together with the record.
    #[must_use]
    pub fn command(self, record: &Record, reading: &Reading) -> Option<Publish> {
        if !reading.device_id.chars().all(may_stand_in_a_level) {
            return None;
        }
        let (set, limit) = match self {
            Self::Below(min) => ("heat", min),
            Self::Above(max) => ("cool", max),
        };
        let command = Command { set, temperature: reading.temperature, limit, record: &record.id };
        // Finite numbers and strings always have a JSON form.
        let payload = serde_json::value::to_raw_value(&command).ok()?;
        let topic = format!("devices/{}/command", reading.device_id);
        Some(Publish { item_identifier: None, topic, payload, encoding: Encoding::Json, qos: None, retain: false })
    }
}

/// The payload of a command. Holds nothing of the time or the place it was made at.
#[derive(Serialize)]
struct Command<'a> {
    #[serde(rename = "command")]
    set: &'static str,
    temperature: f64,
    limit: f64,
    /// By which a device tells a repeated command from a new one.
    record: &'a str,
}

/// Not `/`, a wildcard, a brace of a topic template or a control character.
fn may_stand_in_a_level(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || (c.is_ascii_punctuation() && !"/+#{}".contains(c))
}

#[cfg(test)]
mod tests {
    use event::Event;

    use super::*;

    const BOTH: Thresholds = Thresholds { min: Some(5.0), max: Some(30.0) };

    fn sample() -> (Record, Reading) {
        let event: Event = serde_json::from_str(include_str!("../../event/fixtures/event.json")).unwrap();
        let record = event.records.into_iter().next().unwrap();
        let reading = Reading::of(&record).unwrap();
        (record, reading)
    }

    #[test]
    fn the_thresholds_themselves_are_in_order() {
        for (temperature, expected) in [
            (5.0, None),
            (30.0, None),
            (4.9, Some(Breach::Below(5.0))),
            (30.1, Some(Breach::Above(30.0))),
            (-55.0, Some(Breach::Below(5.0))),
        ] {
            assert_eq!(BOTH.breach(temperature), expected, "{temperature}");
        }
        assert_eq!(Thresholds::default().breach(125.0), None);
    }

    #[test]
    fn a_command_is_the_same_each_time() {
        let (mut record, reading) = sample();
        let first = Breach::Above(20.0).command(&record, &reading).unwrap();
        assert_eq!(first.topic, "devices/C-Client-01/command");
        let payload = r#"{"command":"cool","temperature":24.5,"limit":20.0,"record":"5b1f0c7e9a3d2468-1"}"#;
        assert_eq!(first.payload.get(), payload);
        (record.dup, record.received_at) = (true, "2026-11-20T13:00:00.000Z".to_owned());
        let again = Breach::Above(20.0).command(&record, &reading).unwrap();
        assert_eq!((again.topic, again.payload.get()), (first.topic, first.payload.get()));
        let heat = Breach::Below(25.0).command(&record, &reading).unwrap();
        assert!(heat.payload.get().starts_with(r#"{"command":"heat","#), "{}", heat.payload.get());
    }

    #[test]
    fn a_device_cannot_have_another_topic_commanded() {
        let (record, mut reading) = sample();
        for id in ["a/b", "+", "#", "a/../b", "{topic[1]}", "a\u{0}b", "a\u{fffe}b", "a\u{1ffff}"] {
            id.clone_into(&mut reading.device_id);
            assert!(Breach::Above(20.0).command(&record, &reading).is_none(), "{id:?}");
        }
        for id in ["ü-1", "hall 2", "a.b_c:d@e", "$a", "温度計"] {
            id.clone_into(&mut reading.device_id);
            let command = Breach::Above(20.0).command(&record, &reading).unwrap();
            assert_eq!(command.topic, format!("devices/{id}/command"));
        }
    }

    #[test]
    fn thresholds_are_told_in_words() {
        assert_eq!(BOTH.to_string(), "5 to 30 °C");
        assert_eq!(Thresholds { max: None, ..BOTH }.to_string(), "at least 5 °C");
        assert_eq!(Thresholds { min: None, ..BOTH }.to_string(), "at most 30 °C");
        assert_eq!(Thresholds::default().to_string(), "none");
    }
}
