//! Promise: the log, `/readyz` and the metrics report each fault at once, correctly and in agreement, and report its
//! end. One row for each case.

mod door;
mod page;
mod scene;
mod table;

use std::time::{Duration, Instant};

use self::scene::Scene;
use self::table::{Case, Over};
use crate::common::{PATIENCE, publish, side_by_side, willing};
use sandbox::lambda::{Action, Fault, When};
use sandbox::world::{BridgeProcess, World};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_the_start_is_said_before_the_first_message() {
    play(table::at_the_start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_refuses_is_said_before_the_first_message() {
    play(table::at_the_account()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_function_lacks_is_said_before_the_first_message() {
    play(table::at_the_function()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_at_work_is_said_and_that_it_is_over() {
    play(table::at_work()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_to_do_is_said() {
    play(table::at_the_desk()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_reached_is_said() {
    play(table::on_the_way()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_throws_is_a_line_a_minute_with_an_example() {
    let world = World::builder().function(willing()).set("mapping.retry.max_attempts", "1000000");
    let world = world.without_bridge().await.unwrap();
    world.lambda.faults().add(Fault::new(When::Always, Action::function_error("ValueError", "no")));
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
    let admin = Admin::of(&process);
    let begun = Instant::now();
    publish(&world, 20, |_| {}).await;
    while admin.number("mqtt_lambda_bridge_failures_total{mapping=\"sensor-data\",reason=\"FunctionError\"} ").await
        < Some(500.0)
    {
        assert!(begun.elapsed() < PATIENCE, "{:#?}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said: Vec<_> = lines(&process).filter(|line| line["event"] == "function.failed").collect();
    let minutes = begun.elapsed().as_secs() / 60;
    assert!(!said.is_empty() && said.len() as u64 <= minutes + 1, "{said:#?}");
    let first = &said[0];
    assert_eq!(
        (&first["failures"], &first["topic"], &first["kind"]),
        (&1.into(), &"sensor/data".into(), &"ValueError".into())
    );
    assert!(first["record"].is_string(), "{first}");
}

/// The lines of a good start: version, identity, functions, connections and subscriptions, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_a_short_true_account() {
    let world = World::builder().function(willing()).set("lambda.dry_run", "true").without_bridge().await.unwrap();
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("\"event\":\"bridge.ready\"", PATIENCE).await, "{:#?}", process.log());
    let said: Vec<_> = lines(&process).map(|line| line["event"].as_str().unwrap_or_default().to_owned()).collect();
    let (begun, rest) = said.split_at(4);
    assert_eq!(begun, ["tls.loaded", "mapping.started", "bridge.started", "aws.credentials"]);
    // Lambda and the broker are asked at the same time.
    let (lambda, broker): (Vec<_>, Vec<_>) = rest.iter().partition(|event| event.starts_with("lambda."));
    assert_eq!(lambda, ["lambda.ready"]);
    assert_eq!(broker, ["broker.connected", "subscription.granted", "bridge.ready"]);
    assert_eq!(said.last().map(String::as_str), Some("bridge.ready"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_names_its_broker() {
    // Answers have a connection of their own.
    let world = World::builder().function(willing()).set("mapping.response.allow", "commands");
    let world = world.without_bridge().await.unwrap();
    let mut process = world.spawn_bridge().unwrap();
    for words in ["\"message\":\"connected\"", "\"message\":\"publisher connected\""] {
        assert!(process.logged(words, PATIENCE).await, "{words}: {:#?}", process.log());
    }
    let url = world.url().to_string();
    let said: Vec<_> = lines(&process).filter(|line| line["event"] == "broker.connected").collect();
    assert!(said.len() >= 2 && said.iter().all(|line| line["broker"] == url.as_str()), "{url}: {said:#?}");
}

async fn play(cases: Vec<Case>) {
    let cases = cases.into_iter().map(|case| (case.name.to_owned(), Box::pin(night(case))));
    side_by_side(cases.collect()).await;
}

async fn night(case: Case) {
    let builder = World::builder().function(willing()).set("lambda.dry_run", "true");
    let (mut world, mut scene) = (builder.without_bridge().await.unwrap(), Scene::default());
    let right: Vec<_> = world.keys().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    for (key, value) in case.keys {
        if value.is_empty() { world.unset(key) } else { world.set(key, value) }
    }
    if let Some(fault) = case.fault.clone() {
        world.lambda.faults().add(fault);
    }
    (case.prepare)(&mut world, &mut scene).await;
    let variables = case.variables.iter().copied().chain(scene.variables.iter().map(String::as_str));
    let wrapper: Vec<_> = ["/usr/bin/env"].into_iter().chain(variables).collect();
    let mut process = world.spawn_bridge_under(&wrapper).unwrap();
    assert!(process.logged("\"admin\":", PATIENCE).await, "{:#?}", process.log());
    let admin = Admin::of(&process);
    (case.then)(&mut world, &mut scene).await;
    if case.messages > 0 {
        assert!(process.logged("subscribed", PATIENCE).await, "{:#?}", process.log());
        publish(&world, case.messages, |_| {}).await;
    }
    if !case.order.is_empty() {
        assert_eq!(admin.ask("POST", case.order).await.0, 200);
    }
    let begun = Instant::now();
    while !is_said(&process, case.line) || !admin.says(&case).await {
        let said = (admin.ask("GET", "/readyz").await, admin.metric(case.metric.0).await);
        assert!(begun.elapsed() < PATIENCE, "{}: {said:#?} {:#?}", case.name, process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.agrees(case.name).await;
    are_readable(case.name, &process);
    match case.over {
        Over::Never | Over::Elsewhere(_) => {}
        Over::Said(event) => {
            world.lambda.faults().clear();
            (case.repair)(&mut world, &mut scene).await;
            if !case.counter_order.is_empty() {
                assert_eq!(admin.ask("POST", case.counter_order).await.0, 200);
            }
            is_over(case.name, event, &mut process).await;
        }
        Over::Restart => {
            process.kill().await.unwrap();
            let wrong: Vec<_> = world.keys().map(|(key, _)| key.to_owned()).collect();
            wrong.iter().for_each(|key| world.unset(key));
            right.iter().for_each(|(key, value)| world.set(key, value));
            let mut process = world.spawn_bridge().unwrap();
            is_over(case.name, "bridge.ready", &mut process).await;
        }
    }
}

/// Each line has its event, and no number that no person reads.
fn are_readable(case: &str, process: &BridgeProcess) {
    for line in lines(process) {
        assert!(line["event"].is_string(), "{case}: no event in {line}");
        let fields = line.as_object().unwrap().iter().filter(|(name, _)| *name != "timestamp");
        for (name, value) in fields {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(!has_long_fraction(&text), "{case}: {name} is not rounded in {line}");
        }
    }
}

/// Waits until the process says so, and is ready by all accounts.
async fn is_over(case: &str, event: &str, process: &mut BridgeProcess) {
    let (begun, event) = (Instant::now(), format!("\"event\":\"{event}\""));
    assert!(process.logged(&event, PATIENCE).await, "{case}: not over {:#?}", process.log());
    let admin = Admin::of(process);
    while admin.ask("GET", "/readyz").await != (200, "ready\n".to_owned()) {
        let said = admin.ask("GET", "/readyz").await;
        assert!(begun.elapsed() < PATIENCE, "{case}: {said:?} {:#?}", process.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    admin.agrees(case).await;
}

/// Whether it holds a number with more than three decimals: no person reads `1.234567891s`.
fn has_long_fraction(text: &str) -> bool {
    let fractions = text.split('.').skip(1);
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    fractions.map(digits).any(|digits| digits > 3)
}

fn lines(process: &BridgeProcess) -> impl Iterator<Item = Value> {
    process.log().into_iter().map(|line| serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}")))
}

/// Whether one line has the event and all the other parts.
fn is_said(process: &BridgeProcess, parts: &[&str]) -> bool {
    let Some((event, parts)) = parts.split_first() else { return true };
    lines(process).any(|line| line["event"] == *event && parts.iter().all(|part| line.to_string().contains(part)))
}

struct Admin(std::net::SocketAddr);

/// So many looks do not all fall between two changes.
const LOOKS: usize = 20;

impl Admin {
    /// Where the bridge has said that it listens.
    fn of(process: &BridgeProcess) -> Self {
        Self(lines(process).find_map(|line| line["admin"].as_str()?.parse().ok()).unwrap())
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A number of the mapping.
    async fn metric(&self, name: &str) -> Option<f64> {
        self.number(&format!("mqtt_lambda_bridge_{name}{{mapping=\"sensor-data\"}} ")).await
    }

    /// What stands behind these words.
    async fn number(&self, line: &str) -> Option<f64> {
        let (_, text) = self.ask("GET", "/metrics").await;
        text.lines().find_map(|found| found.strip_prefix(line)?.parse().ok())
    }

    async fn says(&self, case: &Case) -> bool {
        let (status, body) = self.ask("GET", "/readyz").await;
        let (name, value) = case.metric;
        status == case.status
            && case.readiness.iter().all(|part| body.contains(part))
            && self.metric(name).await == Some(value)
    }

    /// Looked at twice around the metric, so that a change between two looks is no disagreement; nor are two changes, once or
    /// twice, where something comes and goes all the time.
    async fn agrees(&self, case: &str) {
        let mut disagreed = 0;
        loop {
            let (before, body) = self.ask("GET", "/readyz").await;
            let (ready, degraded) = (self.metric("ready").await, self.metric("degraded").await);
            let (after, again) = self.ask("GET", "/readyz").await;
            if before != after || body.lines().next() != again.lines().next() {
                continue;
            }
            let not_ready = !body.starts_with("ready") && !body.starts_with("degraded");
            let as_said = not_ready || (degraded == Some(1.0)) == body.starts_with("degraded");
            if (ready == Some(1.0)) == (before == 200) && as_said {
                return;
            }
            disagreed += 1;
            assert!(disagreed < LOOKS, "{case}: {before}, but ready is {ready:?}, and degraded {degraded:?}: {body}");
        }
    }
}
