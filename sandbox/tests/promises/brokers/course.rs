//! Runs all scenarios with one broker, several at once, and writes a row for each; those that end the broker come last, one by
//! one. A scenario that fails does not keep the next one from running; all of them are told at the end.

use std::fs::File;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bridge::config::Protocol;
use sandbox::lab::{self, Foreign, Habits, Product};
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::bench::{Bench, Seen};
use super::{answers, filters, ill_formed, interrupted, leaving, retained, sessions, shared, steady, strangers};

/// How long a row's note may be.
const NOTE: usize = 300;
/// So many scenarios run at once: most of them wait most of the time.
const AT_ONCE: usize = 6;

/// The scenarios, by their names in the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    Once,
    BridgeKilled,
    BridgeStopped,
    TakenOver,
    BrokerRestarted,
    BrokerKilled,
    Cut,
    Shared,
    Retire,
    RetireAfterACut,
    RetireKilled,
    FilterRemoved,
    Answers,
    SessionExpiry,
    SentAgain,
    Retained,
    Mqtt5Refused,
    Strangers,
    IllFormed,
}

impl Scenario {
    const ALL: [Self; 19] = [
        Self::Once,
        Self::BridgeKilled,
        Self::BridgeStopped,
        Self::TakenOver,
        Self::Cut,
        Self::Retire,
        Self::RetireAfterACut,
        Self::RetireKilled,
        Self::FilterRemoved,
        Self::Answers,
        Self::Shared,
        Self::SessionExpiry,
        Self::SentAgain,
        Self::Retained,
        Self::Mqtt5Refused,
        Self::Strangers,
        Self::IllFormed,
        Self::BrokerRestarted,
        Self::BrokerKilled,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Once => "500 once",
            Self::BridgeKilled => "bridge killed",
            Self::BridgeStopped => "bridge stopped",
            Self::TakenOver => "taken over",
            Self::BrokerRestarted => "broker restarted",
            Self::BrokerKilled => "broker killed",
            Self::Cut => "connection cut",
            Self::Shared => "shared subscription",
            Self::Retire => "retire",
            Self::RetireAfterACut => "retire after a cut",
            Self::RetireKilled => "retire killed",
            Self::FilterRemoved => "filter removed",
            Self::Answers => "answers",
            Self::SessionExpiry => "session expiry",
            Self::SentAgain => "sent again",
            Self::Retained => "retained",
            Self::Mqtt5Refused => "MQTT 5 refused",
            Self::Strangers => "strangers",
            Self::IllFormed => "ill-formed text",
        }
    }

    /// Whether nobody else may need the broker meanwhile.
    fn ends_the_broker(self) -> bool {
        matches!(self, Self::BrokerRestarted | Self::BrokerKilled)
    }

    /// Whether the scenario makes sense with this broker and version.
    fn concerns(self, habits: &Habits, protocol: Protocol) -> bool {
        let only = std::env::var("BROKER_LAB_ONLY").unwrap_or_default();
        let wanted = only.is_empty() || only.split(',').any(|name| name.trim() == self.name());
        let concerned = match self {
            Self::SessionExpiry | Self::Retained => protocol == Protocol::V5,
            Self::SentAgain => habits.sends_again_by.is_some(),
            Self::Mqtt5Refused => habits.speaks.iter().all(|(version, _)| *version == Protocol::V311),
            _ => true,
        };
        wanted && concerned && self.fits(Size::asked(), habits, protocol)
    }

    /// Whether there is time for it.
    fn fits(self, size: Size, habits: &Habits, protocol: Protocol) -> bool {
        // Slow, because a broker on a virtual machine takes seconds to restart, and because under MQTT 3.1.1 the bridge waits for
        // what a timer of the broker may send again.
        let waits = matches!(self, Self::Cut | Self::RetireAfterACut | Self::FilterRemoved);
        let is_slow = self == Self::BrokerRestarted || (waits && protocol == Protocol::V311);
        let is_its_first = habits.speaks.first().is_some_and(|(version, _)| *version == protocol);
        match size {
            Size::Full => true,
            Size::Fast => !is_slow || habits.speaks.len() == 1,
            Size::Everyday => is_its_first && self.is_everyday(),
            Size::None => false,
        }
    }

    /// One of each kind: all goes well, an end of each side and of the line between, a session that is left, and what is quick.
    fn is_everyday(self) -> bool {
        matches!(
            self,
            Self::Once
                | Self::BridgeKilled
                | Self::BrokerKilled
                | Self::Cut
                | Self::Retire
                | Self::Answers
                | Self::Shared
                | Self::SessionExpiry
                | Self::Retained
                | Self::Mqtt5Refused
                | Self::Strangers
                | Self::IllFormed
        )
    }

    async fn play(self, bench: Bench) -> Seen {
        match self {
            Self::Once => steady::five_hundred_once(bench).await,
            Self::BridgeKilled => interrupted::bridge_killed(bench).await,
            Self::BridgeStopped => interrupted::bridge_stopped(bench).await,
            Self::TakenOver => interrupted::taken_over(bench).await,
            Self::BrokerRestarted => interrupted::broker_ended(bench, interrupted::How::Restarted).await,
            Self::BrokerKilled => interrupted::broker_ended(bench, interrupted::How::Killed).await,
            Self::Cut => interrupted::connection_cut(bench).await,
            Self::Shared => shared::shared_or_refused(bench).await,
            Self::Retire => leaving::retire(bench).await,
            Self::RetireAfterACut => leaving::retire_after_a_cut(bench).await,
            Self::RetireKilled => leaving::retire_killed(bench).await,
            Self::FilterRemoved => filters::removed(bench).await,
            Self::Answers => answers::a_device_hears(bench).await,
            Self::SessionExpiry => sessions::expiry_is_said(bench).await,
            Self::SentAgain => steady::sent_again_on_the_same_connection(bench).await,
            Self::Retained => retained::handled_once(bench).await,
            Self::Mqtt5Refused => sessions::mqtt_5_is_refused_helpfully(bench).await,
            Self::Strangers => strangers::are_not_let_in(bench).await,
            Self::IllFormed => ill_formed::text_stops_nothing(bench).await,
        }
    }
}

