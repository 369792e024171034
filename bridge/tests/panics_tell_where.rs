//! The promise: a panic is reported with its place and without its message, whether logging has started or not.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]

use std::process::Command;

const MARKER: &str = "marker-7f3a9c";

/// The output of a process that panics, which is the test below.
fn written(case: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_process_that_panics", "--nocapture"]).env("CASE", case).env("RUST_BACKTRACE", "1");
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{case} has not panicked");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_process_that_panics() {
    let Ok(case) = std::env::var("CASE") else { return };
    bridge::panics::install();
    if case == "logged" {
        std::mem::forget(bridge::cli::start_logging(bridge::config::LogFormat::Json).unwrap());
    }
    let broken: Result<(), String> = Err(format!("request with {MARKER}"));
    std::panic::catch_unwind(|| std::hint::black_box(broken).unwrap()).unwrap_err();
    // A panic in another crate, with a payload of its own.
    std::panic::catch_unwind(|| std::panic::panic_any(MARKER)).unwrap_err();
    panic!("{MARKER}");
}

#[test]
fn a_panic_tells_where_and_not_what_about() {
    for case in ["early", "logged"] {
        let text = written(case);
        assert!(!text.contains(MARKER), "{text}");
        assert!(text.matches("panics_tell_where.rs:").count() >= 3, "{text}");
        assert_eq!(text.matches("its words are not shown").count(), 3, "{text}");
    }
    for line in written("logged").lines().filter(|line| line.contains("panicked")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["event"], &line["level"]), (&"process.panicked".into(), &"ERROR".into()));
    }
}
