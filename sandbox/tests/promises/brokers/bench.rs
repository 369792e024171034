//! Where one scenario runs: a broker of the lab, a world around it, and names that no other scenario uses.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge::config::Protocol;
use sandbox::lab::{ACK_WAIT, Foreign, Habits};
use sandbox::lambda::{Answer, Call, Function};
use sandbox::sensors::Sensors;
use sandbox::world::{FUNCTION, World};
use tokio::sync::{Mutex, watch};

use crate::common::{self, Fate, PATIENCE, eventually, records, rest_after};
use crate::replica::{Replica, SHORT, broker, mapping};

/// How many messages the bridge may hold in most scenarios.
pub const WINDOW: u64 = 20;

/// What a scenario has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub lost: usize,
    pub extra: usize,
    /// The note in the table.
    pub note: String,
    /// A condition that does not hold.
    pub wrong: Vec<String>,
}

impl Seen {
    /// Records the condition if it does not hold.
    pub fn must(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.wrong.push(what.into());
        }
    }

    /// Nothing is lost, and no more than this is invoked again.
    pub fn nothing_lost(&mut self, extra: usize) {
        self.must(self.lost == 0, format!("{} lost", self.lost));
        self.must(self.extra <= extra, format!("{} extra invocations, {extra} allowed", self.extra));
    }
}

pub struct Bench {
    /// Shared with the scenarios beside this one.
    pub broker: Arc<Mutex<Foreign>>,
    pub habits: Habits,
    pub protocol: Protocol,
    /// Unique to this scenario: part of the client id, and of every topic.
    pub name: String,
}

/// One world with what the scenario asks of it.
pub struct Stage {
    pub world: World,
    pub topic: String,
    pub login: Option<(String, String)>,
    protocol: Protocol,
    config: String,
    started: usize,
}

impl Bench {
    /// A world around the broker with this function, and a bridge's configuration: its topic, and `more` of its mapping.
    pub async fn stage(&self, function: Function, more: &str) -> Stage {
        let topic = format!("lab/{}/data", self.name);
        self.stage_for(function, &topic, "", more).await
    }

    /// The same for another filter, and with `settings` of `[mqtt]`.
    pub async fn stage_for(&self, function: Function, filter: &str, settings: &str, more: &str) -> Stage {
        let (kind, protocol) = (self.broker.lock().await.kind(self.protocol), self.protocol);
        let world = World::builder().broker(kind).protocol(protocol).function(function).without_bridge().await.unwrap();
        // A bridge that has stopped reading notices the end of its connection by its next ping.
        let settings =
            format!("{SHORT}\nkeep_alive = \"5s\"\n{}{}{settings}", self.redelivery_timer(), self.login(&world));
        let config = broker(world.url(), &world.files, protocol, &self.name, &settings)
            + &mapping("m", filter, &format!("timeout = \"2m\"\n{more}"));
        let login = self.habits.product.login("device");
        Stage { world, topic: format!("lab/{}/data", self.name), login, protocol, config, started: 0 }
    }
}

impl Bench {
    /// How many may be invoked again though nothing broke on purpose: on a machine with too much to do a keep-alive ends by
    /// itself, and not every broker's copies are recognised then.
    pub fn again(&self, bridges: &[&Replica]) -> usize {
        let ended: usize = bridges.iter().map(|bridge| bridge.logged("broker.lost").len()).sum();
        if self.habits.is_known_again() { 0 } else { ended * Stage::window() }
    }

    /// Where no timer says so, a broker sends again at once.
    fn redelivery_timer(&self) -> String {
        let timer = self.habits.sends_again_by.map_or(Duration::ZERO, |_| ACK_WAIT + Duration::from_secs(1));
        format!("redelivery_timer = \"{}s\"\n", timer.as_secs())
    }

    fn login(&self, world: &World) -> String {
        let Some((user, password)) = self.habits.product.login("bridge") else { return String::new() };
        let file = world.directory().join("password");
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        format!("username = \"{user}\"\npassword_file = \"{}\"\n", file.display())
    }
}

impl Stage {
    /// A bridge that is ready.
    pub async fn bridge(&mut self) -> Replica {
        let replica = self.launch().await;
        replica.ready().await;
        replica
    }

