//! `cargo sandbox`: the command line of the demo. Everything it does is in the library.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bridge::config::Protocol;
use clap::{Args, CommandFactory, Parser, Subcommand};
use sandbox::bench;
use sandbox::certs::IdentityFiles;
use sandbox::demo::command::{Flags, a_rate, a_time};
use sandbox::demo::{self, Terminal};
use sandbox::fleet;
use sandbox::parts;
use sandbox::progress::Progress;
use sandbox::sim;
use sandbox::soak::{self, Kind, Soak};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A whole local world in one command: sensors publish over mutual TLS, the bridge invokes the real function behind a
/// local Lambda, and every message is accounted for.
#[derive(Debug, Parser)]
#[command(name = "cargo sandbox", bin_name = "cargo sandbox", max_term_width = 100, version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    demo: Flags,
    /// Print the summary as JSON on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
}

/// What else there is: a part of the world alone, or a world that is treated badly.
#[derive(Debug, Subcommand)]
enum Part {
    /// Run the local Lambda with the real function, for `AWS_ENDPOINT_URL`; print what the function logs, until Ctrl-C.
    #[command(after_help = LAMBDA_EXAMPLES)]
    Lambda {
        /// The address to listen on.
        #[arg(long, default_value = "127.0.0.1:9001")]
        listen: SocketAddr,
    },
    /// Run the world for an hour under faults of all kinds, at random; every message is accounted for in the end.
    #[command(after_help = SOAK_EXAMPLES)]
    Soak(SoakFlags),
    Sim(sim::command::Flags),
    Bench(bench::command::Flags),
    Fleet(fleet::Flags),
    /// The endpoint of a benchmark, which starts it by itself.
    #[command(hide = true)]
    BenchStub {
        /// How long it takes.
        #[arg(long, value_parser = humantime::parse_duration, default_value = "0s")]
        latency: Duration,
        /// The certificate that it shows.
        #[arg(long, requires = "key_file")]
        cert_file: Option<PathBuf>,
        /// Its key.
        #[arg(long)]
        key_file: Option<PathBuf>,
    },
    /// The least that receiving or invoking costs, for a benchmark, which starts it by itself.
    #[command(hide = true)]
    BenchPeer {
        /// Which of them.
        peer: bench::rust_peer::Peer,
    },
}

#[derive(Debug, Args)]
struct SoakFlags {
    /// How long faults strike, for example `5m`.
    #[arg(long, value_parser = a_time, default_value = "1h")]
    duration: Duration,
    /// The mean time between two faults.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "20s")]
    interval: Duration,
    /// Decides which faults strike when; a random one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Messages a second of all sensors together.
    #[arg(long, value_parser = a_rate, default_value_t = 50.0)]
    rate: f64,
    /// The version of MQTT: `5` or `3.1.1`.
    #[arg(long, default_value = "5")]
    protocol: Protocol,
    /// Only these kinds of faults, separated by commas; all by default. Without f1, f2 and f3 the same bridge runs all
    /// the time.
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Kind>,
    /// Write a picture of the run into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print the report as JSON on stdout, and nothing else there.
    #[arg(long)]
    json: bool,
}

const LAMBDA_EXAMPLES: &str = "\
Example:
  cargo sandbox lambda
  AWS_ENDPOINT_URL=http://127.0.0.1:9001 \\
      mqtt-lambda-bridge run --config bridge.toml";

const SOAK_EXAMPLES: &str = "\
Examples:
  Five minutes of all faults, and a picture of the run:
    cargo sandbox soak --duration 5m --plot soak.svg

  Five minutes in which only the broker and Lambda fail:
    cargo sandbox soak --duration 5m --faults f7,f8,f9,f10

  The faults of an earlier run again, by the seed that it printed:
    cargo sandbox soak --duration 5m --seed 17

Exit codes: 0 every message is accounted for and none lost, 1 not so,
2 wrong usage.";

const EXAMPLES: &str = "\
Examples:
  Watch it until Ctrl-C; or with the bridge's status page in a browser:
    cargo sandbox
    cargo sandbox --open

  Ten seconds, with the summary as JSON for a program:
    cargo sandbox --duration 10s --rate 200 --json

  Hubs that are answered with commands:
    cargo sandbox --scene hub

  Bad readings, and a Lambda that throttles every fifth invocation:
    cargo sandbox --bad-every 10 --fault throttle

  Against a broker of your own, with keys from certs/make-certs.sh:
    cargo sandbox --broker mqtts://localhost:8883 --ca-file certs/out/ca.crt \\
        --cert-file certs/out/bridge.crt --key-file certs/out/bridge.key

  The function alone, for a bridge of your own:
    cargo sandbox lambda

  Faults at random for five minutes, and a picture of the run:
    cargo sandbox soak --duration 5m --plot soak.svg

