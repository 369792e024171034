//! A process of the bridge in a simulated world: the real supervisor, which an operator starts, stops, kills and
//! queries.

use bridge::aws::Aws;
use bridge::config::Config;
use bridge::mqtt::InMemory;
use bridge::{Bridge, Exit};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::cloud::Caller;
use super::record::Record;

/// What an operator asks of it.
#[derive(Debug)]
pub(super) enum Order {
    /// SIGTERM.
    Stop,
    /// `POST /retire`.
    Retire,
    /// `POST /mappings/NAME/pause`, or `resume`, for each mapping.
    Pause(bool),
    /// SIGHUP.
    Reload(Box<Config>),
    /// `/metrics`.
    Look(oneshot::Sender<Numbers>),
}

/// Its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    pub(super) outstanding: i64,
    pub(super) outstanding_bytes: i64,
    pub(super) in_flight: i64,
    /// How many of its sessions are subscribed.
    pub(super) ready: i64,
    /// Invocations by its own count, and by AWS's: they agree unless a drain has left some to themselves.
    pub(super) counted: u64,
    pub(super) ended: u64,
    pub(super) drained: bool,
}

impl Numbers {
    /// Whether it holds nothing, waits for more, and has counted right.
    pub(super) fn are_at_rest(self, sessions: usize) -> bool {
        let agrees = self.counted == self.ended || self.drained && self.counted < self.ended;
        self.outstanding == 0
            && self.outstanding_bytes == 0
            && self.in_flight == 0
            && agrees
            && usize::try_from(self.ready) == Ok(sessions)
    }
}

/// How it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    Retired {
        unproven: bool,
    },
    /// A fault of its own.
    Broken,
}

/// Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    orders: mpsc::UnboundedSender<Order>,
    broker: InMemory,
    task: JoinHandle<End>,
}

impl Process {
    pub(super) fn start(config: Config, aws: (Aws, Caller), broker: InMemory, record: Record) -> Self {
        let (orders, heard) = mpsc::unbounded_channel();
        let task = tokio::spawn(live(config, aws, broker.clone(), heard, record));
        Self { orders, broker, task }
    }

    /// There are new TLS files.
    pub(super) fn renew(&self) {
        self.broker.renew();
    }

    pub(super) fn ask(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Its numbers, while it runs.
    pub(super) async fn look(&self) -> Option<Numbers> {
        let (sender, numbers) = oneshot::channel();
        self.ask(Order::Look(sender));
        numbers.await.ok()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for its end; a panic is a fault of its own.
    pub(super) async fn ended(&mut self) -> End {
        (&mut self.task).await.unwrap_or(End::Broken)
    }

    /// SIGKILL: between two instructions.
    pub(super) async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live(
    config: Config,
    (aws, caller): (Aws, Caller),
    broker: InMemory,
    mut orders: mpsc::UnboundedReceiver<Order>,
    record: Record,
) -> End {
    let mut bridge = match Bridge::start_in_memory(config.clone(), &aws, broker).await {
        Ok(bridge) => bridge,
        Err(error) => {
            record.violated("start", error.to_string());
            return End::Broken;
        }
    };
    for mapping in &config.mappings {
        record.watch(&config.mqtt, mapping, bridge.metrics().mapping(&mapping.name));
    }
    let names: Vec<_> = config.mappings.iter().map(|mapping| mapping.name.clone()).collect();
    let mut drained = false;
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Stop) => {
                    let patience = bridge.drain_timeout();
                    bridge.drain(patience).await;
                    return End::Stopped;
                }
                Some(Order::Retire) => bridge.ask_to_retire(),
                Some(Order::Pause(paused)) => {
                    for name in &names {
                        if !bridge.pause(name, paused) {
                            record.say("operator", "no mapping to pause");
                        }
                    }
                }
                Some(Order::Reload(config)) => {
                    drained = true;
                    if !bridge.reload(Ok(*config)) {
                        record.say("operator", "not reloaded");
                    }
                }
                Some(Order::Look(sender)) => drop(sender.send(numbers(&bridge, &names, &caller, drained))),
                None => return End::Stopped,
            },
            exit = bridge.tend() => match exit {
                Exit::Retired { unproven } => return End::Retired { unproven },
                Exit::Broken => return End::Broken,
            },
        }
    }
}

/// Of all its mappings together.
fn numbers(bridge: &Bridge, names: &[String], caller: &Caller, drained: bool) -> Numbers {
    let mut numbers = Numbers { ended: caller.ended(), drained, ..Numbers::default() };
    for metrics in names.iter().map(|name| bridge.metrics().mapping(name)) {
        let answered = metrics.succeeded.get() + metrics.partial.get() + metrics.function_errors.get();
        let refused = metrics.throttled.get() + metrics.misconfigured.get() + metrics.failed.get();
        numbers.outstanding += metrics.outstanding.get();
        numbers.outstanding_bytes += metrics.outstanding_bytes.get();
        numbers.in_flight += metrics.in_flight.get();
        numbers.ready += metrics.subscribed.get();
        numbers.counted += answered + refused;
    }
    numbers
}
