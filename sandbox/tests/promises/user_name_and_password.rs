//! Promise: a broker that requires a user name and a password gets them on every connection, as the file has them now;
//! they appear nowhere else, whatever goes wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{PATIENCE, acknowledged, answering, eventually, publish, willing};
use bridge::config::Protocol;
use sandbox::broker::{Broker, BrokerOptions};
use sandbox::lambda::Answer;
use sandbox::scripted::{ConnAck, Scripted};
use sandbox::tools;
use sandbox::world::{BridgeProcess, BrokerKind, World, WorldBuilder};
use tempfile::TempDir;

const NAME: &str = "bridge-name";
const RIGHT: &str = "correct-horse-7f3a9c";
const WRONG: &str = "battery-staple-51d0e2";

/// A world whose Mosquitto wants user name and password on the bridge's port; no bridge yet.
struct Stage {
    world: World,
    files: TempDir,
}

impl Stage {
    async fn new(adjust: impl FnOnce(WorldBuilder) -> WorldBuilder) -> Option<Self> {
        let (_, program) = (tools::require("mosquitto")?, tools::require("mosquitto_passwd")?);
        let files = tempfile::tempdir().unwrap();
        let passwords = files.path().join("passwords");
        enter(&program, &passwords, RIGHT);
        let options = BrokerOptions { passwords: Some(passwords), ..BrokerOptions::default() };
        let builder = World::builder().broker(BrokerKind::Mosquitto).broker_options(options);
        let mut world = adjust(builder.set("mqtt.username", NAME)).without_bridge().await.unwrap();
        let Some(Broker::Mosquitto(broker)) = &world.broker else { panic!("not Mosquitto") };
        let url = format!("mqtts://localhost:{}", broker.password_port());
        world.set("mqtt.url", &url);
        Some(Self { world, files })
    }

    /// The bridge's file, with this content.
    fn say(&self, content: &str) -> PathBuf {
        let (path, beside) = (self.files.path().join("token"), self.files.path().join("token.new"));
        std::fs::write(&beside, content).unwrap();
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(beside, &path).unwrap();
        path
    }

    fn tell(&mut self, content: &str) {
        let path = self.say(content).display().to_string();
        self.world.set("mqtt.password_file", &path);
    }

    /// The broker knows another password from now on, and no connection made with the old one.
    async fn change_at_the_broker(&mut self, password: &str) {
        enter(&tools::find_tool("mosquitto_passwd").unwrap(), &self.files.path().join("passwords"), password);
        self.world.broker.as_mut().unwrap().restart().await.unwrap();
    }
}

fn enter(program: &Path, file: &Path, password: &str) {
    let status =
        Command::new(program).args(["-c", "-b"]).arg(file).args([NAME, password]).stdin(Stdio::null()).status();
    assert!(status.unwrap().success());
}

