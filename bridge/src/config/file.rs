//! The TOML file: from text to a draft with the line of each key. Refuses unknown keys and values of the wrong type,
//! and checks nothing else.

mod value;

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::draft::{Draft, Setting, Settings};
use super::error::{Mistakes, Place, in_words, shown, unknown};
use super::key::MAPPING_PREFIX;
use super::keys::{self, KEYS};
use super::on_failure::ON_FAILURE;
use value::{article, text_of};

/// Reads the file at `path`, which `named_by` names. `None` when there is nothing in it to go on with.
pub(super) fn read(path: &Path, named_by: &str, mistakes: &mut Mistakes) -> Option<Draft> {
    if path.as_os_str().is_empty() {
        mistakes.add(Place::Named(named_by.to_owned()), "must not be empty");
        return None;
    }
    let text = std::fs::read_to_string(path);
    let named = || Place::Named(path.display().to_string());
    let text = text.map_err(|cause| mistakes.add(named(), &in_words(&cause))).ok()?;
    parse(path, &text, mistakes)
}

/// Reads `text`, the content of the file at `path`. `None` if it is not TOML, because the rest could mean anything.
pub(super) fn parse(path: &Path, text: &str, mistakes: &mut Mistakes) -> Option<Draft> {
    let mut file = File { name: path.display().to_string(), text, mistakes };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        errors.iter().for_each(|error| file.syntax(error));
        return None;
    }
    let mut draft = Draft { file: Some(path.to_owned()), ..Draft::default() };
    for (key, value) in document.get_ref() {
        if key.get_ref() == "mapping" {
            draft.mappings = file.mappings(key, value);
        } else {
            file.entry("", key, value, &mut draft.root);
        }
    }
    Some(draft)
}

struct File<'a> {
    name: String,
    text: &'a str,
    mistakes: &'a mut Mistakes,
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl File<'_> {
    fn mappings(&mut self, key: &Name<'_>, value: &Spanned<DeValue<'_>>) -> Vec<Settings> {
        let none = DeArray::new();
        let items = value.get_ref().as_array().unwrap_or(&none);
        if !value.get_ref().is_array() || items.iter().any(|item| !item.get_ref().is_table()) {
            self.mistakes.add(self.line_at(key.span().start, "mapping"), "not a list of mappings; write `[[mapping]]`");
        }
        let mut mappings = Vec::with_capacity(items.len());
        for item in items {
            let Some(table) = item.get_ref().as_table() else { continue };
            let header = self.line_at(item.span().start, "mapping");
            let mut settings = Settings { header: Some(header), ..Settings::default() };
            self.table(MAPPING_PREFIX, table, &mut settings);
            mappings.push(settings);
        }
        mappings
    }

    /// Takes over a table whose keys' paths begin with `prefix`, which is empty or ends in a dot.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in table {
            self.entry(prefix, key, value, settings);
        }
    }

    fn entry(&mut self, prefix: &str, name: &Name<'_>, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let path = format!("{prefix}{}", name.get_ref());
        let place = self.line_at(name.span().start, &path);
        if let Some(key) = keys::find(&path) {
            let text = text_of(key, value.get_ref()).map_err(|reason| self.mistakes.add(place.clone(), &reason)).ok();
            settings.given.insert(key.path, Setting { text, place });
        } else if path == ON_FAILURE {
            self.on_failure(place, value, settings);
        } else if !keys::is_section(&path) {
            self.mistakes.add(place, &unknown("key", name.get_ref(), siblings(prefix)));
        } else if let Some(table) = value.get_ref().as_table() {
            self.table(&format!("{path}."), table, settings);
        } else {
            self.mistakes.add(place, &format!("{}; write a table", article(value.get_ref())));
        }
    }

    /// Takes over one failure destination, or a list of them.
    fn on_failure(&mut self, place: Place, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let DeValue::Array(items) = value.get_ref() else {
            return self.destination(place, value.get_ref(), settings);
        };
        for item in items {
            let place = self.line_at(item.span().start, ON_FAILURE);
            self.destination(place, item.get_ref(), settings);
        }
    }

    fn destination(&mut self, place: Place, value: &DeValue<'_>, settings: &mut Settings) {
        let Some(table) = value.as_table() else {
            return self.mistakes.add(place, &format!("{}; write a table, or a list of tables", article(value)));
        };
        let mut one = Settings::default();
        self.table(&format!("{ON_FAILURE}."), table, &mut one);
        if table.len() != 1 {
            let reason = "each table must name exactly one destination; write for example \
                          `[{ topic = \"dead/letters\" }, { file = \"dead-letters.jsonl\" }]`";
            return self.mistakes.add(place, reason);
        }
        settings.on_failure.push(one);
    }

    fn line_at(&self, offset: usize, path: &str) -> Place {
        let line = 1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        Place::Line { file: self.name.clone(), line, key: shown(path) }
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        let (key, reason) = match self.text.get(span.clone()) {
            // The parser marks the key itself, which is no secret.
            Some(key) if error.message() == "duplicate key" => (key, "duplicate key".to_owned()),
            _ => ("", format!("not valid TOML: {}", error.message())),
        };
        self.mistakes.add(self.line_at(span.start, key), &reason);
    }
}

