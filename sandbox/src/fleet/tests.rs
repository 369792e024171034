//! Compares the model with the measurements, and the page with the model.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::size::{Fleet, Load, USED};
use super::*;

mod measured;

/// The text before and after a table of docs/scaling.md, and the function that makes the table.
type Table = (&'static str, &'static str, fn() -> String);

const TABLES: [Table; 3] = [
    (
        "<!-- What one replica does: UPDATE_DOCS=1 cargo test -p sandbox --lib fleet -->\n",
        "<!-- The end of what it does -->\n",
        of_one,
    ),
    (
        "<!-- The fleets of three rates: UPDATE_DOCS=1 cargo test -p sandbox --lib fleet -->\n",
        "<!-- The end of them -->\n",
        of_three_rates,
    ),
    (
        "<!-- Incidents: UPDATE_DOCS=1 cargo test -p sandbox --lib fleet -->\n",
        "<!-- The end of incidents -->\n",
        of_incidents,
    ),
];

fn load(rate: f64, batch: f64, milliseconds: f64) -> Load {
    Load { rate, batch, invocation: milliseconds / 1e3 }
}

#[test]
fn the_same_seed_gives_the_same_and_a_good_fleet_has_no_backlog() {
    let fleet = Fleet::of(load(100_000.0, 100.0, 50.0));
    let of = |incident, seed| play(fleet, 1_000.0, incident, Deals::Waits, seed);
    assert_eq!(of(Incident::Loss, 3), of(Incident::Loss, 3));
    assert_ne!(of(Incident::Loss, 3), of(Incident::Loss, 4));
    let quiet = of(Incident::None, 3);
    assert!(quiet.wait < 1.0 && quiet.copies.abs() < f64::EPSILON, "{quiet:?}");
}

#[test]
fn what_goes_away_is_felt_and_ends() {
    let fleet = Fleet::of(load(100_000.0, 100.0, 50.0));
    let of = |incident, deals| play(fleet, 1_000.0, incident, deals, 3);
    let quiet = of(Incident::None, Deals::Waits);
    // One of two replicas: half of the messages wait until it is back, or until the broker notices.
    let loss = of(Incident::Loss, Deals::Waits);
    assert!((2.5e6..3.5e6).contains(&loss.backlog) && (60.0..80.0).contains(&loss.wait), "{loss:?}");
    let dealt_again = of(Incident::Loss, Deals::Redistributes);
    assert!(
        (2.0e6..2.5e6).contains(&dealt_again.backlog) && (60.0..80.0).contains(&dealt_again.wait),
        "{dealt_again:?}"
    );
    let in_flight = f64::from(fleet.concurrency) * 100.0;
    for (played, copies) in [(loss, in_flight), (dealt_again, in_flight), (quiet, 0.0)] {
        assert!((played.copies - copies).abs() < 0.5, "{played:?}");
    }
    let throttles = of(Incident::Throttles, Deals::Waits);
    assert!(throttles.throttled > 0.0 && throttles.backlog > 1e6, "{throttles:?}");
}

/// While a deploy restarts a replica, ten seconds of its share wait, unless the others get it, which have the capacity.
#[test]
fn a_deploy_and_a_kill_are_felt_only_where_the_broker_waits_for_members() {
    let fleet = Fleet::of(load(100_000.0, 100.0, 50.0));
    for incident in [Incident::Deploy, Incident::Kill] {
        let [waits, dealt_again] =
            [Deals::Waits, Deals::Redistributes].map(|deals| play(fleet, 1_000.0, incident, deals, 3));
        assert!(waits.backlog > 4.0e5 && waits.dealt_to_absent > 4.0e5, "{incident:?}: {waits:?}");
        assert!(dealt_again.backlog < 0.05 * waits.backlog, "{incident:?}: {dealt_again:?}");
        assert!(dealt_again.dealt_to_absent.abs() < f64::EPSILON, "{incident:?}: {dealt_again:?}");
        assert!((waits.came_meanwhile - dealt_again.came_meanwhile).abs() < 1.0);
    }
}

