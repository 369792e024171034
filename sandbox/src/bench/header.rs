//! The header above the figures: date, commit, build, machine and broker. Without it nobody can compare the figures.

mod build;
mod commit;
mod machine;

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

pub(super) use build::Build;
pub(super) use commit::Commit;
pub(super) use machine::Machine;

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Header {
    /// When it began, in UTC.
    pub(super) date: String,
    pub(super) commit: Option<Commit>,
    pub(super) bridge: Build,
    /// Of endpoint, publishers and the peers in Rust.
    pub(super) sandbox: Build,
    pub(super) machine: Machine,
    pub(super) broker: String,
    /// Whether a figure is of a build that is not optimised.
    pub(super) debug_build: bool,
}

impl Header {
    /// For this binary of the bridge and this broker, now.
    ///
    /// # Errors
    /// When the binary cannot be read, or this program does not know where it stands.
    pub(super) async fn now(bridge: &Path, broker: String) -> std::io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (bridge, sandbox) = (Build::of(bridge, &root)?, Build::of(&std::env::current_exe()?, &root)?);
        Ok(Self {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            commit: Commit::of(&root).await,
            debug_build: bridge.is_debug() || sandbox.is_debug(),
            bridge,
            sandbox,
            machine: Machine::here(),
            broker,
        })
    }

    /// What a reader has to know before any figure.
    pub(super) fn warning(&self) -> Option<String> {
        let whose = match (self.bridge.is_debug(), self.sandbox.is_debug()) {
            (true, true) => "bridge and sandbox",
            (true, false) => "the bridge",
            (false, true) => "the sandbox (endpoint, publishers, raw subscriber, SDK loop)",
            (false, false) => return None,
        };
        Some(format!(
            "DEBUG BUILD of {whose}: these figures are not those of a release; `cargo bench-sandbox` measures one"
        ))
    }

    /// Its lines, without the warning.
    pub(super) fn lines(&self) -> [String; 4] {
        let commit = self.commit.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string);
        [
            format!("{}, commit {commit}", self.date),
            format!("bridge: {}; sandbox: {}", self.bridge, self.sandbox),
            self.machine.to_string(),
            format!("broker: {}", self.broker),
        ]
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))?;
        if let Some(warning) = self.warning() {
            writeln!(f, "\n{warning}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of a bridge in this profile.
    pub(in super::super) fn header(profile: &str) -> Header {
        let build = |profile: &str| Build { profile: Some(profile.to_owned()), ..Build::default() };
        Header {
            date: "2026-01-02T03:04:05Z".to_owned(),
            commit: Some(Commit { id: "0123456789ab".to_owned(), dirty: true }),
            bridge: build(profile),
            sandbox: build("release"),
            machine: Machine { cpu: "a CPU".to_owned(), cores: 2, kernel: "Linux 6".to_owned(), load: None },
            broker: "Mosquitto 2.0.11".to_owned(),
            debug_build: profile == "debug",
        }
    }

    #[test]
    fn everything_is_said() {
        let text = header("release").to_string();
        for part in
            ["2026-01-02", "0123456789ab, with changes", "bridge: release", "a CPU, 2 cores", "Mosquitto 2.0.11"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(header("release").warning(), None);
    }

    #[test]
    fn a_debug_build_is_loud() {
        let header = header("debug");
        assert!(header.to_string().contains("DEBUG BUILD of the bridge"), "{header}");
        assert!(Header { sandbox: header.bridge.clone(), ..header }.to_string().contains("bridge and sandbox"));
    }

    #[tokio::test]
    async fn of_this_program_all_is_known() {
        let here = std::env::current_exe().unwrap();
        let header = Header::now(&here, "b".to_owned()).await.unwrap();
        assert!(header.bridge.rust.as_deref().is_some_and(|rust| rust.starts_with('1')), "{header}");
        assert!(header.bridge.profile.is_some() && header.machine.cores > 0, "{header}");
    }
}
