//! What a function is: its name, its limits, and the body that answers. Never chooses when it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

/// Largest answer, in bytes: the limit of a payload and 100 bytes for the service's own envelope.
pub(super) const ANSWER_LIMIT: usize = super::SYNC_LIMIT + 100;

/// A future that can be named and moved between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The code of an in-process function.
pub type Inline = Arc<dyn Fn(Call) -> BoxFuture<Answer> + Send + Sync>;

/// A function of the local Lambda.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name, without account or qualifier.
    pub name: String,
    /// What answers.
    pub body: Body,
    /// The longest that one invocation may take; 3 s unless said otherwise, as at AWS.
    pub timeout: Duration,
    /// The reserved concurrency: this many invocations run at once, and one more is refused with 429.
    pub concurrency: usize,
    /// What the function is told about its memory, in MB. Nothing enforces it.
    pub memory_mb: u32,
    /// Aliases; each points to `$LATEST`.
    pub aliases: Vec<String>,
    /// Whether the caller may read the configuration. A role that may only invoke may not.
    pub configuration_readable: bool,
}

/// What answers an invocation.
#[derive(Clone)]
pub enum Body {
    /// Real processes that speak the Runtime API, started on demand and kept warm.
    Process {
        /// The executable.
        bootstrap: PathBuf,
        /// Its arguments, as a container image's command has them.
        args: Vec<String>,
        /// Environment beside what Lambda sets; nothing else of ours gets through.
        env: BTreeMap<String, String>,
    },
    /// Code in this process, for tests that decide the answer record by record, and for benchmarks.
    Inline(Inline),
}

impl Function {
    /// A function of real processes: at most 10 at once.
    #[must_use]
    pub fn process(name: impl Into<String>, bootstrap: impl Into<PathBuf>) -> Self {
        let body = Body::Process { bootstrap: bootstrap.into(), args: Vec::new(), env: BTreeMap::new() };
        Self { concurrency: 10, ..Self::new(name, body) }
    }

    /// A function of code in this process: at most 1,000 at once, the quota of a new account.
    #[must_use]
    pub fn inline<C, F>(name: impl Into<String>, code: C) -> Self
    where
        C: Fn(Call) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::new(name, Body::Inline(Arc::new(move |call| Box::pin(code(call)))))
    }

    fn new(name: impl Into<String>, body: Body) -> Self {
        Self {
            name: name.into(),
            body,
            timeout: Duration::from_secs(3),
            concurrency: 1_000,
            memory_mb: 128,
            aliases: Vec::new(),
            configuration_readable: true,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The environment may hold secrets.
            Self::Process { bootstrap, args, .. } => write!(f, "Process({} {args:?})", bootstrap.display()),
            Self::Inline(_) => f.write_str("Inline"),
        }
    }
}

/// One invocation as the function sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The request id: the same in the answer's headers, the log and the function's context.
    pub request_id: String,
    /// The ARN that was invoked, with its qualifier if it had one.
    pub function_arn: String,
    /// The value of `X-Amzn-Trace-Id`.
    pub trace_id: String,
    /// The client context that the caller gave, as JSON; none in asynchronous invocations.
    pub client_context: Option<String>,
    /// The event.
    pub payload: Bytes,
    /// When Lambda gives up.
    pub deadline: SystemTime,
}

impl Call {
    /// The event, read by the contract.
    ///
    /// # Errors
    /// When the payload is no event of the bridge.
    pub fn event(&self) -> serde_json::Result<event::Event> {
        serde_json::from_slice(&self.payload)
    }
}

/// What a function answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It returned; the bytes are its JSON.
    Ok(Bytes),
    /// It failed, timed out or died; the bytes are the JSON that describes the error.
    Error(Bytes),
}

impl Answer {
    /// A function that returns `value`.
    #[must_use]
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::Ok(json.into()),
            Err(error) => Self::error("Runtime.MarshalError", &error.to_string()),
        }
    }

    /// A function that succeeds and has nothing to say.
    #[must_use]
    pub fn null() -> Self {
        Self::Ok(Bytes::from_static(b"null"))
    }

    /// A function that fails.
    #[must_use]
    pub fn error(kind: &str, message: &str) -> Self {
        Self::Error(json!({"errorType": kind, "errorMessage": message}).to_string().into())
    }

    pub(super) fn timed_out(request_id: &str, after: Duration) -> Self {
        let message = format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", after.as_secs_f64());
        Self::error("Sandbox.Timedout", &message)
    }

    /// `how` is what the process's end looked like: `exit status 1`, `signal: killed`, or nothing to tell.
    pub(super) fn exited(request_id: &str, how: Option<&str>) -> Self {
        let how = how.map_or_else(|| "without providing a reason".to_owned(), |how| format!("with error: {how}"));
        Self::error("Runtime.ExitError", &format!("RequestId: {request_id} Error: Runtime exited {how}"))
    }

    pub(super) fn response_too_large() -> Self {
        let message = format!("Response payload size exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes).");
        Self::error("Function.ResponseSizeTooLarge", &message)
    }
}

/// Runs in-process code as Lambda runs a process: a panic is an exit, and its time is limited.
pub(super) async fn run_inline(code: &Inline, mut call: Call, timeout: Duration) -> Answer {
    let request_id = call.request_id.clone();
    call.deadline = SystemTime::now() + timeout;
    let Ok(mut running) = catch_unwind(AssertUnwindSafe(|| code(call))) else {
        return Answer::exited(&request_id, Some("panic"));
    };
    let guarded = std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(Answer::exited(&request_id, Some("panic"))))
    });
    match tokio::time::timeout(timeout, guarded).await {
        Ok(Answer::Ok(json)) if json.len() > ANSWER_LIMIT => Answer::response_too_large(),
        Ok(answer) => answer,
        Err(_) => Answer::timed_out(&request_id, timeout),
    }
}
