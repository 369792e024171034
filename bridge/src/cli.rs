//! The command line: commands, flags and exit codes. Starts nothing; only `health`, `status` and the orders open a
//! connection, to the bridge on this machine (with its flag, `retire` also to the Kubernetes API).

mod address;
mod ask;
mod check;
mod examples;
mod failing;
mod health;
mod orders;
mod redrive;
mod retire;
mod shell;
mod status;
mod write_files;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, Command as ClapCommand, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::keys::{FILE_VARIABLE, Fallback, KEYS, Key};
use crate::config::{LogFormat, Overrides, unknown};
use crate::logging::{self, Logging};

pub use address::AdminFlags;
pub use check::CheckFlags;
pub use failing::Failing;
pub use health::HealthFlags;
pub use orders::{MappingFlags, OrderFlags};
pub use redrive::RedriveFlags;
pub use retire::RetireFlags;
pub use shell::{CompletionsFlags, ManFlags};
pub use status::StatusFlags;
pub use write_files::WriteFilesFlags;

/// An event source mapping for MQTT: invokes an AWS Lambda function for each message of a broker.
#[derive(Debug, Parser)]
#[command(name = "mqtt-lambda-bridge", version, after_help = examples::RUN, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the bridge can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect to the broker and invoke functions until told to stop (SIGTERM, or Ctrl-C).
    #[command(after_help = examples::RUN)]
    Run(Flags),
    /// Send dead letters to their functions again, and delete those that a function accepts.
    #[command(after_help = examples::REDRIVE)]
    Redrive(RedriveFlags),
    /// Test each step that a message takes, from the configuration to the function, and report it.
    #[command(after_help = examples::CHECK)]
    Check(CheckFlags),
    /// Print a configuration file with every key, its meaning and its default.
    #[command(after_help = examples::CONFIG)]
    Config {
        /// Print the file's JSON Schema instead, for editors and other programs.
        #[arg(long, conflicts_with = "minimal")]
        schema: bool,
        /// Print only the keys without which the bridge does not start.
        #[arg(long)]
        minimal: bool,
    },
    /// Check whether the bridge on this machine is alive: exit code 0 if it is, 1 if not.
    Health(HealthFlags),
    /// Show the state of the bridge on this machine, mapping by mapping.
    #[command(after_help = examples::ORDER_EXIT)]
    Status(StatusFlags),
    /// Pause a mapping: it keeps its session, finishes the messages it has, and takes no more.
    #[command(after_help = examples::ORDER_EXIT)]
    Pause(MappingFlags),
    /// Resume a paused mapping.
    #[command(after_help = examples::ORDER_EXIT)]
    Resume(MappingFlags),
    /// Remove the bridge for good: it unsubscribes, finishes what the broker has for it, and exits.
    #[command(after_help = examples::RETIRE)]
    Retire(RetireFlags),
    /// Write environment variables to files of mode 0400, for platforms that pass secrets as variables.
    #[command(after_help = examples::WRITE_FILES)]
    WriteFiles(WriteFilesFlags),
    /// Print a script that completes commands and flags in a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsFlags),
    /// Print the manual page of mqtt-lambda-bridge, or of one command.
    #[command(after_help = examples::MAN)]
    Man(ManFlags),
}

/// The flags of `run`: a file, and the keys that may stand on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// All others.
    pub overrides: Overrides,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// Wrong usage or configuration, before any connection.
    Usage = 2,
}

impl Cli {
    /// Reads the arguments of the process, the first of which is its name.
    ///
    /// # Errors
    /// When there is nothing to run: the text to print and the exit code to leave with.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, NothingToRun> {
        let mut arguments: Vec<_> = arguments.into_iter().collect();
        if arguments.get(1).is_some_and(|name| name == "help") {
            // Behind `help` clap would take the flag for the name of a command.
            arguments.retain(|argument| argument != "--help" && argument != "-h");
        }
        let command = arguments.get(1).and_then(|name| name.to_str()).unwrap_or_default();
        Self::try_parse_from(&arguments).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NothingToRun::Help(error.render().to_string()),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => NothingToRun::NoCommand(error.render().to_string()),
            _ => NothingToRun::Usage(in_one_line(&error, command)),
        })
    }
}

