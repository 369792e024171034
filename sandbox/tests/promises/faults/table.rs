//! docs/guarantees.md names a test for each row of the fault matrix, and for each promise, and docs/deploy.md one for each alarm. They
//! are all there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names in backquotes that are a file and a test function: `file::function`.
fn tests(cell: &str) -> Vec<(String, String)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.split_once("::")).map(|(file, test)| (file.to_owned(), test.to_owned())).collect()
}

/// Whether the test stands in the file, which is looked for among the tests of all crates, and beside their sources.
fn is_there(file: &str, test: &str) -> bool {
    let paths = [
        format!("sandbox/tests/promises/{file}.rs"),
        format!("sandbox/tests/{file}.rs"),
        format!("bridge/tests/{file}.rs"),
        format!("bridge/src/{file}.rs"),
        format!("sandbox/src/{file}.rs"),
    ];
    let function = format!("fn {test}(");
    paths.iter().filter_map(|path| fs::read_to_string(root().join(path)).ok()).any(|text| {
        let at = text.find(&function).map(|at| text[..at].trim_end());
        // The attribute stands on the line before, perhaps with `async` between.
        at.is_some_and(|before| before.trim_end_matches("async").trim_end().ends_with(']'))
    })
}

#[test]
fn every_row_and_every_promise_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let mut missing = Vec::new();
    let mut named = 0;
    for (file, test) in tests(&page) {
        named += 1;
        if !is_there(&file, &test) {
            missing.push(format!("`{file}::{test}`"));
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "named in docs/guarantees.md and not in the sources");
    assert!(named > 40, "the page names {named} tests only");
    for row in (1..=49).map(|number| format!("F{number}")) {
        let start = format!("| {row} |");
        let line = page.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("docs/guarantees.md has no row {row}"));
        assert!(!tests(line).is_empty(), "{row} names no test: {line}");
    }
}

#[test]
fn every_alarm_of_the_bridge_has_its_row_and_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/deploy.md")).unwrap();
    // .ci/terraform-emulator holds the rows against all alarms that are applied, and the bands are only planned.
    for alarm in crate::alarms::names() {
        let start = format!("| `bridge-{alarm}` |");
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("docs/deploy.md has no row `bridge-{alarm}`"));
        assert!(!tests(row).is_empty(), "{alarm}: names no test: {row}");
        let missing: Vec<_> = tests(row).into_iter().filter(|(file, test)| !is_there(file, test)).collect();
        assert_eq!(missing, Vec::new(), "{alarm}: in docs/deploy.md and not in the sources");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    assert!(is_there("survives_kill", "f1_kill_9_many_times_under_load"));
    assert!(is_there("faults/table", "what_is_not_there_is_not_found"));
    assert!(!is_there("survives_kill", "f1_kill_9"));
    assert!(!is_there("nowhere", "f1_kill_9_many_times_under_load"));
    assert!(!is_there("faults/scene", "check_acks"), "no test");
    assert_eq!(tests("`a::b`, c::d, `e`, `f/g::h`"), [("a".into(), "b".into()), ("f/g".into(), "h".into())]);
}
