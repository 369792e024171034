//! F20, F21, F22: a machine with a wrong clock, a full disk, a log without a reader, too few file descriptors, and no
//! DNS.

use std::fs;
use std::io::{Seek, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bridge::config::Protocol;
use sandbox::certs::{Leaf, PkiOptions};
use sandbox::lambda::{Action, When};
use sandbox::oracle;
use sandbox::proxy::Proxy;
use sandbox::tools::{self, REQUIRE_TOOLS};
use sandbox::wiretap::Wiretap;
use sandbox::world::{BridgeProcess, MAPPING, World};

use crate::common::{PATIENCE, acks, eventually, fault, nothing_lost, publish, sized, willing};
use crate::faults::scene::{subscribed, world};

/// A world in which the broker keeps a session for the bridge already, so that nothing published is dropped.
async fn with_session() -> World {
    let mut world = world(Protocol::V5).function(willing()).without_bridge().await.unwrap();
    world.start_bridge().await.unwrap();
    assert!(world.drain_bridge(PATIENCE).await);
    world
}

async fn still_runs(process: &mut BridgeProcess) {
    let ended = process.exited(Duration::ZERO).await.unwrap();
    assert_eq!(ended, None, "{:#?}", process.log());
}

/// Stops it cleanly.
async fn ends_well(mut process: BridgeProcess) {
    process.signal("TERM").await.unwrap();
    let status = process.exited(PATIENCE).await.unwrap().expect("an end");
    assert_eq!(status.code(), Some(0), "{:#?}", process.log());
}

/// Whether a process may have mounts of its own here; containers often forbid it.
fn may_mount() -> bool {
    if tools::require("unshare").is_none() {
        return false;
    }
    let status = std::process::Command::new("unshare").args(["--map-root-user", "--mount", "true"]).status();
    let may = status.is_ok_and(|status| status.success());
    if !may {
        let required = std::env::var(REQUIRE_TOOLS).unwrap_or_default();
        assert!(!required.split(',').any(|tool| tool == "unshare"), "`unshare --mount` is not permitted here");
        eprintln!("skipped: `unshare --mount` is not permitted here");
    }
    may
}

/// A bridge whose clock differs by `shift`. `faketime` itself would stand between us and the bridge, so it is only asked
/// which environment it makes.
fn spawn_at(world: &World, faketime: &Path, shift: &str) -> BridgeProcess {
    let environment = std::process::Command::new(faketime).args(["-f", shift, "env"]).output().unwrap();
    let environment = String::from_utf8(environment.stdout).unwrap();
    let fake = environment.lines().filter(|line| line.starts_with("LD_PRELOAD=") || line.starts_with("FAKETIME="));
    let wrapper: Vec<_> = ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1"].into_iter().chain(fake).collect();
    assert!(wrapper.len() >= 4, "{environment}");
    world.spawn_bridge_under(&wrapper).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_clock_that_is_wrong() {
    let Some(faketime) = tools::require("faketime") else { return };
    let mut world = with_session().await;
    let sensors = publish(&world, 20, |_| {}).await;
    // The certificates are valid from an hour ago, for thirty days.
    for (clock, verdict) in [("-1d", "not valid before"), ("+31d", "expired")] {
        let mut process = spawn_at(&world, &faketime, clock);
        // Not even the authority is valid then.
        let status = process.exited(PATIENCE).await.unwrap().expect("an end");
        let log = process.log().join("\n");
        assert_eq!(status.code(), Some(2), "{clock}: {log}");
        assert!(log.contains(verdict) && !log.contains("panicked") && !log.contains("\"connected\""), "{clock}: {log}");
    }
    assert_eq!(world.lambda.log().totals().invoked, 0);
    // A day ahead the certificates are still valid: nothing else in the bridge may depend on the wall clock.
    let process = spawn_at(&world, &faketime, "+1d");
    let fate = nothing_lost(&world, &sensors).await;
    assert_eq!((fate.handled.len(), fate.extra()), (20, 0));
    ends_well(process).await;
    world.start_bridge().await.unwrap();
    nothing_lost(&world, &publish(&world, 20, |_| {}).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_a_disk_that_is_full() {
    const MOUNT: &str = r#"mount -t tmpfs -o size=64k tmpfs "$1" && shift && exec "$@""#;
    if !may_mount() {
        return;
    }
    let mut world =
        world(Protocol::V5).function(willing()).set("mapping.retry.max_attempts", "1").without_bridge().await.unwrap();
    let tap = Wiretap::start(world.url(), &world.files, Protocol::V5).await.unwrap();
    world.set("mqtt.url", &tap.url().to_string());
    let disk = world.directory().join("disk");
    fs::create_dir(&disk).unwrap();
    world.set("mapping.on_failure.file", &disk.join("letters.jsonl").display().to_string());
    let disk = disk.display().to_string();
    let wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", &disk];
    let mut process = world.spawn_bridge_under(&wrapper).unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    let within = |name: &str| PathBuf::from(format!("/proc/{}/root{disk}/{name}", process.id().unwrap()));
    let (letters, ballast) = (within("letters.jsonl"), within("ballast"));
    let written = || oracle::dead_letters(&letters).unwrap().len();

    fault(&world, When::Always, Action::function_error("SensorError", "cannot"));
    publish(&world, 5, |_| {}).await;
    eventually("there is room", || acks(&tap.seen()).len() == 5).await;
    fill(&ballast);
    let (held, flowed) = (sized(60, 2_000), 5);
    let sensors = publish(&world, held, |_| {}).await;
    assert!(process.logged("dead letter not written", PATIENCE).await, "{:#?}", process.log());
    assert!(process.logged("No space left", PATIENCE).await, "{:#?}", process.log());
    assert!(written() < 65, "the disk is not full");
    let acknowledged = acks(&tap.seen()).len();
    assert!(acknowledged <= written(), "{acknowledged} acknowledged, {} on disk", written());
    still_runs(&mut process).await;
    // Each letter is retried all the time, but not logged each time.
    let lines = process.count("dead letter not written") + process.count("failure destination failing");
    assert!(lines <= 4, "{lines} lines within less than two minutes");

    world.lambda.faults().clear();
    fs::remove_file(&ballast).unwrap();
    eventually("all has its outcome", || acks(&tap.seen()).len() as u64 == held + flowed).await;
    let text = fs::read_to_string(&letters).unwrap();
    assert_eq!(text.lines().count(), written(), "a line is broken");
    let handled = oracle::handled_ids(&world.lambda.log().invocations()).len();
    assert_eq!((written() + handled) as u64, held + flowed, "twice, or never");
    assert!(process.logged("\"event\":\"dead_letter.destination_restored\"", PATIENCE).await, "{:#?}", process.log());
    assert_eq!(sensors.published(), held);
    ends_well(process).await;
}

/// Fills the disk that this file is on.
fn fill(file: &Path) {
    let mut file = fs::File::create(file).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    assert!(file.stream_position().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_output_that_is_closed() {
    let world = with_session().await;
    let close = r#"exec "$@" >&- 2>&-"#;
    let mut process = world.spawn_bridge_under(&["sh", "-c", close, "sh"]).unwrap();
    fault(&world, When::Every(3), Action::status(500));
    let sensors = publish(&world, sized(500, 10_000), |_| {}).await;
    nothing_lost(&world, &sensors).await;
    still_runs(&mut process).await;
    ends_well(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_a_log_that_nobody_reads_any_more() {
    let world = with_session().await;
    let mut process = subscribed(&world).await;
    process.stop_reading();
    // Each failure writes a log line.
    fault(&world, When::Every(3), Action::status(500));
    let sensors = publish(&world, sized(500, 10_000), |_| {}).await;
    nothing_lost(&world, &sensors).await;
    still_runs(&mut process).await;
    ends_well(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_a_log_whose_reader_stalls() {
    let world = with_session().await;
    let mut process = subscribed(&world).await;
    process.stall_log(true);
    let admin = process.log().iter().find_map(|line| admin_of(line)).unwrap();
    let lost = || {
        get(&admin, "/metrics")
            .lines()
            .find_map(|line| line.strip_prefix("mqtt_lambda_bridge_log_lines_lost_total ")?.parse::<u64>().ok())
    };
    // Each order writes a log line, until the pipe and the queue are full.
    while lost() == Some(0) {
        for order in ["pause", "resume"].repeat(50) {
            post(&admin, &format!("/mappings/{MAPPING}/{order}"));
        }
    }
    let sensors = publish(&world, sized(500, 10_000), |_| {}).await;
    nothing_lost(&world, &sensors).await;
    still_runs(&mut process).await;
    process.stall_log(false);
    assert!(process.logged("log.lines_lost", PATIENCE).await);
    ends_well(process).await;
}

fn admin_of(line: &str) -> Option<String> {
    serde_json::from_str::<serde_json::Value>(line).ok()?["admin"].as_str().map(str::to_owned)
}

fn post(admin: &str, path: &str) {
    ask(admin, "POST", path);
}

fn get(admin: &str, path: &str) -> String {
    ask(admin, "GET", path)
}

fn ask(admin: &str, method: &str, path: &str) -> String {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(admin).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn f21_sixty_four_descriptors() {
    if tools::require("prlimit").is_none() {
        return;
    }
    let mut world = with_session().await;
    let proxy = Proxy::start(world.url()).await.unwrap();
    world.set("mqtt.url", &proxy.url().to_string());
    world.set("mapping.concurrency", "128");
    world.set("mapping.retry.max_attempts", "100000");
    fault(&world, When::Always, Action::Delay(Duration::from_millis(100)));
    let mut process = world.spawn_bridge_under(&["prlimit", "--nofile=64"]).unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    let sensors = publish(&world, sized(1_000, 10_000), |_| {}).await;
    assert!(process.logged("Too many open files", PATIENCE).await, "the limit was not reached");
    let fate = nothing_lost(&world, &sensors).await;
    assert_eq!(fate.dead.len(), 0);
    if sized(0, 1) == 1 {
        // A connection to the broker needs a descriptor too, and idle connections to Lambda give theirs back late: after
        // 90 s.
        proxy.reset();
        let sensors = publish(&world, 100, |_| {}).await;
        let log = world.lambda.log();
        log.wait_for(PATIENCE * 3, |log| log.totals().succeeded >= 10_100).await.unwrap();
        nothing_lost(&world, &sensors).await;
    }
    let descriptors = process.usage().unwrap().descriptors;
    // Reading the directory is no snapshot: one may be counted under its old and its new number.
    assert!(descriptors <= 68, "{descriptors}");
    still_runs(&mut process).await;
    ends_well(process).await;
}

/// A world whose broker is called `broker.test`, and what a bridge must be started under to have these files as its
/// `/etc/hosts` and `/etc/resolv.conf`.
async fn with_names(resolver: &str) -> (World, PathBuf, Vec<String>) {
    const MOUNT: &str = r#"mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@""#;
    let mut broker = Leaf::broker();
    broker.names.push("broker.test".to_owned());
    let world = world(Protocol::V5).pki(PkiOptions { broker, ..PkiOptions::default() }).function(willing());
    let mut world = world.set("mqtt.backoff", "200ms..2s").without_bridge().await.unwrap();
    world.start_bridge().await.unwrap();
    assert!(world.drain_bridge(PATIENCE).await);
    world.set("mqtt.url", &format!("mqtts://broker.test:{}", world.url().port));
    let (hosts, resolv) = (world.directory().join("hosts"), world.directory().join("resolv.conf"));
    fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    fs::write(&resolv, resolver).unwrap();
    let (first, second) = (hosts.display().to_string(), resolv.display().to_string());
    let wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", &first, &second];
    (world, hosts, wrapper.map(str::to_owned).to_vec())
}

/// The same failure is said once a minute, and each time at the level debug.
const EACH_FAILURE: [&str; 2] = ["env", "RUST_LOG=info,bridge::mqtt::failing=debug"];

fn gives_address(hosts: &Path) {
    // Written in place: a new file would not be the one that is mounted.
    let mut hosts = fs::OpenOptions::new().append(true).open(hosts).unwrap();
    hosts.write_all(b"127.0.0.1 broker.test\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_name_without_address_is_asked_for_with_back_off() {
    if !may_mount() {
        return;
    }
    // Nobody listens on port 53 of this address, so that the resolver fails at once.
    let (world, hosts, wrapper) = with_names("nameserver 127.9.9.9\noptions timeout:1 attempts:1\n").await;
    let wrapper: Vec<_> = wrapper.iter().map(String::as_str).chain(EACH_FAILURE).collect();
    let sensors = publish(&world, 20, |_| {}).await;
    let begun = Instant::now();
    let mut process = world.spawn_bridge_under(&wrapper).unwrap();
    assert!(process.logged("broker.test: no address found", PATIENCE).await, "{:#?}", process.log());
    eventually("it has tried several times", || process.count("\"event\":\"broker.lost\"") >= 6).await;
    let attempts = process.count("\"event\":\"broker.lost\"");
    // The shortest pause is 200 ms.
    let most = usize::try_from(begun.elapsed().as_millis() / 200).unwrap() + 1;
    assert!(attempts <= most, "{attempts} attempts, {most} allowed");
    still_runs(&mut process).await;
    gives_address(&hosts);
    let fate = nothing_lost(&world, &sensors).await;
    assert_eq!((fate.handled.len(), fate.extra()), (20, 0));
    ends_well(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_resolver_that_never_answers_holds_neither_the_bridge_nor_its_end() {
    if !may_mount() {
        return;
    }
    let address = format!("127.53.{}.{}", fastrand::u8(1..), fastrand::u8(1..));
    let Ok(resolver) = UdpSocket::bind((address.as_str(), 53)) else {
        eprintln!("skipped: port 53 is not ours to listen on");
        return;
    };
    let resolv = format!("nameserver {address}\noptions timeout:30 attempts:5\n");
    let (mut world, hosts, wrapper) = with_names(&resolv).await;
    let wrapper: Vec<_> = wrapper.iter().map(String::as_str).chain(EACH_FAILURE).collect();
    world.set("mqtt.connect_timeout", "1s");
    let sensors = publish(&world, 20, |_| {}).await;
    let begun = Instant::now();
    let mut process = world.spawn_bridge_under(&wrapper).unwrap();
    assert!(process.logged("broker.test: name not resolved within 1s", PATIENCE).await, "{:#?}", process.log());
    eventually("it tries again", || process.count("\"event\":\"broker.lost\"") >= 3).await;
    let most = usize::try_from(begun.elapsed().as_millis() / 1_200).unwrap() + 1;
    assert!(process.count("\"event\":\"broker.lost\"") <= most, "{:#?}", process.log());
    resolver.set_nonblocking(true).unwrap();
    assert!(resolver.recv(&mut [0; 512]).is_ok(), "nobody asked the resolver");

    process.signal("TERM").await.unwrap();
    // The resolver would be waited for two and a half minutes.
    let status = process.exited(Duration::from_mins(1)).await.unwrap().expect("an end, though the resolver is asked");
    assert_eq!(status.code(), Some(0), "{:#?}", process.log());

    let process = world.spawn_bridge_under(&wrapper).unwrap();
    gives_address(&hosts);
    assert_eq!(nothing_lost(&world, &sensors).await.handled.len(), 20);
    ends_well(process).await;
}
