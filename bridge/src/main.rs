//! The binary: from arguments to a running bridge, and from its end to an exit code. Decides nothing else.

use std::process;

use anyhow::Context;
use bridge::cli::{self, Cli, Command, ExitCode, Flags, NothingToRun};
use bridge::config::{self, Config};

fn main() -> process::ExitCode {
    let code = match Cli::read(std::env::args_os()) {
        Ok(Cli { command: Command::Run(flags) }) => run(flags),
        Ok(Cli { command: Command::Config }) => show(&config::commented_default()),
        Err(NothingToRun::Help(text)) => show(&text),
        Err(NothingToRun::Usage(text)) => {
            eprint!("{text}");
            ExitCode::Usage as u8
        }
    };
    process::ExitCode::from(code)
}

fn run(flags: Flags) -> u8 {
    let config = match Config::load(flags.config.as_deref(), std::env::vars_os(), flags.overrides) {
        Ok(config) => config,
        Err(error) => return fail(&error, ExitCode::Usage as u8),
    };
    if let Err(error) = cli::start_logging(config.log) {
        return fail(&error, ExitCode::Usage as u8);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime");
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("{error:#}"), ExitCode::Failed as u8),
    };
    match runtime.block_on(bridge::serve(config)) {
        Ok(()) => ExitCode::Done as u8,
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn fail(error: &impl std::fmt::Display, code: u8) -> u8 {
    eprintln!("error: {error}");
    code
}

/// Prints without a panic when nobody reads, as in `mqtt-lambda-bridge config | head -1`.
fn show(text: &str) -> u8 {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::Done as u8,
        Err(_) => ExitCode::Failed as u8,
    }
}
