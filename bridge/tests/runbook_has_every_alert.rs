//! The promise: docs/runbook.md has a section for each alert of docker/metrics and no other, each alert names its
//! section, every alarm on AWS has a row, and every event that the page names is one of the log.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ON_AWS: &str = "Alarms on AWS";

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
    let sections = behind(&page, "## ");
    assert_eq!(sections, [&["Where to look"], &names[..], &[ON_AWS]].concat());
    let links: Vec<_> = names
        .iter()
        .map(|name| format!("\"{{{{ $externalLabels.bridge_runbook }}}}#{}\"", name.to_lowercase()))
        .collect();
    assert_eq!(behind(&alerts, "runbook_url: "), links);
    assert!(read("docker/metrics/prometheus.yml").contains("\n    bridge_runbook: https://"), "the base is set once");
}

/// The names in the first column of the table below this heading.
fn rows(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)).unwrap();
    let first = behind(section, "| `").into_iter().map(|row| row.split('|').next().unwrap());
    first
        .flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned))
        .filter(|name| !name.trim().is_empty())
        .collect()
}

#[test]
fn each_alarm_on_aws_is_in_its_table() {
    let (rings, answers) = (rows(&read("docs/deploy.md"), "The alarms\n"), rows(&read("docs/runbook.md"), ON_AWS));
    assert!(rings.len() > 20, "{rings:?}");
    assert_eq!(answers, rings);
}

#[test]
fn what_the_page_tells_to_look_for_is_there() {
    let (page, events) = (read("docs/runbook.md"), read("docs/security.md"));
    let quoted = page.split('`').skip(1).step_by(2);
    let is_event = |text: &&str| {
        text.split('.').count() == 2 && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
    };
    let keys = [
        "mqtt.session_expiry",
        "mapping.timeout",
        "admin.degraded_after",
        "admin.silent_after",
        "admin.allowed_hosts",
        "admin.listen",
        // Of Terraform.
        "broker.size",
    ];
    let named: Vec<_> = quoted.filter(is_event).filter(|text| !keys.contains(text)).collect();
    assert!(named.len() > 5, "{named:?}");
    for event in named {
        assert!(events.contains(&format!("`{event}`")), "{event}");
    }
}
