//! What a sensor reading is: the rules for each field, and the words in which a bad one is refused.
//!
//! Pure: reads a payload, stores and logs nothing. A refusal names the field and the rule and never quotes a string
//! that a device sent, because it ends up in logs and dead letters.

mod timestamp;

use std::borrow::Cow;
use std::ops::RangeInclusive;

use event::{Payload, PayloadError, Record};
use serde::Deserialize;
use serde_json::value::RawValue;

pub use timestamp::{Timestamp, TimestampError};

/// What a digital sensor of the common kind can measure, in °C (the DS18B20 data sheet's "−55 °C to +125 °C"). A value
/// outside is a fault of the sensor or its wiring.
pub const TEMPERATURE_RANGE: RangeInclusive<f64> = -55.0..=125.0;
/// The longest `device_id`, in characters.
pub const MAX_DEVICE_ID: usize = 128;
/// The longest `status`, in characters.
pub const MAX_STATUS: usize = 64;
/// The longest `message_id`, in characters.
pub const MAX_MESSAGE_ID: usize = 256;

/// A reading that obeys every rule of this module.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which device measured: not blank, at most [`MAX_DEVICE_ID`] characters, no control characters.
    pub device_id: String,
    /// The measured temperature in °C, inside [`TEMPERATURE_RANGE`].
    pub temperature: f64,
    /// The status that it reports: not blank, at most [`MAX_STATUS`] characters, no control characters.
    pub status: String,
    /// When it measured, if its clock was sent along.
    pub timestamp: Option<Timestamp>,
    /// The publisher's own identity of the message: at most [`MAX_MESSAGE_ID`] characters, no control characters.
    pub message_id: Option<String>,
}

impl Reading {
    /// Reads a record's payload. Whose topic it came by is not its question. Fields it does not know are ignored; an
    /// optional field that is `null` counts as absent.
    ///
    /// # Errors
    /// The first rule that the payload breaks.
    pub fn of(record: &Record) -> Result<Self, ReadingError> {
        match record.payload()? {
            Payload::Json(raw) => Self::from_json(raw),
            Payload::Text(_) => Err(ReadingError::NotJson("text")),
            Payload::Bytes(_) => Err(ReadingError::NotJson("bytes that are not UTF-8")),
        }
    }

    fn from_json(raw: &RawValue) -> Result<Self, ReadingError> {
        if !raw.get().trim_start().starts_with('{') {
            return Err(ReadingError::NotAnObject);
        }
        let fields: Fields<'_> = serde_json::from_str(raw.get()).map_err(ReadingError::Unreadable)?;
        Ok(Self {
            device_id: string("device_id", required("device_id", fields.device_id)?, MAX_DEVICE_ID)?,
            temperature: temperature(required("temperature", fields.temperature)?)?,
            status: string("status", required("status", fields.status)?, MAX_STATUS)?,
            timestamp: fields.timestamp.map(Timestamp::read).transpose()?,
            message_id: fields.message_id.map(|raw| string("message_id", raw, MAX_MESSAGE_ID)).transpose()?,
        })
    }
}

