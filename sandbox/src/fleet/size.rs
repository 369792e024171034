//! How large a fleet has to be, and what quota it needs. Pure.

/// CPU of one replica, µs: for each message, and for each invocation beside it. Fitted to the tables "One message an
/// invocation", "In batches" and "Several bridges on one subscription" of docs/performance.md; `fleet::tests::measured`
/// holds them together.
pub(super) const MESSAGE: f64 = 3.0;
pub(super) const INVOCATION: f64 = 19.5;
/// A bridge runs on one thread; above this share of it latency grows.
pub(super) const USED: f64 = 0.6;
/// What Lambda is asked for above what the mean takes.
const HEADROOM: f64 = 1.25;
/// Requests a second that Lambda takes for each unit of the concurrency quota (Lambda Developer Guide, "Understanding
/// Lambda function scaling").
pub(super) const REQUESTS: f64 = 10.0;

/// What comes, and what it meets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Messages a second.
    pub(super) rate: f64,
    /// Messages an invocation.
    pub(super) batch: f64,
    /// Seconds of an invocation.
    pub(super) invocation: f64,
}

/// The fleet for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet {
    pub(super) load: Load,
    pub(super) replicas: u32,
    /// Invocations at once, of each replica.
    pub(super) concurrency: u32,
}

impl Fleet {
    /// One replica more than it takes, so that one may be away.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    pub(super) fn of(load: Load) -> Self {
        let needed = (load.rate / (Self::by_cpu(load) * USED)).ceil().max(1.0);
        let all = (load.rate / load.batch * load.invocation * HEADROOM).max(1.0);
        let concurrency = (all / needed).ceil() as u32;
        Self { load, replicas: needed as u32 + 1, concurrency }
    }

    /// CPU of a replica for a message, in µs.
    pub(super) fn cpu(batch: f64) -> f64 {
        MESSAGE + INVOCATION / batch
    }

    /// What a replica's core can do, in messages a second.
    pub(super) fn by_cpu(load: Load) -> f64 {
        1e6 / Self::cpu(load.batch)
    }

    /// What one replica can do, in messages a second.
    pub(super) fn of_replica(&self) -> f64 {
        let by_lambda = f64::from(self.concurrency) * self.load.batch / self.load.invocation;
        Self::by_cpu(self.load).min(by_lambda)
    }

    /// Invocations a second.
    pub(super) fn invocations(&self) -> f64 {
        self.load.rate / self.load.batch
    }

    /// Execution environments at the mean, with headroom.
    pub(super) fn environments(&self) -> f64 {
        (self.invocations() * self.load.invocation * HEADROOM).ceil().max(1.0)
    }

    /// The concurrency quota to ask for: room for the environments, and for the requests, of which short invocations
    /// need more than their environments bring.
    pub(super) fn quota(&self) -> f64 {
        self.environments().max((self.invocations() * HEADROOM / REQUESTS).ceil())
    }

    /// Whether it is the requests that ask for the quota.
    pub(super) fn is_for_requests(&self) -> bool {
        self.quota() > self.environments()
    }
}
