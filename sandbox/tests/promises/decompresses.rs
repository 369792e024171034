//! Promise: compressed payloads reach filters and function decompressed; those that cannot be decompressed, or become
//! too long, are in the failure destination byte for byte.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{PATIENCE, acknowledged, answering, eventually, everywhere, records, willing};
use bridge::config::Protocol;
use sandbox::lambda::Answer;
use sandbox::tools;
use sandbox::world::World;
use serde_json::{Value, json};

/// `{"a":[1,2]}` as zstd 1.5 compresses it.
const ZSTD: [u8; 24] = [
    0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x59, 0x00, 0x00, 0x7b, 0x22, 0x61, 0x22, 0x3a, 0x5b, 0x31, 0x2c, 0x32, 0x5d,
    0x7d, 0x4e, 0xde, 0x8c, 0x4b,
];

/// As the tool of that name does it.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut tool =
        Command::new("gzip").args(["-c", "-1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, plain) = (tool.stdin.take().unwrap(), plain.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&plain).unwrap());
    let output = tool.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

/// A device publishes this.
async fn device(world: &World, tool: &Path, payload: &[u8], more: &[&str]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), payload).unwrap();
    let (files, port) = (&world.files, world.url().port.to_string());
    let mut published = tokio::process::Command::new(tool);
    published
        .args(["-h", "localhost", "-p", &port, "-q", "1", "-t", "sensor/data", "-f"])
        .arg(file.path())
        .args(more)
        .arg("--cafile")
        .arg(&files.ca)
        .arg("--cert")
        .arg(&files.device.cert)
        .arg("--key")
        .arg(&files.device.key);
    let status = tokio::time::timeout(PATIENCE, published.status()).await.unwrap().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_function_see_what_was_compressed() {
    let Some(tool) = tools::require("mosquitto_pub") else { return };
    everywhere(|builder| {
        let tool = tool.clone();
        async move {
            let builder = builder.set("mapping.content_encoding", "gzip").set("mapping.ordering_key", "payload:/id");
            let builder = builder.set("mapping.filter", r#"[{"payload":{"id":["a"]}}]"#);
            let builder = builder.set("mapping.message_id", "payload:/number");
            let world = builder.function(willing()).start().await.unwrap();
            for (number, id) in [(1, "a"), (2, "b"), (3, "a")] {
                device(&world, &tool, &gzip(json!({ "id": id, "number": number }).to_string().as_bytes()), &[]).await;
            }
            acknowledged(&world, 3).await;
            assert_eq!(world.counters().filtered.get(), 1);
            let seen: Vec<_> = records(&world).iter().map(|record| record["payload"]["number"].clone()).collect();
            assert_eq!(seen, [1, 3]);
            let record = &records(&world)[0];
            assert_eq!(
                (&record["encoding"], &record["decompressed"], &record["id"]),
                (&json!("json"), &json!("gzip"), &json!("1"))
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_and_a_broken_stream_are_dead_letters_byte_for_byte() {
    let Some(tool) = tools::require("mosquitto_pub") else { return };
    everywhere(|builder| {
        let tool = tool.clone();
        async move {
            let world = builder.set("mapping.content_encoding", "gzip").function(willing()).start().await.unwrap();
            let whole = gzip(&vec![0; 7 << 20]);
            let (bomb, cut) = (whole.clone(), whole[..whole.len() - 9].to_vec());
            let small = gzip(b"21.5");
            for payload in [&bomb, &small[..small.len() - 1].to_vec(), &b"{\"plain\":1}".to_vec(), &small, &cut] {
                device(&world, &tool, payload, &[]).await;
            }
            acknowledged(&world, 5).await;
            let letters = world.dead_letters().unwrap();
            let mut kinds: Vec<_> =
                letters.iter().map(|letter| (letter.error_type.as_str(), letter.payload_bytes().unwrap())).collect();
            let mut expected = vec![
                ("ContentTooLarge", bomb),
                ("ContentUnreadable", small[..small.len() - 1].to_vec()),
                ("ContentUnreadable", b"{\"plain\":1}".to_vec()),
                // The limit is exceeded before the missing end is noticed.
                ("ContentTooLarge", cut),
            ];
            kinds.sort();
            expected.sort();
            assert!(kinds == expected, "{:?}", kinds.iter().map(|(kind, _)| kind).collect::<Vec<_>>());
            assert!(
                letters.iter().all(|letter| letter.attempts == 0 && letter.content_encoding.as_deref() == Some("gzip"))
            );
            assert_eq!(records(&world).len(), 1, "one was good");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_may_say_how_it_is_compressed() {
    let Some(tool) = tools::require("mosquitto_pub") else { return };
    let world = World::builder().protocol(Protocol::V5).set("mapping.content_encoding", "property");
    let world = world.set("mapping.concurrency", "1").function(willing()).start().await.unwrap();
    let said = |value| ["-V", "5", "-D", "publish", "user-property", "content-encoding", value];
    device(&world, &tool, &ZSTD, &said("zstd")).await;
    device(&world, &tool, &gzip(br#"{"a":[1,2]}"#), &said("GZIP")).await;
    // An unknown encoding, or none, is passed to the function as it is.
    device(&world, &tool, br#"{"a":[1,2]}"#, &said("br")).await;
    device(&world, &tool, br#"{"a":[1,2]}"#, &["-V", "5"]).await;
    acknowledged(&world, 4).await;
    let seen = records(&world);
    assert!(seen.iter().all(|record| record["payload"] == json!({ "a": [1, 2] })), "{seen:?}");
    let decompressed: Vec<_> = seen.iter().map(|record| record["decompressed"].clone()).collect();
    assert_eq!(decompressed, [json!("zstd"), json!("gzip"), Value::Null, Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_what_was_published_and_a_redrive_decompresses_it_again() {
    let Some(tool) = tools::require("mosquitto_pub") else { return };
    let world = World::builder().set("mapping.content_encoding", "gzip").set("mapping.retry.max_attempts", "1");
    let failing =
        answering(|_| Answer::json(&json!({ "batchItemFailures": [{ "itemIdentifier": "1", "retry": false }] })));
    let mut world = world.set("mapping.message_id", "payload:/number").function(failing).start().await.unwrap();
    let published = gzip(br#"{"number":1}"#);
    device(&world, &tool, &published, &[]).await;
    acknowledged(&world, 1).await;
    let letters = world.dead_letters().unwrap();
    assert_eq!(letters[0].payload_bytes().unwrap(), published);
    assert!(world.drain_bridge(PATIENCE).await);
    let before = records(&world).len();
    let file = format!("file:{}", world.dead_letter_file().display());
    let mut redrive = world.command().unwrap();
    redrive.args(["redrive", "--from", &file, "--filter", r#"{"payload":{"number":[1]}}"#]);
    let output = tokio::time::timeout(PATIENCE, redrive.output()).await.unwrap().unwrap();
    eventually("it was invoked for", || records(&world).len() > before).await;
    let record = records(&world).pop().unwrap();
    assert_eq!((&record["payload"], &record["decompressed"]), (&json!({ "number": 1 }), &json!("gzip")), "{output:?}");
}
