//! Promise: `cargo sandbox bench` plays its cases through real processes, says what has cost what, and a message that does not arrive
//! is a row that says so and an exit code that is not 0.

use std::process::{Command, Output};

use serde_json::Value;

/// Plays a hundredth of a scenario, once.
fn bench(scenario: &str, more: &[&str]) -> Output {
    let bridge = sandbox::binaries::build().unwrap().bridge;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.args(["bench", "--scenario", scenario, "--runs", "1", "--scale", "0.01", "--json"]).args(more);
    command.arg("--bridge").arg(bridge).env_remove("CARGO").output().unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    report["figures"].as_array().expect("figures").clone()
}

#[test]
fn every_message_of_a_small_run_arrives() {
    let output = bench("per-message", &[]);
    let rows = rows(&output);
    assert!(output.status.success() && rows.len() == 4, "{rows:?}");
    for row in &rows {
        assert_eq!((&row["lost"], &row["duplicates"]), (&Value::from(0), &Value::from(0)), "{row}");
        assert_eq!(row["invocations"], 400, "{row}");
        assert!(row["cpu_us_per_message"].as_f64().unwrap() > 0.0 && row["p50_us"].as_u64().unwrap() > 0, "{row}");
    }
}

/// The scenario leaves one message out: of a backlog, of what a subscriber alone receives, and of what is published meanwhile.
#[test]
fn a_lost_message_is_a_row_and_an_exit_code() {
    let output = bench("loss", &["--patience", "2s"]);
    let rows = rows(&output);
    let lost: Vec<_> = rows.iter().map(|row| row["lost"].as_u64().unwrap()).collect();
    assert_eq!((lost, output.status.code()), (vec![1, 1, 1], Some(1)), "{rows:?}");
    assert!(rows.iter().all(|row| row["per_second"].as_f64().unwrap() > 0.0), "{rows:?}");
}