Exit codes: 0 every message is accounted for and none lost, 1 not so,
2 wrong usage.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong and why, each cause once: some errors tell theirs themselves.
fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { format!("{told}: {cause}") })
}

/// True when every message is accounted for.
fn run(cli: Cli) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    match cli.part {
        Some(Part::Lambda { listen }) => return runtime.block_on(parts::lambda(listen)).map(|()| true),
        Some(Part::Soak(flags)) => return runtime.block_on(soak(flags)),
        Some(Part::Bench(flags)) => {
            if let Err(error) = flags.check() {
                Cli::command().error(clap::error::ErrorKind::ValueValidation, error).exit();
            }
            return Ok(runtime.block_on(bench::command::execute(&flags))?);
        }
        Some(Part::BenchStub { latency, cert_file, key_file }) => {
            let identity = cert_file.zip(key_file).map(|(cert, key)| IdentityFiles { cert, key });
            return Ok(runtime.block_on(bench::stub::run(latency, identity)).map(|()| true)?);
        }
        Some(Part::BenchPeer { peer }) => {
            // One thread, like the bridge.
            let alone = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            return Ok(alone.block_on(peer.run()).map(|()| true)?);
        }
        Some(Part::Fleet(flags)) => {
            writeln!(io::stdout(), "{}", fleet::execute(&flags)?)?;
            return Ok(true);
        }
        Some(Part::Sim(flags)) => return Ok(sim::command::execute(&flags)?),
        None => {}
    }
    if let Err(error) = cli.demo.check() {
        Cli::command().error(clap::error::ErrorKind::ValueValidation, error).exit();
    }
    let remarks = log_into_remarks();
    let json = cli.json;
    let (summary, ending) = runtime.block_on(demo::run(cli.demo.into_demo(), Terminal::stderr(json), remarks))?;
    let text = if json { summary.to_json()? } else { format!("\n{summary}\n\n{ending}") };
    writeln!(io::stdout(), "{text}")?;
    Ok(summary.balanced())
}

/// True when all is as promised.
async fn soak(flags: SoakFlags) -> anyhow::Result<bool> {
    let kinds = if flags.faults.is_empty() { Kind::ALL.to_vec() } else { flags.faults };
    let soak = Soak {
        duration: flags.duration,
        interval: flags.interval,
        seed: flags.seed.unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX))),
        rate: flags.rate,
        protocol: flags.protocol,
        kinds,
    };
    let progress = Progress::over(flags.duration);
    let report = soak::run(soak, progress.says()).await?;
    progress.finish();
    if let Some(path) = &flags.plot {
        let written = report.plot().to_svg().and_then(|svg| soak::write_whole(path, &svg));
        written.with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    let text = if flags.json { report.to_json()? } else { format!("\n{report}") };
    writeln!(io::stdout(), "{text}")?;
    Ok(report.breaches().is_empty())
}

/// Log lines become remarks above the block, so that they do not tear it apart. When too many come, some are left out.
fn log_into_remarks() -> mpsc::Receiver<String> {
    let (sender, remarks) = mpsc::channel(100);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error,mqtt5=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .without_time()
        .with_writer(Remarks(sender))
        .init();
    remarks
}

#[derive(Clone)]
struct Remarks(mpsc::Sender<String>);

impl Write for Remarks {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(String::from_utf8_lossy(line).trim_end().to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Remarks {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = || io::Error::other("binary `bridge`: not found");
        assert_eq!(told(&anyhow::Error::new(missing()).context("bench")), "bench: binary `bridge`: not found");
        let says_it_itself = anyhow::Error::new(missing()).context("world: binary `bridge`: not found");
        assert_eq!(told(&says_it_itself), "world: binary `bridge`: not found");
    }

    #[test]
    fn examples_fit_into_eighty_columns() {
        let whole = Cli::command();
        for command in std::iter::once(&whole).chain(whole.get_subcommands()) {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(command.is_hide_set() || !examples.is_empty(), "{}: no examples", command.get_name());
            let longest = examples.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(longest.chars().count() <= 80, "{}: {longest}", command.get_name());
        }
    }
}
