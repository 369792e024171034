//! Promise: a device is served whatever TLS library it uses. Here one on wolfSSL, which shares no code with the bridge, the
//! sandbox or the broker.

use crate::common;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{acknowledged, willing};
use sandbox::tools;
use sandbox::world::{BrokerKind, World};

/// The device, compiled; none where there is no wolfSSL to compile it with.
fn device(directory: &Path) -> Option<PathBuf> {
    let compiler = tools::require("cc")?;
    let program = directory.join("wolfssl_device");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/wolfssl_device.c");
    let output = Command::new(compiler).arg(source).arg("-lwolfssl").arg("-o").arg(&program).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && (said.contains("wolfssl/options.h") || said.contains("-lwolfssl")) {
        eprintln!("skipped: wolfSSL is not installed (libwolfssl-dev)");
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wolfssl_device_publishes_through_mosquitto() {
    let Some(_) = tools::require("mosquitto") else { return };
    let builder = World::builder().function(willing()).broker(BrokerKind::Mosquitto);
    let world = builder.start().await.unwrap();
    let Some(program) = device(world.directory()) else { return };
    let files = &world.files;
    let payload = r#"{"device_id":"wolf","temperature":20.5,"status":"OK"}"#;
    let mut command = tokio::process::Command::new(program);
    command.arg(world.url().port.to_string()).arg(&files.ca).arg(&files.device.cert).arg(&files.device.key);
    let output = tokio::time::timeout(common::PATIENCE, command.args(["sensor/data", payload]).output()).await.unwrap();
    let output = output.unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    acknowledged(&world, 1).await;
    let invoked = world.lambda.log().invocations();
    assert_eq!(invoked.len(), 1);
    assert!(String::from_utf8_lossy(&invoked[0].payload).contains(payload));
}
