//! The flags of `check`. Checks nothing itself.

use std::path::PathBuf;

use clap::Args;

use crate::check::Options;

/// The flags of `check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckFlags {
    /// The configuration file, in TOML [env: `BRIDGE_CONFIG`]
    #[arg(long, value_name = "FILE", help = "The configuration file, in TOML [env: BRIDGE_CONFIG]")]
    pub config: Option<PathBuf>,
    /// Publish a message to each mapping's topic, and wait until it comes back; a running bridge hands it to its
    /// function. Also publish one to each topic for dead letters
    #[arg(long)]
    pub probe: bool,
    /// The topic of the probe; without it, a mapping whose filters all have wildcards is not probed
    #[arg(long, value_name = "TOPIC", requires = "probe")]
    pub probe_topic: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl CheckFlags {
    /// What is wanted beside the usual steps.
    #[must_use]
    pub fn options(&self) -> Options {
        Options { probe: self.probe, probe_topic: self.probe_topic.clone() }
    }
}
