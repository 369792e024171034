//! Promise: the log, a note of `/readyz` and the metrics report a window that has been full for a minute, and that it
//! has room again. The bridge stays ready.

use std::time::Duration;

use crate::common::{PATIENCE, fault, publish, willing};
use crate::replica::{Replica, SHORT, broker, mapping};
use bridge::config::Protocol;
use sandbox::lambda::{Action, When};
use sandbox::world::World;

/// Longer than what counts as full.
const SLOW: Duration = Duration::from_secs(75);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_window_is_said_and_that_it_has_room_again() {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    fault(&world, When::Next(2), Action::Delay(SLOW));
    let config = broker(world.url(), &world.files, Protocol::V5, "b", SHORT)
        + &mapping("m", "sensor/data", "receive_maximum = 2\ntimeout = \"2m\"");
    let mut bridge = Replica::start(&world, "bridge", &config).await;
    publish(&world, 3, |_| {}).await;
    assert!(bridge.process.logged("\"event\":\"mapping.window_full\"", PATIENCE).await, "{:#?}", bridge.process.log());
    let (status, body) = bridge.ask("GET", "/readyz").await;
    assert!(status == 200 && body.starts_with("ready\nnote: mapping `m`: window full: 2 of 2 messages"), "{body}");
    let number = async |name: &str| bridge.metric(&format!("mqtt_lambda_bridge_{name}{{mapping=\"m\"}} ")).await;
    assert_eq!((number("outstanding").await, number("window_capacity").await), (Some(2.0), Some(2.0)));
    assert_eq!(number("ready").await, Some(1.0));
    assert!(bridge.process.logged("\"event\":\"mapping.window_free\"", PATIENCE).await, "{:#?}", bridge.process.log());
    bridge.until("it is ready without a note", "/readyz", |body| body == "ready\n").await;
}
