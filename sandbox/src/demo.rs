//! `cargo sandbox`: starts a world, lets sensors publish into it, shows the message flow, ends it in order and reports
//! the outcome of every message.

mod books;
pub mod command;
mod ending;
mod open;
mod screen;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bridge::config::Protocol;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::lambda::{Fault, Function, Settings};
use crate::leftovers;
use crate::report::Summary;
use crate::scene::{self, Hubs, Scene};
use crate::world::{BrokerKind, MAPPING, World};
use books::Books;
use screen::Screen;

pub use ending::Ending;
pub use screen::Terminal;

/// How long the end of a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the broker to confirm the last messages.
    pub pubacks: Duration,
    /// For the bridge to finish what has been published, and then to drain.
    pub messages: Duration,
    /// For the function to answer the last invocations.
    pub invocations: Duration,
    /// For the broker to show what it still holds.
    pub leftovers: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            pubacks: Duration::from_secs(10),
            messages: Duration::from_secs(30),
            invocations: Duration::from_secs(30),
            leftovers: Duration::from_mins(2),
        }
    }
}

/// What to show.
#[derive(Debug)]
pub struct Demo {
    /// Which broker.
    pub broker: BrokerKind,
    /// Which version of MQTT bridge and sensors speak.
    pub protocol: Protocol,
    /// What is played.
    pub scene: Scene,
    /// How many sensors.
    pub sensors: usize,
    /// Messages a second of all sensors together.
    pub rate: f64,
    /// Every how many messages one is a bad reading.
    pub bad_every: Option<u64>,
    /// How long; until Ctrl-C without it.
    pub duration: Option<Duration>,
    /// What goes wrong at the local Lambda.
    pub fault: Option<Fault>,
    /// The function, in place of the real handler.
    pub function: Option<Function>,
    /// How many invocations at once.
    pub concurrency: usize,
    /// Whether the status page is shown in a browser.
    pub open: bool,
    /// How long its end may take.
    pub patience: Patience,
}

/// Runs the demo, and returns its accounts and what it leaves behind. `remarks` are shown above the block.
///
/// # Errors
/// When a part of the world does not start.
pub async fn run(demo: Demo, terminal: Terminal, remarks: mpsc::Receiver<String>) -> Result<(Summary, Ending)> {
    let who = demo.scene.publishers();
    let title = format!("sandbox: {who}s -> MQTT {} over mutual TLS -> bridge -> local Lambda", demo.protocol);
    let mut screen = Screen::new(terminal, &title, remarks);
    screen.say("starting broker, function and bridge ...")?;
    // A broker that others use must not confuse two sandboxes.
    let client_id = format!("sandbox-{:08x}", fastrand::u32(..));
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?;
    let session = format!("{client_id}-{MAPPING}");
    let mut world = tokio::select! {
        world = world(&demo, &client_id) => world?,
        _ = interrupt.recv() => anyhow::bail!("interrupted before anything was published"),
    };
    if let Some(fault) = &demo.fault {
        screen.say(&format!("fault: {fault}"))?;
        world.lambda.faults().add(fault.clone());
    }
    say_where(&world, &demo, &mut screen)?;
    let device = Arc::new(world.files.client_config(&world.files.device)?);
    let _hubs = match demo.scene {
        Scene::Hub => {
            let (hubs, heard) = Hubs::listen(world.url(), device).await;
            screen.hear(heard);
            Some(hubs)
        }
        Scene::Sensors { .. } => None,
    };
    // Before the first message is published, so that none goes by unseen.
    let invocations = world.lambda.log().subscribe();
    let mut sensors = world.sensors(|options| {
        (options.protocol, options.name, options.topic) = (demo.protocol, who, demo.scene.published_to());
        (options.count, options.rate, options.bad_every) = (demo.sensors, demo.rate, demo.bad_every);
    })?;
    let mut books = Books::open(&sensors, invocations, demo.patience);
    screen.say(&how_long(demo.duration))?;
    books.watch(&world, demo.duration, &mut interrupt, &mut screen).await?;
    screen.say("stopping ...")?;
    let unconfirmed = sensors.stop(demo.patience.pubacks).await;
    books.settle(&world, unconfirmed, &mut interrupt, &mut screen).await?;
    if !world.drain_bridge(demo.patience.messages).await {
        screen.say("the bridge did not finish in time; the rest stays with the broker")?;
    }
    let summary = books.account(&world, &demo, &session, &mut screen).await?;
    forget(&world, &demo, &session, &mut screen).await?;
    let ending = Ending::keep(&world.dead_letter_file(), &summary).context("the dead letters cannot be kept")?;
    Ok((summary, ending))
}

/// What a person reads while the demo runs.
fn how_long(duration: Option<Duration>) -> String {
    match duration {
        Some(duration) => format!("running for {}; Ctrl-C ends it earlier", humantime::format_duration(duration)),
        None => "running; Ctrl-C ends it".to_owned(),
    }
}

/// Where the status page is, and shows it where that is wanted.
fn say_where(world: &World, demo: &Demo, screen: &mut Screen) -> Result<()> {
    let Some(address) = world.bridge().and_then(bridge::Bridge::admin_address) else { return Ok(()) };
    let url = format!("http://{address}/");
    screen.say(&format!("status page, while this runs: {url}"))?;
    if demo.open && !open::in_browser(&url) {
        screen.say("no browser was found: set BROWSER, or open that address yourself")?;
    }
    Ok(())
}

/// Has somebody else's broker forget the session, so that it collects nothing for a bridge that never comes back.
async fn forget(world: &World, demo: &Demo, session: &str, screen: &mut Screen) -> Result<()> {
    if world.broker.is_none() {
        let tls = Arc::new(world.files.client_config(&world.files.bridge)?);
        if !leftovers::forget(world.url(), tls, demo.protocol, session, demo.patience.leftovers).await {
            screen.say(&format!("the broker may still hold the session `{session}`: delete it there"))?;
        }
    }
    Ok(())
}

async fn world(demo: &Demo, client_id: &str) -> Result<World> {
    let lambda = Settings { history: 16_384, output_lines: 100, ..Settings::default() };
    let mut builder = World::builder()
        .broker(demo.broker.clone())
        .protocol(demo.protocol)
        .lambda(lambda)
        .set("mqtt.client_id", client_id)
        .set("mapping.topic_filter", demo.scene.subscribed_to())
        .set("mapping.concurrency", &demo.concurrency.to_string());
    if let Scene::Hub = demo.scene {
        builder =
            builder.environment(scene::THRESHOLD.0, scene::THRESHOLD.1).set("mapping.response.allow", scene::COMMAND);
    }
    if let Some(function) = &demo.function {
        builder = builder.function(function.clone());
    }
    builder.start().await.context("the sandbox cannot start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_that_ends_by_itself_says_when() {
        assert_eq!(how_long(Some(Duration::from_secs(20))), "running for 20s; Ctrl-C ends it earlier");
        assert_eq!(how_long(None), "running; Ctrl-C ends it");
    }
}
