//! The promise: docs/metrics.md has every number that `/metrics` serves, as it is served. `UPDATE_DOCS=1` writes it there.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bridge::metrics::{Exposition, Metrics};

const BEGIN: &str = "<!-- UPDATE_DOCS=1 cargo test -p mqtt-lambda-bridge --test metrics_are_documented -->\n";
const END: &str = "<!-- end -->\n";

/// A metric as a reader of the text format sees it.
#[derive(Debug, Default, PartialEq)]
struct Number {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

#[test]
fn the_page_has_every_number_and_no_other() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let made = table(&numbers(&everything()));
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(page, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        shown, made,
        "docs/metrics.md is out of date: UPDATE_DOCS=1 cargo test -p mqtt-lambda-bridge --test metrics_are_documented"
    );
}

#[test]
fn every_number_says_what_it_is_and_its_unit_in_its_name() {
    let numbers = numbers(&everything());
    assert!(numbers.len() > 40, "{numbers:?}");
    for (name, number) in &numbers {
        assert!(number.help.ends_with('.') && !number.help.ends_with(".."), "{name}: {}", number.help);
        assert!(!number.kind.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), number.kind == "counter", "{name}");
    }
}

#[test]
fn what_is_served_is_what_the_table_is_made_of() {
    let text = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{m=\"1\",x=\"y\"} 1\n# HELP b Of b.\n# TYPE b histogram\n\
                b_sum{m=\"1\"} 0\nb_bucket{le=\"1\",m=\"1\"} 0\n";
    let expected = "| name | type | labels | meaning |\n|---|---|---|---|\n| `a_total` | counter | `m`, `x` | Of a |\n\
                    | `b` | histogram | `m` | Of b |\n";
    assert_eq!(table(&numbers(text)), expected);
}

/// All that a bridge can serve, in Prometheus' text format.
fn everything() -> String {
    let metrics = Metrics::new();
    metrics.mapping("m").writes_to("file").failed.inc();
    let _counts = metrics.mapping("m").received_by_filter.of(&["a".into(), "b".into()]);
    metrics.broker().dropped(0);
    let _counts = metrics.traces().counts();
    let tls = metrics.tls();
    tls.connected("v".into(), "s".into(), "g".into());
    tls.expires("certificate", SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    tls.renewed(true);
    metrics.render_as(Exposition::Prometheus)
}

fn numbers(text: &str) -> BTreeMap<String, Number> {
    let mut numbers: BTreeMap<String, Number> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.clone_into(&mut numbers.entry(name.to_owned()).or_default().help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut numbers.entry(name.to_owned()).or_default().kind);
            name.clone_into(&mut last);
        } else if let Some(inside) = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')) {
            assert!(line.starts_with(&last), "{line} stands behind {last}");
            // No value here has a comma or a sign of equality in it.
            let labels =
                inside.0.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label.to_owned());
            let number = numbers.get_mut(&last).unwrap();
            number.labels.extend(labels.filter(|label| label != "le"));
        }
    }
    numbers
}

fn table(numbers: &BTreeMap<String, Number>) -> String {
    let row = |(name, number): (&String, &Number)| {
        let labels: Vec<_> = number.labels.iter().map(|label| format!("`{label}`")).collect();
        let help = number.help.trim_end_matches('.');
        format!("| `{name}` | {} | {} | {help} |\n", number.kind, labels.join(", "))
    };
    let head = "| name | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    head + &numbers.iter().map(row).collect::<String>()
}
