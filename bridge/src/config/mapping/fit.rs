//! Refuses settings that are each valid but do not fit together, because they would have no effect or form a circle,
//! before any message is lost. Reads no key.

use std::collections::BTreeMap;

use super::super::circles::outputs;
use super::super::error::Place;
use super::super::mqtt::{BROKER_STATS, PUBLISHER, STATUS, session_name};
use super::super::reader::Reader;
use super::super::{Config, ContentEncoding, Format, Invocation, Mapping, MessageId, OrderingKey, Protocol};
use crate::topic::some_of;

/// Checks the settings of one mapping against each other.
pub(super) fn mapping(mapping: &Mapping, reader: &mut Reader<'_>) {
    let faults = [shared, scattered, not_former, answers, raw, circle].map(|fault| fault(mapping));
    faults.into_iter().flatten().for_each(|(path, reason)| reader.mistake(path, &reason));
}

/// Checks all mappings against each other and against what they have in common.
pub(crate) fn whole(config: &Config, reader: &mut Reader<'_>) {
    sessions(config, reader);
    for (mapping, settings) in config.mappings.iter().zip(&reader.draft().mappings) {
        if let Some((path, reason)) = properties(mapping, config.mqtt.protocol) {
            reader.within(settings, |reader| reader.mistake(path, &reason));
        }
    }
}

