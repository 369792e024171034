//! Promise: a redrive brings dead letters to their function again, and each leaves its file, queue or bucket only once
//! the function has taken it. Killed half-way and run again, it loses none and repeats one batch at most.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::common::{PATIENCE, eventually, fault, willing};
use bridge::dead_letter::{DeadLetter, FailedRedrives, Skipped};
use event::Encoding;
use sandbox::bucket::{self, Bucket};
use sandbox::lambda::{Action, When};
use sandbox::queue::Queue;
use sandbox::world::{FUNCTION, MAPPING, World};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

const LETTERS: usize = 50;
/// The letters in flight.
const BATCH: usize = 10;

fn letter(number: usize) -> DeadLetter {
    DeadLetter {
        mapping: MAPPING.into(),
        function: FUNCTION.into(),
        id: format!("run-{number}"),
        topic: "sensor/data".into(),
        qos: 1,
        retain: false,
        user_properties: vec![("k".into(), "v".into())],
        content_type: None,
        response_topic: None,
        correlation_data: Some("AP8=".into()),
        payload: format!("{{\"number\": {number}}}"),
        encoding: Encoding::Text,
        subscription: None,
        content_encoding: None,
        skipped: None,
        redrive: None,
        received_at: "2026-11-20T12:00:00.123Z".into(),
        first_attempt_at: "2026-11-20T12:00:01.000Z".into(),
        last_attempt_at: "2026-11-20T12:00:02.000Z".into(),
        attempts: 3,
        error_type: "SensorError".into(),
        error_message: "cannot".into(),
    }
}

fn line(number: usize) -> String {
    serde_json::to_string(&letter(number)).unwrap()
}

/// A world without a bridge whose file holds so many letters.
async fn world(letters: usize) -> World {
    let world = World::builder().function(willing()).without_bridge().await.unwrap();
    let lines: String = (1..=letters).map(|number| line(number) + "\n").collect();
    fs::write(world.dead_letter_file(), lines).unwrap();
    world
}

fn command(world: &World, from: &str, flags: &[&str]) -> Command {
    let mut command = world.command().unwrap();
    command.args(["redrive", "--json", "--from", from]).args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn file(world: &World) -> String {
    format!("file:{}", world.dead_letter_file().display())
}

/// Runs it until it exits: the exit code and the summary.
async fn run(world: &World, from: &str, flags: &[&str]) -> (i32, Value) {
    finish(command(world, from, flags)).await
}

async fn finish(mut command: Command) -> (i32, Value) {
    let output = timeout(PATIENCE, command.output()).await.expect("an end").unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(stderr));
    (output.status.code().expect("an exit code"), summary)
}

/// How often the function has taken each record.
fn taken(world: &World) -> BTreeMap<String, usize> {
    let mut taken = BTreeMap::new();
    for invocation in world.lambda.log().invocations() {
        for handled in sandbox::oracle::handled(&invocation) {
            *taken.entry(handled.record_id).or_default() += 1;
        }
    }
    taken
}

fn ids(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    let mut ids: Vec<_> = numbers.map(|number| format!("run-{number}")).collect();
    ids.sort();
    ids
}

