//! The binary: from arguments to a running bridge, and from its end to an exit code.

use std::process;

use anyhow::Context;
use bridge::ServeError;
use bridge::aws::Aws;
use bridge::cli::{self, CheckFlags, Cli, Command, ExitCode, Failing, Flags, NothingToRun, RedriveFlags};
use bridge::config::{self, Config, ConfigError, Overrides};
use bridge::panics;
use bridge::redrive::RedriveError;
use clap::CommandFactory;

fn main() -> process::ExitCode {
    panics::install();
    let code = match Cli::read(std::env::args_os()) {
        Ok(Cli { command: Command::Run(flags) }) => run(flags),
        Ok(Cli { command: Command::Redrive(flags) }) => redrive(&flags),
        Ok(Cli { command: Command::Check(flags) }) => check(&flags),
        Ok(Cli { command: Command::Health(flags) }) => told(flags.ask()),
        Ok(Cli { command: Command::Status(flags) }) => told(flags.ask()),
        Ok(Cli { command: Command::Pause(flags) }) => told(flags.pause()),
        Ok(Cli { command: Command::Resume(flags) }) => told(flags.resume()),
        Ok(Cli { command: Command::Retire(flags) }) => told(flags.retire()),
        Ok(Cli { command: Command::WriteFiles(flags) }) => match flags.write() {
            Ok(names) => show(&format!("{}\n", names.join("\n"))),
            Err(reason) => sorry(&reason, ExitCode::Failed),
        },
        Ok(Cli { command: Command::Config { schema: true, .. } }) => show(&format!("{:#}\n", config::schema())),
        Ok(Cli { command: Command::Config { minimal: true, .. } }) => show(&config::minimal()),
        Ok(Cli { command: Command::Config { .. } }) => show(&config::commented_default()),
        Ok(Cli { command: Command::Completions(flags) }) => show(&flags.script(Cli::command())),
        Ok(Cli { command: Command::Man(flags) }) => match flags.page(Cli::command()) {
            Ok(page) => show(&page),
            Err(reason) => sorry(&reason, ExitCode::Usage),
        },
        Err(NothingToRun::Help(text)) => show(&text),
        Err(NothingToRun::NoCommand(text)) => {
            tell(&text);
            ExitCode::Usage as u8
        }
        Err(NothingToRun::Usage(reason)) => misused(&reason),
    };
    process::ExitCode::from(code)
}

/// What the arguments ask for is not understood.
fn misused(reason: &str) -> u8 {
    let arguments: Vec<_> = std::env::args_os().collect();
    let variable = std::env::var("BRIDGE_LOG").ok();
    let event = "usage.refused";
    fail(Failing::for_usage(&arguments, variable.as_deref()), event, &reason, ExitCode::Usage as u8)
}

