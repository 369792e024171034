//! Promise: `cargo sandbox bench` measures its cases with real processes, and reports a message that does not arrive in
//! its row and by an exit code other than 0.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs a hundredth of a scenario, once.
fn bench(scenario: &str, more: &[&str]) -> Output {
    let bridge = sandbox::binaries::build().unwrap().bridge;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.args(["bench", "--scenario", scenario, "--runs", "1", "--scale", "0.01", "--json"]).args(more);
    command.arg("--bridge").arg(bridge).env_remove("CARGO").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn rows(output: &Output) -> Vec<Value> {
    report(output)["figures"].as_array().expect("figures").clone()
}

#[test]
fn every_message_of_a_small_run_arrives() {
    let picture = tempfile::NamedTempFile::new().unwrap();
    let output = bench("per-message", &["--broker", "embedded", "--plot", picture.path().to_str().unwrap()]);
    let rows = rows(&output);
    assert!(output.status.success() && rows.len() == 4, "{rows:?}");
    for row in &rows {
        assert_eq!((&row["lost"], &row["duplicates"]), (&Value::from(0), &Value::from(0)), "{row}");
        assert_eq!(row["invocations"], 400, "{row}");
        assert!(row["cpu_us_per_message"].as_f64().unwrap() > 0.0 && row["p50_us"].as_u64().unwrap() > 0, "{row}");
    }
    let header = &report(&output)["header"];
    assert!(
        header["broker"].as_str().unwrap().starts_with("embedded, mqtt5 ") && header["date"].is_string(),
        "{header}"
    );
    assert_eq!(header["debug_build"], cfg!(debug_assertions), "{header}");
    assert_eq!(said(&output).contains("DEBUG BUILD"), cfg!(debug_assertions), "{}", said(&output));
    assert!(std::fs::read_to_string(picture.path()).unwrap().contains("bridge, lean: 400 queued"));
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

/// Figures of another broker, or bridge, than the one asked for would be no answer.
#[test]
fn what_was_asked_for_and_is_not_there_is_an_error_with_a_way_out() {
    let output = bench("per-message", &["--mosquitto", "/no/such/mosquitto"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`/no/such/mosquitto`: cannot be run") && said.contains("give the path"), "{said}");
    assert!(output.stdout.is_empty());
    let mut bench = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    let output = bench.args(["bench", "--broker", "embedded", "--bridge", "/no/such/bridge"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("`/no/such/bridge`: cannot be measured: No such file") && said.contains("--bridge"),
        "{said}"
    );
}
