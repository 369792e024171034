//! Promise: each error of Lambda means what docs/errors.md says, with either client for Lambda; and one event that something between
//! refuses does not stop its mapping.

use std::time::{Duration, Instant};

use crate::common::{Fate, PATIENCE, acknowledged, ended, eventually, fault, nothing_lost, publish, willing};
use bridge::aws::{Aws, LocalEndpoint};
use bridge::config::LambdaClient;
use bridge::lambda::{Client, Disposition, ERRORS, InvokeError, Meaning, by_status};
use sandbox::lambda::{Action, Fault, Kind, Lambda, Outcome, Refusal, When};
use sandbox::world::{FUNCTION, World};

const PAGE: &str = "<html><body>Request blocked. marker</body></html>";
/// What a reading has that the registry marks as bad.
const POISON: &str = "broken";

/// Both clients for Lambda.
const CLIENTS: [LambdaClient; 2] = [LambdaClient::Sdk, LambdaClient::Lean];

async fn lambda(by: LambdaClient) -> (Lambda, Client) {
    let lambda = Lambda::start([willing()]).await.unwrap();
    let aws = Aws::local(LocalEndpoint { url: lambda.endpoint() });
    let client = aws.invoking(by).client(&FUNCTION.parse().unwrap(), Duration::from_secs(5));
    (lambda, client)
}

async fn refusal(lambda: &Lambda, client: &Client, refusal: Refusal) -> InvokeError {
    lambda.faults().add(Fault::new(When::Always, Action::Refuse(refusal)));
    let error = client.invoke(b"{}".to_vec()).await.unwrap_err();
    lambda.faults().clear();
    error
}

