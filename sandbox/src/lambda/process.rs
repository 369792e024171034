//! Real function processes: started on demand, kept warm, killed at a timeout, replaced after an exit.
//!
//! Never runs two events in one process at once; how many run at all is the caller's to bound.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tokio::process::{Child, Command};

use super::function::{Answer, Body, Call, Function};
use super::output::Output;
use super::runtime_api::RuntimeApi;
use super::{REGION, lock};

/// How long a process may take until it asks for its first event
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>, "Init phase").
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The warm processes of one function.
#[derive(Debug)]
pub(super) struct Pool {
    warm: Mutex<Vec<Instance>>,
    output: Output,
}

/// A process and its Runtime API. Dropped, the process is killed.
#[derive(Debug)]
struct Instance {
    child: Child,
    api: RuntimeApi,
}

/// How an event fared in a process.
enum Run {
    /// The process answered and can take another event.
    Answered(Answer),
    /// The process is lost, and this is what the caller hears.
    Lost(Answer),
    /// The process was gone before it took the event.
    Untouched(Answer),
}

impl Pool {
    pub(super) fn new(output: Output) -> Self {
        Self { warm: Mutex::default(), output }
    }

    /// Runs one event in a warm process, or in a new one.
    pub(super) async fn run(&self, function: &Function, call: Call) -> Answer {
        loop {
            let warm = lock(&self.warm).pop();
            let was_warm = warm.is_some();
            let started = match warm {
                Some(instance) => Ok(instance),
                None => Instance::start(function, &self.output).await,
            };
            let Ok(mut instance) = started else { return no_entry_point(function, &call) };
            match instance.run(call.clone(), function.timeout).await {
                Run::Answered(answer) => {
                    lock(&self.warm).push(instance);
                    return answer;
                }
                // A warm process may have left after its last answer: as at AWS, a fresh one takes its place.
                Run::Untouched(_) if was_warm => {}
                Run::Untouched(answer) | Run::Lost(answer) => {
                    instance.kill().await;
                    return answer;
                }
            }
        }
    }

    /// Kills the warm processes without waiting.
    pub(super) fn kill(&self) {
        lock(&self.warm).clear();
    }

    /// Kills the warm processes and waits until they are gone.
    pub(super) async fn stop(&self) {
        let warm = std::mem::take(&mut *lock(&self.warm));
        for instance in warm {
            instance.kill().await;
        }
    }
}

impl Instance {
    async fn start(function: &Function, output: &Output) -> io::Result<Self> {
        let api = RuntimeApi::start().await?;
        let mut child = command(function, &api.address.to_string())?.spawn()?;
        let pid = child.id().unwrap_or_default();
        let name = function.name.as_str();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(output.clone().capture(name.into(), pid, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(output.clone().capture(name.into(), pid, stderr));
        }
        Ok(Self { child, api })
    }

    async fn run(&mut self, mut call: Call, timeout: Duration) -> Run {
        let request_id = call.request_id.clone();
        tokio::select! {
            biased;
            () = self.api.initialised() => {}
            status = self.child.wait() => {
                let told = self.api.init_error().map(Answer::Error);
                return Run::Untouched(told.unwrap_or_else(|| exited(&request_id, status)));
            }
            () = tokio::time::sleep(INIT_TIMEOUT) => return Run::Lost(Answer::timed_out(&request_id, INIT_TIMEOUT)),
        }
        call.deadline = SystemTime::now() + timeout;
        let answer = self.api.hand_over(call).await;
        tokio::select! {
            // The answer first: a process may answer and leave at once.
            biased;
            Ok(answer) = answer => Run::Answered(answer),
            status = self.child.wait() => {
                let answer = exited(&request_id, status);
                if self.api.owes_answer() { Run::Lost(answer) } else { Run::Untouched(answer) }
            }
            () = tokio::time::sleep(timeout) => Run::Lost(Answer::timed_out(&request_id, timeout)),
        }
    }

    async fn kill(mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill().await;
    }
}

/// The environment is Lambda's own, and the configured one; nothing of ours gets through
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>).
fn command(function: &Function, runtime_api: &str) -> io::Result<Command> {
    let Body::Process { bootstrap, args, env } = &function.body else {
        return Err(io::Error::other("function: has no process"));
    };
    let root = bootstrap.parent().filter(|root| root.is_dir()).unwrap_or(Path::new("/"));
    let mut command = Command::new(bootstrap);
    command
        .args(args)
        .env_clear()
        .env("_HANDLER", "bootstrap")
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("[$LATEST]{:032x}", fastrand::u128(..)))
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_REGION", REGION)
        .env("LAMBDA_RUNTIME_DIR", "/var/runtime")
        .env("LAMBDA_TASK_ROOT", root)
        .env("LANG", "en_US.UTF-8")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin")
        .env("TZ", ":UTC")
        .envs(env)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

fn no_entry_point(function: &Function, call: &Call) -> Answer {
    let path = match &function.body {
        Body::Process { bootstrap, .. } => bootstrap.display().to_string(),
        Body::Inline(_) => String::new(),
    };
    let message = format!("RequestId: {} Error: Couldn't find valid bootstrap(s): [{path}]", call.request_id);
    Answer::error("Runtime.InvalidEntrypoint", &message)
}

fn exited(request_id: &str, status: io::Result<ExitStatus>) -> Answer {
    Answer::exited(request_id, status.ok().and_then(describe).as_deref())
}

/// An exit in the words of Lambda, which are those of Go's standard library. A clean exit has no reason to give.
fn describe(status: ExitStatus) -> Option<String> {
    let signal = match status.signal() {
        None => return status.code().filter(|code| *code != 0).map(|code| format!("exit status {code}")),
        Some(6) => "aborted".to_owned(),
        Some(9) => "killed".to_owned(),
        Some(11) => "segmentation fault".to_owned(),
        Some(15) => "terminated".to_owned(),
        Some(other) => format!("signal {other}"),
    };
    Some(format!("signal: {signal}{}", if status.core_dumped() { " (core dumped)" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_told_in_the_words_of_lambda() {
        assert_eq!(describe(ExitStatus::from_raw(0)), None);
        assert_eq!(describe(ExitStatus::from_raw(1 << 8)).as_deref(), Some("exit status 1"));
        assert_eq!(describe(ExitStatus::from_raw(9)).as_deref(), Some("signal: killed"));
        assert_eq!(
            describe(ExitStatus::from_raw(0x0b | 0x80)).as_deref(),
            Some("signal: segmentation fault (core dumped)")
        );
    }
}
