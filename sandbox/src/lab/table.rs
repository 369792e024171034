//! The table of docs/brokers.md, made from the lab's habits. Reads and writes no file.

use super::habits::{ALL, Habits, Kept, Shared};

/// The line before the table in docs/brokers.md.
pub const BEGIN: &str = "<!-- The lab's table: UPDATE_DOCS=1 cargo test -p sandbox --test promises brokers::docs -->\n";
/// The line behind it.
pub const END: &str = "<!-- The end of the lab's table -->\n";

/// The table, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let head = "| broker | MQTT | sessions | shared subscriptions | sent again after a reconnect | on the same connection \
                | at UNSUBSCRIBE | own window | what to set |\n|---|---|---|---|---|---|---|---|---|\n";
    ALL.iter().fold(head.to_owned(), |table, habits| table + &row(habits))
}

fn row(habits: &Habits) -> String {
    let versions: Vec<_> = habits.speaks.iter().map(|(version, _)| version.to_string()).collect();
    let present = if habits.says_session_present { "" } else { "; Session Present is never set" };
    let again = if habits.marks_sent_again { "recognised" } else { "not marked: what still runs is invoked again" };
    let timer = habits.sends_again_by.map_or("no".to_owned(), |setting| format!("by a timer, `{setting}`"));
    let leaving =
        if habits.drops_at_unsubscribe { "**drops its queue, and what is in flight**" } else { "keeps its queue" };
    let window = if habits.window.is_empty() { "–" } else { habits.window };
    format!(
        "| {} | {} | {}{present} | {} | {again} | {timer} | {leaving} | {window} | {} |\n",
        habits.product.title(),
        versions.join(", "),
        sessions(habits),
        shared(habits),
        habits.set
    )
}

fn sessions(habits: &Habits) -> String {
    let kept = match habits.kept {
        Kept::OnDisk => "kept on disk",
        Kept::InMemory => "in memory",
    };
    let longest = habits.longest_session.map(|longest| longest.as_secs() / 3600);
    longest.map_or(kept.to_owned(), |hours| format!("{kept}; {hours} h at most, as set here"))
}

fn shared(habits: &Habits) -> String {
    let said = |shared: Shared| match shared {
        Shared::Works => "yes",
        Shared::Refused => "refused",
        Shared::TakenLiterally => "**granted, and nothing ever comes**",
    };
    match habits.speaks {
        [(_, one)] => said(*one).to_owned(),
        [(_, one), (_, other)] if one == other => said(*one).to_owned(),
        all => all.iter().map(|(version, one)| format!("{version}: {}", said(*one))).collect::<Vec<_>>().join("; "),
    }
}