/// Lambda accepts ten requests a second for each unit of the quota, so a function of 10 ms needs ten times its
/// concurrency.
#[test]
fn short_invocations_need_a_quota_for_their_requests() {
    let fleet = Fleet::of(load(10_000.0, 1.0, 10.0));
    let of_both = |fleet: Fleet| format!("{} {}", fleet.environments(), fleet.quota());
    assert_eq!((of_both(fleet).as_str(), fleet.is_for_requests()), ("125 1250", true));
    let of = |quota| play(fleet, quota, Incident::None, Deals::Waits, 1);
    // A quota for the mean concurrency alone is too low.
    let (too_low, enough) = (of(500.0), of(fleet.quota()));
    assert!(too_low.throttled > 1e5 && too_low.wait > 60.0, "{too_low:?}");
    assert!(enough.wait < 1.0 && enough.throttled < 0.05 * too_low.throttled, "{enough:?}");
    let long = Fleet::of(load(10_000.0, 1.0, 200.0));
    assert_eq!((of_both(long).as_str(), long.is_for_requests()), ("2500 2500", false));
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
        broker_deals: Deals::Waits,
        seed: 1,
    };
    let answer = execute(&flags).unwrap();
    assert!(answer.to_string().contains("12500   at least, a tenth of 125000 requests a second"), "{answer}");
    assert!(answer.to_string().contains("1000   is too low: ask for 12500"), "{answer}");
    assert!(answer.played.throttled > 0.0 && !answer.month.all().is_nan());
    assert!(a_duration("0s").is_err() && a_duration("16m").is_err() && a_duration("5ms").is_ok());
}

/// The capacity of one core, and the planned part of it.
fn of_one() -> String {
    let mut text =
        "| batch | CPU µs a message | messages/s of one replica at most | planned for |\n|---|---|---|---|\n"
            .to_owned();
    for batch in [1.0, 10.0, 100.0, 1_000.0] {
        let (cpu, most) = (Fleet::cpu(batch), Fleet::by_cpu(load(0.0, batch, 0.0)));
        writeln!(text, "| {batch} | {cpu:.1} | {:.0} | {:.0} |", rounded(most), rounded(most * USED)).unwrap();
    }
    text
}

/// Rounded to thousands.
fn rounded(rate: f64) -> f64 {
    (rate / 1e3).round() * 1e3
}

/// A row for each rate, message by message and in batches.
fn of_three_rates() -> String {
    let columns = "messages/s | batch | invocation | replicas | environments | invocations/s | quota to ask for | Lambda, $ a month | replicas, $ a month";
    let mut text = format!("| {columns} |\n|---|---|---|---|---|---|---|---|---|\n");
    for rate in [10_000.0, 100_000.0, 1_000_000.0] {
        for (batch, milliseconds) in [(1.0, 10.0), (100.0, 50.0), (1_000.0, 200.0)] {
            let fleet = Fleet::of(load(rate, batch, milliseconds));
            let month = Prices::known().unwrap().month(&fleet, 0.25);
            writeln!(
                text,
                "| {rate} | {batch} | {milliseconds} ms | {} | {} | {} | {} | {:.0} | {:.0} |",
                fleet.replicas,
                fleet.environments(),
                fleet.invocations(),
                fleet.quota(),
                month.lambda,
                month.replicas
            )
            .unwrap();
        }
    }
    text
}

/// As it is written on the command line.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().unwrap().get_name().to_owned()
}

/// The fleet for 100,000 messages a second in batches of a hundred, with either kind of broker.
fn of_incidents() -> String {
    let fleet = Fleet::of(load(100_000.0, 100.0, 50.0));
    let mut text =
        "| incident | broker deals | most that wait | longest wait, s | copies at most |\n|---|---|---|---|---|\n"
            .to_owned();
    for incident in [Incident::Deploy, Incident::Kill, Incident::Loss, Incident::Throttles] {
        for deals in [Deals::Waits, Deals::Redistributes] {
            let played = play(fleet, fleet.quota(), incident, deals, 1);
            writeln!(
                text,
                "| `{}` | `{}` | {} | {:.0} | {} |",
                name(incident),
                name(deals),
                rounded(played.backlog),
                played.wait,
                played.copies
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn the_page_shows_these_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md");
    let mut page = fs::read_to_string(&path).unwrap();
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for (begin, end, table) in TABLES {
        let (before, rest) = page.split_once(begin).unwrap();
        let (shown, after) = rest.split_once(end).unwrap();
        if !update {
            assert_eq!(shown, table(), "docs/scaling.md is out of date; its comment has the command that writes it");
        }
        page = format!("{before}{begin}{}{end}{after}", table());
    }
    if update {
        fs::write(&path, page).unwrap();
    }
}
