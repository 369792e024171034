//! What `cargo sandbox fleet` says of a replica that is killed and comes back, against real processes and brokers: where the messages
//! wait that come meanwhile, how many come a second time, and that all come. Counts, not times.

use std::collections::BTreeSet;
use std::sync::Arc;

use bridge::config::Protocol;
use sandbox::fleet::{Deals, one_of_two_killed};
use sandbox::lambda::{Answer, Function};
use sandbox::leftovers;
use sandbox::replicas::Replicas;
use sandbox::sensors::Sensors;
use sandbox::tools;
use sandbox::world::{BrokerKind, FUNCTION, MAPPING, World, WorldBuilder};
use tokio::sync::watch;

use crate::common::{PATIENCE, eventually, nothing_lost, publish};
use crate::faults::scene::both_protocols;

const CONCURRENCY: u32 = 4;
/// Enough that both replicas have all hands full, with some more behind.
const BEFORE: u64 = 40;
const MEANWHILE: u64 = 100;
/// What a broker may have sent to the connection before it saw its end.
const UNNOTICED: f64 = 0.05;

/// Two replicas on a shared subscription, whose function answers once the gate is open.
async fn two(builder: WorldBuilder) -> (World, Replicas, watch::Sender<bool>) {
    let (gate, closed) = watch::channel(false);
    let function = Function::inline(FUNCTION, move |_| {
        let mut gate = closed.clone();
        async move {
            // An error means that the test has ended.
            let _ = gate.wait_for(|is_open| *is_open).await;
            Answer::null()
        }
    });
    let function = Function { timeout: PATIENCE, ..function };
    let builder = builder
        .set("mapping.topic_filter", "$share/bridge/sensor/data")
        .set("mapping.message_id", "payload:/message_id")
        .set("mapping.concurrency", &CONCURRENCY.to_string())
        .set("mapping.timeout", "3m")
        .function(function);
    let mut world = builder.without_bridge().await.unwrap();
    let replicas = Replicas::start(&mut world, 2, PATIENCE).await.unwrap();
    (world, replicas, gate)
}

/// The messages of `sensors` that wait for the first replica.
async fn waiting_for_first(world: &World, protocol: Protocol, sensors: &Sensors) -> usize {
    let tls = Arc::new(world.files.client_config(&world.files.bridge).unwrap());
    let session = format!("{}-{MAPPING}", Replicas::client_id(0));
    let waiting = leftovers::waiting(world.url(), tls, protocol, &session, PATIENCE).await;
    let registry = sensors.registry();
    let all: BTreeSet<_> = (1..=sensors.published()).map(|number| registry.id(number)).collect();
    waiting.intersection(&all).count()
}

async fn is_as_modelled(builder: WorldBuilder, deals: Deals) {
    let model = one_of_two_killed(CONCURRENCY, deals);
    let protocol = builder.protocol_spoken();
    let (mut world, mut replicas, gate) = two(builder).await;
    let before = publish(&world, BEFORE, |_| {}).await;
    let log = world.lambda.log();
    eventually("both have their hands full", || log.totals().in_flight == u64::from(2 * CONCURRENCY)).await;
    replicas.kill(0).await.unwrap();
    gate.send_replace(true);
    // On a busy machine a broker may take its time to see the end of the connection.
    let unnoticed = publish(&world, BEFORE, |_| {}).await;
    let meanwhile = publish(&world, MEANWHILE, |_| {}).await;

    let waits = waiting_for_first(&world, protocol, &meanwhile).await;
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let share = waits as f64 / MEANWHILE as f64;
    let expected = model.waits.start() - UNNOTICED..=model.waits.end() + UNNOTICED;
    assert!(expected.contains(&share), "{deals:?}: {share} of the messages wait, {:?} by the model", model.waits);

    replicas.restart(&mut world, 0).await.unwrap();
    for sensors in [&before, &unnoticed] {
        nothing_lost(&world, sensors).await;
    }
    let fate = nothing_lost(&world, &meanwhile).await;
    eventually("all is quiet", || log.totals().in_flight == 0).await;
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let copies = fate.extra() as f64;
    assert!((1.0..=model.copies_at_most).contains(&copies), "{copies} copies, at most {}", model.copies_at_most);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_is_as_modelled_where_the_broker_waits_for_it() {
    if tools::require("mosquitto").is_some() {
        both_protocols(|builder| is_as_modelled(builder.broker(BrokerKind::Mosquitto), Deals::Waits)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replica_is_as_modelled_where_the_broker_deals_its_share_to_the_others() {
    both_protocols(|builder| is_as_modelled(builder.broker(BrokerKind::Embedded), Deals::Redistributes)).await;
}