/// The files in the world's directory that have to do with dead letters, with their bytes.
fn files(world: &World) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(world.directory()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let files = entries.filter(|path| name(path).starts_with("dead-letters"));
    files.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_of_a_file_as_the_record_it_was() {
    let world = world(LETTERS).await;
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!((code, &summary["redriven"]), (0, &LETTERS.into()), "{summary}");
    assert_eq!(taken(&world).into_keys().collect::<Vec<_>>(), ids(1..=LETTERS));
    assert!(files(&world).is_empty(), "{:?}", files(&world));
    let event: event::Event = serde_json::from_slice(&world.lambda.log().invocations()[0].payload).unwrap();
    let record = &event.records[0];
    assert_eq!((event.mapping.as_str(), record.topic.as_str(), record.qos), (MAPPING, "sensor/data", 1));
    assert_eq!((record.received_at.as_str(), record.encoding), ("2026-11-20T12:00:00.123Z", Encoding::Json));
    assert_eq!((record.user_properties.len(), record.correlation_data.as_deref()), (1, Some("AP8=")));
}

/// The bridge goes on writing to the file; only as root can a test give it to somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_back_belongs_to_the_owner_of_the_file() {
    use std::os::unix::fs::{MetadataExt, chown};
    let world = world(LETTERS).await;
    let owner = || fs::metadata(world.dead_letter_file()).unwrap().uid();
    let wanted = if owner() == 0 { 65_534 } else { owner() };
    chown(world.dead_letter_file(), Some(wanted), None).unwrap();
    fault(&world, When::Always, Action::function_error("SensorError", "cannot"));
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!((code, &summary["failed"]), (1, &LETTERS.into()), "{summary}");
    assert_eq!(owner(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_half_way_and_run_again() {
    let world = world(LETTERS).await;
    for kill_at in [1, 3 * BATCH as u64 + 5] {
        fault(&world, When::Always, Action::Delay(Duration::from_millis(20)));
        let mut process = command(&world, &file(&world), &["--rate", "100/s"]).spawn().unwrap();
        let log = world.lambda.log();
        log.wait_for(PATIENCE, |log| log.totals().succeeded >= kill_at).await.unwrap();
        process.kill().await.unwrap();
        eventually("all is quiet", || log.totals().in_flight == 0).await;
        world.lambda.faults().clear();
        assert!(!files(&world).is_empty());
    }
    // The bridge has begun a new file meanwhile.
    fs::write(world.dead_letter_file(), line(LETTERS + 1) + "\n").unwrap();
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!(code, 0, "{summary}");
    let taken = taken(&world);
    assert_eq!(taken.keys().cloned().collect::<Vec<_>>(), ids(1..=LETTERS + 1));
    let repeated: usize = taken.values().map(|times| times - 1).sum();
    assert!(repeated <= 2 * BATCH, "{repeated} repeated by two kills");
    assert!(files(&world).is_empty(), "{:?}", files(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_keeps_its_reason_and_has_the_new_one_beside_it() {
    let world = world(LETTERS).await;
    fault(&world, When::Every(2), Action::function_error("StillBroken", "no"));
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!((code, &summary["redriven"], &summary["failed"]), (1, &25.into(), &25.into()), "{summary}");
    let left = world.dead_letters().unwrap();
    assert_eq!((left.len(), taken(&world).len()), (25, 25));
    let told = |left: &[DeadLetter], attempts, times, kind: &str| {
        for letter in left {
            let original = (letter.error_type.as_str(), letter.error_message.as_str());
            assert_eq!((original, letter.attempts), (("SensorError", "cannot"), attempts));
            let (error_type, error_message) = (kind.to_owned(), "no".to_owned());
            assert_eq!(letter.redrive, Some(FailedRedrives { times, error_type, error_message }));
            assert!(letter.last_attempt_at > letter.first_attempt_at && !taken(&world).contains_key(&letter.id));
        }
    };
    told(&left, 4, 1, "StillBroken");
    world.lambda.faults().clear();
    fault(&world, When::Always, Action::function_error("BrokenStill", "no"));
    let (_, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!(summary["failed"], 25, "{summary}");
    told(&world.dead_letters().unwrap(), 5, 2, "BrokenStill");
    world.lambda.faults().clear();
    assert_eq!(run(&world, &file(&world), &[]).await.0, 0);
    assert_eq!(taken(&world).into_keys().collect::<Vec<_>>(), ids(1..=LETTERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing() {
    let world = world(LETTERS).await;
    let before = files(&world);
    let (code, summary) = run(&world, &file(&world), &["--dry-run"]).await;
    assert_eq!((code, &summary["redriven"]), (0, &LETTERS.into()), "{summary}");
    assert_eq!(files(&world), before);
    assert_eq!(world.lambda.log().totals().invoked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_that_are_asked_for() {
    let world = world(LETTERS).await;
    let (code, summary) =
        run(&world, &file(&world), &["--filter", r#"{"payload":{"number":[{"numeric":["<=",20]}]}}"#]).await;
    assert_eq!((code, &summary["redriven"], &summary["skipped"]), (0, &20.into(), &30.into()), "{summary}");
    let (code, summary) = run(&world, &file(&world), &["--limit", "7"]).await;
    assert_eq!((code, &summary["redriven"], &summary["left"]), (0, &7.into(), &23.into()), "{summary}");
    assert_eq!((taken(&world).len(), world.dead_letters().unwrap().len()), (27, 23));
    assert_eq!(files(&world).len(), 1);
}

/// No file, and no variable: what the dead letters have, and the name of a function.
#[tokio::test(flavor = "multi_thread")]
async fn by_flags_alone() {
    let world = world(LETTERS).await;
    let mut command = world.bare_command().unwrap();
    command.args(["redrive", "--json", "--function", FUNCTION, "--from", &file(&world)]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (code, summary) = finish(command).await;
    assert_eq!((code, &summary["redriven"]), (0, &LETTERS.into()), "{summary}");
    assert_eq!(taken(&world).len(), LETTERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_letter_is_kept_aside_and_other_mappings_stay() {
    let world = world(1).await;
    let other = DeadLetter { mapping: "another".into(), ..letter(2) };
    let text = fs::read_to_string(world.dead_letter_file()).unwrap();
    let other = serde_json::to_string(&other).unwrap();
    fs::write(world.dead_letter_file(), format!("{{\"half\n{text}{other}\n\n{{}}\n{{\"map")).unwrap();
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!(
        (code, &summary["redriven"], &summary["skipped"], &summary["broken"]),
        (1, &1.into(), &1.into(), &3.into())
    );
    let broken = "dead-letters.jsonl.broken".to_owned();
    assert_eq!(files(&world)[&broken], b"{\"half\n{}\n{\"map\n");
    assert_eq!(files(&world)["dead-letters.jsonl"], format!("{other}\n").as_bytes());
    let (code, summary) = run(&world, &file(&world), &["--mapping", MAPPING]).await;
    assert_eq!((code, &summary["redriven"]), (0, &1.into()), "{summary}");
    assert_eq!(taken(&world).into_keys().collect::<Vec<_>>(), ids(1..=2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_without_a_message_is_refused_by_its_name_and_stays() {
    let world = world(1).await;
    let skipped = Some(Skipped { length: 300_000, sha256: "ab".repeat(32) });
    let large = DeadLetter { payload: String::new(), skipped, topic: "devices/a/data".into(), ..letter(2) };
    let answer = DeadLetter {
        id: "run-3-answer-0".into(),
        error_type: "Function.RefusedResponse".into(),
        topic: "devices/b/command".into(),
        ..letter(3)
    };
    let lines = [&large, &answer].map(|letter| serde_json::to_string(letter).unwrap() + "\n").concat();
    fs::write(world.dead_letter_file(), line(1) + "\n" + &lines).unwrap();
    for flags in [&["--dry-run"][..], &[]] {
        let output = timeout(PATIENCE, command(&world, &file(&world), flags).output()).await.expect("an end").unwrap();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counted = (&summary["redriven"], &summary["unsendable"], &summary["skipped"], &summary["broken"]);
        assert_eq!(counted, (&1.into(), &2.into(), &0.into(), &0.into()), "{summary}");
        assert_eq!(output.status.code(), Some(1));
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        for (id, topic, why) in [
            ("run-2", "devices/a/data", "length and digest"),
            ("run-3-answer-0", "devices/b/command", "an answer of the function"),
        ] {
            let named =
                |line: &str| ["redrive.letter_unsendable", id, topic, why].iter().all(|part| line.contains(part));
            assert_eq!(log.lines().filter(|line| named(line)).count(), 1, "{id}: {log}");
        }
    }
    assert_eq!(taken(&world).into_keys().collect::<Vec<_>>(), ["run-1"]);
    assert_eq!(files(&world)["dead-letters.jsonl"], lines.as_bytes());
    assert_eq!(files(&world).len(), 1, "{:?}", files(&world).keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_before_a_missing_permission_are_counted() {
    let mut world = world(1).await;
    world.set("mapping.timeout", "1s");
    // The function runs, and its answer does not come in time; only then it may not be invoked any more.
    fault(&world, When::Next(1), Action::Hang);
    fault(&world, When::Always, Action::status(403));
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!((code, &summary["left"]), (1, &1.into()), "{summary}");
    let left = world.dead_letters().unwrap();
    assert_eq!((left[0].attempts, left[0].error_type.as_str(), &left[0].redrive), (4, "SensorError", &None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_after_a_kill() {
    let world = world(LETTERS).await;
    let link = world.directory().join("link.jsonl");
    std::os::unix::fs::symlink(world.dead_letter_file(), &link).unwrap();
    let from = format!("file:{}", link.display());
    fault(&world, When::Always, Action::Delay(Duration::from_millis(20)));
    let mut process = command(&world, &from, &["--rate", "100/s"]).spawn().unwrap();
    let log = world.lambda.log();
    log.wait_for(PATIENCE, |log| log.totals().succeeded >= 15).await.unwrap();
    process.kill().await.unwrap();
    eventually("all is quiet", || log.totals().in_flight == 0).await;
    assert!(!link.exists(), "the link leads nowhere now");
    let (code, summary) = run(&world, &from, &[]).await;
    assert_eq!(code, 0, "{summary}");
    let taken = taken(&world);
    assert_eq!(taken.keys().cloned().collect::<Vec<_>>(), ids(1..=LETTERS));
    assert!(taken.values().map(|times| times - 1).sum::<usize>() <= BATCH);
    assert!(files(&world).is_empty(), "{:?}", files(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_costs_no_letter() {
    let world = world(LETTERS).await;
    fault(&world, When::Always, Action::status(403));
    let (code, summary) = run(&world, &file(&world), &[]).await;
    assert_eq!((code, &summary["left"]), (1, &LETTERS.into()), "{summary}");
    assert_eq!(world.dead_letters().unwrap().len(), LETTERS);
    assert!(world.dead_letters().unwrap().iter().all(|letter| letter.attempts == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_begins_nothing() {
    let world = world(1).await;
    let before = files(&world);
    let missing = format!("file:{}", world.directory().join("none.jsonl").display());
    for (from, flags) in [
        (missing.as_str(), &[][..]),
        ("letters.jsonl", &[]),
        ("s3:letters", &[]),
        (&file(&world), &["--mapping", "none"]),
        (&file(&world), &["--rate", "fast"]),
    ] {
        let (code, said) = run(&world, from, flags).await;
        assert_eq!(code, 2, "{said}");
        let last = said.as_str().unwrap().lines().last().unwrap();
        let last: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON: {said}"));
        assert!(["usage.refused", "process.failed"].contains(&last["event"].as_str().unwrap()), "{last}");
    }
    assert_eq!(files(&world), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_of_a_queue() {
    let (world, queue) = (world(0).await, Queue::start().await.unwrap());
    (1..=LETTERS).for_each(|number| queue.put(line(number)));
    queue.put("no letter");
    let from = format!("sqs:{}", queue.url());
    let (code, summary) = run(&world, &from, &["--dry-run"]).await;
    assert_eq!((code, &summary["redriven"], queue.messages().len()), (1, &LETTERS.into(), LETTERS + 1), "{summary}");

    fault(&world, When::Every(2), Action::function_error("StillBroken", "no"));
    let (code, summary) = run(&world, &from, &[]).await;
    assert_eq!((code, &summary["redriven"], &summary["failed"]), (1, &25.into(), &25.into()), "{summary}");
    assert_eq!((taken(&world).len(), queue.messages().len()), (25, 26));

    world.lambda.faults().clear();
    let (_, summary) = run(&world, &from, &[]).await;
    assert_eq!((&summary["redriven"], &summary["failed"], &summary["broken"]), (&25.into(), &0.into(), &1.into()));
    assert_eq!(taken(&world).into_keys().collect::<Vec<_>>(), ids(1..=LETTERS));
    assert_eq!(queue.messages().iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["no letter"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_after_a_kill() {
    let (world, queue) = (world(0).await, Queue::start().await.unwrap());
    (1..=LETTERS).for_each(|number| queue.put(line(number)));
    let from = format!("sqs:{}", queue.url());
    let mut process = command(&world, &from, &["--rate", "100/s"]).spawn().unwrap();
    let log = world.lambda.log();
    log.wait_for(PATIENCE, |log| log.totals().succeeded >= 25).await.unwrap();
    process.kill().await.unwrap();
    // Held messages come back after their visibility timeout, which the queue ends now.
    queue.release_all();
    assert_eq!(run(&world, &from, &[]).await.0, 0);
    let taken = taken(&world);
    assert_eq!(taken.keys().cloned().collect::<Vec<_>>(), ids(1..=LETTERS));
    assert!(taken.values().map(|times| times - 1).sum::<usize>() <= BATCH);
    assert!(queue.messages().is_empty());
}

/// A world, and a bucket that holds so many letters.
async fn with_bucket(letters: usize) -> (World, Bucket) {
    let (world, bucket) = (world(0).await, Bucket::start().await.unwrap());
    // Put in reverse, because a bucket lists its keys in order.
    (1..=letters).rev().for_each(|number| bucket.put(&name(number), line(number)));
    (world, bucket)
}

fn name(number: usize) -> String {
    format!("20261120T1200{number:02}.000Z-{MAPPING}-run-{number}-00.json")
}

fn kept(bucket: &Bucket) -> Vec<String> {
    bucket.objects().into_iter().map(|object| object.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_of_a_bucket() {
    let (world, bucket) = with_bucket(LETTERS).await;
    bucket.put("", "");
    bucket.put("notes.txt", "no letter");
    // Only the bucket's name: its endpoint comes from the environment.
    let run = |flags| {
        let mut command = command(&world, &bucket.name(), flags);
        command.env("AWS_ENDPOINT_URL_S3", bucket.endpoint());
        finish(command)
    };
    let before = kept(&bucket);
    let (code, summary) = run(&["--dry-run"]).await;
    assert_eq!((code, &summary["redriven"], &summary["broken"]), (1, &LETTERS.into(), &1.into()), "{summary}");
    assert_eq!((kept(&bucket), world.lambda.log().totals().invoked), (before, 0));

    fault(&world, When::Every(2), Action::function_error("StillBroken", "no"));
    let (code, summary) = run(&[]).await;
    assert_eq!((code, &summary["redriven"], &summary["failed"]), (1, &25.into(), &25.into()), "{summary}");
    assert_eq!((taken(&world).len(), kept(&bucket).len()), (25, 27));

    world.lambda.faults().clear();
    let (_, summary) = run(&[]).await;
    assert_eq!((&summary["redriven"], &summary["failed"], &summary["broken"]), (&25.into(), &0.into(), &1.into()));
    assert_eq!(taken(&world).into_keys().collect::<Vec<_>>(), ids(1..=LETTERS));
    assert_eq!(kept(&bucket), ["letters/", "letters/notes.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_after_a_kill() {
    let (world, bucket) = with_bucket(LETTERS).await;
    let from = format!("s3:{}", bucket.url());
    let log = world.lambda.log();
    for kill_at in [1, 3 * BATCH as u64 + 5] {
        let mut process = command(&world, &from, &["--rate", "100/s"]).spawn().unwrap();
        log.wait_for(PATIENCE, |log| log.totals().succeeded >= kill_at).await.unwrap();
        process.kill().await.unwrap();
        eventually("all is quiet", || log.totals().in_flight == 0).await;
        assert!(!kept(&bucket).is_empty());
    }
    let (code, summary) = run(&world, &from, &[]).await;
    assert_eq!(code, 0, "{summary}");
    let taken = taken(&world);
    assert_eq!(taken.keys().cloned().collect::<Vec<_>>(), ids(1..=LETTERS));
    let repeated: usize = taken.values().map(|times| times - 1).sum();
    assert!(repeated <= 2 * BATCH, "{repeated} repeated by two kills");
    assert!(kept(&bucket).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_bucket_the_oldest_first_and_only_those_that_are_asked_for() {
    let (mut world, bucket) = with_bucket(LETTERS).await;
    world.set("mapping.ordering_key", "topic[1]");
    let from = format!("s3:{}", bucket.url());
    let later = r#"{"payload":{"number":[{"numeric":[">",10]}]}}"#;
    let (code, summary) = run(&world, &from, &["--filter", later, "--limit", "17"]).await;
    assert_eq!((code, &summary["redriven"], &summary["skipped"]), (0, &17.into(), &10.into()), "{summary}");
    let (code, summary) = run(&world, &format!("{from}20261120T12004"), &[]).await;
    assert_eq!((code, &summary["redriven"]), (0, &10.into()), "{summary}");
    let sent = |invocation: &sandbox::lambda::Invocation| {
        let event: event::Event = serde_json::from_slice(&invocation.payload).unwrap();
        event.records[0].id.clone()
    };
    let sent: Vec<_> = world.lambda.log().invocations().iter().map(sent).collect();
    assert_eq!(sent, (11..=27).chain(40..=49).map(|number| format!("run-{number}")).collect::<Vec<_>>());
    assert_eq!(kept(&bucket).len(), LETTERS - 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_trouble_loses_nothing() {
    let (world, bucket) = with_bucket(LETTERS).await;
    let from = format!("s3:{}", bucket.url());
    for (trouble, said) in [
        (bucket::Trouble::Down, bucket.url()),
        (bucket::Trouble::SlowDown, "SlowDown: ".into()),
        (bucket::Trouble::NoSuchBucket, "NoSuchBucket: ".into()),
        (bucket::Trouble::AccessDenied, "AccessDenied: ".into()),
        (bucket::Trouble::Damaged, "checksum".into()),
        // Only deletions are refused, after the first ten letters have been sent.
        (bucket::Trouble::ReadOnly, "AccessDenied: ".into()),
    ] {
        assert_eq!(world.lambda.log().totals().invoked, 0, "before {trouble:?}");
        bucket.trouble(Some(trouble));
        let (code, error) = run(&world, &from, &[]).await;
        assert_eq!((code, kept(&bucket).len()), (1, LETTERS), "{trouble:?}: {error}");
        assert!(error.as_str().is_some_and(|error| error.contains(&said)), "{trouble:?}: {error}");
    }
    bucket.trouble(None);
    assert_eq!(run(&world, &from, &[]).await.0, 0);
    let taken = taken(&world);
    assert_eq!(taken.keys().cloned().collect::<Vec<_>>(), ids(1..=LETTERS));
    assert_eq!(taken.values().map(|times| times - 1).sum::<usize>(), BATCH);
    assert!(kept(&bucket).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_any_event_is_not_even_read() {
    let (world, bucket) = with_bucket(1).await;
    bucket.put_hollow("video.mp4", (64 << 20) + 1);
    bucket.put_hollow("empty", 64 << 20);
    let (code, summary) = run(&world, &format!("s3:{}", bucket.url()), &[]).await;
    let counted = (&summary["redriven"], &summary["failed"], &summary["broken"]);
    assert_eq!((code, counted), (1, (&1.into(), &1.into(), &1.into())), "{summary}");
    assert_eq!(kept(&bucket), ["letters/empty", "letters/video.mp4"]);
}
