//! Promise: nothing is lost with brokers that others have written, each with its habits, under each version of MQTT that
//! it speaks. Matrix rows F28 to F33, F39 and F40, on the real binary over mutual TLS.
//!
//! A broker that is not installed is skipped visibly, and an error where `REQUIRE_BROKERS` names it: `.ci/brokers`. What
//! was seen is written as JSON lines, one a scenario, into `target/tmp/brokers`. Unless `BROKER_LAB` says otherwise each
//! broker is tried under one version of MQTT: `fast` tries all versions, `full` adds the slow scenarios, and `none`
//! skips all. `BROKER_LAB_ONLY` names the scenarios to run.

mod answers;
mod bench;
mod course;
mod device;
mod docs;
mod filters;
mod ill_formed;
mod interrupted;
mod leaving;
mod retained;
mod sessions;
mod shared;
mod steady;
mod strangers;

use sandbox::lab::Product;

macro_rules! brokers {
    ($($name:ident: $product:ident),* $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            course::run(Product::$product).await;
        }
    )* };
}

brokers! {
    mosquitto: Mosquitto,
    rabbitmq_3_10: RabbitMq3,
    rabbitmq_4_0: RabbitMq4,
    ejabberd: Ejabberd,
    nats_2_9: Nats29,
    nats_2_15: Nats215,
    activemq: ActiveMq,
    aedes: Aedes,
    rumqttd: Rumqttd,
}
