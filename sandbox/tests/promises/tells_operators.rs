//! Promise: an operator can see the state of the bridge, and can pause and resume a mapping without losing its session.

use crate::common::{acknowledged, eventually, everywhere, fault, publish, tapped, willing};
use sandbox::lambda::{Action, When};
use sandbox::wiretap::Packet;
use sandbox::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Status and body of one request to the admin endpoint.
async fn ask(world: &World, method: &str, path: &str) -> (u16, String) {
    ask_with(world, method, path, "Host: localhost").await
}

async fn ask_with(world: &World, method: &str, path: &str, headers: &str) -> (u16, String) {
    let address = world.bridge().unwrap().admin_address().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
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
        r#"mqtt_lambda_bridge_received_total{mapping="sensor-data"} 3"#,
        r#"mqtt_lambda_bridge_acknowledged_total{mapping="sensor-data"} 3"#,
        r#"mqtt_lambda_bridge_settled_total{mapping="sensor-data",outcome="delivered"} 3"#,
        r#"mqtt_lambda_bridge_invocations_total{mapping="sensor-data",result="succeeded"} 3"#,
        r#"mqtt_lambda_bridge_ready{mapping="sensor-data"} 1"#,
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
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_learns_nothing_and_orders_nothing() {
    let world =
        World::builder().function(willing()).set("admin.allowed_hosts", "bridge.example").start().await.unwrap();
    for path in ["/", "/status.json", "/history.json", "/readyz", "/startedz", "/metrics", "/mappings"] {
        let (status, body) = ask_with(&world, "GET", path, "Host: rebound.example:9464").await;
        assert!(status == 421 && !body.contains("sensor-data"), "{path}: {status} {body}");
        assert_ne!(ask_with(&world, "GET", path, "Host: bridge.example:9464").await.0, 421, "{path}");
    }
    assert_eq!(ask_with(&world, "GET", "/livez", "Host: rebound.example").await, (200, "ok\n".into()));
    for headers in [
        "Host: rebound.example",
        "Host: localhost\r\nOrigin: http://page.example",
        "Host: localhost\r\nOrigin: null",
        "Host: localhost\r\nSec-Fetch-Site: cross-site",
    ] {
        for path in ["/mappings/sensor-data/pause", "/retire"] {
            let (status, _) = ask_with(&world, "POST", path, headers).await;
            assert!(status == 421 || status == 403, "{path} with {headers}: {status}");
        }
    }
    assert_eq!(ask(&world, "GET", "/mappings").await.1, "sensor-data: ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_configured_nobody_gives_orders_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "t0ken\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let token_file = file.to_str().unwrap();
    let world = World::builder().function(willing()).set("admin.token_file", token_file).start().await.unwrap();
    let pause = "/mappings/sensor-data/pause";
    assert_eq!(ask(&world, "POST", pause).await.0, 401);
    assert_eq!(ask(&world, "POST", "/retire").await.0, 401);
    assert_eq!(ask_with(&world, "POST", pause, "Host: localhost\r\nAuthorization: Bearer tOken").await.0, 401);
    assert_eq!(ask(&world, "GET", "/mappings").await.1, "sensor-data: ready\n", "looking takes no token");
    assert_eq!(ask_with(&world, "POST", pause, "Host: localhost\r\nAuthorization: Bearer t0ken").await.0, 200);
}

/// The command line of the program beside this test, against the world's bridge.
async fn command(world: &World, arguments: &[&str]) -> (i32, String) {
    let address = world.bridge().unwrap().admin_address().unwrap().to_string();
    let program = sandbox::binaries::build().unwrap().bridge;
    let mut command = tokio::process::Command::new(program);
    let said = command.args(arguments).env("BRIDGE_ADMIN_LISTEN", address).output().await.unwrap();
    let text = [said.stdout, said.stderr].concat();
    (said.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_itself_pauses_resumes_shows_and_retires() {
    let world = World::builder().function(willing()).start().await.unwrap();
    assert_eq!(command(&world, &["pause", "sensor-data"]).await, (0, "paused\n".into()));
    let (code, said) = command(&world, &["status"]).await;
    assert!(
        code == 0 && said.contains("sensor-data: paused\n") && said.matches("paused since 2").count() == 1,
        "{said}"
    );
    assert_eq!(command(&world, &["resume", "sensor-data"]).await, (0, "resumed\n".into()));
    let (code, said) = command(&world, &["status", "--json", "sensor-data"]).await;
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &status["mappings"][0]["state"]), (0, &"ready".into()), "{said}");
    let nobody = "error: mapping `nobody`: not found; ";
    for arguments in [&["pause", "nobody"][..], &["resume", "nobody"], &["status", "nobody"]] {
        let (code, said) = command(&world, arguments).await;
        assert!(code == 1 && said.starts_with(nobody), "{arguments:?}: {said}");
    }
    assert_eq!(command(&world, &["pause"]).await.0, 2);
    assert_eq!(command(&world, &["pause", "../retire"]).await.0, 2);
    let (code, said) = command(&world, &["retire"]).await;
    assert!(code == 0 && said.starts_with("retiring; "), "{said}");
}
