//! Promise: an operator can see how the bridge stands, and can hold a mapping and let it go again without losing its
//! session.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]

mod common;

use common::{acknowledged, eventually, everywhere, fault, publish, tapped, willing};
use sandbox::lambda::{Action, When};
use sandbox::wiretap::Packet;
use sandbox::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Status and body of one request to the admin endpoint.
async fn ask(world: &World, method: &str, path: &str) -> (u16, String) {
    let address = world.bridge().unwrap().admin_address().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn alive_ready_and_counted() {
    let world = World::builder().function(willing()).start().await.unwrap();
    assert_eq!(ask(&world, "GET", "/livez").await, (200, "ok\n".into()));
    assert_eq!(ask(&world, "GET", "/readyz").await, (200, "ready\n".into()));
    publish(&world, 3, |_| {}).await;
    acknowledged(&world, 3).await;
    let (status, metrics) = ask(&world, "GET", "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"bridge_received_total{mapping="sensor-data"} 3"#,
        r#"bridge_acknowledged_total{mapping="sensor-data"} 3"#,
        r#"bridge_settled_total{mapping="sensor-data",outcome="delivered"} 3"#,
        r#"bridge_invocations_total{mapping="sensor-data",result="succeeded"} 3"#,
        r#"bridge_ready{mapping="sensor-data"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    assert_eq!(ask(&world, "GET", "/nowhere").await.0, 404);
    assert_eq!(ask(&world, "POST", "/metrics").await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_ready_says_why() {
    let mut world = World::builder().function(willing()).start().await.unwrap();
    fault(&world, When::Always, Action::status(403));
    publish(&world, 1, |_| {}).await;
    eventually("it is not ready", || !world.bridge().unwrap().troubles().is_empty()).await;
    let (status, why) = ask(&world, "GET", "/readyz").await;
    assert!(status == 503 && why.contains("mapping `sensor-data`: configuration: "), "{status} {why}");
    world.lambda.faults().clear();
    acknowledged(&world, 1).await;
    assert_eq!(ask(&world, "GET", "/readyz").await.0, 200);

    world.broker.as_mut().unwrap().stop().await.unwrap();
    eventually("it has lost its broker", || !world.bridge().unwrap().troubles().is_empty()).await;
    assert_eq!(ask(&world, "GET", "/readyz").await.0, 503);
    assert_eq!(ask(&world, "GET", "/livez").await.0, 200, "a broker that is away is no reason to be restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_mapping_keeps_its_session_and_takes_nothing() {
    everywhere(|builder| async move {
        let (world, tap) = tapped(builder.function(willing())).await;
        publish(&world, 5, |_| {}).await;
        acknowledged(&world, 5).await;
        assert_eq!(ask(&world, "POST", "/mappings/sensor-data/pause").await, (200, "paused\n".into()));
        assert_eq!(ask(&world, "GET", "/mappings").await.1, "sensor-data: paused\n");
        publish(&world, 20, |_| {}).await;
        assert_eq!(world.lambda.log().totals().invoked, 5, "invoked while paused");
        assert_eq!(ask(&world, "POST", "/mappings/sensor-data/resume").await, (200, "resumed\n".into()));
        acknowledged(&world, 25).await;
        let connects = tap.seen().into_iter().filter(|seen| matches!(seen.packet, Packet::ConnAck { .. })).count();
        assert_eq!(connects, 1, "the connection was lost over it");
        assert_eq!(ask(&world, "POST", "/mappings/nobody/pause").await.0, 404);
        let from_a_page = "/mappings/sensor-data/pause HTTP/1.1\r\nOrigin: http://page.example\r\nX: ";
        assert_eq!(ask(&world, "POST", from_a_page).await.0, 403);
    })
    .await;
}
