//! How one broker is started: program, arguments, environment. Plain data, with the few steps that several brokers
//! share.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::certs::PkiFiles;

/// What a broker is given: where it shall listen, where it may write, and whom it shall trust.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) port: u16,
    /// A second port, for what a broker insists on listening to besides.
    pub(super) spare: u16,
    pub(super) directory: &'a Path,
    pub(super) files: &'a PkiFiles,
}

impl Site<'_> {
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The path of a file or folder in its directory, as text for a configuration.
    pub(super) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

/// A command to be run, as often as the broker is started.
#[derive(Debug, Clone, Default)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// What has to run beside it, from before its first start to its end.
    pub(super) companion: Option<Box<Launch>>,
}

impl Launch {
    pub(super) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    pub(super) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}