/// Why a command line starts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NothingToRun {
    /// It asks for help or for the version; the text is for standard output.
    Help(String),
    /// It names no command; the text is the help, for standard error.
    NoCommand(String),
    /// It is wrong, and this is why.
    Usage(String),
}

impl Args for Flags {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help(format!("The configuration file, in TOML [env: {FILE_VARIABLE}]"))
            .value_parser(clap::value_parser!(String));
        KEYS.iter().filter_map(argument).fold(command.arg(file), ClapCommand::arg)
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<String>("config").map(PathBuf::from);
        for key in KEYS.iter().filter(|key| key.flag.is_some()) {
            if let Some(value) = matches.get_one::<String>(key.path) {
                self.overrides = std::mem::take(&mut self.overrides).set(key.path, value);
            }
        }
        Ok(())
    }
}

/// The flag of a key. Values are checked with the configuration and not here, so that no error repeats one.
fn argument(key: &'static Key) -> Option<Arg> {
    let default = match key.default {
        Fallback::Is(text) => format!(" [default: {text}]"),
        Fallback::Required(_) | Fallback::Absent(_) => String::new(),
    };
    let help = format!("{}{default} [env: {}]", key.doc, key.variable());
    let argument = Arg::new(key.path).long(key.flag?).value_name(key.kind.value_name()).help(help);
    Some(argument.value_parser(clap::value_parser!(String)))
}

/// What is wrong with the usage, without any value: a value may be a secret in the wrong place.
fn in_one_line(error: &clap::Error, command: &str) -> String {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(name)) => name.split(['=', ' ']).next().unwrap_or(name),
        _ => "",
    };
    let flag = named(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with("--") => {
            format!("{flag}: {}", unknown_flag(flag, command))
        }
        ErrorKind::UnknownArgument => {
            "an argument is no flag; `mqtt-lambda-bridge run --help` lists all flags".to_owned()
        }
        ErrorKind::InvalidSubcommand => "unknown command; `mqtt-lambda-bridge --help` lists them".to_owned(),
        ErrorKind::InvalidValue | ErrorKind::NoEquals => format!("{flag}: needs a value"),
        ErrorKind::ValueValidation if flag.starts_with("--") => format!("{flag}: not of the form that --help shows"),
        ErrorKind::ArgumentConflict => format!("{flag}: given twice"),
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8 text".to_owned(),
        _ => "the arguments are not understood; `mqtt-lambda-bridge --help` explains them".to_owned(),
    }
}

/// Whose flag it is, when not that of `command`; or which flag was meant.
fn unknown_flag(flag: &str, command: &str) -> String {
    let whole = Cli::command();
    let longs = |of: &ClapCommand| -> Vec<_> {
        let longs = of.get_arguments().filter_map(Arg::get_long).chain(["help"]);
        longs.map(|long| format!("--{long}")).collect()
    };
    let others: Vec<_> = whole.get_subcommands().filter(|other| longs(other).iter().any(|long| long == flag)).collect();
    let Some(known) = whole.find_subcommand(command) else {
        return "unknown flag; the command comes first: `mqtt-lambda-bridge --help` lists them".to_owned();
    };
    if others.is_empty() {
        return unknown("flag", flag, longs(known).iter().map(String::as_str));
    }
    let others: Vec<_> = others.iter().map(|other| format!("`{}`", other.get_name())).collect();
    let instead = match (known.get_name(), flag) {
        ("run", "--dry-run") => "`mqtt-lambda-bridge check` tests everything that `run` needs",
        _ => "`--help` behind a command lists its flags",
    };
    format!("a flag of {}, not of `{}`; {instead}", others.join(", "), known.get_name())
}

