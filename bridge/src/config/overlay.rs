//! Applies the environment and flags over the file. Knows the keys only by the table, and checks no values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::draft::{Draft, Settings};
use super::error::{Mistakes, Place, shown, unknown};
use super::key::{FILE_VARIABLE, Key, PASSWORD_VARIABLE, VARIABLE_PREFIX};
use super::keys::{self, KEYS};
use crate::secret::Secret;

/// Settings from the command line or from a program, which win over file and environment.
#[derive(Clone, Default)]
pub struct Overrides(BTreeMap<String, String>);

impl Overrides {
    /// Sets the key at `path`, for example `mqtt.url` or, of the only mapping, `mapping.function`.
    ///
    /// A path that does not exist is refused by [`Config::load`](super::Config::load).
    #[must_use]
    pub fn set(mut self, path: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(path.into(), value.into());
        self
    }
}

/// Shows the keys alone: a value may be a secret in the wrong place.
impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Lays the flags over the draft.
pub(super) fn flags(draft: &mut Draft, overrides: Overrides, mistakes: &mut Mistakes) {
    for (path, text) in overrides.0 {
        let Some(key) = keys::find(&path) else {
            let reason = unknown("key", &path, KEYS.iter().map(|key| key.path));
            mistakes.add(Place::Named(shown(&path)), &reason);
            continue;
        };
        let place = Place::Named(format!("--{}", key.flag.unwrap_or(key.path)));
        draft.lay(key, text, place, "set it in the file", mistakes);
    }
}

/// Lays the variables that begin with `BRIDGE_` over the draft.
pub(super) fn environment(draft: &mut Draft, variables: BTreeMap<String, OsString>, mistakes: &mut Mistakes) {
    // The names go by the file alone, not by what the first variable adds to it.
    let names = draft.names();
    for (name, value) in variables.into_iter().filter(|(name, _)| name != FILE_VARIABLE) {
        let place = Place::Named(shown(&name));
        if name == PASSWORD_VARIABLE {
            let password = Secret::password(value.into_encoded_bytes());
            draft.password = password.map_err(|reason| mistakes.add(place, &reason)).ok();
            continue;
        }
        let Ok(text) = value.into_string() else {
            mistakes.add(place, "not UTF-8 text");
            continue;
        };
        if let Some((mapping, key)) = key_of_one(&name, &names) {
            draft.mappings[mapping].lay(key, text, place);
        } else if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
            let way_out = format!("write `{}`", key.variable_of("<NAME>").unwrap_or_default());
            draft.lay(key, text, place, &way_out, mistakes);
        } else {
            mistakes.add(place, &unknown_variable(&name, &names));
        }
    }
}

