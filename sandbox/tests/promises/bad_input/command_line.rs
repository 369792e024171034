//! Every user of the machine can read a process's arguments: they hold no secret. Wrong arguments, and secrets as
//! arguments, are tested beside the bridge.

use bridge::config::Protocol;

use crate::common::{eventually, willing};
use crate::stage::{Played, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_in_proc_is_as_it_was_given_and_holds_no_secret() -> Played {
    let stage = Stage::new(Protocol::V5, |b| b.function(willing())).await;
    let mut command = stage.world.command().unwrap();
    let files = &stage.world.files;
    let key_file = files.bridge.key.display().to_string();
    let arguments = ["run", "--key-file", &key_file, "--url", &stage.broker.url().to_string()].map(str::to_owned);
    // Secrets come from the environment or a file.
    command.args(&arguments).env("AWS_SECRET_ACCESS_KEY", "hunter2").env("AWS_SESSION_TOKEN", "hunter2");
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    stage.fresh().await?;
    let shown = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap())).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    let words: Vec<_> = shown.split('\0').skip(1).filter(|word| !word.is_empty()).collect();
    assert_eq!(words, arguments);
    let key = std::fs::read_to_string(&files.bridge.key).unwrap();
    for secret in ["hunter2", key.lines().nth(1).unwrap()] {
        assert!(!shown.contains(secret), "{shown}");
    }
    child.start_kill().unwrap();
    let mut end = None;
    eventually("it has ended", || {
        end = child.try_wait().unwrap();
        end.is_some()
    })
    .await;
    Ok(())
}
