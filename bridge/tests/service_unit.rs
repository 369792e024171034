//! The promise: systemd restarts the bridge after a failure, and does not after an exit that a restart cannot fix.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report, also in what its tests share")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bridge::ServeError;
use bridge::cli::ExitCode;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// What a line of the unit says.
fn said<'a>(unit: &'a str, key: &str) -> &'a str {
    unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn a_restart_is_only_for_what_it_can_repair() {
    let unit = read("packaging/mqtt-lambda-bridge.service");
    assert_eq!(said(&unit, "Restart"), "on-failure", "a bridge that retired with 0 stays down");
    let prevented: BTreeSet<u8> =
        said(&unit, "RestartPreventExitStatus").split_whitespace().map(|code| code.parse().unwrap()).collect();
    assert_eq!(prevented, [ExitCode::Usage as u8, ServeError::QueueUnproven.exit_code()].into());
    assert!(!prevented.contains(&ServeError::Task.exit_code()), "a failure is started again");
}

#[test]
fn each_exit_code_is_documented() {
    let page = read("docs/operating.md");
    let (_, table) = page.split_once("| exit code | meaning |").unwrap();
    let documented: BTreeSet<u8> = table
        .split("\n\n")
        .next()
        .unwrap()
        .lines()
        .filter_map(|line| line.trim_start_matches("| ").split(' ').next()?.parse().ok())
        .collect();
    let codes = [ExitCode::Done as u8, ExitCode::Failed as u8, ExitCode::Usage as u8];
    let expected: BTreeSet<u8> = codes.into_iter().chain([ServeError::QueueUnproven.exit_code()]).collect();
    assert_eq!(documented, expected);
}
