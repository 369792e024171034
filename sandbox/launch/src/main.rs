//! What `cargo sandbox` runs first: built in a second, for it has no dependencies, it says what is built and how long that
//! takes, has Cargo build it in the open, and becomes the sandbox.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const FIRST_BUILD: &str = "\
cargo sandbox: a whole local world for the MQTT bridge:
broker, sensors, bridge, local Lambda and the function.
The first build compiles all of it, some 300 crates: up to six minutes on two
cores; later builds take seconds.
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let here = env::current_exe().map_err(|error| format!("the path of this program: unknown: {error}"))?;
    let sandbox = beside(&here);
    if let Some(words) = before_the_build(&sandbox) {
        eprintln!("{words}");
    }
    build(&here)?;
    become_the(&sandbox)
}

/// What to say before Cargo begins: nothing once there is a sandbox, as later builds are short.
fn before_the_build(sandbox: &Path) -> Option<&'static str> {
    (!sandbox.is_file()).then_some(FIRST_BUILD)
}

/// The sandbox stands where this program stands: both are built for the same profile.
fn beside(here: &Path) -> PathBuf {
    here.with_file_name("sandbox").with_extension(env::consts::EXE_EXTENSION)
}

/// Cargo's own progress, and its word when it waits for another build, stay to be seen.
fn build(here: &Path) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&cargo);
    command.args(["build", "--workspace", "--bins"]);
    if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(manifest);
    }
    if let Some(target) = here.ancestors().skip(1).take(3).find(|root| root.join("CACHEDIR.TAG").is_file()) {
        command.arg("--target-dir").arg(target);
    }
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_this_program(name)) {
        command.env_remove(name);
    }
    let status = command.status().map_err(|error| format!("`{}`: does not start: {error}", cargo.to_string_lossy()))?;
    if status.success() { Ok(()) } else { Err("the build failed: Cargo says why above".to_owned()) }
}

/// Whether Cargo set this variable for the program that it runs: build scripts that look at it would run again. The same list as
/// in the sandbox's `binaries.rs`, which this program must not depend on.
fn is_about_this_program(name: &OsStr) -> bool {
    let about = ["CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    name.to_str().is_some_and(|name| about.iter().any(|start| name.starts_with(start)))
}

/// Without `CARGO` the sandbox takes the binaries beside it, which have just been built.
fn command(sandbox: &Path) -> Command {
    let mut command = Command::new(sandbox);
    command.args(env::args_os().skip(1)).env_remove("CARGO");
    command
}

#[cfg(unix)]
fn become_the(sandbox: &Path) -> Result<ExitCode, String> {
    use std::os::unix::process::CommandExt;
    let error = command(sandbox).exec();
    Err(format!("`{}`: does not start: {error}", sandbox.display()))
}

#[cfg(not(unix))]
fn become_the(sandbox: &Path) -> Result<ExitCode, String> {
    let status = command(sandbox).status().map_err(|error| format!("`{}`: {error}", sandbox.display()))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_build_says_what_it_makes_and_how_long_that_takes() {
        let nowhere = Path::new("/nowhere/sandbox");
        let words = before_the_build(nowhere).unwrap_or_default();
        assert!(
            words.contains("broker, sensors, bridge, local Lambda") && words.contains("up to six minutes"),
            "{words}"
        );
        assert!(words.lines().all(|line| line.len() <= 80), "{words}");
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
        let readme = std::fs::read_to_string(readme).unwrap_or_default();
        assert!(readme.contains("up to six minutes on two cores"), "README.md says the same");
        assert_eq!(before_the_build(&env::current_exe().unwrap_or_default()), None, "later builds are short");
    }

    #[test]
    fn what_cargo_says_of_this_program_is_not_handed_on() {
        assert!(is_about_this_program(OsStr::new("CARGO_PKG_NAME")) && is_about_this_program(OsStr::new("OUT_DIR")));
        assert!(!is_about_this_program(OsStr::new("CARGO_TERM_COLOR")) && !is_about_this_program(OsStr::new("PATH")));
    }

    #[test]
    fn the_sandbox_stands_beside_this_program() {
        assert!(beside(Path::new("/target/debug/sandbox-launch")).starts_with("/target/debug"));
    }
}
