//! F24: faults of all kinds at random, on the command that users run.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::common::sized;

#[tokio::test(flavor = "multi_thread")]
async fn f24_soak() {
    // Built first, so that the build does not count into the soak's duration.
    sandbox::binaries::build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let picture = directory.path().join("soak.svg");
    let (seconds, interval) = (sized(60, 3_600), sized(5, 20));
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["soak", "--json", "--seed", "24", "--rate", "30"])
        .args(["--duration", &format!("{seconds}s"), "--interval", &format!("{interval}s")])
        .arg("--plot")
        .arg(&picture)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let patience = Duration::from_secs(2 * seconds + 480);
    let output = tokio::time::timeout(patience, child.wait_with_output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(report["breaches"], serde_json::json!([]));
    assert!(output.status.success(), "{text}");
    assert_eq!((report["lost"].as_u64(), report["unacknowledged"].as_u64()), (Some(0), Some(0)), "{text}");
    let count = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name} in {text}"));
    assert_eq!(count("handled") + count("dead_lettered"), count("published"));
    assert!(count("dead_lettered") > 0 && count("published") > 10 * seconds, "{text}");
    assert!(report["faults"].as_array().unwrap().len() > 3, "hardly a fault has struck: {text}");
    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(svg.ends_with("</svg>\n") && svg.contains("resident memory"), "{svg}");
}
