//! The model against what was measured, and the page against the model.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::size::{Fleet, Load};
use super::*;

const BEGIN: &str = "<!-- The fleets of three rates: UPDATE_DOCS=1 cargo test -p sandbox --lib fleet -->\n";
const END: &str = "<!-- The end of them -->\n";

fn load(rate: f64, batch: f64, milliseconds: f64) -> Load {
    Load { rate, batch, invocation: milliseconds / 1e3 }
}

/// docs/performance.md: one replica, all that it can do.
#[test]
fn one_replica_does_what_was_measured() {
    let measured = [
        // Messages a second, batch, milliseconds of an invocation, concurrency.
        (36_300.0, 1.0, 1.0, 64),
        (28_200.0, 1.0, 5.0, 256),
        (2_910.0, 1.0, 20.0, 64),
        (254_000.0, 100.0, 1.0, 64),
        (141_000.0, 10.0, 1.0, 64),
    ];
    for (rate, batch, milliseconds, concurrency) in measured {
        let fleet = Fleet { load: load(rate, batch, milliseconds), replicas: 1, concurrency };
        let ratio = fleet.of_replica() / rate;
        assert!((0.8..1.5).contains(&ratio), "{rate}/s measured, {:.0}/s by the model", fleet.of_replica());
    }
}

#[test]
fn the_same_seed_gives_the_same_and_a_good_fleet_has_no_backlog() {
    let fleet = Fleet::of(load(100_000.0, 100.0, 50.0));
    let quiet = play(fleet, 1_000.0, Incident::None, 3);
    assert_eq!(play(fleet, 1_000.0, Incident::Loss, 3), play(fleet, 1_000.0, Incident::Loss, 3));
    assert_ne!(play(fleet, 1_000.0, Incident::Loss, 3), play(fleet, 1_000.0, Incident::Loss, 4));
    assert!(quiet.wait < 1.0 && quiet.copies.abs() < f64::EPSILON, "{quiet:?}");
}

#[test]
fn what_goes_away_is_felt_and_ends() {
    let fleet = Fleet::of(load(100_000.0, 100.0, 50.0));
    let quiet = play(fleet, 1_000.0, Incident::None, 3);
    let loss = play(fleet, 1_000.0, Incident::Loss, 3);
    // One of two: half of the messages wait for it, for 45 s, and then for its minute to end.
    assert!(
        (2.0e6..2.5e6).contains(&loss.backlog) && loss.copies > 0.0 && (60.0..75.0).contains(&loss.wait),
        "{loss:?}"
    );
    let throttles = play(fleet, 1_000.0, Incident::Throttles, 3);
    assert!(throttles.throttled > 0.0 && throttles.backlog > 1e6, "{throttles:?}");
    // Who says good-bye gets nothing, and the others have the room.
    let deploy = play(fleet, 1_000.0, Incident::Deploy, 3);
    assert!(deploy.backlog < 0.01 * loss.backlog && deploy.throttled <= quiet.throttled, "{deploy:?}");
}

#[test]
fn a_quota_that_is_too_low_is_said() {
    let flags = Flags {
        rate: 100_000,
        batch: 1,
        invocation: Duration::from_millis(50),
        memory: 256,
        quota: 1_000,
        incident: Incident::Cold,
        seed: 1,
    };
    let answer = execute(&flags).unwrap();
    assert!(answer.to_string().contains("too low: ask for 6250"), "{answer}");
    assert!(answer.played.throttled > 0.0 && !answer.month.all().is_nan());
    assert!(a_duration("0s").is_err() && a_duration("16m").is_err() && a_duration("5ms").is_ok());
}

/// A row for each rate, message by message and in batches.
fn table() -> String {
    let mut text = "| messages/s | batch | invocation | replicas | environments | Lambda, $ a month | replicas, $ a month |\n|---|---|---|---|---|---|---|\n".to_owned();
    for rate in [10_000.0, 100_000.0, 1_000_000.0] {
        for (batch, milliseconds) in [(1.0, 10.0), (100.0, 50.0), (1_000.0, 200.0)] {
            let fleet = Fleet::of(load(rate, batch, milliseconds));
            let month = Prices::known().unwrap().month(&fleet, 0.25);
            let (all, lambda, replicas) = (fleet.environments(), month.lambda, month.replicas);
            writeln!(
                text,
                "| {rate} | {batch} | {milliseconds} ms | {} | {all} | {lambda:.0} | {replicas:.0} |",
                fleet.replicas
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn the_page_shows_this_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(shown, table(), "docs/scaling.md is out of date; its comment has the command that writes it");
    }
}
