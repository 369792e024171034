//! Decides the fate of an invocation: refused, hit by a fault, run at once, or run later. Parses no HTTP.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::errors::{Refusal, ThrottleReason};
use super::faults::{Action, Faults};
use super::function::{Answer, Body, Call, Function, run_inline};
use super::http::{self, Reply, Reset};
use super::kind::Kind;
use super::log::{Log, Outcome, Running};
use super::output::Output;
use super::process::Pool;
use super::{Settings, StartError, lock};

/// Asynchronous invocations that may wait for concurrency; more are refused with 429.
const EVENT_QUEUE: usize = 1_000;

/// Everything behind the Invoke API.
#[derive(Debug)]
pub(super) struct Host {
    functions: Vec<Arc<Hosted>>,
    event_queue: Arc<Semaphore>,
    runs: Mutex<JoinSet<()>>,
    pub(super) faults: Faults,
    pub(super) log: Log,
    pub(super) output: Output,
}

/// A function with its concurrency and its warm processes.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) function: Function,
    concurrency: Arc<Semaphore>,
    pool: Pool,
}

/// A request to invoke, as the Invoke API understood it.
#[derive(Debug)]
pub(super) struct InvokeRequest {
    pub(super) request_id: String,
    pub(super) trace_id: String,
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) kind: Kind,
    pub(super) client_context: Option<String>,
    pub(super) payload: Bytes,
    /// The function, or why there is none to run.
    pub(super) target: Result<Arc<Hosted>, Refusal>,
}