/// The names that may follow `prefix`.
fn siblings(prefix: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |key| key.path.strip_prefix(prefix)).map(|rest| rest.split('.').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Draft, super::super::ConfigError> {
        let mut mistakes = Mistakes::default();
        let draft = parse(Path::new("bridge.toml"), text, &mut mistakes);
        mistakes.or(draft)
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn each_setting_knows_its_line() {
        let draft = read(
            "log = \"json\"\r\n\r\n[mqtt]\r\ntls = { ca_file = \"ca.crt\" }\r\n[[mapping]]\r\nbatch.max_records = 0x10\r\n",
        )
        .unwrap();
        let place = |settings: &Settings, path: &str| settings.given[path].place.to_string();
        assert_eq!(place(&draft.root, "log"), "bridge.toml:1: log");
        assert_eq!(place(&draft.root, "mqtt.tls.ca_file"), "bridge.toml:4: mqtt.tls.ca_file");
        assert_eq!(place(&draft.mappings[0], "mapping.batch.max_records"), "bridge.toml:6: mapping.batch.max_records");
        assert_eq!(draft.mappings[0].given["mapping.batch.max_records"].text.as_deref(), Some("16"));
        assert_eq!(draft.mappings[0].header.as_ref().unwrap().to_string(), "bridge.toml:5: mapping");
    }

    #[test]
    fn unknown_and_duplicate_keys_are_named() {
        assert_eq!(
            refusal("\n[mqtt]\nclientid = \"x\"\n"),
            "bridge.toml:3: mqtt.clientid: unknown key; did you mean `client_id`?"
        );
        assert_eq!(refusal("log = \"json\"\nlog = \"text\"\n"), "bridge.toml:2: log: duplicate key");
        assert_eq!(refusal("[mqtt]\n[admin]\n[mqtt]\n"), "bridge.toml:3: mqtt: duplicate key");
        assert!(
            refusal("[mqtt]\ntls.verify = false\n").starts_with("bridge.toml:2: mqtt.tls.verify: there is no switch")
        );
        assert!(refusal("\"a\\nb\" = 1\n").starts_with("bridge.toml:1: a\\nb: unknown key"));
    }

    #[test]
    fn wrong_types_are_refused() {
        assert_eq!(
            refusal("[mqtt]\nprotocol = 5\n"),
            "bridge.toml:2: mqtt.protocol: is a number without quotes; write it in quotes"
        );
        assert!(
            refusal("[[mapping]]\nqos = \"1\"\n").ends_with("mapping.qos: is a string; write a number without quotes")
        );
        assert!(refusal("[[mapping]]\nqos = 1.0\n").contains("mapping.qos"));
        assert!(refusal("mqtt = true\n").ends_with("mqtt: is a boolean; write a table"));
        assert!(refusal("[mapping]\nqos = 1\n").ends_with("write `[[mapping]]`"));
        assert!(refusal("[[mapping]]\nqos = 99999999999999999999999999999999999999999\n").ends_with("too large"));
    }

    #[test]
    fn failure_destinations_are_a_table_or_a_list_of_tables() {
        let chain = |text: &str| -> Vec<(String, String)> {
            let draft = read(text).unwrap();
            let settings = draft.mappings[0].on_failure.iter().flat_map(|one| one.given.values());
            settings.map(|setting| (setting.place.to_string(), setting.text.clone().unwrap())).collect()
        };
        let pair = |place: &str, text: &str| (place.to_owned(), text.to_owned());
        assert_eq!(
            chain("[[mapping]]\non_failure.file = \"a\"\n"),
            [pair("bridge.toml:2: mapping.on_failure.file", "a")]
        );
        assert_eq!(chain("[[mapping]]\non_failure = []\n"), []);
        assert_eq!(
            chain("[[mapping]]\non_failure = [\n{ topic = \"a\" },\n{ file = \"b\" }, { topic = \"c\" }]\n"),
            [
                pair("bridge.toml:3: mapping.on_failure.topic", "a"),
                pair("bridge.toml:4: mapping.on_failure.file", "b"),
                pair("bridge.toml:4: mapping.on_failure.topic", "c"),
            ]
        );
        assert_eq!(
            chain("[[mapping]]\n[[mapping.on_failure]]\nsqs = \"a\"\n[[mapping.on_failure]]\nfile = \"b\"\n"),
            [pair("bridge.toml:3: mapping.on_failure.sqs", "a"), pair("bridge.toml:5: mapping.on_failure.file", "b")]
        );
    }

    #[test]
    fn each_table_names_one_failure_destination() {
        let exactly_one = "mapping.on_failure: each table must name exactly one destination; ";
        assert!(refusal("[[mapping]]\non_failure = {}\n").contains(exactly_one));
        assert!(refusal("[[mapping]]\non_failure = { file = \"a\", topic = \"b\" }\n").contains(exactly_one));
        let second = refusal("[[mapping]]\non_failure = [\n{ file = \"a\" },\n{}]\n");
        assert!(second.starts_with(&format!("bridge.toml:4: {exactly_one}")), "{second}");
        assert!(refusal("[[mapping]]\non_failure = { files = \"a\" }\n").ends_with("did you mean `file`?"));
        assert!(
            refusal("[[mapping]]\non_failure = \"a\"\n").ends_with("is a string; write a table, or a list of tables")
        );
        assert!(refusal("[[mapping]]\non_failure = [1]\n").contains("is a number without quotes; write a table"));
    }

    #[test]
    fn syntax_errors_show_no_source() {
        let error = refusal("log = \"json\"\nurl = mqtts://user:hunter2@broker\n");
        assert!(error.starts_with("bridge.toml:2: not valid TOML: ") && !error.contains("hunter2"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn every_error_of_syntax_is_told() {
        let error = read("log = \"json\"\nlog = \"text\"\n[mqtt]\nurl = x\n[mqtt]\n").unwrap_err();
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines[0], "bridge.toml:2: log: duplicate key");
        assert!(lines[1].starts_with("bridge.toml:4: not valid TOML: "), "{lines:?}");
        assert_eq!(lines[2..], ["bridge.toml:5: mqtt: duplicate key"]);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("[[mapping]]\nfilter = {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refusal(&deep).starts_with("bridge.toml:2: not valid TOML: "));
    }
}
