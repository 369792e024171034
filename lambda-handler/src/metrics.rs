//! Metrics as lines of the log, which CloudWatch reads by itself: the embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Makes the line and does not write it. The one dimension is the function: a dimension for each device would be a
//! metric to be paid for each device.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::thresholds::Breach;

/// The name of the metric: readings stored although a threshold was passed.
pub const OUT_OF_RANGE: &str = "ReadingsOutOfRange";

/// How many readings of an event passed which threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutOfRange {
    below: u32,
    above: u32,
}

impl OutOfRange {
    /// Counts one reading.
    pub fn count(&mut self, breach: Breach) {
        match breach {
            Breach::Below(_) => self.below += 1,
            Breach::Above(_) => self.above += 1,
        }
    }

    /// The line for CloudWatch, without its end; `None` when there is nothing to count.
    #[must_use]
    pub fn line(self, namespace: &str, function: &str, mapping: &str, now: SystemTime) -> Option<String> {
        let all = self.below + self.above;
        if all == 0 {
            return None;
        }
        let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let line = json!({
            "_aws": {
                "Timestamp": u64::try_from(millis).unwrap_or(u64::MAX),
                "CloudWatchMetrics": [{
                    "Namespace": namespace,
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [{ "Name": OUT_OF_RANGE, "Unit": "Count" }],
                }],
            },
            "FunctionName": function,
            OUT_OF_RANGE: all,
            // For people who read the log; these members are no metrics.
            "mapping": mapping,
            "below": self.below,
            "above": self.above,
        });
        Some(line.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_line_is_what_cloudwatch_reads() {
        let mut counted = OutOfRange::default();
        [Breach::Above(1.0), Breach::Below(1.0), Breach::Above(1.0)].into_iter().for_each(|b| counted.count(b));
        let now = UNIX_EPOCH + Duration::from_millis(1_795_176_000_123);
        let line = counted.line("Plant", "sensor-handler", "north\nhall", now).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["_aws"]["Timestamp"], 1_795_176_000_123_u64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Plant");
        // Each dimension and each metric must be a member at the top.
        let dimension = directive["Dimensions"][0][0].as_str().unwrap();
        assert_eq!(line[dimension], "sensor-handler");
        let metric = directive["Metrics"][0]["Name"].as_str().unwrap();
        assert_eq!((metric, &line[metric]), ("ReadingsOutOfRange", &json!(3)));
        assert_eq!((&line["below"], &line["above"]), (&json!(1), &json!(2)));
    }

    #[test]
    fn nothing_to_count_is_no_line() {
        assert_eq!(OutOfRange::default().line("Plant", "f", "m", UNIX_EPOCH), None);
    }
}
