//! Draws a world: how many messages wait, how many are not acknowledged, how busy the function is, and when faults
//! happened. Pure.

use std::time::Duration;

use super::plan::Plan;
use super::record::{Fate, Line, Violation};
use crate::plot::{Panel, Plot};

/// The picture of a world that has broken a promise.
pub(super) fn of<'a>(
    plan: &Plan,
    fates: impl Iterator<Item = &'a Fate> + Clone,
    lines: &[Line],
    violations: &[Violation],
) -> Plot {
    // A message that is still owed at the end has waited at least until the last event.
    let last = lines.iter().rev().find(|line| line.who != "ORACLE").map_or(Duration::ZERO, |line| line.at);
    let owed = || fates.clone().filter(|fate| fate.owed);
    let waiting = owed().map(|fate| (fate.published, fate.settled));
    let held = owed().map(|fate| (fate.published, fate.acknowledged));
    let runs = lines.iter().filter(|line| line.who == "function").map(|line| line.at);
    let marks = lines.iter().filter(|line| matches!(line.who, "fault" | "operator" | "ORACLE"));
    Plot {
        title: format!("Seed {}: {}", plan.seed, violations.first().map_or("nothing broken", |first| first.promise)),
        subtitle: format!("MQTT {}, {} messages, broker {}", plan.protocol, plan.messages, plan.habits.name),
        panels: vec![
            Panel { name: "messages without an outcome".to_owned(), points: level(waiting, last) },
            Panel { name: "messages that are not acknowledged".to_owned(), points: level(held, last) },
            Panel { name: "invocations a second".to_owned(), points: rate(runs, last) },
        ],
        marks: marks.map(|line| (line.at.as_secs_f64(), name(&line.what))).collect(),
    }
}

/// `Killed(2.5s)` is `Killed`.
fn name(what: &str) -> String {
    what.chars().take_while(|character| character.is_alphanumeric() || *character == ' ').take(20).collect()
}

/// How many there are at each moment, of things that begin and may end.
fn level(spans: impl Iterator<Item = (Duration, Option<Duration>)>, last: Duration) -> Vec<(f64, f64)> {
    let mut steps: Vec<_> =
        spans.flat_map(|(begin, end)| [Some((begin, 1.0)), end.map(|end| (end, -1.0))]).flatten().collect();
    steps.sort_by_key(|(at, _)| *at);
    let mut now = 0.0;
    let mut points = vec![(0.0, 0.0)];
    for (at, step) in steps.into_iter().filter(|(at, _)| *at <= last) {
        // A step, not a slope.
        points.push((at.as_secs_f64(), now));
        now += step;
        points.push((at.as_secs_f64(), now));
    }
    points.push((last.as_secs_f64(), now));
    points
}

/// How many in each second.
fn rate(events: impl Iterator<Item = Duration>, last: Duration) -> Vec<(f64, f64)> {
    let seconds = usize::try_from(last.as_secs()).unwrap_or(0).min(24 * 3600);
    let mut counts = vec![0_u32; seconds + 1];
    for at in events {
        if let Some(count) = usize::try_from(at.as_secs()).ok().and_then(|second| counts.get_mut(second)) {
            *count += 1;
        }
    }
    (0_u32..).zip(counts).map(|(second, count)| (f64::from(second), f64::from(count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_level_rises_and_falls_in_steps() {
        let spans = [(SECOND, Some(SECOND * 3)), (SECOND * 2, None)];
        let points = level(spans.into_iter(), SECOND * 5);
        assert_eq!(
            points,
            [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (3.0, 2.0), (3.0, 1.0), (5.0, 1.0)]
        );
    }

    #[test]
    fn invocations_are_counted_second_by_second() {
        let events = [SECOND / 2, SECOND * 2, SECOND * 5 / 2];
        assert_eq!(rate(events.into_iter(), SECOND * 3), [(0.0, 1.0), (1.0, 0.0), (2.0, 2.0), (3.0, 0.0)]);
    }

    #[test]
    fn a_mark_is_a_word() {
        assert_eq!(name("Killed(2.5s)"), "Killed");
        assert_eq!(name("lost: 3 without an outcome"), "lost");
    }
}
