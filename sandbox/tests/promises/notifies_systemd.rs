//! Promise: a service manager hears that the bridge is ready when it is subscribed and not before, that it lives, and that it
//! stops.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::common::{PATIENCE, willing};
use sandbox::world::World;
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

#[tokio::test(flavor = "multi_thread")]
async fn ready_alive_and_stopping() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    world.broker.as_mut().unwrap().stop().await.unwrap();
    let socket = world.directory().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let variables = [("NOTIFY_SOCKET", socket.display().to_string()), ("WATCHDOG_USEC", "200000".to_owned())];
    let binary = sandbox::binaries::build().unwrap().bridge;
    let mut process = world.spawn_binary(&binary, variables).unwrap();
    let mut said = Vec::new();
    // It lives, and has no broker.
    hear(&manager, &mut said, "WATCHDOG=1").await;
    assert!(!said.iter().any(|line| line.starts_with("READY=1")), "{said:?}");
    world.broker.as_mut().unwrap().restart().await.unwrap();
    hear(&manager, &mut said, "READY=1").await;
    process.signal("TERM").await.unwrap();
    hear(&manager, &mut said, "STOPPING=1").await;
    assert!(process.exited(PATIENCE).await.unwrap().unwrap().success());
    assert_eq!(said.iter().filter(|line| line.starts_with("READY=1")).count(), 1, "{said:?}");
}
