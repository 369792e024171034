//! The TOML file: from text to a draft with the line of each key. Refuses unknown keys and values of the wrong type, and
//! judges nothing else.

mod value;

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::ConfigError;
use super::draft::{Draft, Place, Section, Setting};
use super::error::{shown, unknown};
use super::keys::{self, KEYS};
use value::{article, text_of};

/// Reads the file at `path`, which `named_by` names.
pub(super) fn read(path: &Path, named_by: &str) -> Result<Draft, ConfigError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::setting(named_by, "must not be empty"));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::unreadable(path, cause))?;
    parse(path, &text)
}

/// Reads `text`, which stands in the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Draft, ConfigError> {
    let file = File { name: path.display().to_string(), text };
    let document = DeTable::parse(text).map_err(|error| file.syntax(&error))?;
    let mut draft = Draft { file: Some(path.to_owned()), ..Draft::default() };
    for (key, value) in document.get_ref() {
        if key.get_ref() == "mapping" {
            draft.mappings = file.mappings(key, value)?;
        } else {
            file.entry("", key, value, &mut draft.root)?;
        }
    }
    Ok(draft)
}

struct File<'a> {
    name: String,
    text: &'a str,
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl File<'_> {
    fn mappings(&self, key: &Name<'_>, value: &Spanned<DeValue<'_>>) -> Result<Vec<Section>, ConfigError> {
        let wrong = || ConfigError::setting(&self.place(key, "mapping"), "not a list of mappings; write `[[mapping]]`");
        let items: &DeArray<'_> = value.get_ref().as_array().ok_or_else(wrong)?;
        let mut sections = Vec::with_capacity(items.len());
        for item in items {
            let table = item.get_ref().as_table().ok_or_else(wrong)?;
            let header = self.line_at(item.span().start, "mapping");
            let mut section = Section { header: Some(header), ..Section::default() };
            self.table(keys::MAPPING_PREFIX, table, &mut section)?;
            sections.push(section);
        }
        Ok(sections)
    }

    /// Takes over a table whose keys' paths begin with `prefix`, which is empty or ends in a dot.
    fn table(&self, prefix: &str, table: &DeTable<'_>, section: &mut Section) -> Result<(), ConfigError> {
        for (key, value) in table {
            self.entry(prefix, key, value, section)?;
        }
        Ok(())
    }

    fn entry(
        &self,
        prefix: &str,
        name: &Name<'_>,
        value: &Spanned<DeValue<'_>>,
        section: &mut Section,
    ) -> Result<(), ConfigError> {
        let path = format!("{prefix}{}", name.get_ref());
        let place = self.place(name, &path);
        if let Some(key) = keys::find(&path) {
            let text = text_of(key, value.get_ref()).map_err(|reason| ConfigError::setting(&place, &reason))?;
            section.settings.insert(key.path, Setting { text, place });
            return Ok(());
        }
        if path == keys::ON_FAILURE {
            return self.on_failure(&place, value, section);
        }
        if !keys::is_section(&path) {
            return Err(ConfigError::setting(&place, &unknown("key", name.get_ref(), siblings(prefix))));
        }
        let Some(table) = value.get_ref().as_table() else {
            return Err(ConfigError::setting(&place, &format!("{}; write a table", article(value.get_ref()))));
        };
        self.table(&format!("{path}."), table, section)
    }

    /// Takes over one failure destination, or a list of them.
    fn on_failure(
        &self,
        place: &Place,
        value: &Spanned<DeValue<'_>>,
        section: &mut Section,
    ) -> Result<(), ConfigError> {
        let DeValue::Array(items) = value.get_ref() else {
            return self.destination(place, value.get_ref(), section);
        };
        for item in items {
            let place = self.line_at(item.span().start, keys::ON_FAILURE);
            self.destination(&place, item.get_ref(), section)?;
        }
        Ok(())
    }

    fn destination(&self, place: &Place, value: &DeValue<'_>, section: &mut Section) -> Result<(), ConfigError> {
        let Some(table) = value.as_table() else {
            let reason = format!("{}; write a table, or a list of tables", article(value));
            return Err(ConfigError::setting(place, &reason));
        };
        // Through a section of its own, since a list may hold two destinations of one kind.
        let mut one = Section::default();
        self.table(&format!("{}.", keys::ON_FAILURE), table, &mut one)?;
        if table.len() != 1 {
            let reason = "each table must name exactly one destination; write for example \
                          `[{ topic = \"dead/letters\" }, { file = \"dead-letters.jsonl\" }]`";
            return Err(ConfigError::setting(place, reason));
        }
        let destination = keys::on_failure().find_map(|key| Some((key, one.settings.remove(key.path)?)));
        section.on_failure.extend(destination);
        Ok(())
    }

    fn place(&self, name: &Name<'_>, path: &str) -> Place {
        self.line_at(name.span().start, path)
    }

    fn line_at(&self, offset: usize, path: &str) -> Place {
        Place::Line { file: self.name.clone(), line: self.line(offset), key: shown(path) }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_default();
        let reason = match self.text.get(span.clone()) {
            // The parser marks the key itself, which is no secret.
            Some(key) if error.message() == "duplicate key" => format!("{}: duplicate key", shown(key)),
            _ => format!("not valid TOML: {}", error.message()),
        };
        ConfigError::Syntax { file: self.name.clone(), line: self.line(span.start), reason }
    }
}