/// How much of the course is run: `BROKER_LAB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Full,
    Fast,
    Everyday,
    None,
}

impl Size {
    fn asked() -> Self {
        match std::env::var("BROKER_LAB").as_deref() {
            Ok("full") => Self::Full,
            Ok("fast") => Self::Fast,
            Ok("everyday") | Err(_) => Self::Everyday,
            Ok("none") => Self::None,
            Ok(other) => panic!("BROKER_LAB is `{other}`: give `none`, `everyday`, `fast` or `full`"),
        }
    }
}

/// How often a broker may have died of its own.
const LIVES: usize = 3;

/// So many brokers run at once, as some of them stall on a machine that they fill.
static BROKERS: Semaphore = Semaphore::const_new(4);

/// The whole course with one broker, where it is installed.
pub async fn run(product: Product) {
    if Size::asked() == Size::None {
        let _ = writeln!(std::io::stderr(), "skipped: broker `{}`: BROKER_LAB=none", product.name());
        return;
    }
    let Some(product) = lab::require(product) else { return };
    let _place = BROKERS.acquire().await.unwrap();
    for _ in 0..LIVES {
        let broker = Foreign::start(product).await.unwrap_or_else(|error| panic!("{error}"));
        let (log, broker) = (broker.log(), Arc::new(Mutex::new(broker)));
        let mut rows = Rows::create(product);
        tokio::select! {
            () = dies(product, &log) => {
                let _ = writeln!(std::io::stderr(), "broker `{}` has died of its own: started again", product.name());
                continue;
            }
            () = play_all(product, broker.clone(), &mut rows) => {}
        }
        if !rows.red.is_empty() {
            // It is gone with the broker otherwise, and what is rare may not come a second time.
            let kept = results().join(format!("{}.log", product.name()));
            std::fs::copy(log, &kept).unwrap();
            let (failed, kept) = (rows.red.len(), kept.display());
            panic!("{}: {failed} scenarios failed:\n{}\nits own log: {kept}", product.name(), rows.red.join("\n"));
        }
        return;
    }
    panic!("{} has died of its own {LIVES} times", product.name());
}

