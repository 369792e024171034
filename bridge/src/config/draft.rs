//! A configuration before it is checked: the text of each key, and where it was written. Does not check values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::{Mistakes, Place};
use super::key::{Key, Kind};
use crate::secret::Secret;

/// The settings of file, environment and flags; later ones replace earlier ones.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// The password for the broker, which the environment alone may hold.
    pub(super) password: Option<Secret>,
    /// All keys that are of no mapping.
    pub(super) root: Settings,
    /// Each `[[mapping]]`, or the one that environment and flags describe.
    pub(super) mappings: Vec<Settings>,
}

/// The settings of the root, of one mapping or of one failure destination.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// The line of its header; `None` if it is not from a file.
    pub(super) header: Option<Place>,
    /// Those that are given, by the path of their key.
    pub(super) given: BTreeMap<&'static str, Setting>,
    /// The failure destinations of the file, in its order, with one setting each; those of environment and flags are
    /// settings like all others.
    pub(super) on_failure: Vec<Settings>,
}

/// A text and where it was written.
#[derive(Debug)]
pub(super) struct Setting {
    /// As it was written; a list as JSON, and so a table out of a file. `None` when it has been refused.
    pub(super) text: Option<String>,
    pub(super) place: Place,
}

impl Settings {
    /// Sets a key from outside the file.
    pub(super) fn lay(&mut self, key: &'static Key, text: String, place: Place) {
        let text = match key.kind {
            Kind::List | Kind::Texts => text.split(',').map(str::trim).collect::<serde_json::Value>().to_string(),
            _ => text,
        };
        self.given.insert(key.path, Setting { text: Some(text), place });
    }

    /// Where the key at `path` was written, in the settings themselves or in a failure destination.
    pub(super) fn place(&self, path: &str) -> Place {
        let in_list = || self.on_failure.iter().find_map(|one| one.given.get(path));
        let setting = self.given.get(path).or_else(in_list);
        setting.map_or_else(|| Place::Named(path.to_owned()), |setting| setting.place.clone())
    }
}

impl Draft {
    /// Sets a key from outside the file: a key of a mapping goes to the only one there is. With several it could mean
    /// any; `way_out` says what to do then.
    pub(super) fn lay(
        &mut self,
        key: &'static Key,
        text: String,
        place: Place,
        way_out: &str,
        mistakes: &mut Mistakes,
    ) {
        if !key.is_of_mapping() {
            return self.root.lay(key, text, place);
        }
        if self.mappings.is_empty() {
            self.mappings.push(Settings::default());
        }
        match self.mappings.as_mut_slice() {
            [mapping] => mapping.lay(key, text, place),
            several => mistakes.add(place, &format!("the file has {} mappings; {way_out}", several.len())),
        }
    }
}
