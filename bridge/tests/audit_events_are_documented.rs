//! The promise: every line that matters to an audit has a name, and docs/security.md has a row for each name and no row
//! more.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The section of docs/security.md that has the table.
const SECTION: &str = "## What is written down";

#[test]
fn the_table_has_every_event_and_no_other() {
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut in_source = BTreeSet::new();
    named_in_files_below(&bridge.join("src"), &mut in_source);
    assert!(in_source.len() > 10, "the sources are not where this test looks");
    let page = fs::read_to_string(bridge.parent().unwrap().join("docs/security.md")).unwrap();
    assert_eq!(in_table(&page), in_source);
}

#[test]
fn a_bad_sample_is_found() {
    let source = "info!(event = \"a.b\", x);\nerror!(\n    event=\"c.d_e\",\n)\nlet event = f(\"g\");";
    assert_eq!(named_in(source), ["a.b", "c.d_e"].map(str::to_owned));
    let page =
        format!("| `x` | no |\n{SECTION}\n\n| event | level |\n|---|---|\n| `a.b`, `c.d` | info |\n\n## Next\n| `y` |");
    assert_eq!(in_table(&page), ["a.b", "c.d"].map(str::to_owned).into());
}

fn named_in_files_below(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_in_files_below(&path, found);
        } else {
            found.extend(named_in(&fs::read_to_string(path).unwrap()));
        }
    }
}

/// What stands behind `event =`, in quotes.
fn named_in(source: &str) -> Vec<String> {
    let values = source.split("event").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('='));
    let names = values.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    names.map(str::to_owned).collect()
}

/// The names in the first column.
fn in_table(page: &str) -> BTreeSet<String> {
    let section = page.split(SECTION).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}
