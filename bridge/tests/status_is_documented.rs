//! The promise: docs/status.md names every field of the two documents that the status page reads, as their types have them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The files whose serialized structures make up the documents.
const SOURCES: [&str; 2] = ["src/admin/status.rs", "src/admin/history.rs"];

#[test]
fn the_page_names_every_field() {
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(bridge.join("../docs/status.md")).unwrap();
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    for source in SOURCES {
        let fields = fields(&fs::read_to_string(bridge.join(source)).unwrap());
        assert!(fields.len() >= 5, "the structures of {source} are not where this test looks");
        let missing: Vec<_> = fields.iter().filter(|field| !named.contains(field.as_str())).collect();
        assert_eq!(missing, Vec::<&String>::new(), "in docs/status.md, of {source}");
    }
}

#[test]
fn a_field_is_found_by_its_structure() {
    let source = "#[derive(Debug, Serialize)]\n#[expect(x)]\npub(super) struct A {\n    /// Of a.\n    a: u8,\n    pub(super) b_c: Vec<B>,\n}\n\
                  #[derive(Debug)]\nstruct B {\n    d: u8,\n}\n";
    assert_eq!(fields(source), ["a", "b_c"].map(str::to_owned).into());
}

/// The names of the fields of all structures that are serialized.
fn fields(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in source.split("#[derive(").skip(1).filter(|rest| rest.split(')').next().unwrap().contains("Serialize")) {
        let body = rest.split_once(" {\n").unwrap().1.split("\n}").next().unwrap();
        let names = body.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name);
        let names =
            names.filter(|name| !name.starts_with("//")).map(|name| name.rsplit(' ').next().unwrap().to_owned());
        found.extend(names);
    }
    found
}
