//! Decides when notes of `/readyz` become log lines: when one begins, once an hour while it lasts, and when it ends.
//! Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::admin::{Matter, Note};

/// How often it is logged again.
const SAY_EVERY: Duration = Duration::from_hours(1);

/// The notes that stand.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<(String, Matter), Option<Instant>>);

/// The log line about a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// It has begun, or lasts.
    Stands(Note),
    /// It had been said, and is over.
    Over(String, Matter),
}

impl Notes {
    /// Takes in the notes of now.
    pub(super) fn see(&mut self, notes: Vec<Note>, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        let stands = |(mapping, matter): &(String, Matter)| {
            notes.iter().any(|note| note.mapping == *mapping && note.matter == *matter)
        };
        for ((mapping, matter), said) in self.0.extract_if(.., |key, _| !stands(key)) {
            news.extend(said.map(|_| News::Over(mapping, matter)));
        }
        for note in notes.into_iter().filter(|note| is_for_the_log(note.matter)) {
            let said = self.0.entry((note.mapping.clone(), note.matter));
            // The code that pauses the mapping logs this.
            let said = said.or_insert_with(|| (note.matter == Matter::Paused).then_some(now));
            if said.is_none_or(|said| now - said >= SAY_EVERY) {
                *said = Some(now);
                news.push(News::Stands(note));
            }
        }
        news
    }
}

/// The others are said where they arise.
fn is_for_the_log(matter: Matter) -> bool {
    matches!(matter, Matter::Paused | Matter::WindowFull | Matter::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn note(matter: Matter) -> Note {
        Note { mapping: "m".into(), matter, text: "t".into() }
    }

    /// What is said in each minute, with the note standing or not in each.
    fn said(matter: Matter, stands: impl Fn(u32) -> bool, minutes: u32) -> Vec<(u32, bool)> {
        let (begun, mut notes) = (Instant::now(), Notes::default());
        let mut heard = Vec::new();
        for minute in 0..minutes {
            let now = if stands(minute) { vec![note(matter)] } else { Vec::new() };
            let news = notes.see(now, begun + MINUTE * minute);
            heard.extend(news.into_iter().map(|news| (minute, matches!(news, News::Stands(_)))));
        }
        heard
    }

    #[test]
    fn a_note_is_said_at_once_each_hour_and_when_it_is_over() {
        let stands = |minute| (10..140).contains(&minute);
        assert_eq!(said(Matter::Silent, stands, 200), [(10, true), (70, true), (130, true), (140, false)]);
        assert_eq!(said(Matter::Broker, stands, 200), [], "said where it arises");
    }

    #[test]
    fn a_pause_that_was_forgotten_is_said_each_hour() {
        let stands = |minute| (10..140).contains(&minute);
        assert_eq!(said(Matter::Paused, stands, 200), [(70, true), (130, true), (140, false)]);
    }
}