/// Returns when the broker serves nobody any more for a reason of its own.
async fn dies(product: Product, log: &Path) {
    let Some(words) = Habits::of(product).dies_of else { return std::future::pending().await };
    while !std::fs::read_to_string(log).unwrap_or_default().contains(words) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn play_all(product: Product, broker: Arc<Mutex<Foreign>>, rows: &mut Rows) {
    let habits = Habits::of(product);
    let all = habits.speaks.iter().flat_map(|(protocol, _)| Scenario::ALL.map(|scenario| (*protocol, scenario)));
    let concerned = all.filter(|(protocol, scenario)| scenario.concerns(&habits, *protocol));
    let (harsh, gentle) = concerned.partition::<Vec<_>, _>(|(_, scenario)| scenario.ends_the_broker());
    for (scenarios, at_once) in [(gentle, AT_ONCE), (harsh, 1)] {
        let (mut running, places) = (JoinSet::new(), Arc::new(Semaphore::new(at_once)));
        for (protocol, scenario) in scenarios {
            let name = format!("{}-{}", scenario.name(), protocol).to_lowercase().replace([' ', '.'], "");
            let (bench, places) = (Bench { broker: broker.clone(), habits, protocol, name }, places.clone());
            running.spawn(async move {
                let _place = places.acquire().await.unwrap();
                let begun = Instant::now();
                let seen = Box::pin(caught(scenario.play(bench))).await;
                (protocol, scenario, begun.elapsed(), seen)
            });
        }
        while let Some(ended) = running.join_next().await {
            let (protocol, scenario, took, seen) = ended.unwrap();
            rows.add(protocol, scenario, took, seen);
        }
    }
}

/// The result of a scenario; a panic counts as a failure.
async fn caught(scenario: impl Future<Output = Seen>) -> Seen {
    let mut scenario = std::pin::pin!(scenario);
    let polled = std::future::poll_fn(|context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| scenario.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    polled.await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        Seen { wrong: vec![text.to_owned()], ..Seen::default() }
    })
}

fn results() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("brokers")
}

/// The results of one broker: `target/tmp/brokers/NAME.jsonl`.
struct Rows {
    product: Product,
    file: File,
    red: Vec<String>,
}

impl Rows {
    fn create(product: Product) -> Self {
        std::fs::create_dir_all(results()).unwrap();
        let file = File::create(results().join(format!("{}.jsonl", product.name()))).unwrap();
        Self { product, file, red: Vec::new() }
    }

    fn add(&mut self, protocol: Protocol, scenario: Scenario, took: Duration, seen: Seen) {
        let (broker, name) = (self.product.name(), scenario.name());
        let wrong = seen.wrong.join("; ");
        let note = [wrong.as_str(), seen.note.as_str()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
        let note: String = note.join("; ").lines().next().unwrap_or_default().chars().take(NOTE).collect();
        let row = json!({
            "broker": broker, "mqtt": protocol.to_string(), "scenario": name,
            "result": if wrong.is_empty() { "ok" } else { "red" }, "lost": seen.lost, "extra": seen.extra,
            "seconds": (took.as_secs_f64() * 10.0).round() / 10.0, "note": note,
        });
        writeln!(self.file, "{row}").unwrap();
        eprintln!("{row}");
        if !wrong.is_empty() {
            self.red.push(format!("MQTT {protocol}, {name}: {wrong}"));
        }
    }
}
