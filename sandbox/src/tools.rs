//! Finds the foreign programs that some tests need, and decides what their absence means.
//!
//! On a user's machine a missing program is a visible skip; where `REQUIRE_TOOLS` names it, it is a failure. Never
//! installs anything.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names the programs that must be there: a list separated by commas, or `all`.
pub const REQUIRE_TOOLS: &str = "REQUIRE_TOOLS";

/// Where daemons live that a user's `PATH` often leaves out.
const DAEMON_DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin"];

/// A program that is not on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: not found in PATH nor in the directories of daemons; install it")]
pub struct Missing(String);

/// Finds the program `name` in `PATH`, then where daemons live.
///
/// # Errors
/// [`Missing`] when no executable file of that name is found.
pub fn find_tool(name: &str) -> Result<PathBuf, Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(DAEMON_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
        .ok_or_else(|| Missing(name.to_owned()))
}

/// The path of a program that a test cannot do without; `None` means that the test should return, having been skipped.
///
/// The skip is written past the capture of the test harness, so that it is seen.
///
/// # Panics
/// When the program is missing and [`REQUIRE_TOOLS`] names it.
#[must_use]
pub fn require(name: &str) -> Option<PathBuf> {
    require_one_of(&[name])
}

/// The same of a program that has several names; [`REQUIRE_TOOLS`] calls it by the first.
///
/// # Panics
/// When none of them is there and [`REQUIRE_TOOLS`] names the first.
#[must_use]
pub fn require_one_of(names: &[&str]) -> Option<PathBuf> {
    if let Some(path) = names.iter().find_map(|name| find_tool(name).ok()) {
        return Some(path);
    }
    let missing = Missing(names.first().copied().unwrap_or_default().to_owned());
    let remark = skip(&missing, &env::var(REQUIRE_TOOLS).unwrap_or_default());
    let _ = writeln!(io::stderr(), "{remark}");
    None
}

fn skip(missing: &Missing, wanted: &str) -> String {
    assert!(!names(wanted, &missing.0), "{missing}, or leave it out of {REQUIRE_TOOLS}");
    format!("skipped: {} is not installed", missing.0)
}

fn names(list: &str, name: &str) -> bool {
    list.split(',').map(str::trim).any(|entry| entry == "all" || entry == name)
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(is_executable(&find_tool("sh").unwrap()));
        let missing = find_tool("no-such-program-7f3a").unwrap_err();
        assert!(missing.to_string().starts_with("`no-such-program-7f3a`: not found"), "{missing}");
    }

    #[test]
    fn a_missing_program_that_nobody_requires_is_a_skip() {
        let remark = skip(&Missing("emqx".to_owned()), "mosquitto");
        assert_eq!(remark, "skipped: emqx is not installed");
    }

    #[test]
    #[should_panic(expected = "`emqx`: not found")]
    fn a_missing_program_that_is_required_is_a_failure() {
        skip(&Missing("emqx".to_owned()), "mosquitto,emqx");
    }

    #[test]
    fn the_list_names_single_programs_or_all() {
        assert!(names("mosquitto, emqx", "emqx"));
        assert!(names("all", "emqx"));
        assert!(!names("mosquitto_pub", "mosquitto"));
        assert!(!names("", "mosquitto"));
    }

    #[test]
    fn the_first_name_that_is_there_counts() {
        assert_eq!(require_one_of(&["no-such-program-7f3a", "sh"]), find_tool("sh").ok());
        assert_eq!(require_one_of(&["no-such-program-7f3a"]), None);
    }

    #[test]
    fn a_directory_is_no_program() {
        assert!(!is_executable(Path::new("/")));
    }
}