/// Why a record is no reading. Every variant is the device's fault, so another attempt cannot help.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The payload is no JSON at all.
    #[error("payload: {0}, not JSON")]
    NotJson(&'static str),
    /// The payload is JSON, but a list, a string, a number or a constant.
    #[error("payload: not a JSON object")]
    NotAnObject,
    /// The object names a field twice, or is broken in itself.
    #[error("payload: {0}")]
    Unreadable(#[source] serde_json::Error),
    /// The payload contradicts the record's `encoding`.
    #[error(transparent)]
    Encoding(#[from] PayloadError),
    /// A field that every reading has is not there, or is `null`.
    #[error("{0}: missing")]
    Missing(&'static str),
    /// A field is of another JSON type.
    #[error("{0}: not a {1}")]
    Type(&'static str, &'static str),
    /// A string holds nothing but white space.
    #[error("{0}: blank")]
    Blank(&'static str),
    /// A string is too long: the field, its length and the limit, in characters.
    #[error("{0}: {1} characters are more than {2}")]
    Long(&'static str, usize, usize),
    /// A string holds a line feed, an escape or another control character.
    #[error("{0}: holds a control character")]
    Control(&'static str),
    /// The topic belongs to another device.
    #[error("device_id: the topic belongs to another device")]
    Foreign,
    /// The temperature is outside [`TEMPERATURE_RANGE`].
    #[error("temperature: {0} is outside {min}..={max} °C", min = TEMPERATURE_RANGE.start(), max = TEMPERATURE_RANGE.end())]
    Temperature(f64),
    /// The timestamp cannot be a time of measurement.
    #[error("timestamp: {0}")]
    Timestamp(#[from] TimestampError),
}

/// The fields as they were spelled, so that each can be judged under its own name.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    device_id: Option<&'a RawValue>,
    temperature: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    message_id: Option<&'a RawValue>,
}

fn required<'a>(field: &'static str, raw: Option<&'a RawValue>) -> Result<&'a RawValue, ReadingError> {
    raw.ok_or(ReadingError::Missing(field))
}

fn string(field: &'static str, raw: &RawValue, max: usize) -> Result<String, ReadingError> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let Ok(Text(text)) = serde_json::from_str(raw.get()) else {
        return Err(ReadingError::Type(field, "string"));
    };
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err(ReadingError::Blank(field))
    } else if length > max {
        Err(ReadingError::Long(field, length, max))
    } else if text.chars().any(char::is_control) {
        Err(ReadingError::Control(field))
    } else {
        Ok(text.into_owned())
    }
}

fn temperature(raw: &RawValue) -> Result<f64, ReadingError> {
    // A number too great for a double, such as 1e999, is refused here as well: serde_json never yields an infinity.
    let degrees: f64 =
        serde_json::from_str(raw.get()).map_err(|_| ReadingError::Type("temperature", "finite number"))?;
    if TEMPERATURE_RANGE.contains(&degrees) { Ok(degrees) } else { Err(ReadingError::Temperature(degrees)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Reading, String> {
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        Reading::from_json(&raw).map_err(|error| error.to_string())
    }

    /// A good reading with one field's JSON replaced.
    fn with(field: &str, value: &str) -> Result<Reading, String> {
        let mut fields = vec![("device_id", "\"C-Client-01\""), ("temperature", "24.5"), ("status", "\"OK\"")];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        read(&format!("{{{}}}", fields.join(",")))
    }

    #[test]
    fn reading_from_the_field_is_good() {
        let reading = read(r#"{"device_id":"C-Client-01","temperature":24.5,"status":"OK"}"#).unwrap();
        let (device_id, status) = ("C-Client-01".to_owned(), "OK".to_owned());
        assert_eq!(reading, Reading { device_id, temperature: 24.5, status, timestamp: None, message_id: None });
    }

    #[test]
    fn optional_fields_are_read_and_unknown_ones_ignored() {
        let text = r#" {"device_id":"\u00fc-1","temperature":-3,"status":"OK","timestamp":"2026-11-20T12:00:00Z",
            "message_id":"m-1","humidity":1e999,"nested":{"temperature":999}}"#;
        let reading = read(text).unwrap();
        assert_eq!((reading.device_id.as_str(), reading.message_id.as_deref()), ("ü-1", Some("m-1")));
        assert_eq!(reading.timestamp.unwrap().to_string(), "2026-11-20T12:00:00.000Z");
        let absent = with("message_id", "null").unwrap();
        assert_eq!(absent.message_id, None);
    }

    #[test]
    fn limits_belong_to_the_good() {
        for degrees in ["-55", "125", "1.25e2", "-0.0"] {
            with("temperature", degrees).unwrap();
        }
        with("device_id", &format!("\"{}\"", "ü".repeat(MAX_DEVICE_ID))).unwrap();
        with("status", &format!("\"{}\"", "x".repeat(MAX_STATUS))).unwrap();
        with("message_id", &format!("\"{}\"", "x".repeat(MAX_MESSAGE_ID))).unwrap();
    }

    #[test]
    fn bad_temperatures_are_refused() {
        for (value, reason) in [
            ("999", "temperature: 999 is outside -55..=125 °C"),
            ("-55.1", "temperature: -55.1 is outside -55..=125 °C"),
            ("1e999", "temperature: not a finite number"),
            ("\"24.5\"", "temperature: not a finite number"),
            ("true", "temperature: not a finite number"),
            ("[24.5]", "temperature: not a finite number"),
            ("null", "temperature: missing"),
        ] {
            assert_eq!(with("temperature", value).unwrap_err(), reason, "{value}");
        }
    }

    #[test]
    fn bad_strings_are_refused() {
        let long = |n| format!("\"{}\"", "x".repeat(n));
        for (field, value, reason) in [
            ("device_id", "\"\"".to_owned(), "device_id: blank"),
            ("device_id", "\" \\t\"".to_owned(), "device_id: blank"),
            ("device_id", "7".to_owned(), "device_id: not a string"),
            ("device_id", "\"\\ud800\"".to_owned(), "device_id: not a string"),
            ("device_id", long(129), "device_id: 129 characters are more than 128"),
            ("device_id", r#""a\nlevel=ERROR""#.to_owned(), "device_id: holds a control character"),
            ("device_id", r#""\u001b[2J""#.to_owned(), "device_id: holds a control character"),
            ("device_id", r#""\u009b2J""#.to_owned(), "device_id: holds a control character"),
            ("device_id", "null".to_owned(), "device_id: missing"),
            ("status", "\"\"".to_owned(), "status: blank"),
            ("status", long(65), "status: 65 characters are more than 64"),
            ("status", r#""OK\r""#.to_owned(), "status: holds a control character"),
            ("status", "null".to_owned(), "status: missing"),
            ("message_id", "\"\"".to_owned(), "message_id: blank"),
            ("message_id", "{}".to_owned(), "message_id: not a string"),
            ("message_id", long(257), "message_id: 257 characters are more than 256"),
        ] {
            assert_eq!(with(field, &value).unwrap_err(), reason, "{field} = {value}");
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(read("{}").unwrap_err(), "device_id: missing");
        assert_eq!(read(r#"{"device_id":"a"}"#).unwrap_err(), "temperature: missing");
        assert_eq!(read(r#"{"device_id":"a","temperature":1}"#).unwrap_err(), "status: missing");
    }

    #[test]
    fn other_json_than_an_object_is_refused() {
        for text in ["null", "24.5", "\"secret\"", r#"["C-Client-01",24.5,"OK",null,null]"#] {
            assert_eq!(read(text).unwrap_err(), "payload: not a JSON object", "{text}");
        }
    }

    #[test]
    fn a_field_named_twice_is_refused() {
        let error = read(r#"{"device_id":"a","temperature":1,"temperature":2,"status":"OK"}"#).unwrap_err();
        assert!(error.starts_with("payload: duplicate field `temperature`"), "{error}");
    }

    #[test]
    fn a_refusal_never_quotes_a_string_of_the_device() {
        for field in ["device_id", "temperature", "status", "timestamp", "message_id"] {
            for value in [r#""\u0007secret""#, r#"{"secret":"secret"}"#, r#"["secret"]"#] {
                let error = with(field, value).unwrap_err();
                assert!(!error.contains("secret"), "{field} = {value}: {error}");
            }
        }
    }
}
