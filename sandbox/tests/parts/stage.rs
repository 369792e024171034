//! A bridge in front of a scripted broker, and a function whose answers wait until the test lets them go.

use std::collections::HashSet;
use std::time::Duration;

use bridge::config::Protocol;
use event::Event;
use sandbox::lambda::{Answer, Call, Function, Invocation, Outcome};
use sandbox::scripted::{ConnAck, Peer, ScriptError, Scripted};
use sandbox::world::{FUNCTION, World, WorldBuilder};
use tokio::sync::watch;

use crate::common::side_by_side;

/// How a script ends.
pub type Played = Result<(), ScriptError>;

/// How long to wait for something forbidden, where no event shows that it will not happen.
pub const WINDOW: Duration = Duration::from_millis(300);

pub struct Stage {
    pub world: World,
    pub broker: Scripted,
    pub protocol: Protocol,
}

impl Stage {
    /// Everything but the bridge.
    pub async fn new(protocol: Protocol, adjust: impl FnOnce(WorldBuilder) -> WorldBuilder) -> Self {
        let builder = World::builder().protocol(protocol).set("mqtt.backoff", "1ms..10ms");
        let mut world = adjust(builder).without_bridge().await.unwrap();
        let broker = Scripted::start(&world.files, protocol).await.unwrap();
        world.set("mqtt.url", &broker.url().to_string());
        Self { world, broker, protocol }
    }

    /// With a bridge in this process, on its way to the broker.
    pub async fn start(protocol: Protocol, adjust: impl FnOnce(WorldBuilder) -> WorldBuilder) -> Self {
        let mut stage = Self::new(protocol, adjust).await;
        stage.world.launch_bridge().await.unwrap();
        stage
    }

    /// A new bridge in front of a new broker, without any earlier state.
    pub async fn again(&mut self) {
        self.world.crash_bridge();
        self.broker = Scripted::start(&self.world.files, self.protocol).await.unwrap();
        self.world.set("mqtt.url", &self.broker.url().to_string());
        self.world.launch_bridge().await.unwrap();
    }

    /// The next connection, with a session that begins, subscribed at QoS 1.
    pub async fn fresh(&self) -> Result<Peer, ScriptError> {
        let mut peer = self.broker.accept().await?;
        peer.greet(&ConnAck::fresh()).await?;
        peer.grant(1).await?;
        Ok(peer)
    }

    /// The next connection, with the session of the one before. Under MQTT 5 it is subscribed to again; under MQTT 3.1.1 a
    /// process that has subscribed once does not do so again.
    pub async fn resumed(&self) -> Result<Peer, ScriptError> {
        let mut peer = self.present().await?;
        if self.protocol == Protocol::V5 {
            let subscribe = peer.subscribe().await?;
            peer.suback(subscribe.packet_id, &[subscribe.qos]).await?;
        }
        Ok(peer)
    }

    /// The next connection, with the session of the one before, and nothing said about a SUBSCRIBE.
    pub async fn present(&self) -> Result<Peer, ScriptError> {
        let mut peer = self.broker.accept().await?;
        peer.greet(&ConnAck::resumed()).await?;
        Ok(peer)
    }

    /// Waits until this many invocations have begun.
    pub async fn invoked(&self, count: u64) {
        let log = self.world.lambda.log();
        log.wait_for(Duration::from_mins(1), |log| log.totals().invoked >= count).await.unwrap();
    }

    /// The payloads of all invocations begun so far, in order.
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        self.world.lambda.log().invocations().iter().flat_map(payloads).collect()
    }

    /// How often a message with this payload was brought to a success, and how often to the failure destination.
    pub fn fate_of(&self, payload: &[u8]) -> (usize, usize) {
        let invocations = self.world.lambda.log().invocations();
        let handled = invocations.iter().filter(|invocation| has_succeeded(invocation)).flat_map(payloads);
        let letters = self.world.dead_letters().unwrap();
        (
            handled.filter(|handled| handled.trim_ascii() == payload.trim_ascii()).count(),
            letters.iter().filter(|letter| letter.payload_bytes().as_deref() == Some(payload)).count(),
        )
    }
}

fn payloads(invocation: &Invocation) -> Vec<Vec<u8>> {
    let event: Event = serde_json::from_slice(&invocation.payload).expect("an event");
    event.records.iter().map(|record| record.payload().expect("a payload").into_bytes().into_owned()).collect()
}

fn has_succeeded(invocation: &Invocation) -> bool {
    match &invocation.outcome {
        Some(Outcome::Answered(answer)) => {
            serde_json::from_slice::<event::Response>(answer).unwrap_or_default().batch_item_failures.is_empty()
        }
        _ => false,
    }
}

/// Lets answers go.
pub struct Gate(watch::Sender<HashSet<Vec<u8>>>);

impl Gate {
    /// Lets the answers to events with this payload go, now and later.
    pub fn open(&self, payload: impl Into<Vec<u8>>) {
        self.0.send_if_modified(|open| open.insert(payload.into()));
    }
}

/// A function that answers an event only once the gate is open for its first payload.
pub fn gated() -> (Function, Gate) {
    let gate = Gate(watch::Sender::new(HashSet::new()));
    let open = gate.0.subscribe();
    let function = Function::inline(FUNCTION, move |call: Call| {
        let mut open = open.clone();
        async move {
            let event = call.event().expect("an event");
            let payload = event.records[0].payload().expect("a payload").into_bytes().into_owned();
            let _ = open.wait_for(|open| open.contains(&payload)).await;
            Answer::null()
        }
    });
    (Function { timeout: Duration::from_mins(2), ..function }, gate)
}

/// Plays the scenario under both protocol versions, side by side.
pub async fn both<F: Future<Output = Played>>(scenario: impl Fn(Protocol) -> F) {
    let play = |protocol| {
        let played = Box::pin(scenario(protocol));
        let case = async move { played.await.unwrap_or_else(|error| panic!("MQTT {protocol}: {error}")) };
        (format!("MQTT {protocol}"), Box::pin(case))
    };
    side_by_side([Protocol::V5, Protocol::V311].map(play).into()).await;
}
