//! The promise: every line of the log has a name, its `event`, and docs/security.md has a row for each name and no row more.

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
fn no_line_is_without_a_name() {
    let mut unnamed_lines = Vec::new();
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |path, source| {
        unnamed_lines.extend(unnamed(source).into_iter().map(|line| format!("{path}: {line}")));
    });
    assert_eq!(unnamed_lines, Vec::<String>::new());
}

#[test]
fn a_line_without_a_name_is_found() {
    let good = "info!(event = \"a.b\", x);\nlet event = \"c\";\nwarn!(\n event,\n \"not (\\\"this\\\")\"\n)";
    assert_eq!(unnamed(good), Vec::<String>::new());
    let bad = "error!(mapping, \"the event = no\"); debug!(\n    events,\n    \"x\"\n);";
    assert_eq!(unnamed(bad), ["error!(mapping, \"the event = no\")", "debug!(\n    events,\n    \"x\"\n)"]);
    assert_eq!(unnamed("#[cfg(test)]\nmod tests {\n info!(x);\n}"), Vec::<String>::new());
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
    each_source(directory, &mut |_, source| found.extend(named_in(source)));
}

fn each_source(directory: &Path, look: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_source(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(path.to_str().unwrap(), &fs::read_to_string(&path).unwrap());
        }
    }
}

/// The log statements in the source that name no `event`, tests excluded.
fn unnamed(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let begins = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];
    let mut found = Vec::new();
    for begin in begins {
        for (at, _) in code.match_indices(begin) {
            let length = begin.len() + arguments(&code[at + begin.len()..]).len();
            let call = &code[at..=at + length];
            if !names_an_event(&without_texts(&call[begin.len()..])) {
                found.push(call.to_owned());
            }
        }
    }
    found.sort_by_key(|call| source.find(call.as_str()));
    found
}

/// The text up to the closing parenthesis.
fn arguments(rest: &str) -> &str {
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for (at, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text && depth == 0 => return &rest[..at],
            ')' if !in_text => depth -= 1,
            _ => {}
        }
    }
    panic!("a call without an end: {rest}")
}

fn without_texts(call: &str) -> String {
    call.replace("\\\"", "").split('"').step_by(2).collect()
}

/// Whether the statement has the field `event`, in full or in short form.
fn names_an_event(call: &str) -> bool {
    let mut fields = call.split([',', '(', ')']).map(str::trim);
    fields.any(|field| {
        field == "event" || field.strip_prefix("event").is_some_and(|rest| rest.trim_start().starts_with('='))
    })
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