fn run(flags: Flags) -> u8 {
    let load = || Config::load(flags.config.as_deref(), std::env::vars_os(), flags.overrides.clone());
    let config = match load() {
        Ok(config) => config,
        Err(error) => return refuse(&error, Failing::like(error.log())),
    };
    let failing = Failing::like(config.log);
    let log = match cli::start_logging(config.log) {
        Ok(log) => log,
        Err(error) => return no_log(failing, &error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return no_runtime(failing, &error),
    };
    let ended = runtime.block_on(bridge::serve(config, load));
    // A resolver that does not answer is asked on a thread that nothing can interrupt: it must not hold the exit.
    runtime.shutdown_background();
    // Its lines come before the last word.
    drop(log);
    match ended {
        Ok(()) => ExitCode::Done as u8,
        Err(error) => ended_by(&error, failing),
    }
}

/// Why it has not started, or has ended.
fn ended_by(error: &ServeError, failing: Failing) -> u8 {
    if let ServeError::Start(_) = error {
        let event = "bridge.not_started";
        return fail(failing, event, error, error.exit_code());
    }
    let event = "process.failed";
    fail(failing, event, error, error.exit_code())
}

fn redrive(flags: &RedriveFlags) -> u8 {
    let config = Config::load(flags.config.as_deref(), std::env::vars_os(), flags.overrides());
    let log = config.as_ref().map_or_else(ConfigError::log, |config| config.log);
    let failing = Failing::like(log);
    let (options, config) = match (flags.options(), config) {
        (Ok(options), Ok(config)) => (options, config),
        (Err(error), _) => {
            let event = "usage.refused";
            return fail(failing, event, &error, ExitCode::Usage as u8);
        }
        (_, Err(error)) => return refuse(&error, failing),
    };
    let log = match cli::start_logging(log) {
        Ok(log) => log,
        Err(error) => return no_log(failing, &error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return no_runtime(failing, &error),
    };
    let summary = runtime.block_on(async {
        let aws = Aws::from_environment().await.map_err(|error| (error.to_string(), ExitCode::Usage))?;
        let code = |error: &RedriveError| if error.is_usage() { ExitCode::Usage } else { ExitCode::Failed };
        bridge::redrive::redrive(&config, &aws, options).await.map_err(|error| (error.to_string(), code(&error)))
    });
    runtime.shutdown_background();
    drop(log);
    let summary = match summary {
        Ok(summary) => summary,
        Err((error, code)) => {
            let event = "process.failed";
            return fail(failing, event, &error, code as u8);
        }
    };
    let code = if summary.is_success() { ExitCode::Done } else { ExitCode::Failed } as u8;
    let text = if flags.json { serde_json::to_string(&summary).unwrap_or_default() } else { summary.to_string() };
    show(&format!("{text}\n")).max(code)
}

fn check(flags: &CheckFlags) -> u8 {
    let config = match Config::load(flags.config.as_deref(), std::env::vars_os(), Overrides::default()) {
        Ok(config) => config,
        Err(error) => return refuse(&error, Failing::in_text()),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return sorry(&error, ExitCode::Failed),
    };
    let report = runtime.block_on(async {
        let aws = Aws::from_environment().await.map(|aws| aws.invoking(config.lambda.client));
        bridge::check::check(&config, aws, &flags.options()).await
    });
    runtime.shutdown_background();
    let code = if report.ok { ExitCode::Done } else { ExitCode::Failed } as u8;
    let text = if flags.json { serde_json::to_string(&report).unwrap_or_default() + "\n" } else { report.to_string() };
    show(&text).max(code)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime").map_err(|error| format!("{error:#}"))
}

fn no_runtime(failing: Failing, error: &str) -> u8 {
    let event = "process.failed";
    fail(failing, event, &error, ExitCode::Failed as u8)
}

fn no_log(failing: Failing, error: &str) -> u8 {
    let event = "log.refused";
    fail(failing, event, &error, ExitCode::Usage as u8)
}

/// Says all that is wrong with a configuration, a line each.
fn refuse(error: &ConfigError, failing: Failing) -> u8 {
    let event = "configuration.refused";
    error.lines().for_each(|mistake| failing.say(event, &mistake));
    ExitCode::Usage as u8
}

/// What a bridge that runs has answered, or why it has not.
fn told(answer: Result<String, String>) -> u8 {
    match answer {
        Ok(text) => show(&text),
        Err(reason) => sorry(&reason, ExitCode::Failed),
    }
}

/// In the words of a command that has no log.
fn sorry(error: &impl std::fmt::Display, code: ExitCode) -> u8 {
    fail(Failing::in_text(), "", error, code as u8)
}

fn fail(failing: Failing, event: &str, error: &impl std::fmt::Display, code: u8) -> u8 {
    failing.say(event, error);
    code
}

/// Says it on standard error, without a panic when nobody reads that.
fn tell(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints without a panic when nobody reads, as in `mqtt-lambda-bridge config | head -1`.
fn show(text: &str) -> u8 {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::Done as u8,
        Err(_) => ExitCode::Failed as u8,
    }
}
