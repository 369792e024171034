//! Promise: `check --probe` finds an access list that grants a subscription and sends nothing, as Mosquitto's does, and
//! a bridge reports that nothing arrives.

use crate::common::{PATIENCE, eventually, willing};
use crate::hardened::Hardened;
use sandbox::world::World;

const READ: &str = "topic read sensor/data\n";
/// It may publish there, so that a probe is confirmed.
const WRITE: &str = "topic write sensor/data\n";

/// Mosquitto as it is shipped, but that the bridge may not read its topic.
async fn denying() -> Option<Hardened> {
    Hardened::start_with(|name, text| {
        if name != "bridge.acl" {
            return text;
        }
        assert!(text.contains(READ), "{text}");
        text.replace(READ, WRITE)
    })
    .await
}

async fn world(broker: &Hardened) -> World {
    let builder = World::builder().broker(broker.for_the_bridge()).function(willing());
    builder.set("mapping.topic_filter", "sensor/data").set("admin.silent_after", "1s").without_bridge().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_denies_reading_is_found_by_the_probe_and_by_it_alone() {
    let Some(broker) = denying().await else { return };
    let world = world(&broker).await;
    for (arguments, code, says) in [
        (&["check"][..], 0, &["ok   subscribe", "granted with QoS 1"][..]),
        (&["check", "--probe"], 1, &["FAIL probe", "did not come back", "its access list may deny reading"]),
    ] {
        let output = world.command().unwrap().args(arguments).output().await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(says.iter().all(|part| text.contains(part)), "{says:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_may_not_read_says_that_nothing_comes() {
    let Some(broker) = denying().await else { return };
    let world = world(&broker).await;
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscription.granted", PATIENCE).await, "{:#?}", process.log());
    let device = broker.certificate("C-Client-01");
    assert!(broker.publish(&device, "sensor/data", b"24.5", &[]).await.status.success());
    let said = || process.log().into_iter().find(|line| line.contains("\"event\":\"mapping.silent\""));
    eventually("it is said", || said().is_some()).await;
    assert!(said().unwrap().contains("access list lets this client read it"), "{:?}", said());
}