/// A key and what is wrong with it.
type Fault = (&'static str, String);

fn shared(mapping: &Mapping) -> Option<Fault> {
    let alone = mapping.topic_filter.iter().find(|filter| !filter.is_shared());
    alone.filter(|_| mapping.sessions > 1).map(|filter| {
        let reason = "needs a shared subscription, or each session gets every message; write the topic filter as";
        ("mapping.sessions", format!("{reason} `$share/<group>/{filter}`"))
    })
}

/// The broker deals the messages of one key out over all sessions, and over all replicas, in no order.
fn scattered(mapping: &Mapping) -> Option<Fault> {
    (mapping.sessions > 1 && mapping.ordering_key.is_some()).then(|| {
        let reason = "needs `sessions = 1`: the broker would spread the messages of one key over all sessions";
        ("mapping.ordering_key", reason.to_owned())
    })
}

/// A mapping that receives what it publishes would invoke its function without end.
fn circle(mapping: &Mapping) -> Option<Fault> {
    let output = outputs(mapping).find(|output| output.reaches(mapping))?;
    let (what, text) = (output.key, output.text);
    let messages = match what {
        "mapping.on_failure.topic" => "dead letters",
        "mapping.reply_topics" => "replies",
        _ => "answers",
    };
    let reason = format!(
        "the mapping's own topic filter `{}` matches topics of `{text}`, so {messages} would come back; choose topics that \
         it does not match",
        some_of(&mapping.topic_filter)
    );
    Some((what, reason))
}

/// The session would be unsubscribed from what it has just subscribed to.
fn not_former(mapping: &Mapping) -> Option<Fault> {
    mapping.former_topic_filters.iter().any(|former| mapping.topic_filter.contains(former)).then(|| {
        let reason = "holds a filter that `topic_filter` subscribes to; name only filters that are not wanted any more";
        ("mapping.former_topic_filters", reason.to_owned())
    })
}

fn answers(mapping: &Mapping) -> Option<Fault> {
    let reason = "needs the function's answer, which `invocation = \"event\"` does not wait for";
    match (mapping.invocation, mapping.reply, mapping.response.allow.is_empty()) {
        (Invocation::Event, true, _) => Some(("mapping.reply", reason.to_owned())),
        (Invocation::Event, _, false) => Some(("mapping.response.allow", reason.to_owned())),
        (_, true, _) if mapping.reply_topics.is_empty() => {
            Some(("mapping.reply", "needs topics that it may answer to; set `reply_topics`".to_owned()))
        }
        _ => None,
    }
}

/// A payload alone has no room for other messages, and a function that knows nothing of records answers none.
fn raw(mapping: &Mapping) -> Option<Fault> {
    let (path, reason) = match mapping {
        Mapping { format: Format::Records, .. } => return None,
        _ if mapping.batch.max_records != 1 => ("mapping.batch.max_records", "carries one message an invocation"),
        _ if !mapping.batch.max_window.is_zero() => ("mapping.batch.max_window", "carries one message an invocation"),
        _ if mapping.reply => ("mapping.reply", "reads no `reply` in the function's answer"),
        _ if !mapping.response.allow.is_empty() => {
            ("mapping.response.allow", "reads no `publish` in the function's answer")
        }
        _ => return None,
    };
    Some((
        path,
        format!(
            "cannot be combined with `format = \"raw\"`, which {reason}; leave it out, or write `format = \"records\"`"
        ),
    ))
}

/// Settings that only MQTT 5 supports.
fn properties(mapping: &Mapping, protocol: Protocol) -> Option<Fault> {
    let path = match mapping {
        _ if protocol == Protocol::V5 => return None,
        Mapping { ordering_key: Some(OrderingKey::Property(_)), .. } => "mapping.ordering_key",
        Mapping { message_id: Some(MessageId::Property(_)), .. } => "mapping.message_id",
        Mapping { content_encoding: ContentEncoding::Property, .. } => "mapping.content_encoding",
        Mapping { reply: true, .. } => "mapping.reply",
        _ => return None,
    };
    let what = if path == "mapping.reply" { "Response Topic" } else { "user properties" };
    Some((path, format!("MQTT {protocol} has no {what}; set `mqtt.protocol` to `5`")))
}

/// Two sessions with one client id would take the session from each other for ever.
fn sessions(config: &Config, reader: &mut Reader<'_>) {
    let mut seen: BTreeMap<String, (&Mapping, Place)> = BTreeMap::new();
    for (mapping, settings) in config.mappings.iter().zip(&reader.draft().mappings) {
        let (name, place) = (&mapping.name, settings.place("mapping.name"));
        if [PUBLISHER, BROKER_STATS, STATUS].contains(&name.as_str()) {
            let reason = format!("`{name}` is the name of a connection of the bridge itself; rename the mapping");
            reader.mistakes.add(place.clone(), &reason);
        }
        let mut fault = None;
        for index in 0..mapping.sessions {
            let other = seen.insert(session_name(name, index), (mapping, place.clone()));
            fault = fault.or_else(|| other.map(|(other, place)| same_id(mapping, index, other, &place)));
        }
        if let Some(reason) = fault {
            reader.mistakes.add(place, &reason);
        }
    }
}

fn same_id(mapping: &Mapping, index: usize, other: &Mapping, place: &Place) -> String {
    let place = match place {
        Place::Line { line, .. } => format!(" in line {line}"),
        Place::Named(name) => format!(" by {name}"),
    };
    if mapping.name == other.name {
        return format!("`{}` is the name of another mapping{place}; names must differ", mapping.name);
    }
    let id = session_name(&mapping.name, index);
    format!(
        "a session of `{}` and one of `{}`{place} would both have the client id `…-{id}`; rename one",
        mapping.name, other.name
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::read_text;

    /// What is wrong with these lines of a mapping, which begins in line 1 of the file; `root` follows it.
    fn refusal(lines: &str, root: &str) -> String {
        let mapping = format!("[[mapping]]\nname = \"a\"\nfunction = \"f\"\n{lines}\n");
        read_text(&format!("{mapping}[mqtt]\nurl = \"mqtts://b\"\n{root}")).unwrap_err().to_string()
    }

    const TOPIC: &str = "topic_filter = \"sensor/+\"\n";
    const V311: &str = "protocol = \"3.1.1\"\n";

    #[test]
    fn several_sessions_need_a_shared_subscription() {
        assert_eq!(
            refusal(&format!("{TOPIC}sessions = 2"), ""),
            "b.toml:5: mapping.sessions: needs a shared subscription, or each session gets every message; write the \
             topic filter as `$share/<group>/sensor/+`"
        );
    }

    #[test]
    fn f49_nothing_that_is_published_comes_back() {
        let own = refusal(&format!("{TOPIC}on_failure = [{{ file = \"a\" }}, {{ topic = \"sensor/dead\" }}]"), "");
        assert_eq!(
            own,
            "b.toml:5: mapping.on_failure.topic: the mapping's own topic filter `sensor/+` matches topics of \
             `sensor/dead`, so dead letters would come back; choose topics that it does not match"
        );
        let shared = refusal("topic_filter = \"$share/g/#\"\non_failure.topic = \"dead\"", "");
        assert!(shared.contains("own topic filter `$share/g/#` matches topics of `dead`, so dead letters"), "{shared}");
        let reply = refusal(&format!("{TOPIC}reply = true\nreply_topics = [\"a\", \"sensor/{{topic[1]}}\"]"), "");
        assert!(reply.contains("reply_topics: the mapping's own topic filter `sensor/+` matches"), "{reply}");
        assert!(reply.contains("topics of `sensor/{topic[1]}`, so replies"), "{reply}");
        let answer = refusal(&format!("{TOPIC}response.allow = [\"a\", \"+/x\"]"), "");
        assert!(answer.contains("response.allow: the mapping's own topic filter `sensor/+` matches"), "{answer}");
        assert!(answer.contains("topics of `+/x`, so answers"), "{answer}");
    }

    #[test]
    fn answers_need_somebody_who_waits_and_a_topic() {
        let event = format!("{TOPIC}invocation = \"event\"\n");
        let reply = refusal(&format!("{event}reply = true"), "");
        assert!(reply.starts_with("b.toml:6: mapping.reply: needs the function's answer"), "{reply}");
        let allow = refusal(&format!("{event}response.allow = [\"a\"]"), "");
        assert!(allow.starts_with("b.toml:6: mapping.response.allow: needs the function's answer"), "{allow}");
        let nowhere = refusal(&format!("{TOPIC}reply = true"), "");
        assert_eq!(nowhere, "b.toml:5: mapping.reply: needs topics that it may answer to; set `reply_topics`");
    }

    #[test]
    fn mqtt_3_1_1_carries_no_properties() {
        let no_properties = "MQTT 3.1.1 has no user properties; set `mqtt.protocol` to `5`";
        let ordering = refusal(&format!("{TOPIC}ordering_key = \"property:a\""), V311);
        assert_eq!(ordering, format!("b.toml:5: mapping.ordering_key: {no_properties}"));
        let id = refusal(&format!("{TOPIC}message_id = \"property:a\""), V311);
        assert_eq!(id, format!("b.toml:5: mapping.message_id: {no_properties}"));
        let reply = refusal(&format!("{TOPIC}reply_topics = [\"a\"]\nreply = true"), V311);
        assert!(reply.starts_with("b.toml:6: mapping.reply: MQTT 3.1.1 has no Response Topic"), "{reply}");
    }

    #[test]
    fn no_two_sessions_have_one_client_id() {
        let mapping = |name: &str, sessions: usize| {
            format!(
                "[[mapping]]\nname = \"{name}\"\nfunction = \"f\"\ntopic_filter = \"$share/g/t\"\nsessions = {sessions}\n"
            )
        };
        let read = |first: (&str, usize), second: (&str, usize)| {
            let mappings = mapping(first.0, first.1) + &mapping(second.0, second.1);
            let read = read_text(&format!("{mappings}[mqtt]\nurl = \"mqtts://b\"\n"));
            read.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(
            read(("a", 3), ("a-3", 1)).unwrap_err(),
            "b.toml:7: mapping.name: a session of `a-3` and one of `a` in line 2 would both have the client id `…-a-3`; \
             rename one"
        );
        assert!(read(("a-2", 1), ("a", 2)).unwrap_err().contains("of `a-2` in line 2 would both have"));
        assert!(read(("a", 1), ("a", 1)).unwrap_err().contains("names must differ"));
        assert_eq!(read(("a", 2), ("a-3", 1)), Ok(()));
        assert_eq!(read(("a", 3), ("a-1", 3)), Ok(()));
    }
}
