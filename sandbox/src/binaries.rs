//! Finds the real binaries of the bridge and of the function, and has Cargo make them first where Cargo is at work.
//!
//! Never guesses at a binary elsewhere: what is tested is what stands in this checkout.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the binaries are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// `mqtt-lambda-bridge`.
    pub bridge: PathBuf,
    /// `lambda-handler`, a bootstrap that speaks the Runtime API.
    pub handler: PathBuf,
}

/// Why there are no binaries.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BinariesError {
    /// The path of the running program is unknown or has no directory.
    #[error("binaries: the path of this program is unknown: {0}")]
    Here(String),
    /// Cargo could not be run.
    #[error("binaries: `{cargo}` does not start: {cause}")]
    Cargo {
        /// The value of `CARGO`.
        cargo: String,
        /// What the system said.
        cause: String,
    },
    /// Cargo ran and failed; it has said why on stderr.
    #[error("binaries: {0} failed: fix the error above")]
    Build(String),
    /// Not where it should be.
    #[error("binary `{}`: not found: run `cargo build --workspace --bins`, with `--release` for a release build", .0.display())]
    Missing(PathBuf),
}

/// The binaries, built under `cargo run` and `cargo test`, and else those beside this program.
///
/// Blocks while Cargo builds, once a process; later calls return what the first one found.
///
/// # Errors
/// When the build fails, or there are no binaries beside this program.
pub fn build() -> Result<Binaries, BinariesError> {
    static FOUND: OnceLock<Result<Binaries, BinariesError>> = OnceLock::new();
    FOUND.get_or_init(|| find(env::var_os("CARGO"))).clone()
}

fn find(cargo: Option<OsString>) -> Result<Binaries, BinariesError> {
    let here = env::current_exe().map_err(|error| BinariesError::Here(error.to_string()))?;
    let directory = profile_directory(&here).ok_or_else(|| BinariesError::Here(here.display().to_string()))?;
    if let Some(cargo) = cargo {
        run_cargo(&cargo, directory)?;
    }
    let find = |name: &str| {
        let path = directory.join(name).with_extension(env::consts::EXE_EXTENSION);
        if path.is_file() { Ok(path) } else { Err(BinariesError::Missing(path)) }
    };
    Ok(Binaries { bridge: find("mqtt-lambda-bridge")?, handler: find("lambda-handler")? })
}

/// The directory that Cargo puts binaries of this profile in; tests, examples and benchmarks stand one below.
fn profile_directory(program: &Path) -> Option<&Path> {
    let directory = program.parent()?;
    let below = ["deps", "examples"].iter().any(|name| directory.ends_with(name));
    if below { directory.parent() } else { Some(directory) }
}

fn run_cargo(cargo: &OsStr, directory: &Path) -> Result<(), BinariesError> {
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--bins", "--quiet"]).args(where_to(directory));
    if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(manifest);
    }
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_this_program(name)) {
        command.env_remove(name);
    }
    let start = |error: std::io::Error| BinariesError::Cargo {
        cargo: cargo.to_string_lossy().into_owned(),
        cause: error.to_string(),
    };
    let status = command.status().map_err(start)?;
    if status.success() { Ok(()) } else { Err(BinariesError::Build(format!("{command:?}"))) }
}

/// Whether Cargo set this variable for the program that it runs. Build scripts look at some of them, and would run
/// again on either side of the border if they crossed it.
fn is_about_this_program(name: &OsStr) -> bool {
    let about = ["CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    name.to_str().is_some_and(|name| about.iter().any(|start| name.starts_with(start)))
}

/// The arguments that make Cargo build into `directory`, `target[/triple]/profile`, so that nothing is built twice.
fn where_to(directory: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    match directory.file_name().and_then(OsStr::to_str) {
        None | Some("debug") => {}
        Some(profile) => arguments.extend(["--profile".into(), profile.into()]),
    }
    // Cargo marks the root of a target directory with this file; without it, Cargo's own settings decide.
    let roots = directory.ancestors().skip(1).take(2);
    for (depth, root) in roots.enumerate().filter(|(_, root)| root.join("CACHEDIR.TAG").is_file()) {
        arguments.extend(["--target-dir".into(), root.into()]);
        if let (1, Some(triple)) = (depth, directory.parent().and_then(Path::file_name)) {
            arguments.extend(["--target".into(), triple.into()]);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(arguments: Vec<OsString>) -> Vec<String> {
        arguments.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn programs_of_every_sort_share_one_directory() {
        for program in ["t/debug/sandbox", "t/debug/deps/e2e-0123", "t/debug/examples/x"] {
            assert_eq!(profile_directory(Path::new(program)), Some(Path::new("t/debug")), "{program}");
        }
    }

    #[test]
    fn cargo_builds_where_this_program_stands() {
        let target = tempfile::tempdir().unwrap();
        let root = target.path().to_str().unwrap();
        assert_eq!(words(where_to(&target.path().join("release"))), ["--profile", "release"]);
        std::fs::write(target.path().join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(words(where_to(&target.path().join("debug"))), ["--target-dir", root]);
        let triple = words(where_to(&target.path().join("aarch64-unknown-linux-gnu/release")));
        assert_eq!(triple[2..], ["--target-dir", root, "--target", "aarch64-unknown-linux-gnu"]);
    }

    #[test]
    fn what_cargo_says_of_this_program_does_not_reach_the_next_cargo() {
        let stays: Vec<_> = ["PATH", "CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"]
            .into_iter()
            .filter(|name| !is_about_this_program(OsStr::new(name)))
            .collect();
        assert_eq!(stays, ["PATH", "CARGO", "CARGO_HOME", "CARGO_TARGET_DIR"]);
    }

    #[test]
    fn a_missing_binary_says_how_to_make_it() {
        let text = BinariesError::Missing("lambda-handler".into()).to_string();
        assert!(text.contains("cargo build --workspace --bins"), "{text}");
    }
}
