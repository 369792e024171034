//! Reports why the program cannot start or continue: `error: …` on standard error, or one line of JSON for each error
//! if the log is JSON, so that programs that read the log can read errors too. Never fails, and shows only what it is
//! given.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::time::SystemTime;

use serde_json::json;

use crate::config::LogFormat;
use crate::logging;

/// How a log would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    json: bool,
}

impl Failing {
    /// In the words of a command without a log.
    #[must_use]
    pub fn in_text() -> Self {
        Self { json: false }
    }

    /// As this format says.
    #[must_use]
    pub fn like(format: LogFormat) -> Self {
        Self { json: logging::is_json(format) }
    }

    /// For arguments that were not understood: the format that they or the environment name, and of which a file says
    /// nothing yet.
    #[must_use]
    pub fn for_usage(arguments: &[OsString], variable: Option<&str>) -> Self {
        let texts: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        if !matches!(texts.get(1), Some(&("run" | "redrive"))) {
            return Self::in_text();
        }
        let behind = texts.iter().position(|text| *text == "--log").and_then(|place| texts.get(place + 1)).copied();
        let flag = texts.iter().find_map(|text| text.strip_prefix("--log=")).or(behind);
        Self::like(LogFormat::named(flag.or(variable)))
    }

    /// Says it. The event names its kind, and does not change.
    pub fn say(self, event: &str, what: &impl Display) {
        // The pipe may have no reader.
        let _ = std::io::stderr().write_all(self.line(event, what, SystemTime::now()).as_bytes());
    }

    fn line(self, event: &str, what: &impl Display, now: SystemTime) -> String {
        if !self.json {
            return format!("error: {what}\n");
        }
        let (timestamp, message) = (humantime::format_rfc3339_micros(now).to_string(), what.to_string());
        let line = json!({
            "timestamp": timestamp, "level": "ERROR", "event": event, "message": message, "target": "mqtt_lambda_bridge",
        });
        format!("{line}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_text_or_json_with_the_same_words() {
        let line = |failing: Failing| failing.line("configuration.refused", &"b.toml:3: \"x\"", SystemTime::UNIX_EPOCH);
        assert_eq!(line(Failing::in_text()), "error: b.toml:3: \"x\"\n");
        let json: serde_json::Value = serde_json::from_str(&line(Failing::like(LogFormat::Json))).unwrap();
        let expected = json!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "ERROR", "event": "configuration.refused",
            "message": "b.toml:3: \"x\"", "target": "mqtt_lambda_bridge",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn the_flag_wins_over_the_variable_and_commands_without_a_log_speak_text() {
        for (arguments, variable, json) in [
            (&["b", "run", "--log", "json", "--x"][..], None, true),
            (&["b", "run", "--x", "--log=text"], Some("json"), false),
            (&["b", "run", "--x"], Some("json"), true),
            (&["b", "redrive", "--x"], Some("json"), true),
            (&["b", "check", "--x"], Some("json"), false),
            (&["b", "--x"], Some("json"), false),
        ] {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            assert_eq!(Failing::for_usage(&arguments, variable), Failing { json }, "{arguments:?}");
        }
    }
}
