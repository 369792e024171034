//! A configuration before it is checked: which key has which text, and where it was written. Does not judge values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::ConfigError;
use super::keys::Key;
use crate::secret::Secret;

/// What file, environment and flags say, the later over the earlier.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// The password for the broker, which the environment alone may hold.
    pub(super) password: Option<Secret>,
    /// All keys that are of no mapping.
    pub(super) root: Section,
    /// Each `[[mapping]]`, or the one that environment and flags describe.
    pub(super) mappings: Vec<Section>,
}

/// The settings of the root or of one mapping.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Where its header stands; `None` when it stands in no file.
    pub(super) header: Option<Place>,
    pub(super) settings: BTreeMap<&'static str, Setting>,
    /// The failure destinations of the file, in its order; those of environment and flags are settings like all others.
    pub(super) on_failure: Vec<(&'static Key, Setting)>,
}

/// A text and where it was written.
#[derive(Debug)]
pub(super) struct Setting {
    /// As it was written; out of a file, a list or a table as JSON.
    pub(super) text: String,
    pub(super) place: Place,
}

/// Where a setting was written. `Display` gives what stands before the reason in an error.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Line { file: String, line: usize, key: String },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, key } => write!(f, "{file}:{line}: {key}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

impl Draft {
    /// Sets a key from outside the file: a key of a mapping goes to the only one there is.
    ///
    /// # Errors
    /// When there are several mappings, so that it could mean any; `way_out` says what to do then.
    pub(super) fn overlay(&mut self, key: &'static Key, setting: Setting, way_out: &str) -> Result<(), ConfigError> {
        let section = if !key.is_of_mapping() {
            &mut self.root
        } else if self.mappings.len() > 1 {
            let reason = format!("the file has {} mappings; {way_out}", self.mappings.len());
            return Err(ConfigError::setting(&setting.place, &reason));
        } else {
            if self.mappings.is_empty() {
                self.mappings.push(Section::default());
            }
            &mut self.mappings[0]
        };
        section.settings.insert(key.path, setting);
        Ok(())
    }
}
