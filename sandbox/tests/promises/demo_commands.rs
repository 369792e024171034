//! Promise: `cargo sandbox` refuses invalid flags with exit code 2 and the flag's name, shows its status page when
//! asked to, and accepts every command that the documentation names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn sandbox(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.args(arguments).env_remove("CARGO");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_makes_no_sense_is_refused_with_2() {
    for (arguments, named) in [
        (&["--sensors", "0"][..], "--sensors"),
        (&["--sensors", "many"], "--sensors"),
        (&["--topic", "a/+"], "--topic"),
        (&["--rate", "0"], "--rate"),
        (&["--rate", "-3"], "-3"),
        (&["--duration", "soon"], "--duration"),
        (&["--concurrency", "0"], "--concurrency"),
        (&["--bad-every", "0"], "--bad-every"),
        (&["--fault-every", "3"], "--fault"),
        (&["--scene", "hub", "--topic", "a/b"], "--topic"),
        (&["--mosquitto", "--broker", "mqtts://b"], "--broker"),
        (&["--nonsense"], "--nonsense"),
        (&["sim", "--seeds", "few"], "--seeds"),
        (&["bench", "--scenario", "nonsense"], "--scenario"),
        (&["bench", "--scale", "0"], "--scale"),
        (&["bench", "--runs", "0"], "--runs"),
        (&["bench", "--broker", "embedded", "--mosquitto", "/m"], "--mosquitto"),
    ] {
        let output = sandbox(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(named), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn the_status_page_is_shown_in_the_browser_that_is_set() {
    sandbox::binaries::build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (browser, shown) = (directory.path().join("browser"), directory.path().join("shown"));
    fs::write(&browser, format!("#!/bin/sh\necho \"$1\" >'{}'\n", shown.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let output = sandbox(&["--duration", "1s", "--open", "--json"]).env("BROWSER", &browser).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let url = fs::read_to_string(&shown).unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/\n"), "{url}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone on standard output");
    assert_eq!(summary["lost"], 0, "{summary}");
}

/// How each command of Cargo's that begins the sandbox continues.
const ALIASES: [(&str, &[&str]); 3] =
    [("cargo sandbox", &[]), ("cargo sim", &["sim"]), ("cargo bench-sandbox", &["bench"])];

/// With `--help` behind it a command line is read, and nothing is started. Words in capitals stand for a value.
#[test]
fn each_command_in_the_documentation_is_understood() {
    let mut read = 0;
    for page in pages() {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            let (alias, begin) = ALIASES.iter().find(|(alias, _)| command.starts_with(alias)).unwrap();
            let words = command[alias.len()..].split_whitespace();
            let arguments: Vec<_> = begin.iter().copied().chain(words).chain(["--help"]).collect();
            let output = sandbox(&arguments).output().unwrap();
            assert!(output.status.success(), "{}: `{command}`: {}", page.display(), said(&output));
            read += 1;
        }
    }
    assert!(read > 20, "only {read} commands were found");
}

/// All documentation pages.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = ["", "docs", "docker", "examples", "fuzz", "certs", "terraform"].map(|folder| root.join(folder));
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut pages: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages
}

/// What stands in code and begins the sandbox, without remarks and what follows in the shell.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    // A line that ends with a backslash goes on in the next one.
    let page = page.replace("\\\n", " ");
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.push(line.trim());
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    let code = |text: &str| text.split([';', '#', '|', '>', '&', '…']).next().unwrap_or_default().trim().to_owned();
    let begins = |command: &String| {
        ALIASES
            .iter()
            .any(|(alias, _)| command.strip_prefix(alias).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    };
    found.into_iter().map(code).filter(begins).collect()
}

#[test]
fn commands_are_found_in_blocks_and_in_sentences() {
    let page = "Run `cargo sandbox --open`; not `cargo sandboxes`.\n```sh\ncargo sim --seeds \\\n  3  # many\ncargo build\n```\n";
    assert_eq!(commands(page), ["cargo sandbox --open", "cargo sim --seeds    3"]);
}
