//! The commit of the checkout that this program was built in.

use std::fmt;
use std::path::Path;
use std::process::Stdio;

use serde::Serialize;
use tokio::process::Command;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in super::super) struct Commit {
    pub(in super::super) id: String,
    /// Whether a file differs from it.
    pub(in super::super) dirty: bool,
}

impl Commit {
    /// That of this directory; `None` without Git, or in a copy that is no checkout.
    pub(super) async fn of(directory: &Path) -> Option<Self> {
        let id = git(directory, &["rev-parse", "--short=12", "HEAD"]).await?.trim().to_owned();
        let changes = git(directory, &["status", "--porcelain", "--untracked-files=no"]).await?;
        Some(Self { id, dirty: !changes.is_empty() })
    }
}

async fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments).stdin(Stdio::null());
    let output = command.output().await.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.id, if self.dirty { ", with changes" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(directory: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let arguments: Vec<_> = identity.iter().chain(arguments).copied().collect();
        git(directory, &arguments).await.unwrap();
    }

    #[tokio::test]
    async fn a_change_makes_it_dirty() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Commit::of(directory.path()).await, None);
        run(directory.path(), &["init", "-q"]).await;
        std::fs::write(directory.path().join("file"), "one").unwrap();
        run(directory.path(), &["add", "file"]).await;
        run(directory.path(), &["commit", "-q", "-m", "one"]).await;
        let clean = Commit::of(directory.path()).await.unwrap();
        assert!(!clean.dirty && clean.id.len() >= 12, "{clean}");
        std::fs::write(directory.path().join("file"), "two").unwrap();
        assert_eq!(Commit::of(directory.path()).await.unwrap().to_string(), format!("{}, with changes", clean.id));
    }
}
