//! `completions` and `man`: shell completions and manual pages, made from the definition of the command line.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;

const NAME: &str = "mqtt-lambda-bridge";

/// The flags of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsFlags {
    /// The shell
    shell: Shell,
}

/// The flags of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManFlags {
    /// The command whose page to print, for example `run`
    command: Option<String>,
}

impl CompletionsFlags {
    /// The script, for the `whole` command line.
    #[must_use]
    pub fn script(&self, mut whole: Command) -> String {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut whole, NAME, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }
}

impl ManFlags {
    /// The page out of the `whole` command line, as `man -l` reads it.
    ///
    /// # Errors
    /// When there is no such command.
    pub fn page(&self, mut whole: Command) -> Result<String, String> {
        whole.build();
        let command = match &self.command {
            None => whole,
            Some(name) => {
                let found = whole.find_subcommand(name).cloned();
                found.ok_or("man: no such command; `mqtt-lambda-bridge --help` lists them")?
            }
        };
        let mut page = Vec::new();
        let rendered: io::Result<()> = clap_mangen::Man::new(command).render(&mut page);
        rendered.map_err(|cause| format!("man: {cause}"))?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_shell_completes_commands_and_flags() {
        use clap::ValueEnum;
        for shell in Shell::value_variants() {
            let script = CompletionsFlags { shell: *shell }.script(Cli::command());
            for word in ["redrive", "topic-filter", "health"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_the_whole_and_for_each_command() {
        let page = |command: Option<&str>| ManFlags { command: command.map(str::to_owned) }.page(Cli::command());
        assert!(page(None).unwrap().contains("redrive"));
        let run = page(Some("run")).unwrap();
        assert!(run.contains(".TH mqtt-lambda-bridge-run") && run.contains("topic\\-filter"), "{run}");
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(page(Some(name)).unwrap().contains(&format!(".TH mqtt-lambda-bridge-{name} ")), "{name}");
        }
        assert!(page(Some("rum")).unwrap_err().contains("no such command"));
    }
}