/// Sends log lines to standard error as `format` says; `RUST_LOG` sets the level, `info` when absent. Whatever it says,
/// no payload is logged.
///
/// # Errors
/// When `RUST_LOG` is not understood, or logging has been set up before.
pub fn start_logging(format: LogFormat) -> Result<Logging, String> {
    let talkative: Vec<_> = crate::aws::TALKATIVE.iter().chain(crate::mqtt::TALKATIVE).copied().collect();
    logging::start(format, &talkative)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Cli, NothingToRun> {
        Cli::read(["mqtt-lambda-bridge"].iter().chain(arguments).map(OsString::from))
    }

    fn usage(arguments: &[&str]) -> String {
        match read(arguments) {
            Err(NothingToRun::Usage(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_overrides() {
        let cli = read(&["run", "--config", "b.toml", "--url", "mqtts://b", "--max-attempts=3"]).unwrap();
        let Command::Run(flags) = cli.command else { panic!("not run") };
        assert_eq!(flags.config, Some("b.toml".into()));
        assert_eq!(format!("{:?}", flags.overrides), r#"{"mapping.retry.max_attempts", "mqtt.url"}"#);
    }

    #[test]
    fn help_and_version_are_no_errors() {
        assert!(matches!(read(&["--help"]), Err(NothingToRun::Help(text)) if text.contains("Examples:")));
        for asked in [&["help"][..], &["help", "--help"], &["help", "-h"]] {
            assert!(matches!(read(asked), Err(NothingToRun::Help(text)) if text.contains("Examples:")), "{asked:?}");
        }
        assert!(matches!(read(&["run", "--help"]), Err(NothingToRun::Help(text)) if text.contains("BRIDGE_MQTT_URL")));
        assert!(
            matches!(read(&["--version"]), Err(NothingToRun::Help(text)) if text.starts_with("mqtt-lambda-bridge "))
        );
    }

    #[test]
    fn wrong_usage_is_one_line_with_a_way_out() {
        assert_eq!(usage(&["run", "--urll", "x"]), "--urll: unknown flag; did you mean `--url`?");
        assert_eq!(usage(&["run", "--url"]), "--url: needs a value");
        assert_eq!(usage(&["run", "--url", "a", "--url", "b"]), "--url: given twice");
        assert_eq!(usage(&["rum"]), "unknown command; `mqtt-lambda-bridge --help` lists them");
        assert_eq!(usage(&["health", "--admin-listen", "x"]), "--admin-listen: not of the form that --help shows");
        assert!(usage(&["run", "--insecure"]).starts_with("--insecure: there is no switch that weakens TLS"));
    }

    #[test]
    fn a_flag_of_another_command_is_told_as_that() {
        let dry_run = usage(&["run", "--dry-run"]);
        assert!(
            dry_run.contains("a flag of `redrive`, not of `run`") && dry_run.contains("bridge check`"),
            "{dry_run}"
        );
        let url = usage(&["redrive", "--url", "x"]);
        assert!(url.contains("a flag of `run`, not of `redrive`") && !url.contains("did you mean"), "{url}");
        assert!(usage(&["--url", "x"]).contains("the command comes first"));
        for command in Cli::command().get_subcommands() {
            for long in command.get_arguments().filter_map(Arg::get_long) {
                let typed = format!("--{long}");
                for other in Cli::command().get_subcommands() {
                    if let Err(NothingToRun::Usage(said)) = read(&[other.get_name(), &typed]) {
                        assert!(!said.contains(&format!("did you mean `{typed}`")), "{said}");
                    }
                }
            }
        }
    }

    #[test]
    fn help_fits_into_a_hundred_columns() {
        let names: Vec<_> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in std::iter::once("--help").chain(names.iter().map(String::as_str)) {
            for help in ["--help", "-h"] {
                let text = match read(&[name, help]) {
                    Err(NothingToRun::Help(text)) => text,
                    other => panic!("{name} {help}: {other:?}"),
                };
                for line in text.lines() {
                    assert!(line.chars().count() <= 100, "{name} {help}: {line}");
                }
                // What is wrapped by hand is not wrapped once more.
                let after = if ["--help", "run"].contains(&name) { examples::RUN } else { "" };
                assert!(text.contains(after), "{name} {help}: {text}");
            }
        }
    }

    #[test]
    fn examples_fit_into_eighty_columns() {
        let whole = Cli::command();
        for command in std::iter::once(&whole).chain(whole.get_subcommands()) {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let longest = examples.lines().max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(longest.chars().count() <= 80, "{}: {longest}", command.get_name());
        }
    }

    #[test]
    fn values_in_the_wrong_place_are_not_repeated() {
        for arguments in [&["run", "--password=hunter2"][..], &["run", "hunter2"], &["run", "-phunter2"], &["hunter2"]]
        {
            assert!(!usage(arguments).contains("hunter2"), "{arguments:?}");
        }
    }
}
