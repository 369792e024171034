//! Reads the keys of one section, whatever they mean: finds the text or the default, and says where a refused one was
//! written.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::super::draft::{Place, Section, Setting};
use super::super::keys::{self, Fallback, Key};
use super::super::{ConfigError, InvalidValue, Qos};

/// The name of the mapping that environment and flags describe without a file.
const UNNAMED: &str = "default";

/// One section and the file that it may stand in.
pub(super) struct Reader<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) section: &'a Section,
}

impl<'a> Reader<'a> {
    pub(super) fn of(&self, section: &'a Section) -> Self {
        Self { file: self.file, section }
    }

    /// The value of a key that has one, as `read` understands it.
    pub(super) fn with<T, E: Display>(
        &self,
        path: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        read(self.text(path)?).map_err(|reason| self.error(path, &reason))
    }

    /// The value of a key that may be left out, as `read` understands it.
    pub(super) fn maybe<T, E: Display>(
        &self,
        path: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        if self.section.settings.contains_key(path) { self.with(path, read).map(Some) } else { Ok(None) }
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self, path: &str) -> Result<T, ConfigError> {
        self.with(path, str::parse)
    }

    pub(super) fn duration(&self, path: &str) -> Result<Duration, ConfigError> {
        self.with(path, |text| key(path).kind.duration(text))
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, path: &str) -> Result<T, ConfigError> {
        self.with(path, |text| {
            let number = key(path).kind.number(text)?;
            T::try_from(number).map_err(|_| InvalidValue::new("the number is too large"))
        })
    }

    pub(super) fn qos(&self, path: &str) -> Result<Qos, ConfigError> {
        self.with(path, |text| key(path).kind.number(text).and_then(|_| text.parse()))
    }

    pub(super) fn switch(&self, path: &str) -> Result<bool, ConfigError> {
        self.with(path, |text| text.parse::<bool>().map_err(|_| "write `true` or `false`"))
    }

    /// The items of a list, each as `read` understands it: JSON out of a file, elsewhere parted by commas.
    pub(super) fn list<T, E: Display>(
        &self,
        path: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(setting) = self.section.settings.get(path) else { return Ok(Vec::new()) };
        let items: Vec<String> = match setting.place {
            Place::Line { .. } => serde_json::from_str(&setting.text).map_err(|_| self.error(path, "not a list"))?,
            Place::Variable(_) | Place::Flag(_) => setting.text.split(',').map(|item| item.trim().to_owned()).collect(),
        };
        items.iter().map(|item| read(item).map_err(|reason| self.error(path, &reason))).collect()
    }

    pub(super) fn file(&self, path: &str) -> Result<Option<PathBuf>, ConfigError> {
        self.section.settings.get(path).map(|setting| self.path(setting)).transpose()
    }

    /// A path, which a file gives relative to itself.
    pub(super) fn path(&self, setting: &Setting) -> Result<PathBuf, ConfigError> {
        if setting.text.is_empty() {
            return Err(ConfigError::setting(&setting.place, "must not be empty"));
        }
        let directory = match (&setting.place, self.file) {
            (Place::Line { .. }, Some(file)) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        Ok(directory.join(&setting.text))
    }

    fn text(&self, path: &str) -> Result<&'a str, ConfigError> {
        if let Some(setting) = self.section.settings.get(path) {
            return Ok(&setting.text);
        }
        match key(path).default {
            Fallback::Is(text) => Ok(text),
            _ if path == "mapping.name" && self.section.header.is_none() => Ok(UNNAMED),
            Fallback::Required(_) | Fallback::Absent(_) => Err(self.missing(path)),
        }
    }

    fn missing(&self, path: &str) -> ConfigError {
        let key = key(path);
        let flag = key.flag.map(|flag| format!(", --{flag}")).unwrap_or_default();
        let place = match &self.section.header {
            Some(Place::Line { file, line, .. }) => format!("{file}:{line}: {path}"),
            _ => path.to_owned(),
        };
        ConfigError::setting(&place, &format!("missing; set it in the file, or by {}{flag}", key.variable()))
    }

    pub(super) fn error(&self, path: &str, reason: &(impl Display + ?Sized)) -> ConfigError {
        let in_list = || self.section.on_failure.iter().find(|(key, _)| key.path == path).map(|(_, setting)| setting);
        let setting = self.section.settings.get(path).or_else(in_list);
        ConfigError::setting(&setting.map_or_else(|| path.to_owned(), |setting| setting.place.to_string()), reason)
    }
}

#[expect(clippy::expect_used, reason = "only paths of the table are read here; a test reads all of them")]
fn key(path: &str) -> &'static Key {
    keys::find(path).expect("a path of the table")
}