    /// A bridge that may never be ready.
    pub async fn launch(&mut self) -> Replica {
        self.started += 1;
        Replica::launch(&self.world, &format!("bridge-{}", self.started), &self.config).await
    }

    /// Another configuration from the next start on.
    pub fn change(&mut self, from: &str, to: &str) {
        assert!(self.config.contains(from), "no `{from}` in {}", self.config);
        self.config = self.config.replace(from, to);
    }

    /// As it is for the next start.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Publishes as fast as the broker confirms, and returns when it has confirmed all.
    pub async fn publish(&self, messages: u64) -> Sensors {
        let (topic, protocol, login) = (self.topic.clone(), self.protocol, self.login.clone());
        common::publish(&self.world, messages, |options| {
            (options.topic, options.protocol, options.login) = (topic, protocol, login);
        })
        .await
    }

    /// The same, while the scenario goes on.
    pub fn publishing(&self, messages: u64, rate: f64) -> Sensors {
        let (topic, protocol, login) = (self.topic.clone(), self.protocol, self.login.clone());
        self.world
            .sensors(|options| {
                (options.topic, options.protocol, options.login) = (topic, protocol, login);
                (options.count, options.rate, options.total) = (1, rate, Some(messages));
            })
            .unwrap()
    }

    /// Waits until the function has taken this many different messages.
    pub async fn handled(&self, messages: usize) {
        eventually(&format!("{messages} messages are handled"), || Fate::of(&self.world).handled.len() >= messages)
            .await;
    }

    /// Waits until this many invocations have begun.
    pub async fn invoked(&self, count: u64) {
        self.world.lambda.log().wait_for(PATIENCE, |log| log.totals().invoked >= count).await.unwrap();
    }

    /// The lost messages, counted once all is handled, or patience is over and nothing arrives any more.
    pub async fn outcome(&self, sensors: &[&Sensors]) -> Seen {
        let lost = |fate: &Fate| sensors.iter().map(|sensors| fate.lost(sensors).len()).sum::<usize>();
        let begun = Instant::now();
        loop {
            let look = Instant::now();
            if lost(&Fate::of(&self.world)) == 0 || begun.elapsed() > PATIENCE {
                break;
            }
            rest_after(look).await;
        }
        let log = self.world.lambda.log();
        eventually("no invocation is under way", || log.totals().in_flight == 0).await;
        let fate = Fate::of(&self.world);
        Seen { lost: lost(&fate), extra: fate.extra(), ..Seen::default() }
    }

    /// How many messages the function was given that their broker had sent before, as it says.
    pub fn sent_again(&self) -> usize {
        records(&self.world).iter().filter(|record| record["dup"] == true).count()
    }

    /// The most messages in flight when something breaks.
    pub fn window() -> usize {
        usize::try_from(WINDOW).unwrap()
    }
}

/// A function that takes this long.
pub fn slow(by: Duration) -> Function {
    let function = Function::inline(FUNCTION, move |_: Call| async move {
        tokio::time::sleep(by).await;
        Answer::null()
    });
    Function { timeout: Duration::from_mins(2), ..function }
}

/// A function that takes this long, and no time once the gate is opened.
pub fn slow_until_open(by: Duration) -> (Function, watch::Sender<bool>) {
    let (gate, open) = watch::channel(false);
    let function = Function::inline(FUNCTION, move |_: Call| {
        let mut open = open.clone();
        async move {
            // Over in time, or opened, or the test has ended.
            let _ = tokio::time::timeout(by, open.wait_for(|open| *open)).await;
            Answer::null()
        }
    });
    (Function { timeout: Duration::from_mins(2), ..function }, gate)
}

/// A function that answers nobody until the gate is opened.
pub fn gated() -> (Function, watch::Sender<bool>) {
    let (gate, open) = watch::channel(false);
    let function = Function::inline(FUNCTION, move |_: Call| {
        let mut open = open.clone();
        async move {
            // An error means that the test has ended.
            let _ = open.wait_for(|open| *open).await;
            Answer::null()
        }
    });
    (Function { timeout: Duration::from_mins(2), ..function }, gate)
}
