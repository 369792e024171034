//! A model of AWS in memory, in place of its network: a function with moods, a queue and a bucket for dead letters. A
//! function continues to run when its caller leaves, as in AWS.

mod answer;
mod dry_run;
mod function;
mod stores;
mod stranger;

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridge::aws::{Answering, Service};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::answer::{Answer, Fate};
use super::chance::Chance;
use super::mapping::Mapping;
use super::plan::{Answers, Moods, Plan};
use super::record::Record;
use super::settings;

/// What goes wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// 429.
    Throttles,
    /// 500, 502, 503.
    ServiceErrors,
    /// Codes that somebody has to repair.
    SetUpWrong,
    /// Something else answers in its place.
    SomebodyElse,
    /// No answer.
    Silence,
    /// The queue refuses.
    QueueFails,
    /// The bucket refuses.
    BucketFails,
}

/// Shared by all callers of a world.
#[derive(Debug, Clone)]
pub(super) struct Cloud(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    record: Record,
    chance: Chance,
    /// For what is no answer of Lambda's.
    strange: Chance,
    moods: Moods,
    answers: Answers,
    ordered: bool,
    /// How many there are before those that show that all works again.
    messages: u64,
    /// The mappings' own.
    filters: Vec<String>,
    weather: Vec<(Weather, Instant)>,
    invocations: u64,
}

impl Cloud {
    pub(super) fn new(record: Record, plan: &Plan) -> Self {
        Self(Arc::new(Mutex::new(State {
            record,
            chance: Chance::of(plan.seed, 2),
            strange: Chance::of(plan.seed, 12),
            moods: plan.moods,
            answers: plan.answers,
            ordered: plan.ordered,
            messages: plan.messages,
            filters: Mapping::all(true).iter().flat_map(|mapping| settings::filters(plan, *mapping, None).0).collect(),
            weather: Vec::new(),
            invocations: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, for so long.
    pub(super) fn set(&self, weather: Weather, how_long: Duration) {
        self.state().weather.push((weather, Instant::now() + how_long));
    }

    /// Somebody has repaired the proxy that lets certain messages never pass.
    pub(super) fn let_all_pass(&self) {
        self.state().moods.blocked_every = 0;
    }

    pub(super) fn invocations(&self) -> u64 {
        self.state().invocations
    }

    /// As one process of the bridge sees it, which may invoke each function so many times at once.
    pub(super) fn caller(&self, most: usize) -> Caller {
        Caller { cloud: self.clone(), most, running: <[_; 2]>::default(), ended: Arc::default() }
    }

    async fn serve(self, request: Request) -> Fate {
        if request.is_dry_run {
            return self.dry_run(&request.body).await;
        }
        if request.is_invocation() {
            return self.invoke(Mapping::of_request(&request.path), &request.body).await;
        }
        if request.target == "AmazonSQS.SendMessage" {
            return self.queue(&request.body).await;
        }
        if request.method == "PUT" && request.path.contains("/letters/") {
            return self.bucket(&request.body).await;
        }
        Fate::Answered(Answer::error(400, "InvalidAction"))
    }
}

impl State {
    fn is(&self, weather: Weather) -> bool {
        let now = Instant::now();
        self.weather.iter().any(|(kind, until)| *kind == weather && *until > now)
    }
}

#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    target: String,
    is_dry_run: bool,
    body: Bytes,
}

impl Request {
    fn is_invocation(&self) -> bool {
        !self.is_dry_run && self.path.ends_with("/invocations")
    }
}

/// One process's way to AWS.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    cloud: Cloud,
    most: usize,
    /// By function.
    running: [Arc<AtomicUsize>; 2],
    ended: Arc<AtomicU64>,
}

impl Caller {
    /// How many of its invocations have ended, with whatever answer.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Counts an invocation until the guard is dropped.
    fn count(&self, mapping: Mapping) -> Running {
        let counter = &self.running[mapping as usize];
        let running = counter.fetch_add(1, Ordering::Relaxed) + 1;
        if running > self.most {
            let what = format!("{running} invocations of a process that may have {}", self.most);
            self.cloud.state().record.violated("too many at once", what);
        }
        Running(counter.clone())
    }
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service for Caller {
    fn answer(&self, request: hyper::Request<Bytes>) -> Answering {
        let (head, body) = request.into_parts();
        let target =
            head.headers.get("x-amz-target").map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned());
        let request = Request {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            target: target.unwrap_or_default(),
            is_dry_run: head.headers.get("x-amz-invocation-type").is_some_and(|kind| kind == "DryRun"),
            body,
        };
        let running = request.is_invocation().then(|| self.count(Mapping::of_request(&request.path)));
        let (sender, answer) = oneshot::channel();
        let (cloud, record) = (self.cloud.clone(), self.cloud.state().record.clone());
        // A task of its own: an invocation goes on when its caller hangs up.
        tokio::spawn(async move {
            let _ = sender.send(cloud.serve(request).await);
        });
        let ended = self.ended.clone();
        Box::pin(async move {
            let fate = answer.await;
            if running.is_some() {
                ended.fetch_add(1, Ordering::Relaxed);
            }
            match fate {
                Ok(Fate::Answered(answer)) => answer.heard(&record),
                Ok(Fate::Broken) | Err(_) => Err(io::ErrorKind::ConnectionReset.into()),
                Ok(Fate::Silent) => std::future::pending().await,
            }
        })
    }
}
