//! The peers in Python and Node: their programs, and the packages these need, each at the version that was tried.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::BenchError;
use super::case::Contender;

const PYTHON: &str = include_str!("peers/peer.py");
const NODE: &str = include_str!("peers/peer.mjs");
const FROM_PYPI: [&str; 2] = ["paho-mqtt==2.2.0", "boto3==1.44.8"];
const FROM_NPM: [&str; 3] = ["mqtt@5.16.0", "@aws-sdk/client-lambda@3.1164.0", "@smithy/node-http-handler@4"];

/// A peer that can be started.
#[derive(Debug)]
pub(super) struct Program {
    program: PathBuf,
    script: PathBuf,
}

impl Program {
    /// Installs what this contender needs below `target/bench`, once; `None` for one that needs nothing.
    ///
    /// # Errors
    /// When Python or Node is not there, or their packages cannot be had.
    pub(super) async fn of(contender: Contender) -> Result<Option<Self>, BenchError> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
        match contender {
            Contender::Python(_) => python(&directory.join("python")).await.map(Some),
            Contender::Node(_) => node(&directory.join("node")).await.map(Some),
            _ => Ok(None),
        }
    }

    /// The command that runs it.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(&self.script);
        command
    }
}

async fn python(directory: &Path) -> Result<Program, BenchError> {
    let (program, script) = (directory.join("bin/python"), directory.join("peer.py"));
    if is_new(directory, &FROM_PYPI).await? {
        run(Command::new("python3").args(["-m", "venv"]).arg(directory)).await?;
        run(Command::new(&program).args(["-m", "pip", "install", "--quiet"]).args(FROM_PYPI)).await?;
        done(directory, &FROM_PYPI).await?;
    }
    tokio::fs::write(&script, PYTHON).await?;
    Ok(Program { program, script })
}

async fn node(directory: &Path) -> Result<Program, BenchError> {
    let script = directory.join("peer.mjs");
    if is_new(directory, &FROM_NPM).await? {
        tokio::fs::create_dir_all(directory).await?;
        run(Command::new("npm").args(["install", "--silent", "--prefix"]).arg(directory).args(FROM_NPM)).await?;
        done(directory, &FROM_NPM).await?;
    }
    tokio::fs::write(&script, NODE).await?;
    Ok(Program { program: "node".into(), script })
}

async fn is_new(directory: &Path, packages: &[&str]) -> io::Result<bool> {
    match tokio::fs::read_to_string(directory.join("installed")).await {
        Ok(installed) => Ok(installed != packages.join("\n")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

async fn done(directory: &Path, packages: &[&str]) -> io::Result<()> {
    tokio::fs::write(directory.join("installed"), packages.join("\n")).await
}

async fn run(command: &mut Command) -> Result<(), BenchError> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let failed = |cause: String| BenchError::Peer(format!("{program}: {cause}"));
    let output = command.stdin(Stdio::null()).output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect()))
}