/// The variables of the bridge, in alphabetical order.
///
/// Kubernetes adds variables such as `BRIDGE_SERVICE_HOST` and `BRIDGE_PORT_9464_TCP` to each pod beside a service
/// named `bridge`; they are not ours.
pub(super) fn of_bridge(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (String, OsString)> {
    variables
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .filter(|(name, _)| !name.starts_with("BRIDGE_SERVICE_") && !format!("{name}_").starts_with("BRIDGE_PORT_"))
}

/// The key of one mapping of several that a variable names: `BRIDGE_MAPPING_<NAME>_<KEY>`.
fn key_of_one(variable: &str, names: &[String]) -> Option<(usize, &'static Key)> {
    let key_of = |mapping: &str| KEYS.iter().find(|key| key.variable_of(mapping).as_deref() == Some(variable));
    names.iter().enumerate().find_map(|(index, mapping)| Some((index, key_of(mapping)?)))
}

fn unknown_variable(name: &str, names: &[String]) -> String {
    let mut known: Vec<String> =
        KEYS.iter().map(Key::variable).chain([FILE_VARIABLE, PASSWORD_VARIABLE].map(str::to_owned)).collect();
    known.extend(names.iter().flat_map(|name| KEYS.iter().filter_map(move |key| key.variable_of(name))));
    unknown("variable", name, known.iter().map(String::as_str))
}

impl Draft {
    /// The names of the mappings, in their order, when there are several; a single one needs no name.
    fn names(&self) -> Vec<String> {
        if self.mappings.len() < 2 {
            return Vec::new();
        }
        let name = |mapping: &Settings| mapping.given.get("mapping.name")?.text.clone();
        self.mappings.iter().map(|mapping| name(mapping).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file;
    use super::*;

    fn parsed(text: &str) -> (Draft, Mistakes) {
        let mut mistakes = Mistakes::default();
        (file::parse(Path::new("bridge.toml"), text, &mut mistakes).unwrap(), mistakes)
    }

    fn lay(file: &str, variable: &str, value: &str) -> Result<Draft, String> {
        let (mut draft, mut mistakes) = parsed(file);
        let variables = [(variable.to_owned(), OsString::from(value))].into_iter().collect();
        environment(&mut draft, variables, &mut mistakes);
        mistakes.or(Some(draft)).map_err(|error| error.to_string())
    }

    const TWO: &str = "[[mapping]]\nname = \"a-b\"\n[[mapping]]\nname = \"c\"\n";

    #[test]
    fn a_single_mapping_needs_no_name() {
        let draft = lay("[[mapping]]\nname = \"a\"\n", "BRIDGE_MAPPING_QOS", "2").unwrap();
        assert_eq!(draft.mappings[0].given["mapping.qos"].text.as_deref(), Some("2"));
        let draft = lay("", "BRIDGE_MAPPING_QOS", "2").unwrap();
        assert_eq!(draft.mappings[0].given["mapping.qos"].text.as_deref(), Some("2"));
    }

    #[test]
    fn one_mapping_of_several_is_named() {
        let draft = lay(TWO, "BRIDGE_MAPPING_A_B_RETRY_MAX_AGE", "1s").unwrap();
        assert_eq!(draft.mappings[0].given["mapping.retry.max_age"].text.as_deref(), Some("1s"));
        assert!(!draft.mappings[1].given.contains_key("mapping.retry.max_age"));
        assert_eq!(
            lay(TWO, "BRIDGE_MAPPING_QOS", "2").unwrap_err(),
            "BRIDGE_MAPPING_QOS: the file has 2 mappings; write `BRIDGE_MAPPING_<NAME>_QOS`"
        );
        let error = lay(TWO, "BRIDGE_MAPPING_A_B_QOSS", "2").unwrap_err();
        assert_eq!(error, "BRIDGE_MAPPING_A_B_QOSS: unknown variable; did you mean `BRIDGE_MAPPING_A_B_QOS`?");
    }

    #[test]
    fn flags_cannot_mean_one_of_several() {
        let refusal = |path: &str| {
            let (mut draft, mut mistakes) = parsed(TWO);
            flags(&mut draft, Overrides::default().set(path, "2"), &mut mistakes);
            mistakes.or(Some(())).unwrap_err().to_string()
        };
        assert_eq!(refusal("mapping.qos"), "--qos: the file has 2 mappings; set it in the file");
        assert_eq!(refusal("mqtt.uri"), "mqtt.uri: unknown key; did you mean `mqtt.url`?");
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        let names =
            ["PATH", "BRIDGE_SERVICE_HOST", "BRIDGE_PORT", "BRIDGE_PORT_9464_TCP_ADDR", "BRIDGE_PORTS", "BRIDGE_LOG"];
        let ours = of_bridge(names.map(|name| (name.into(), "x".into()))).map(|(name, _)| name);
        assert_eq!(ours.collect::<Vec<_>>(), ["BRIDGE_PORTS", "BRIDGE_LOG"]);
    }

    #[test]
    fn overrides_show_no_values() {
        let overrides = Overrides::default().set("mqtt.url", "mqtts://user:hunter2@broker");
        assert_eq!(format!("{overrides:?}"), "{\"mqtt.url\"}");
    }
}
