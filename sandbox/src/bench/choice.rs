//! Chooses the broker of a benchmark. A requested broker is used or refused, never replaced, because figures of another
//! broker would be misleading.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::BenchError;
use crate::broker::Mosquitto;
use crate::tools::{Missing, find_tool};
use crate::world::BrokerKind;

/// A broker by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BrokerName {
    /// In the sandbox's process, which then shares its CPU with the publishers.
    Embedded,
    /// Mosquitto, in a process of its own.
    Mosquitto,
}

/// A broker that can be started.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) kind: BrokerKind,
    /// Mosquitto's executable.
    pub(super) program: Option<PathBuf>,
    /// With its version.
    pub(super) name: String,
}

/// The one that was asked for, by name or by the path of Mosquitto's executable; else Mosquitto where it is found.
///
/// # Errors
/// When what was asked for is not there.
pub(super) async fn choose(asked: Option<BrokerName>, given: Option<&Path>) -> Result<Choice, BenchError> {
    let found = match given {
        Some(path) => Ok(std::path::absolute(path)?),
        None => find_tool("mosquitto"),
    };
    if let Some(program) = program(asked, found)? {
        return mosquitto(program).await;
    }
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let version = embedded(&std::fs::read_to_string(lock).unwrap_or_default());
    let reason = if asked.is_none() { ", as no Mosquitto was found" } else { "" };
    Ok(Choice { kind: BrokerKind::Embedded, program: None, name: format!("embedded, {version}{reason}") })
}

/// The Mosquitto to take; `None` for the embedded broker.
fn program(asked: Option<BrokerName>, found: Result<PathBuf, Missing>) -> Result<Option<PathBuf>, BenchError> {
    match (asked, found) {
        (Some(BrokerName::Embedded), _) | (None, Err(_)) => Ok(None),
        (_, Ok(program)) => Ok(Some(program)),
        (Some(BrokerName::Mosquitto), Err(missing)) => Err(BenchError::Broker(format!(
            "{missing}, name its executable with --mosquitto FILE, or take --broker embedded"
        ))),
    }
}

async fn mosquitto(program: PathBuf) -> Result<Choice, BenchError> {
    let shown = program.display();
    let refused =
        |cause: &str| BenchError::Broker(format!("`{shown}`: {cause}; give the path of Mosquitto's executable"));
    let version = Mosquitto::version_of(&program).await.map_err(|error| refused(&format!("cannot be run: {error}")))?;
    let version = version.ok_or_else(|| refused("is not Mosquitto: its help names no version of it"))?;
    Ok(Choice { kind: BrokerKind::Mosquitto, name: format!("{version} ({shown})"), program: Some(program) })
}

/// The version of the crate, from the lock file.
fn embedded(lock: &str) -> String {
    let mut lines = lock.lines().skip_while(|line| *line != r#"name = "mqtt5""#);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map_or_else(|| "mqtt5".to_owned(), |version| format!("mqtt5 {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_never_replaced() {
        let missing = || find_tool("no-such-program-7f3a");
        let there = || Ok(PathBuf::from("/m"));
        let error = program(Some(BrokerName::Mosquitto), missing()).unwrap_err().to_string();
        assert!(error.contains("--mosquitto") && error.contains("--broker embedded"), "{error}");
        for (asked, found, taken) in [
            (Some(BrokerName::Mosquitto), there(), Some("/m")),
            (Some(BrokerName::Embedded), there(), None),
            (Some(BrokerName::Embedded), missing(), None),
            (None, there(), Some("/m")),
            (None, missing(), None),
        ] {
            assert_eq!(program(asked, found).unwrap(), taken.map(PathBuf::from), "{asked:?}");
        }
    }

    #[tokio::test]
    async fn another_program_is_no_mosquitto() {
        for (path, cause) in [("/no/such/file", "cannot be run"), ("/bin/sh", "is not Mosquitto")] {
            let error = choose(None, Some(Path::new(path))).await.unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(cause), "{error}");
        }
        let name = choose(Some(BrokerName::Embedded), None).await.unwrap().name;
        assert!(name.starts_with("embedded, mqtt5 0."), "{name}");
    }

    #[test]
    fn a_lock_file_says_the_version() {
        assert_eq!(embedded("[[package]]\nname = \"mqtt5\"\nversion = \"0.49.0\"\n"), "mqtt5 0.49.0");
        assert_eq!(embedded(""), "mqtt5");
    }
}
