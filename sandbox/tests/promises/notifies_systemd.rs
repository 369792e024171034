//! Promise: the bridge tells the service manager that it is ready when `/readyz` is, and not before; its status; that
//! it is alive; and that it stops.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, willing};
use sandbox::lambda::{Action, Fault, Kind, Refusal, When};
use sandbox::world::{BridgeProcess, World};
use tokio::time::sleep;

/// Notes what a bridge says until it has said `wanted`.
async fn hear(manager: &UnixDatagram, said: &mut Vec<String>, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !said.iter().any(|line| line.starts_with(wanted)) {
        let mut buffer = [0; 512];
        if let Ok(length) = manager.recv(&mut buffer) {
            said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        } else {
            assert!(Instant::now() < deadline, "no {wanted} in {said:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A bridge of this world with a manager that listens.
fn start(world: &World) -> (BridgeProcess, UnixDatagram) {
    let socket = world.directory().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let variables = [("NOTIFY_SOCKET", socket.display().to_string()), ("WATCHDOG_USEC", "200000".to_owned())];
    let binary = sandbox::binaries::build().unwrap().bridge;
    (world.spawn_binary(&binary, variables).unwrap(), manager)
}

fn is_ready(line: &str) -> bool {
    line.starts_with("READY=1")
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_alive_and_stopping() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    world.broker.as_mut().unwrap().stop().await.unwrap();
    let (mut process, manager) = start(&world);
    let mut said = Vec::new();
    // It lives, and has no broker.
    hear(&manager, &mut said, "WATCHDOG=1").await;
    hear(&manager, &mut said, "STATUS=not ready: mapping `sensor-data`: ").await;
    assert!(!said.iter().any(|line| is_ready(line)), "{said:?}");
    world.broker.as_mut().unwrap().restart().await.unwrap();
    hear(&manager, &mut said, "READY=1").await;
    hear(&manager, &mut said, "STATUS=ready").await;
    process.signal("TERM").await.unwrap();
    hear(&manager, &mut said, "STOPPING=1").await;
    assert!(process.exited(PATIENCE).await.unwrap().unwrap().success());
    assert_eq!(said.iter().filter(|line| is_ready(line)).count(), 1, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_subscribed_and_may_not_invoke_is_not_ready() {
    let world = World::builder().function(willing()).set("lambda.dry_run", "true").without_bridge().await.unwrap();
    let denied = Fault::new(When::Always, Action::Refuse(Refusal::AccessDenied)).kind(Kind::DryRun);
    world.lambda.faults().add(denied);
    let (mut process, manager) = start(&world);
    let mut said = Vec::new();
    for event in ["subscription.granted", "lambda.refused"] {
        assert!(process.logged(&format!("\"event\":\"{event}\""), PATIENCE).await, "{:#?}", process.log());
    }
    hear(&manager, &mut said, "STATUS=not ready: mapping `sensor-data`: configuration: HTTP 403").await;
    // Twenty beats are two seconds, in which it is looked at twice.
    while said.iter().filter(|line| *line == "WATCHDOG=1").count() < 20 {
        let mut more = Vec::new();
        hear(&manager, &mut more, "WATCHDOG=1").await;
        said.append(&mut more);
        assert!(!said.iter().any(|line| is_ready(line)), "{said:?}");
    }
    world.lambda.faults().clear();
    hear(&manager, &mut said, "READY=1").await;
    process.signal("TERM").await.unwrap();
    assert!(process.exited(PATIENCE).await.unwrap().unwrap().success());
}
