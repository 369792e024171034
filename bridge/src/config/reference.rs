//! The commented reference file: it names every key of the table, loads unchanged, and means the same as no file.

use std::fmt::Write;

use super::key::{Change, Fallback, Key, Kind};
use super::keys::KEYS;

/// A TOML file with each key, its meaning, its default and its other names. Keys without a default carry an example;
/// keys that may be left out are commented out.
#[must_use]
pub fn commented_default() -> String {
    let mut text = String::from(SCHEMA);
    text.push_str(
        "# The configuration of mqtt-lambda-bridge: every key, its bounds, its environment variable and its flag. A key that\n\
         # is commented out shows its default, or an example where it has none. A flag wins over a variable, a variable over\n\
         # this file. With several mappings the variables are BRIDGE_MAPPING_<NAME>_<KEY>. Relative paths in this file are\n\
         # relative to it.\n",
    );
    text + &entries(|key, name| Some(entry(key, name)))
}

/// Editors that know taplo check and complete a file with this line by the schema beside it.
const SCHEMA: &str = "#:schema ./bridge.schema.json\n\
                      # The line above is for editors: `mqtt-lambda-bridge config --schema > bridge.schema.json` makes that file.\n";

/// The shortest file that starts: the keys without which there is no bridge.
#[must_use]
pub fn minimal() -> String {
    let mut text = String::from(SCHEMA);
    text.push_str("# `mqtt-lambda-bridge config` prints all keys, with their defaults.\n");
    text + &entries(|key, name| match key.default {
        Fallback::Required(example) => Some(format!("{name} = \"{example}\" # {}\n", key.doc)),
        _ => None,
    })
}

/// What `entry` makes of each key and its name in its table, below the header of that table.
fn entries(entry: impl Fn(&Key, &str) -> Option<String>) -> String {
    let (mut text, mut header) = (String::new(), "");
    for key in KEYS.iter() {
        let (section, name) = key.path.split_once('.').unwrap_or(("", key.path));
        let Some(entry) = entry(key, name) else { continue };
        if section != header {
            header = section;
            text.push_str(&header_of(section));
        }
        text.push_str(&entry);
    }
    text
}

fn header_of(section: &str) -> String {
    if section == "mapping" { format!("\n[[{section}]]\n") } else { format!("\n[{section}]\n") }
}

fn entry(key: &Key, name: &str) -> String {
    let bounds = key.kind.bounds().map(|bounds| format!(" ({bounds})")).unwrap_or_default();
    let flag = key.flag.map(|flag| format!(", --{flag}")).unwrap_or_default();
    let (mark, text) = match key.default {
        Fallback::Required(example) => ("", example),
        Fallback::Absent(example) => ("#", example),
        Fallback::Is(text) => ("#", text),
    };
    let quote = match key.kind {
        Kind::Number(..) | Kind::Switch | Kind::List | Kind::Json => "",
        _ => "\"",
    };
    let change = if key.change() == Change::Restart { "; a change needs a restart" } else { "" };
    let mut entry = format!("\n# {}{bounds}.\n# {}{flag}{change}\n", key.doc, key.variable());
    let _ = writeln!(entry, "{mark}{name} = {quote}{text}{quote}");
    entry
}

#[cfg(test)]
mod tests {
    use super::super::error::Mistakes;
    use super::super::on_failure::Destinations;
    use super::super::section::keys_of;
    use super::super::{Config, Overrides, file, mistakes_in, read_text};
    use super::*;

    fn load(text: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), [], Overrides::default()).unwrap()
    }

    /// The key of a line that is commented out.
    fn commented_out(line: &str) -> Option<&'static Key> {
        let name = line.strip_prefix('#')?.split_once(" = ").filter(|(name, _)| !name.contains(' '))?.0;
        KEYS.iter().find(|key| key.path == name || key.path.split_once('.').is_some_and(|(_, rest)| rest == name))
    }

    #[test]
    fn the_minimal_file_is_short_and_loads() {
        let text = minimal();
        assert!(text.lines().count() < 15, "{text}");
        let config = load(&text);
        assert_eq!((config.mappings.len(), config.mqtt.url.len()), (1, 1));
        let required = KEYS.iter().filter(|key| matches!(key.default, Fallback::Required(_)));
        for key in required {
            let name = key.path.rsplit('.').next().unwrap();
            let without: String =
                text.lines().filter(|line| !line.starts_with(name)).flat_map(|line| [line, "\n"]).collect();
            assert!(read_text(&without).is_err(), "{name} can be left out");
        }
    }

    #[test]
    fn names_every_key_and_writes_out_the_defaults() {
        let text = commented_default();
        let without_comments: String = text
            .lines()
            .map(|line| match commented_out(line) {
                Some(key) if matches!(key.default, Fallback::Is(_)) => &line[1..],
                _ => line,
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let live = |text: &str| text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count();
        let required = KEYS.iter().filter(|key| matches!(key.default, Fallback::Required(_))).count();
        let absent = KEYS.iter().filter(|key| matches!(key.default, Fallback::Absent(_))).count();
        assert_eq!(live(&text), required);
        assert_eq!(live(&without_comments), KEYS.len() - absent);
        assert_eq!(load(&text), load(&without_comments));
    }

    #[test]
    fn every_line_of_it_loads() {
        let text = commented_default();
        // A table holds one failure destination, and there is one way to a password.
        let (destinations, passwords) = (keys_of::<Destinations>(), ["mqtt.password_file", "mqtt.password_command"]);
        for (index, destination) in destinations.iter().enumerate() {
            let password = passwords[index % passwords.len()];
            let live = |key: &Key| {
                let others = destinations.iter().map(|other| other.path).chain(passwords);
                [destination.path, password].contains(&key.path) || others.into_iter().all(|other| other != key.path)
            };
            let all: String = text
                .lines()
                .map(|line| commented_out(line).filter(|key| live(key)).map_or(line, |_| &line[1..]))
                .flat_map(|line| [line, "\n"])
                .collect();
            let draft = file::parse(std::path::Path::new("b.toml"), &all, &mut Mistakes::default()).unwrap();
            let settings = draft.root.given.len() + draft.mappings[0].given.len();
            assert_eq!(settings, KEYS.len() - destinations.len() - (passwords.len() - 1));
            assert!(draft.mappings[0].on_failure[0].given.contains_key(destination.path));
            assert_eq!(mistakes_in(&all), Vec::<String>::new());
        }
    }
}