/// Fails if the arguments or the log of the process show a password.
fn assert_shows_no_password(process: &BridgeProcess) {
    let shown = std::fs::read(format!("/proc/{}/cmdline", process.id().unwrap())).unwrap();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    for secret in [RIGHT, WRONG] {
        assert!(!shown.contains(secret), "{shown}");
        for line in process.log() {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_publisher_show_them_in_both_versions() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let function =
            answering(|_| Answer::json(&serde_json::json!({ "publish": [{ "topic": "commands", "payload": "x" }] })));
        let adjust =
            |b: WorldBuilder| b.protocol(protocol).function(function).set("mapping.response.allow", "commands");
        let Some(mut stage) = Stage::new(adjust).await else { return };
        stage.tell(&format!("{RIGHT}\n"));
        stage.world.start_bridge().await.unwrap();
        // The answer is confirmed before the message is.
        publish(&stage.world, 3, |_| {}).await;
        acknowledged(&stage.world, 3).await;
        assert!(!stage.world.bridge().unwrap().metrics().render().contains(RIGHT));
        // A token that was renewed meanwhile is what the next connection shows.
        stage.say(WRONG);
        stage.change_at_the_broker(WRONG).await;
        let counters = stage.world.counters();
        eventually("it is back", || counters.connects.get() >= 2 && counters.ready.get() == 1).await;
        publish(&stage.world, 3, |_| {}).await;
        acknowledged(&stage.world, 6).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_thousands_of_bytes_is_taken() {
    let Some(mut stage) = Stage::new(|b| b.function(willing())).await else { return };
    let token = "eyJhbGciOiJFUzI1NiJ9.".repeat(195);
    stage.change_at_the_broker(&token).await;
    stage.tell(&token);
    stage.world.start_bridge().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_one_is_a_lasting_refusal_that_ends_with_another_file() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let adjust = |b: WorldBuilder| b.protocol(protocol).function(willing()).set("mqtt.backoff", "1ms..1h");
        let Some(mut stage) = Stage::new(adjust).await else { return };
        stage.tell(WRONG);
        stage.world.launch_bridge().await.unwrap();
        let troubles = || stage.world.bridge().unwrap().troubles().join("; ");
        eventually("it says why", || troubles().contains("authentication failed")).await;
        let said = troubles();
        assert!(said.contains("`mqtt.username` and the password in ") && said.contains("token;"), "{said}");
        assert!(!said.contains(WRONG), "{said}");
        assert!(!stage.world.bridge().unwrap().metrics().render().contains(WRONG));
        assert_eq!((stage.world.counters().connects.get(), stage.world.counters().ready.get()), (0, 0));
        // The next attempt is due in an hour, but a new token causes one at once.
        stage.say(RIGHT);
        let counters = stage.world.counters();
        eventually("it is connected", || counters.ready.get() == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_binary_waits_longest_recovers_and_tells_nobody() {
    let adjust = |b: WorldBuilder| b.function(willing()).set("mqtt.backoff", "1ms..1h");
    let Some(mut stage) = Stage::new(adjust).await else { return };
    stage.tell(WRONG);
    let mut process = stage.world.spawn_bridge_under(&["env", "RUST_LOG=trace"]).unwrap();
    assert!(process.logged("\"event\":\"broker.refused\"", PATIENCE).await, "{:#?}", process.log());
    let refused = process.log().into_iter().find(|line| line.contains("broker.refused")).unwrap();
    for word in ["\"ERROR\"", "authentication failed: CONNECT as", "the password in "] {
        assert!(refused.contains(word), "{word} is missing in {refused}");
    }
    // An unusable token causes no attempt.
    let token = stage.say("");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    stage.say(RIGHT);
    assert!(process.logged("\"event\":\"broker.connected\"", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(process.count("broker.refused"), 1);
    assert_shows_no_password(&process);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_gone_is_told_and_waited_for() {
    let adjust = |b: WorldBuilder| b.function(willing()).set("mqtt.backoff", "1ms..1h");
    let Some(mut stage) = Stage::new(adjust).await else { return };
    stage.tell(RIGHT);
    stage.world.start_bridge().await.unwrap();
    std::fs::remove_file(stage.files.path().join("token")).unwrap();
    stage.world.broker.as_mut().unwrap().restart().await.unwrap();
    let troubles = || stage.world.bridge().unwrap().troubles().join("; ");
    eventually("it says why", || troubles().contains("no password for the broker: ")).await;
    assert!(troubles().contains("token: no such file"), "{}", troubles());
    stage.say(RIGHT);
    let counters = stage.world.counters();
    eventually("it is back", || counters.ready.get() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variable_serves_too() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let Some(mut stage) = Stage::new(|b| b.protocol(protocol).function(willing())).await else { return };
        // `BRIDGE_MQTT_PASSWORD`; a configuration file has no such key.
        stage.world.set("mqtt.password", RIGHT);
        let mut process = stage.world.spawn_bridge().unwrap();
        assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
        assert_shows_no_password(&process);
        stage.world.set("mqtt.password", WRONG);
        let mut process = stage.world.spawn_bridge().unwrap();
        assert!(process.logged("authentication failed", PATIENCE).await, "{:#?}", process.log());
        assert!(process.count("BRIDGE_MQTT_PASSWORD, and restart the bridge") > 0, "{:#?}", process.log());
        assert_shows_no_password(&process);
    }
}

/// Each connection runs the program, so that a token that has ended is followed by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_gives_it_for_each_connection() {
    for protocol in [Protocol::V5, Protocol::V311] {
        let Some(mut stage) = Stage::new(|b| b.protocol(protocol).function(willing())).await else { return };
        let token = stage.say(&format!("{RIGHT}\n"));
        stage.world.set("mqtt.password_command", &format!("/bin/cat,{}", token.display()));
        stage.world.start_bridge().await.unwrap();
        stage.say(WRONG);
        stage.change_at_the_broker(WRONG).await;
        let counters = stage.world.counters();
        eventually("it is back", || counters.connects.get() >= 2 && counters.ready.get() == 1).await;
        publish(&stage.world, 3, |_| {}).await;
        acknowledged(&stage.world, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_or_gives_a_wrong_one_is_told_and_run_again() {
    let adjust = |b: WorldBuilder| b.function(willing()).set("mqtt.backoff", "1ms..2s");
    let Some(mut stage) = Stage::new(adjust).await else { return };
    let token = stage.files.path().join("token");
    stage.world.set("mqtt.password_command", &format!("/bin/cat,{}", token.display()));
    let mut process = stage.world.spawn_bridge_under(&["env", "RUST_LOG=trace"]).unwrap();
    assert!(process.logged("/bin/cat: failed with exit status: 1: ", PATIENCE).await, "{:#?}", process.log());
    assert!(process.logged("no password for the broker: ", PATIENCE).await, "{:#?}", process.log());
    stage.say(WRONG);
    assert!(process.logged("authentication failed: ", PATIENCE).await, "{:#?}", process.log());
    let way_out = "what /bin/cat prints; it is run again for the next attempt";
    assert!(process.logged(way_out, PATIENCE).await, "{:#?}", process.log());
    stage.say(RIGHT);
    assert!(process.logged("\"event\":\"broker.connected\"", PATIENCE).await, "{:#?}", process.log());
    assert_shows_no_password(&process);
}

/// A broker may give its reason in words, and some repeat what they were told.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_repeats_the_password_is_not_repeated() {
    let mut world = World::builder().function(willing()).set("mqtt.username", NAME).without_bridge().await.unwrap();
    let broker = Scripted::start(&world.files, Protocol::V5).await.unwrap();
    world.set("mqtt.url", &broker.url().to_string());
    world.set("mqtt.password", RIGHT);
    let mut process = world.spawn_bridge().unwrap();
    let mut peer = broker.accept().await.unwrap();
    peer.greet(&ConnAck::refused(0x86).reason(&format!("{NAME} is not known with {RIGHT}"))).await.unwrap();
    assert!(process.logged("broker.refused", PATIENCE).await, "{:#?}", process.log());
    assert_shows_no_password(&process);
}