/// The names that could stand behind `prefix`.
fn siblings(prefix: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |key| key.path.strip_prefix(prefix)).map(|rest| rest.split('.').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(Path::new("bridge.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn each_setting_knows_its_line() {
        let draft = parse(
            Path::new("bridge.toml"),
            "log = \"json\"\r\n\r\n[mqtt]\r\ntls = { ca_file = \"ca.crt\" }\r\n[[mapping]]\r\nbatch.max_records = 0x10\r\n",
        )
        .unwrap();
        let place = |section: &Section, path: &str| section.settings[path].place.to_string();
        assert_eq!(place(&draft.root, "log"), "bridge.toml:1: log");
        assert_eq!(place(&draft.root, "mqtt.tls.ca_file"), "bridge.toml:4: mqtt.tls.ca_file");
        assert_eq!(place(&draft.mappings[0], "mapping.batch.max_records"), "bridge.toml:6: mapping.batch.max_records");
        assert_eq!(draft.mappings[0].settings["mapping.batch.max_records"].text, "16");
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
            let draft = parse(Path::new("b.toml"), text).unwrap();
            let places = draft.mappings[0].on_failure.iter();
            places.map(|(_, setting)| (setting.place.to_string(), setting.text.clone())).collect()
        };
        let pair = |place: &str, text: &str| (place.to_owned(), text.to_owned());
        assert_eq!(chain("[[mapping]]\non_failure.file = \"a\"\n"), [pair("b.toml:2: mapping.on_failure.file", "a")]);
        assert_eq!(chain("[[mapping]]\non_failure = []\n"), []);
        assert_eq!(
            chain("[[mapping]]\non_failure = [\n{ topic = \"a\" },\n{ file = \"b\" }, { topic = \"c\" }]\n"),
            [
                pair("b.toml:3: mapping.on_failure.topic", "a"),
                pair("b.toml:4: mapping.on_failure.file", "b"),
                pair("b.toml:4: mapping.on_failure.topic", "c"),
            ]
        );
        assert_eq!(
            chain("[[mapping]]\n[[mapping.on_failure]]\nsqs = \"a\"\n[[mapping.on_failure]]\nfile = \"b\"\n"),
            [pair("b.toml:3: mapping.on_failure.sqs", "a"), pair("b.toml:5: mapping.on_failure.file", "b")]
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
    fn depth_is_bounded() {
        let deep = format!("[[mapping]]\nfilter = {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refusal(&deep).starts_with("bridge.toml:2: not valid TOML: "));
    }
}
