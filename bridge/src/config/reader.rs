//! Reads the keys of a section: finds the text or the default, reports where an invalid value was written, and
//! continues, so that all mistakes are reported. Opens no file.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::draft::{Draft, Settings};
use super::error::{Mistakes, Place};
use super::key::{Fallback, Key};
use super::private_key::PrivateKey;
use super::values::{InvalidValue, choice};
use crate::secret::Secret;

/// The name of the mapping that environment and flags describe without a file.
const UNNAMED: &str = "default";

/// The most that one key may list where each is asked for at the broker.
const MAX_TEXTS: usize = 1000;

/// A value; `None` when it has been refused, and the reader keeps the mistake.
type Good<T> = Option<T>;

/// A draft, where in it the reader is, and what it has found wrong so far.
pub(super) struct Reader<'a> {
    draft: &'a Draft,
    settings: &'a Settings,
    pub(super) mistakes: Mistakes,
    /// Whether files that are named may be opened.
    pub(super) looks_into_files: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(draft: &'a Draft, mistakes: Mistakes, looks_into_files: bool) -> Self {
        Self { draft, settings: &draft.root, mistakes, looks_into_files }
    }

    pub(super) fn draft(&self) -> &'a Draft {
        self.draft
    }

    /// The settings that are read at the moment.
    pub(super) fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Reads other settings in between.
    pub(super) fn within<T>(&mut self, settings: &'a Settings, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.settings, settings);
        let value = read(self);
        self.settings = before;
        value
    }

    /// The value of a key that has one, as `read` understands it.
    pub(super) fn with<T, E: Display>(&mut self, key: &Key, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text(key)?;
        self.taken(key.path, read(text))
    }

    /// The value of a key that may be left out, as `read` understands it.
    pub(super) fn maybe<T, E: Display>(
        &mut self,
        key: &Key,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Good<Option<T>> {
        if self.settings.given.contains_key(key.path) { self.with(key, read).map(Some) } else { Some(None) }
    }

    /// Values of which there may be none, as `read` understands all of them.
    pub(super) fn several<T, E: Display>(
        &mut self,
        key: &Key,
        read: impl FnOnce(&str) -> Result<Vec<T>, E>,
    ) -> Option<Vec<T>> {
        self.maybe(key, read).map(Option::unwrap_or_default)
    }

    pub(super) fn duration(&mut self, key: &Key) -> Option<Duration> {
        self.with(key, |text| key.kind.duration(text))
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &Key) -> Option<T> {
        self.with(key, |text| {
            T::try_from(key.kind.number(text)?).map_err(|_| InvalidValue::new("the number is too large"))
        })
    }

    /// A number that stands for something, as `read` understands it.
    pub(super) fn numbered<T>(&mut self, key: &Key, read: impl FnOnce(&str) -> Result<T, InvalidValue>) -> Option<T> {
        self.with(key, |text| key.kind.number(text).and_then(|_| read(text)))
    }

    pub(super) fn choice<T: ValueEnum>(&mut self, key: &Key) -> Option<T> {
        self.with(key, choice)
    }

    pub(super) fn switch(&mut self, key: &Key) -> Option<bool> {
        self.with(key, |text| text.parse().map_err(|_| "write `true` or `false`"))
    }

    /// The items of a list, each as `read` understands it.
    pub(super) fn list<T, E: Display>(&mut self, key: &Key, read: impl Fn(&str) -> Result<T, E>) -> Option<Vec<T>> {
        let items: Vec<String> = self.several(key, |text| serde_json::from_str(text))?;
        self.items(key, &items, read)
    }

    /// The items of a list that has one at least, as `read` understands each; no two are the same.
    pub(super) fn texts<T: PartialEq, E: Display>(
        &mut self,
        key: &Key,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items: Vec<String> = self.with(key, |text| serde_json::from_str(text))?;
        let wrong = match items.len() {
            0 => Some("the list is empty; write one at least".to_owned()),
            count if count > MAX_TEXTS => Some(format!("holds {count}; {MAX_TEXTS} are the most")),
            _ => None,
        };
        if let Some(reason) = wrong {
            self.mistake(key.path, &reason);
            return None;
        }
        let items = self.items(key, &items, read)?;
        if items.iter().enumerate().any(|(index, item)| items[..index].contains(item)) {
            self.mistake(key.path, &"names one value twice");
            return None;
        }
        Some(items)
    }

    /// A path, which a file gives relative to itself.
    pub(super) fn file(&mut self, key: &Key) -> Good<Option<PathBuf>> {
        let path =
            self.maybe(key, |text| if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) })?;
        Some(path.map(|path| self.directory(key).join(path)))
    }

    /// Where the private key is; a path as that of any file.
    pub(super) fn private_key(&mut self, key: &Key) -> Good<Option<PrivateKey>> {
        Some(match self.maybe(key, PrivateKey::parse)? {
            Some(PrivateKey::File(path)) => Some(PrivateKey::File(self.directory(key).join(path))),
            other => other,
        })
    }

    /// What a relative path of this key is relative to.
    fn directory(&self, key: &Key) -> &Path {
        match (self.settings.place(key.path), &self.draft.file) {
            (Place::Line { .. }, Some(file)) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        }
    }

    /// All mappings, each as `read` understands it.
    pub(super) fn mappings<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let file = self.draft.file.as_ref();
        if self.draft.mappings.is_empty() {
            let place = file.map_or_else(|| "mapping".to_owned(), |file| format!("{}: mapping", file.display()));
            let reason = "there is none; write a `[[mapping]]`, or give --topic-filter and --function";
            self.mistakes.add(Place::Named(place), reason);
        }
        let mappings: Vec<_> = self.draft.mappings.iter().map(|settings| self.within(settings, read)).collect();
        mappings.into_iter().collect()
    }

    /// The password for the broker, which the environment alone may hold.
    #[expect(clippy::unnecessary_wraps, reason = "as everything that reads a value")]
    pub(super) fn password(&mut self) -> Good<Option<Secret>> {
        Some(self.draft.password.clone())
    }

    /// Says what is wrong with the key at `path`.
    pub(super) fn mistake(&mut self, path: &str, reason: &dyn Display) {
        self.mistakes.add(self.settings.place(path), reason);
    }

    fn taken<T, E: Display>(&mut self, path: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|reason| self.mistake(path, &reason)).ok()
    }

    /// All of them are read, so that each that is wrong is known.
    fn items<T, E: Display>(
        &mut self,
        key: &Key,
        items: &[String],
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items: Vec<_> = items.iter().map(|item| self.taken(key.path, read(item))).collect();
        items.into_iter().collect()
    }

    fn text(&mut self, key: &Key) -> Option<&'a str> {
        match (self.settings.given.get(key.path), key.default) {
            // A value that has no text form has already been reported as a mistake.
            (Some(setting), _) => setting.text.as_deref(),
            (None, Fallback::Is(text)) => Some(text),
            _ if key.path == "mapping.name" && self.settings.header.is_none() => Some(UNNAMED),
            _ => {
                let flag = key.flag.map(|flag| format!(", --{flag}")).unwrap_or_default();
                let place = match &self.settings.header {
                    Some(header) => header.of_key(key.path),
                    None => Place::Named(key.path.to_owned()),
                };
                let reason = format!("missing; set it in the file, or by {}{flag}", key.variable());
                self.mistakes.add(place, &reason);
                None
            }
        }
    }
}
