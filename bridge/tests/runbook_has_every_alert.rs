//! The promise: docs/runbook.md has a section for each alert of docker/metrics and no other, each alert names its section, and every
//! event that the page names is one of the log.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)).unwrap()
}

fn behind<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(mark)).collect()
}

#[test]
fn each_alert_has_its_section_and_each_section_its_alert() {
    let (alerts, page) = (read("docker/metrics/alerts.yml"), read("docs/runbook.md"));
    let names = behind(&alerts, "- alert: ");
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(behind(&page, "## "), names);
    let links: Vec<_> = names
        .iter()
        .map(|name| format!("\"{{{{ $externalLabels.bridge_runbook }}}}#{}\"", name.to_lowercase()))
        .collect();
    assert_eq!(behind(&alerts, "runbook_url: "), links);
    assert!(read("docker/metrics/prometheus.yml").contains("\n    bridge_runbook: https://"), "the base is set once");
}

#[test]
fn what_the_page_tells_to_look_for_is_there() {
    let (page, events) = (read("docs/runbook.md"), read("docs/security.md"));
    let quoted = page.split('`').skip(1).step_by(2);
    let is_event = |text: &&str| {
        text.split('.').count() == 2 && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
    };
    let keys = ["mqtt.session_expiry", "mapping.timeout", "admin.degraded_after", "admin.silent_after"];
    let named: Vec<_> = quoted.filter(is_event).filter(|text| !keys.contains(text)).collect();
    assert!(named.len() > 5, "{named:?}");
    for event in named {
        assert!(events.contains(&format!("`{event}`")), "{event}");
    }
}
