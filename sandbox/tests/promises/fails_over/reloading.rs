//! Filters that a reload changes while the bridge is at the second of two real brokers change at the first, too: nothing is lost
//! of what it holds for the one that is gone, and it is given up there as well.

use std::time::Duration;

use bridge::config::Protocol;
use sandbox::lambda::{Action, When};
use sandbox::sensors::SensorOptions;
use serde_json::{Value, json};

use super::{VERSIONS, two_brokers};
use crate::common::{Fate, eventually, fault, nothing_lost, publish, side_by_side};
use crate::replica::{AT_ONCE, Replica, SHORT, broker, events, mapping};

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_a_reload_changes_at_the_second_broker_change_at_the_first_too() {
    if sandbox::tools::require("mosquitto").is_none() {
        return;
    }
    let case = |protocol: Protocol| (format!("MQTT {protocol}"), Box::pin(reloaded_at_the_second(protocol)));
    side_by_side(VERSIONS.map(case).into()).await;
}

async fn reloaded_at_the_second(protocol: Protocol) {
    let (mut world, second) = two_brokers(protocol).await;
    fault(&world, When::Always, Action::Delay(Duration::from_millis(100)));
    let (first_url, second_url) = (world.url().to_string(), second.url().to_string());
    let urls = format!("[\"{first_url}\", \"{second_url}\"]");
    let link = format!("{SHORT}\n{AT_ONCE}\nreturn_after = \"1s\"\nconnect_timeout = \"3s\"");
    let common = broker(world.url(), &world.files, protocol, "b", &link).replace(&format!("\"{first_url}\""), &urls)
        + &mapping("m", "F", "receive_maximum = 2");
    let [before, after, more] =
        ["[\"a\", \"c\"]", "[\"b\", \"c\"]", "[\"b\", \"c\", \"d\"]"].map(|filters| common.replace("\"F\"", filters));
    let topic = |name: &'static str| move |options: &mut SensorOptions| options.topic = name.into();
    let mut bridge = Replica::start(&world, "bridge", &before).await;
    let gone = publish(&world, 40, topic("a")).await;
    eventually("some are handled", || Fate::of(&world).handled.len() >= 5).await;
    world.broker.as_mut().unwrap().kill().await.unwrap();
    eventually("the second broker is read", || bridge.connected("b-m").len() >= 2).await;

    bridge.reload(&after).await;
    eventually("it is given up at the second", || given_up_at(&bridge, &second_url, 1)).await;
    let new = publish(&world, 5, |options| (options.topic, options.broker) = ("b".into(), second.url())).await;
    nothing_lost(&world, &new).await;
    // What the second broker has granted before this one is not taken for granted by the first.
    bridge.reload(&more).await;
    bridge.ready().await;
    assert!(!Fate::of(&world).lost(&gone).is_empty(), "the first broker holds nothing");

    world.broker.as_mut().unwrap().restart().await.unwrap();
    nothing_lost(&world, &gone).await;
    eventually("it is given up at the first", || given_up_at(&bridge, &first_url, 2)).await;
    let kept = [publish(&world, 5, topic("b")).await, publish(&world, 5, topic("c")).await];
    let unwanted = publish(&world, 5, topic("a")).await;
    for sensors in &kept {
        nothing_lost(&world, sensors).await;
    }
    assert_eq!(Fate::of(&world).lost(&unwanted).len(), 5, "the first broker still sends it");
    assert!(bridge.logged("session.lost").is_empty());
}

/// Whether the filter that is gone was given up over this broker's connection of that number, or later.
fn given_up_at(bridge: &Replica, broker: &str, connection: usize) -> bool {
    let log: Vec<_> = events(&bridge.process).collect();
    let connected = |line: &&Value| line["event"] == "broker.connected" && line["broker"] == broker;
    let Some(connected) = log.iter().filter(connected).nth(connection - 1) else { return false };
    let since = log.iter().skip_while(|line| *line != connected);
    since.filter(|line| line["event"] == "session.unsubscribed").any(|line| line["former"] == json!("[\"a\"]"))
}
