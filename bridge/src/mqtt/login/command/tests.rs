//! Programs that print a password, and programs that misbehave.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const NEVER: Duration = Duration::from_mins(10);

fn command(program: &str, arguments: &[&str], patience: Duration) -> PasswordCommand {
    PasswordCommand {
        program: program.into(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: ENVIRONMENT.map(str::to_owned).to_vec(),
        patience,
    }
}

fn shell(script: &str) -> PasswordCommand {
    command("/bin/sh", &["-c", script, "sh"], NEVER)
}

async fn error(script: &str) -> String {
    shell(script).run().await.unwrap_err()
}

#[tokio::test]
async fn its_output_without_one_line_end_is_the_password() {
    for (format, expected) in [("%s", "a b"), ("%s\n", "a b"), ("%s\r\n", "a b"), ("%s\n\n", "a b\n")] {
        let given = command("/usr/bin/printf", &[format, "a b"], NEVER).run().await.unwrap();
        assert_eq!(given.bytes(), expected.as_bytes(), "{format:?}");
    }
}

#[tokio::test]
async fn complaints_of_one_that_succeeds_are_read_and_dropped() {
    let given = shell("head -c 1000000 /dev/zero >&2; echo token").run().await.unwrap();
    assert_eq!(given.bytes(), b"token");
}

#[tokio::test]
async fn the_environment_is_what_is_named_and_nothing_else() {
    let environment = async |command: PasswordCommand| {
        let output = command.run().await.unwrap();
        let text = String::from_utf8(output.bytes().to_vec()).unwrap();
        text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect::<Vec<_>>()
    };
    let mut env = command("/usr/bin/env", &[], NEVER);
    let names = environment(env.clone()).await;
    assert!(names.contains(&"PATH".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| ENVIRONMENT.contains(&&**name)), "{names:?}");
    // Cargo sets this variable for each test.
    env.environment.push("CARGO_MANIFEST_DIR".to_owned());
    let more = environment(env).await;
    assert!(more.contains(&"CARGO_MANIFEST_DIR".to_owned()) && more.len() == names.len() + 1, "{more:?}");
}

#[tokio::test]
async fn one_that_fails_is_told_with_its_status_and_one_line() {
    let script = "echo; echo 'no route to the \u{1b}issuer' >&2; echo second line >&2; echo half-a-token; exit 3";
    assert_eq!(error(script).await, "/bin/sh: failed with exit status: 3: no route to the \\u{1b}issuer");
    assert_eq!(error("exit 1").await, "/bin/sh: failed with exit status: 1");
    assert_eq!(error("kill -TERM $$").await, "/bin/sh: failed with signal: 15 (SIGTERM)");
    let repeats = "echo half-a-token; echo '+ echo half-a-token' >&2; exit 1";
    assert_eq!(error(repeats).await, "/bin/sh: failed with exit status: 1");
    let long = error("head -c 3000 /dev/zero | tr '\\0' x >&2; exit 1").await;
    assert!(long.len() < 600, "{}", long.len());
}

#[tokio::test]
async fn output_that_is_no_password_is_refused() {
    assert_eq!(error("true").await, "/bin/sh: the password is empty");
    let longest = shell("head -c 65535 /dev/zero | tr '\\0' x; echo").run().await.unwrap();
    assert_eq!(longest.bytes().len(), 65_535);
    // Endless, so that only a limit ends it.
    let endless = error("yes hunter2").await;
    assert!(endless.starts_with("/bin/sh: its output is longer than 65535 bytes"), "{endless}");
}

#[tokio::test]
async fn one_that_cannot_be_started_is_named() {
    let error = command("/nowhere/token", &["--secret"], NEVER).run().await.unwrap_err();
    assert_eq!(error, "/nowhere/token: cannot be started: no such file, or its interpreter is missing");
}

#[tokio::test]
async fn one_that_takes_too_long_is_ended() {
    let slow = command("/bin/sh", &["-c", "sleep 1000"], Duration::from_millis(50));
    let error = slow.run().await.unwrap_err();
    assert!(error.starts_with("/bin/sh: still running after 50ms, and killed; "), "{error}");
}

/// The caller is dropped, as in a bridge that stops: the program and its children end with it.
#[tokio::test]
async fn it_is_killed_with_all_that_it_has_started() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("child");
    let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", path.display());
    let slow = shell(&script);
    let (mut run, deadline) = (Box::pin(slow.run()), Instant::now() + Duration::from_mins(1));
    let child = loop {
        tokio::select! {
            ended = &mut run => panic!("{ended:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        if let Ok(child) = std::fs::read_to_string(&path) {
            break child;
        }
        assert!(Instant::now() < deadline, "it has not begun");
    };
    let runs = || {
        let stat = std::fs::read_to_string(Path::new("/proc").join(child.trim()).join("stat"));
        // Nobody may have fetched its status yet.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(runs());
    drop(run);
    while runs() {
        assert!(Instant::now() < deadline, "what it has started still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