/// Every message names them.
fn check_names(error: &InvokeError, status: u16, lambda: &Lambda) {
    let text = error.to_string();
    for named in [format!("HTTP {status}"), lambda.address().to_string(), "us-east-1".into()] {
        assert!(text.contains(&named), "no {named} in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_every_code_of_the_table_means_what_it_says() {
    for by in CLIENTS {
        every_code_means_what_it_says(by).await;
    }
}

async fn every_code_means_what_it_says(by: LambdaClient) {
    let (lambda, client) = lambda(by).await;
    for row in ERRORS {
        let raw = Refusal::Raw { status: row.status, code: Some(row.code), body: r#"{"Message":"words"}"# };
        let error = refusal(&lambda, &client, raw).await;
        assert_eq!(error.disposition(), row.meaning.disposition(), "{}: {error}", row.code);
        let throttled = matches!(error, InvokeError::Throttled { .. });
        assert_eq!(throttled, row.meaning == Meaning::Throttled, "{}: {error}", row.code);
        assert!(!error.is_unexplained() && error.to_string().contains(row.code), "{error}");
        assert!(error.in_full().ends_with(": words"), "{}", error.in_full());
        check_names(&error, row.status, &lambda);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_html_and_empty_bodies_go_by_their_status_and_are_not_repeated() {
    for by in CLIENTS {
        other_bodies_go_by_their_status(by).await;
    }
}

async fn other_bodies_go_by_their_status(by: LambdaClient) {
    let (lambda, client) = lambda(by).await;
    for status in [301, 400, 401, 403, 404, 405, 407, 408, 409, 413, 415, 429, 500, 502, 503, 504] {
        for (body, what) in [("", "body is empty"), (PAGE, "body is HTML"), ("marker", "not JSON")] {
            let error = refusal(&lambda, &client, Refusal::Raw { status, code: None, body }).await;
            assert_eq!(error.disposition(), by_status(status).disposition(), "{status} {body}: {error}");
            let text = error.in_full();
            assert!(text.contains(what) && !text.contains("marker"), "{status}: {text}");
            check_names(&error, status, &lambda);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f43_202_and_204_are_no_success_of_a_synchronous_invocation() {
    for by in CLIENTS {
        other_successes_are_none(by).await;
    }
}

async fn other_successes_are_none(by: LambdaClient) {
    let (lambda, client) = lambda(by).await;
    for status in [202, 204] {
        let error = refusal(&lambda, &client, Refusal::Raw { status, code: None, body: "" }).await;
        assert_eq!(error.disposition(), Disposition::Hold, "{error}");
        check_names(&error, status, &lambda);
    }
    lambda.faults().add(
        Fault::new(When::Always, Action::Refuse(Refusal::Raw { status: 200, code: None, body: "null" }))
            .kind(Kind::Event),
    );
    let error = client.enqueue(b"{}".to_vec()).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Hold, "{error}");
    check_names(&error, 200, &lambda);
}

/// A proxy that refuses requests that contain the needle.
fn block(world: &World, needle: &str) {
    let refusal = Refusal::Raw { status: 403, code: None, body: PAGE };
    world.lambda.faults().add(Fault::new(When::Always, Action::Refuse(refusal)).containing(needle));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_that_a_proxy_refuses_does_not_stop_its_mapping() {
    for (concurrency, records, key) in [
        ("1", "1", None),
        ("4", "1", None),
        ("1", "20", None),
        ("3", "7", Some("payload:/device_id")),
        ("1", "7", Some("payload:/device_id")),
    ] {
        let case = format!("concurrency {concurrency}, {records} records, ordering key {key:?}");
        eprintln!("{case}");
        let builder = World::builder()
            .function(willing())
            .set("mapping.concurrency", concurrency)
            .set("mapping.batch.max_records", records);
        let builder = key.iter().fold(builder, |builder, key| builder.set("mapping.ordering_key", key));
        let world = builder.start().await.unwrap();
        block(&world, POISON);
        let sensors = publish(&world, 75, |options| (options.count, options.bad_every) = (3, Some(20))).await;
        // The last event may be a bad one, and only another one shows that it is to blame: so they keep coming.
        let (mut after, begun) = (0, Instant::now());
        while !Fate::of(&world).lost(&sensors).is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{case}: {:?}", Fate::of(&world).lost(&sensors));
            publish(&world, 10, |options| options.count = 10).await;
            after += 10;
        }
        acknowledged(&world, 75 + after).await;
        let fate = Fate::of(&world);
        let dead: Vec<_> = fate.dead.keys().cloned().collect();
        assert_eq!((dead.len() as u64, fate.handled.len() as u64), (3, 72 + after), "{case}: {dead:?}");
        for letter in world.dead_letters().unwrap() {
            assert!(letter.error_message.contains("HTTP 403 without an error code"), "{letter:?}");
        }
        let troubles = world.bridge().unwrap().troubles();
        assert!(troubles.is_empty(), "{case}: {troubles:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nothing_passes_an_unexplained_refusal_holds_everything() {
    let world = World::builder().function(willing()).set("mapping.retry.max_attempts", "1").start().await.unwrap();
    fault(&world, When::Always, Action::Refuse(Refusal::Raw { status: 403, code: None, body: PAGE }));
    let sensors = publish(&world, 40, |_| {}).await;
    eventually("many refusals", || ended(&world, |outcome| matches!(outcome, Outcome::Refused { .. })) >= 200).await;
    let troubles = world.bridge().unwrap().troubles().join("; ");
    assert!(troubles.contains("HTTP 403 without an error code") && !troubles.contains("marker"), "{troubles}");
    assert_eq!(world.counters().acknowledged.get(), 0);
    assert_eq!(world.dead_letters().unwrap(), []);
    world.lambda.faults().clear();
    let fate = nothing_lost(&world, &sensors).await;
    acknowledged(&world, 40).await;
    assert_eq!(fate.dead.len(), 0);
}

/// Behind the message that a proxy refuses the window is full of messages that the function has taken: no other comes, and
/// Lambda's own word shows which event is to blame.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_full_behind_an_event_that_a_proxy_refuses_goes_on() {
    let builder = World::builder().function(willing()).set("lambda.dry_run", "true");
    let builder = builder.set("mapping.receive_maximum", "5").set("mapping.concurrency", "5");
    let world = builder.start().await.unwrap();
    // The others pass while it is refused for another reason.
    let first = Fault::new(When::Next(3), Action::status(500)).containing(POISON);
    world.lambda.faults().add(first);
    block(&world, POISON);
    let sensors = publish(&world, 20, |options| (options.count, options.bad_every) = (1, Some(8))).await;
    let fate = nothing_lost(&world, &sensors).await;
    acknowledged(&world, 20).await;
    assert_eq!((fate.dead.len(), fate.handled.len()), (2, 18));
    assert!(world.lambda.log().totals().dry_runs > 0, "Lambda was not asked");
}