impl Host {
    pub(super) fn new(functions: impl IntoIterator<Item = Function>, settings: &Settings) -> Result<Self, StartError> {
        let output = Output::new(settings.output_lines);
        let mut hosted: Vec<Arc<Hosted>> = Vec::new();
        for function in functions {
            if hosted.iter().any(|other| other.function.name == function.name) {
                return Err(StartError::Duplicate(function.name));
            }
            let concurrency = Arc::new(Semaphore::new(function.concurrency));
            hosted.push(Arc::new(Hosted { pool: Pool::new(output.clone()), concurrency, function }));
        }
        Ok(Self {
            functions: hosted,
            event_queue: Arc::new(Semaphore::new(EVENT_QUEUE)),
            runs: Mutex::default(),
            faults: Faults::default(),
            log: Log::new(settings.keep, settings.history),
            output,
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<Hosted>> {
        self.functions.iter().find(|hosted| hosted.function.name == name)
    }

    /// Ends all runs and kills all processes, without waiting for them to be gone.
    pub(super) fn abort(&self) {
        lock(&self.runs).abort_all();
        for hosted in &self.functions {
            hosted.pool.kill();
        }
    }

    /// Ends all runs and waits until all processes are gone.
    pub(super) async fn stop(&self) {
        let mut runs = std::mem::take(&mut *lock(&self.runs));
        runs.shutdown().await;
        for hosted in &self.functions {
            hosted.pool.stop().await;
        }
    }

    /// One invocation, from request to answer.
    pub(super) async fn invoke(self: Arc<Self>, request: InvokeRequest) -> Result<Response<Reply>, Reset> {
        let mut running = self.log.begin(&request.request_id, &request.name, request.kind, &request.payload);
        let hosted = match &request.target {
            Ok(hosted) => Arc::clone(hosted),
            Err(refusal) => return Ok(refuse(running, refusal, &request)),
        };
        let action = self.faults.strike(&request.name, request.kind, &request.payload);
        running.struck_by(action.as_ref());
        match &action {
            Some(Action::Refuse(refusal)) => return Ok(refuse(running, refusal, &request)),
            Some(Action::Cut) => return Err(Reset),
            Some(Action::Hang) => std::future::pending().await,
            _ => {}
        }
        match request.kind {
            Kind::DryRun => {
                running.end(Outcome::Allowed);
                Ok(http::json(204, &headers(&request), ""))
            }
            Kind::Event => self.accept(hosted, request, running, action).await,
            Kind::RequestResponse => self.answer(hosted, request, running, action).await,
        }
    }

    /// A synchronous invocation.
    async fn answer(
        &self,
        hosted: Arc<Hosted>,
        request: InvokeRequest,
        running: Running,
        action: Option<Action>,
    ) -> Result<Response<Reply>, Reset> {
        let Ok(permit) = Arc::clone(&hosted.concurrency).try_acquire_owned() else {
            return Ok(refuse(running, &throttled(ThrottleReason::default()), &request));
        };
        let headers = headers(&request);
        let (answered, answer) = oneshot::channel();
        let fault = action.clone();
        // A task of its own: as at AWS, the function runs on when the caller hangs up.
        self.spawn(async move {
            let answer = run(&hosted, call(request), running, fault, permit).await;
            // An error means that the caller has left.
            let _ = answered.send(answer);
        });
        // An error means that the local Lambda is ending.
        let answer = answer.await.map_err(|_| Reset)?;
        if action == Some(Action::RunThenCut) {
            return Err(Reset);
        }
        Ok(reply(answer, headers, action == Some(Action::Stall)))
    }

    /// An asynchronous invocation: taken now, run when there is room.
    async fn accept(
        &self,
        hosted: Arc<Hosted>,
        request: InvokeRequest,
        running: Running,
        action: Option<Action>,
    ) -> Result<Response<Reply>, Reset> {
        let Ok(place) = Arc::clone(&self.event_queue).try_acquire_owned() else {
            let refusal = throttled(ThrottleReason::ConcurrentInvocationLimitExceeded);
            return Ok(refuse(running, &refusal, &request));
        };
        let headers = headers(&request);
        let fault = action.clone();
        self.spawn(async move {
            let permit = Arc::clone(&hosted.concurrency).acquire_owned().await;
            drop(place);
            // The semaphore is never closed.
            if let Ok(permit) = permit {
                run(&hosted, call(request), running, fault, permit).await;
            }
        });
        match action {
            Some(Action::RunThenCut) => Err(Reset),
            // There is no body to stall in, so the head does not come either.
            Some(Action::Stall) => std::future::pending().await,
            _ => Ok(http::json(202, &headers, "")),
        }
    }

    fn spawn(&self, run: impl Future<Output = ()> + Send + 'static) {
        let mut runs = lock(&self.runs);
        while runs.try_join_next().is_some() {}
        runs.spawn(run);
    }
}

async fn run(
    hosted: &Hosted,
    call: Call,
    mut running: Running,
    fault: Option<Action>,
    permit: OwnedSemaphorePermit,
) -> Answer {
    if let Some(Action::Delay(by)) = fault {
        tokio::time::sleep(by).await;
    }
    let function = &hosted.function;
    let answer = if let Some(Action::FunctionError(json)) = &fault {
        Answer::Error(json.clone())
    } else {
        let answer = match &function.body {
            Body::Inline(code) => run_inline(code, call, function.timeout).await,
            Body::Process { .. } => hosted.pool.run(function, call).await,
        };
        running.ran();
        answer
    };
    // Given back before the answer goes out, or the caller's next invocation could be refused.
    drop(permit);
    running.end(match &answer {
        _ if matches!(fault, Some(Action::RunThenCut | Action::Stall)) => Outcome::Unanswered,
        Answer::Ok(json) => Outcome::Answered(json.clone()),
        Answer::Error(json) => Outcome::FunctionError(json.clone()),
    });
    answer
}

fn call(request: InvokeRequest) -> Call {
    Call {
        request_id: request.request_id,
        function_arn: request.arn,
        trace_id: request.trace_id,
        client_context: request.client_context.filter(|_| request.kind == Kind::RequestResponse),
        payload: request.payload,
        // Set again when the function gets the event: starting a process does not count.
        deadline: std::time::SystemTime::now(),
    }
}

fn refuse(running: Running, refusal: &Refusal, request: &InvokeRequest) -> Response<Reply> {
    running.end(Outcome::Refused { status: refusal.status(), code: refusal.code() });
    refusal.reply(&request.request_id, &request.arn)
}

fn throttled(reason: ThrottleReason) -> Refusal {
    Refusal::Throttled { reason, retry_after: None }
}

fn headers(request: &InvokeRequest) -> Vec<(&'static str, String)> {
    vec![
        ("x-amzn-requestid", request.request_id.clone()),
        ("x-amzn-remapped-content-length", "0".into()),
        ("x-amz-executed-version", "$LATEST".into()),
        ("x-amzn-trace-id", request.trace_id.clone()),
    ]
}

fn reply(answer: Answer, mut headers: Vec<(&'static str, String)>, stalls: bool) -> Response<Reply> {
    let json = match answer {
        Answer::Ok(json) => json,
        Answer::Error(json) => {
            headers.push(("x-amz-function-error", "Unhandled".into()));
            json
        }
    };
    http::reply(200, &headers, if stalls { Reply::stalled(&json) } else { Reply::whole(json) })
}
