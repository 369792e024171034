//! What a device measures, as the JSON it publishes. No I/O; the clock is an argument.

use std::fmt::Write;
use std::time::SystemTime;

use bytes::Bytes;

/// Degrees that a temperature moves at most from one reading to the next.
const STEP: f64 = 0.4;

/// A thermometer whose temperature wanders between 15 and 30 °C.
#[derive(Debug)]
pub(super) struct Thermometer {
    device_id: String,
    celsius: f64,
    padding: usize,
}

impl Thermometer {
    /// `place` from 0 to 1 says where it begins, from the coldest to the warmest.
    pub(super) fn new(device_id: String, place: f64, padding: usize) -> Self {
        Self { device_id, celsius: 18.0 + 8.0 * place, padding }
    }

    pub(super) fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The next reading; a `bad` one has a word where the number should be.
    pub(super) fn read(&mut self, message_id: &str, bad: bool, now: SystemTime) -> Bytes {
        self.celsius = (self.celsius + STEP * (2.0 * fastrand::f64() - 1.0)).clamp(15.0, 30.0);
        let temperature = if bad { "\"broken\"".to_owned() } else { format!("{:.1}", self.celsius) };
        let mut text = String::with_capacity(192 + self.padding);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{{"device_id":"{}","temperature":{temperature},"status":"OK","timestamp":"{}","message_id":"{message_id}""#,
            self.device_id,
            humantime::format_rfc3339_millis(now),
        );
        if self.padding > 0 {
            let _ = write!(text, r#","padding":"{}""#, "x".repeat(self.padding));
        }
        text.push('}');
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(padding: usize, bad: bool) -> Value {
        let mut thermometer = Thermometer::new("sensor-01".to_owned(), 0.5, padding);
        serde_json::from_slice(&thermometer.read("r-7", bad, SystemTime::UNIX_EPOCH)).unwrap()
    }

    #[test]
    fn a_reading_has_all_that_the_function_asks_for() {
        let reading = read(0, false);
        assert_eq!(reading["device_id"], "sensor-01");
        assert_eq!(reading["status"], "OK");
        assert_eq!(reading["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(reading["message_id"], "r-7");
        assert!((15.0..=30.0).contains(&reading["temperature"].as_f64().unwrap()), "{reading}");
        assert_eq!(reading.as_object().unwrap().len(), 5);
    }

    #[test]
    fn a_bad_reading_is_json_without_a_temperature() {
        assert_eq!(read(0, true)["temperature"], "broken");
    }

    #[test]
    fn padding_adds_as_many_bytes_as_asked() {
        assert_eq!(read(1000, false)["padding"].as_str().unwrap().len(), 1000);
    }
}
