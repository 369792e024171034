//! `status`: prints the state of a running bridge, mapping by mapping, as text or JSON. Changes nothing.

use clap::Args;
use serde_json::Value;

use super::address::AdminFlags;
use super::ask::{Question, ask, said};
use super::orders::mapping_name;
use crate::foreign::one_line;

/// Thousands of mappings.
const LONGEST: u64 = 64 << 20;

/// The flags of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// Print the document /status.json, which has more than the text
    #[arg(long)]
    json: bool,
    /// Show only this mapping
    #[arg(value_name = "MAPPING", value_parser = mapping_name)]
    mapping: Option<String>,
}

impl StatusFlags {
    /// What the bridge says.
    ///
    /// # Errors
    /// When it cannot be asked, refuses, or has no such mapping.
    pub fn ask(&self) -> Result<String, String> {
        let address = self.admin.address()?;
        let question = Question { method: "GET", path: "/status.json", token: None, longest: LONGEST };
        let body = match ask(address, &question)? {
            (200, body) => body,
            (_, body) => return Err(said(&body).to_string()),
        };
        let mut status: Value = serde_json::from_str(&body)
            .map_err(|_| format!("{address}: no bridge of this version: its status is not understood"))?;
        if let Some(name) = &self.mapping {
            let all = status["mappings"].as_array().cloned().unwrap_or_default();
            let own: Vec<_> = all.into_iter().filter(|mapping| mapping["name"] == **name).collect();
            if own.is_empty() {
                return Err(format!("mapping `{name}`: not found; `mqtt-lambda-bridge status` lists them"));
            }
            status["mappings"] = own.into();
        }
        Ok(if self.json { format!("{status}\n") } else { in_words(&status) })
    }
}

fn in_words(status: &Value) -> String {
    let (state, version) = (text(&status["state"]), text(&status["version"]));
    let (broker, protocol) = (text(&status["broker"]), text(&status["protocol"]));
    let mut lines = vec![format!("{state}: version {version}, broker {broker}, MQTT {protocol}")];
    if let Some(reason) = status["publisher"]["reason"].as_str() {
        lines.push(format!("  publisher: {}", one_line(reason)));
    }
    for mapping in status["mappings"].as_array().into_iter().flatten() {
        lines.extend(about(mapping));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn about(mapping: &Value) -> Vec<String> {
    let (flow, held, invocations) = (&mapping["per_second"], &mapping["held"], &mapping["invocations"]);
    let because = mapping["reason"].as_str().map(|reason| format!(" ({})", one_line(reason))).unwrap_or_default();
    let mut lines = vec![
        format!("{}: {}{because}", text(&mapping["name"]), text(&mapping["state"])),
        format!("  {} -> {}", text(&mapping["topic_filter"]), text(&mapping["function"])),
        format!(
            "  in {}/s, out {}/s, failed invocations {}/s, {} dead-lettered",
            rate(&flow["received"]),
            rate(&flow["settled"]),
            rate(&flow["failed"]),
            mapping["totals"]["dead_lettered"]
        ),
        format!(
            "  window {} of {}, in flight {} of {}",
            held["messages"], held["capacity"], invocations["in_flight"], invocations["allowed"]
        ),
    ];
    let notes = mapping["notes"].as_array().into_iter().flatten();
    lines.extend(notes.map(|note| format!("  note: {}", text(note))));
    let troubles = mapping["troubles"].as_array().into_iter().flatten();
    lines.extend(troubles.filter(|trouble| trouble["is_over"] != true).map(|trouble| {
        let (about, words, since) = (text(&trouble["about"]), text(&trouble["text"]), text(&trouble["since"]));
        format!("  {about}: {words} ({} in all, since {since})", trouble["count"])
    }));
    lines
}

fn text(value: &Value) -> String {
    one_line(value.as_str().unwrap_or("unknown"))
}

fn rate(value: &Value) -> String {
    format!("{:.1}", value.as_f64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_has_each_mapping_and_what_is_wrong_with_it() {
        let status = serde_json::json!({
            "state": "not ready", "version": "1", "broker": "mqtts://b:8883", "protocol": "5", "publisher": null,
            "mappings": [{
                "name": "m", "state": "not ready", "reason": "connecting", "topic_filter": "a/+", "function": "f",
                "paused_since": "2026-01-01T00:00:00Z", "notes": ["paused since 2026", "the broker keeps no session"],
                "per_second": { "received": 1.25, "settled": 0.0, "failed": 3.0 }, "totals": { "dead_lettered": 4 },
                "held": { "messages": 5, "capacity": 6 }, "invocations": { "in_flight": 7, "allowed": 8 },
                "troubles": [
                    { "about": "lambda", "text": "timeout\u{1b}", "count": 9, "since": "s", "is_over": false },
                    { "about": "broker", "text": "past", "count": 9, "since": "s", "is_over": true },
                ],
            }],
        });
        let expected = "not ready: version 1, broker mqtts://b:8883, MQTT 5\nm: not ready (connecting)\n  a/+ -> f\n  \
                        in 1.2/s, out 0.0/s, failed invocations 3.0/s, 4 dead-lettered\n  window 5 of 6, in flight 7 of 8\n  \
                        note: paused since 2026\n  note: the broker keeps no session\n  lambda: timeout\\u{1b} (9 in all, since s)\n";
        assert_eq!(in_words(&status), expected);
    }
}
