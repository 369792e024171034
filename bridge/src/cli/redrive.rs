//! The flags of `redrive`. Checks them all before anything is opened, and repeats no value in an error.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::config::Overrides;
use crate::mapping::filter::Filters;
use crate::redrive::{Options, Source};

/// The flags of `redrive`.
#[derive(Debug, Clone, Default, Args)]
pub struct RedriveFlags {
    /// The configuration file that names mappings and functions; `BRIDGE_CONFIG` may name it too.
    #[arg(long, value_name = "FILE", help = "The configuration file, in TOML [env: BRIDGE_CONFIG]")]
    pub config: Option<PathBuf>,
    /// Where the dead letters are: `file:PATH`, `sqs:URL` or `s3://BUCKET/PREFIX`
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Send all letters through this mapping; by default each through the one that it names
    #[arg(long, value_name = "NAME")]
    pub mapping: Option<String>,
    /// Send all letters to this function, without a configuration file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "mapping"])]
    pub function: Option<String>,
    /// Count what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Send only letters that match this event pattern (JSON), as in the `filter` of a mapping; all by default
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Send at most this many letters; all by default
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<String>,
    /// Send no faster than this, for example `50/s`; no limit by default
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// The mapping that `--function` makes.
const ALONE: &str = "redrive";

impl RedriveFlags {
    /// The keys of a configuration without a file. A redrive connects to no broker, and uses no topic filter.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        let Some(function) = &self.function else { return Overrides::default() };
        let keys = [
            ("mqtt.url", "mqtts://broker.invalid"),
            ("mapping.name", ALONE),
            ("mapping.topic_filter", "#"),
            ("mapping.function", function),
        ];
        keys.into_iter().fold(Overrides::default(), |all, (key, value)| all.set(key, value))
    }

    /// What they ask for.
    ///
    /// # Errors
    /// The first flag that is wrong, and what to write.
    pub fn options(&self) -> Result<Options, String> {
        let from =
            self.from.as_deref().ok_or("--from: missing; write `file:PATH`, `sqs:URL` or `s3://BUCKET/PREFIX`")?;
        Ok(Options {
            from: from.parse::<Source>().map_err(|error| format!("--from: {error}"))?,
            mapping: self.mapping.clone().or_else(|| self.function.as_ref().map(|_| ALONE.to_owned())),
            dry_run: self.dry_run,
            filter: self.filter.as_deref().map(filter).transpose()?.unwrap_or_default(),
            limit: self.limit.as_deref().map(limit).transpose()?,
            rate: self.rate.as_deref().map(str::parse).transpose().map_err(|error| format!("--rate: {error}"))?,
        })
    }
}

fn limit(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "--limit: not a number of at least 1".to_owned())
}

/// One pattern, or a list of which a letter must match one.
fn filter(text: &str) -> Result<Filters, String> {
    let place = |error: serde_json::Error| format!("--filter: not JSON from column {} on", error.column());
    let patterns = match serde_json::from_str(text).map_err(place)? {
        Value::Array(patterns) => patterns,
        pattern => vec![pattern],
    };
    Filters::parse(&patterns).map_err(|error| format!("--filter: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> RedriveFlags {
        RedriveFlags { from: Some("file:letters.jsonl".into()), ..RedriveFlags::default() }
    }

    #[test]
    fn flags_become_options() {
        let flags = RedriveFlags { limit: Some("7".into()), rate: Some("50/s".into()), dry_run: true, ..flags() };
        let options = flags.options().unwrap();
        assert_eq!((options.from, options.limit), (Source::File("letters.jsonl".into()), Some(7)));
        assert_eq!(options.rate.unwrap().interval(), std::time::Duration::from_millis(20));
        assert!(options.dry_run);
    }

    #[test]
    fn flags_alone_are_a_configuration() {
        let flags = RedriveFlags { function: Some("sensor-handler".into()), ..flags() };
        let config = crate::config::Config::load(None, [], flags.overrides()).unwrap();
        assert_eq!((config.mappings.len(), config.mappings[0].name.as_str()), (1, ALONE));
        assert_eq!(config.mappings[0].function.to_string(), "sensor-handler");
        assert_eq!(flags.options().unwrap().mapping.as_deref(), Some(ALONE));
    }

    #[test]
    fn wrong_flags_are_named_and_not_repeated() {
        let some = |text: &str| Some(text.to_owned());
        for (flags, expected) in [
            (RedriveFlags::default(), "--from: missing"),
            (RedriveFlags { from: some("hunter2"), ..flags() }, "--from: no place of dead letters"),
            (RedriveFlags { limit: some("0"), ..flags() }, "--limit: "),
            (RedriveFlags { rate: some("hunter2"), ..flags() }, "--rate: "),
            (RedriveFlags { filter: some("{hunter2"), ..flags() }, "--filter: not JSON from column 2"),
            (RedriveFlags { filter: some("{\"a\":[1]}"), ..flags() }, "--filter: "),
        ] {
            let error = flags.options().unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
