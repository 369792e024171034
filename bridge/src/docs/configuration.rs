//! Checks that docs/configuration.md has every key that the sections define (`UPDATE_DOCS=1` writes it), and that the
//! bridge reads each configuration on a page. Opens none of the files that they name.

use std::fmt::Write;
use std::fs;

use toml::{Table, Value};

use super::{pages, root};
use crate::config::key::{Change, Fallback, Kind};
use crate::config::keys::{KEYS, Key};
use crate::config::read_text;
use crate::mapping::filter::Filters;

const BEGIN: &str = "<!-- UPDATE_DOCS=1 cargo test -p mqtt-lambda-bridge --lib docs::configuration -->\n";
const END: &str = "<!-- end -->\n";

/// Blocks of TOML that are for another program: the page, and what they begin with.
const OF_OTHERS: &[(&str, &str)] = &[("docs/brokers.md", "[v5.1.connections]")];

#[test]
fn the_reference_has_every_key() {
    let path = root().join("docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let made = reference();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, made, "docs/configuration.md is out of date; its comment has the command that writes it");
}

#[test]
fn configurations_on_pages_are_read() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let begins = |(path, start): &(&str, &str)| page.path == **path && block.text.starts_with(start);
            if !OF_OTHERS.iter().any(|(path, start)| begins(&(path, start))) {
                // A missing feature of this build is reported only if nothing else is wrong.
                let mistake = mistake(&block.text).filter(|text| !text.contains("this bridge is built without"));
                wrong.extend(mistake.map(|mistake| format!("{}: {mistake}", page.at(block.line))));
                read += 1;
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(read > 12, "{read}");
}

#[test]
fn fragments_are_completed_and_mistakes_are_found() {
    assert_eq!(mistake("batch = { max_records = 10 }"), None);
    assert_eq!(mistake("[mqtt]\nusername = \"a\""), None);
    assert_eq!(mistake("[[mapping]]\nname = \"a\"\nqos = 0"), None);
    assert!(mistake("batch = { max_record = 10 }").unwrap().contains("max_record"));
    assert!(mistake("[mqtt]\nuser = \"a\"").unwrap().contains("user"));
    assert!(mistake("[[mapping]]\nqos = 7").unwrap().contains("qos"));
    assert!(mistake("filter = [{ payload = { a = [{ numerik = 1 }] } }]").unwrap().contains("numerik"));
    assert!(mistake("qos = ").is_some());
}

/// What is wrong with a configuration, or with a part of one to which all that must be given is added.
fn mistake(text: &str) -> Option<String> {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return Some(error.to_string()),
    };
    let is_of_root = |name: &str| name == "mapping" || KEYS.iter().any(|key| key.path.split('.').next() == Some(name));
    let of_mapping = !table.is_empty() && !table.keys().any(|name| is_of_root(name));
    let mut whole = if of_mapping {
        Table::from_iter([("mapping".to_owned(), Value::Array(vec![Value::Table(table)]))])
    } else {
        table
    };
    let mqtt = whole.entry("mqtt").or_insert_with(|| Table::new().into());
    complete(mqtt, &[("url", "mqtts://b")]);
    let mappings = whole.entry("mapping").or_insert_with(|| Value::Array(vec![Table::new().into()]));
    for mapping in mappings.as_array_mut().into_iter().flatten() {
        complete(mapping, &[("name", "completed"), ("topic_filter", "completed"), ("function", "f")]);
    }
    match read_text(&whole.to_string()) {
        Err(error) => Some(error.to_string()),
        Ok(config) => {
            config.mappings.iter().find_map(|mapping| Filters::parse(&mapping.filter).err()).map(|e| e.to_string())
        }
    }
}

fn complete(table: &mut Value, with: &[(&str, &str)]) {
    for (name, value) in with {
        table.as_table_mut().unwrap().entry(*name).or_insert_with(|| (*value).into());
    }
}

/// A table for each section, in the order of the keys.
fn reference() -> String {
    let (mut text, mut last) = (String::new(), None);
    for key in KEYS.iter() {
        let (section, name) = section_of(key);
        if last.replace(section) != Some(section) {
            let _ = write!(text, "\n## {}\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title(section));
        }
        let _ = writeln!(text, "{}", row(key, name));
    }
    text + "\n"
}

/// The table of the file that it stands in, and its name there: tables within a mapping are written inline.
fn section_of(key: &Key) -> (&'static str, &'static str) {
    key.path.split_once('.').unwrap_or(("", key.path))
}

fn title(section: &str) -> String {
    match section {
        "" => "At the top of the file".to_owned(),
        "mapping" => "`[[mapping]]`".to_owned(),
        other => format!("`[{other}]`"),
    }
}

fn row(key: &Key, name: &str) -> String {
    let flag = key.flag.map(|flag| format!("<br>`--{flag}`")).unwrap_or_default();
    let default = match key.default {
        Fallback::Required(_) => "required".to_owned(),
        Fallback::Absent(_) => "–".to_owned(),
        Fallback::Is(text) => format!("`{text}`"),
    };
    let example = match key.default {
        Fallback::Required(text) | Fallback::Absent(text) => format!(" For example `{text}`."),
        Fallback::Is(_) => String::new(),
    };
    let live = if key.change() == Change::Nothing { " A change holds from the reload on." } else { "" };
    let meaning = format!("{}.{example}{live}", key.doc).replace('|', "\\|");
    format!("| `{name}`{flag} | {} | {default} | {meaning} |", value(key.kind))
}

fn value(kind: Kind) -> String {
    let what = match kind {
        Kind::Text => "text",
        Kind::File => "file",
        Kind::Choice(words) => return words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Switch => "`true`, `false`",
        Kind::Number(..) => "number",
        Kind::Size => "size",
        Kind::Period(..) | Kind::Seconds(..) => "duration",
        Kind::Range => "range of durations",
        Kind::List => "list of texts",
        Kind::Texts => "text, or list of texts",
        Kind::Json => "list of tables",
    };
    kind.bounds().map_or_else(|| what.to_owned(), |bounds| format!("{what}, {bounds}"))
}
