//! A function with moods: how it handles an event, and what it and Lambda answer.

use std::time::Duration;

use bridge::topic::TopicFilter;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::answer::{Answer, Fate};
use super::{Cloud, State, Weather};
use crate::sim::mapping::Mapping;
use crate::sim::plan::{Answers, Moods};
use crate::sim::record::Failed;

/// Answers that must never be taken for a success.
const LIES: &[(u16, &str)] = &[
    (200, "<html>"),
    (200, "{\"batchItemFailures\": \"none\"}"),
    (200, "\"{\\\"batchItemFailures\\\":[]}\""),
    (200, "[{\"batchItemFailures\": []}]"),
    (200, "{\"batchItemFailures\": [{\"itemIdentifier\": \"stranger\"}]}"),
    (200, "{\"batchItemFailures\": [{\"itemIdentifier\": \"\"}]}"),
    (200, "{\"batchItemFailures\": [{}]}"),
    (200, "{\"batchItemFailures\":"),
];

/// A message as the function sees it.
struct Seen {
    number: u64,
    id: String,
    /// Its topic's second level.
    device: String,
    asks: Option<Asks>,
}

/// For a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Where the mapping allows one.
    Rightly,
    /// Elsewhere.
    Wrongly,
}

/// How a record ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Taken,
    Failed,
    /// No further attempt can help.
    Hopeless,
}

impl Cloud {
    /// `Invoke`.
    pub(super) async fn invoke(&self, mapping: Mapping, body: &[u8]) -> Fate {
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let seen = records(mapping, &event);
        let (took, fate) = {
            let mut state = self.state();
            state.look_at_filters(&event);
            state.invocations += 1;
            let took = state.took();
            (took, state.judge(&seen))
        };
        sleep(took).await;
        fate
    }
}

fn records(mapping: Mapping, event: &Value) -> Vec<Seen> {
    let seen = |record: &Value| Seen {
        number: record["payload"]["n"].as_u64().map_or(u64::MAX, |number| mapping.own(number)),
        id: record["id"].as_str().unwrap_or_default().to_owned(),
        device: record["topic"].as_str().and_then(|topic| topic.split('/').nth(1)).unwrap_or_default().to_owned(),
        asks: record["responseTopic"]
            .as_str()
            .map(|topic| if topic.starts_with("replies/") { Asks::Rightly } else { Asks::Wrongly }),
    };
    event["records"].as_array().into_iter().flatten().map(seen).collect()
}

impl State {
    fn took(&mut self) -> Duration {
        // Most are quick, and some take their time.
        let longest = if self.chance.percent(80) { self.moods.longest / 20 } else { self.moods.longest };
        self.chance.millis(1..longest + 2)
    }

    /// A record names a filter of its mapping that matches its topic, or none.
    fn look_at_filters(&self, event: &Value) {
        for record in event["records"].as_array().into_iter().flatten() {
            let (topic, by) = (record["topic"].as_str().unwrap_or_default(), record["subscription"].as_str());
            let is_right = |by: &str| {
                let matches = by.parse().is_ok_and(|filter: TopicFilter| filter.matches(topic));
                matches && self.filters.iter().any(|filter| filter == by)
            };
            if !by.is_none_or(is_right) {
                self.record.violated("filter", format!("a message on {topic} is said to come by {by:?}"));
            }
        }
    }

    /// Decides at once; the function has run as far as it ever will.
    fn judge(&mut self, seen: &[Seen]) -> Fate {
        let numbers: Vec<_> = seen.iter().map(|seen| seen.number).collect();
        self.record.asked(&numbers);
        match self.stranger(&numbers).or_else(|| self.refusal(&numbers)) {
            Some(fate) => fate,
            None => self.run(seen, &numbers).passing(),
        }
    }

    /// What Lambda says, when the function does not run.
    fn refusal(&mut self, numbers: &[u64]) -> Option<Fate> {
        if self.is(Weather::Silence) {
            // The function may have run.
            self.record.say("lambda", format!("no answer for {numbers:?}"));
            self.record.invoked(numbers);
            self.record.allow(numbers);
            return Some(Fate::Silent);
        }
        let answer = if self.is(Weather::Throttles) {
            self.throttled(numbers)
        } else if self.is(Weather::SetUpWrong) {
            self.one_of(&[
                (403, "AccessDeniedException"),
                (404, "ResourceNotFoundException"),
                (502, "KMSAccessDeniedException"),
                (400, "ExpiredToken"),
            ])
        } else if self.is(Weather::ServiceErrors) || self.chance.percent(self.moods.service) {
            self.one_of(&[
                (500, "ServiceException"),
                (502, "EC2ThrottledException"),
                (503, "ServiceUnavailable"),
                (429, "TooManyRequestsException"),
            ])
        } else {
            self.never(numbers)?
        };
        self.record.say("lambda", format!("answers {} for {numbers:?}", answer.status));
        Some(Fate::Answered(answer))
    }

    fn one_of(&mut self, answers: &[(u16, &str)]) -> Answer {
        let (status, code) = self.chance.one_of(answers);
        Answer::error(status, code)
    }

    fn throttled(&mut self, numbers: &[u64]) -> Answer {
        let answer = Answer::error(429, "TooManyRequestsException");
        let seconds = self.chance.one_of(&[0, 0, 2, 20]);
        if seconds == 0 {
            return answer;
        }
        let put_off = Some((numbers.to_vec(), Duration::from_secs(seconds)));
        Answer { put_off, ..answer.with("retry-after", &seconds.to_string()) }
    }

    /// An event that Lambda never takes for one of its messages.
    fn never(&mut self, numbers: &[u64]) -> Option<Answer> {
        let every = self.moods.refused_every;
        let is_refused = |number: &&u64| every > 0 && number.is_multiple_of(every);
        let failed: Vec<_> = numbers.iter().filter(is_refused).map(|number| (*number, Failed::ForGood)).collect();
        if failed.is_empty() {
            return None;
        }
        let answer = self.one_of(&[(400, "InvalidRequestContentException"), (413, "RequestTooLargeException")]);
        Some(Answer { failed, ..answer })
    }

    /// The function runs.
    fn run(&mut self, seen: &[Seen], numbers: &[u64]) -> Fate {
        let Moods { throws, answer_lost, lies, poison_every, .. } = self.moods;
        self.record.invoked(numbers);
        self.record.say("function", format!("runs for {numbers:?}"));
        if self.chance.percent(answer_lost) {
            self.record.allow(numbers);
            return Fate::Broken;
        }
        if self.chance.percent(lies) {
            self.record.allow(numbers);
            let (status, body) = self.chance.one_of(LIES);
            return Fate::Answered(Answer::of(status, body).failing(numbers));
        }
        let poisoned = numbers.iter().any(|number| is_every(*number, poison_every));
        if self.chance.percent(throws) || poisoned && self.chance.percent(50) {
            self.record.allow(numbers);
            let body = json!({ "errorType": "Boom", "errorMessage": "simulated" }).to_string();
            let answer = Answer::of(200, body).failing(numbers);
            return Fate::Answered(answer.with("x-amz-function-error", "Unhandled"));
        }
        Fate::Answered(self.answer(seen))
    }

    /// What the function says, record by record.
    fn answer(&mut self, seen: &[Seen]) -> Answer {
        let ends: Vec<_> = seen.iter().map(|seen| self.end(seen.number)).collect();
        // Records of the same key behind a failed one are sent again with it.
        let failed = |end: &End| *end == End::Failed;
        let again = |end: &End| failed(end) || self.ordered && ends.iter().any(failed);
        let pairs = || seen.iter().zip(&ends);
        self.record.allow(&pairs().filter(|(_, end)| again(end)).map(|(seen, _)| seen.number).collect::<Vec<_>>());
        let failures: Vec<_> = pairs()
            .filter(|(_, end)| **end != End::Taken)
            .map(|(seen, end)| json!({ "itemIdentifier": seen.id, "retry": *end != End::Hopeless }))
            .collect();
        let (mut publish, mut reply) = (Vec::new(), Vec::new());
        let mut answer = Answer::default();
        for (seen, end) in seen.iter().zip(&ends) {
            match end {
                End::Taken => answer.succeeded.push((seen.number, self.speak(seen, &mut publish, &mut reply))),
                End::Failed => answer.failed.push((seen.number, Failed::ByName)),
                End::Hopeless => answer.failed.push((seen.number, Failed::ForGood)),
            }
        }
        let body = json!({ "batchItemFailures": failures, "publish": publish, "reply": reply }).to_string();
        Answer { status: 200, body, ..answer }
    }

    fn end(&mut self, number: u64) -> End {
        let Moods { partial, poison_every, hopeless_every, .. } = self.moods;
        if is_every(number, hopeless_every) {
            End::Hopeless
        } else if is_every(number, poison_every) || self.chance.percent(partial) {
            End::Failed
        } else {
            End::Taken
        }
    }

    /// What is to be published about a record. The numbers of the answers.
    fn speak(&mut self, seen: &Seen, publish: &mut Vec<Value>, reply: &mut Vec<Value>) -> Vec<u64> {
        let Answers { commands, named, forbidden, replies, .. } = self.answers;
        let Seen { number, id, device, asks } = seen;
        let mut said = Vec::new();
        if self.chance.percent(commands) {
            let (named, forbidden) = (self.chance.percent(named), self.chance.percent(forbidden));
            let answer = self.record.answered(*number, forbidden);
            let topic = match (forbidden, named) {
                (true, _) => format!("forbidden/{number}"),
                (false, true) => format!("commands/{{topic[1]}}/{number}"),
                (false, false) => format!("commands/{device}/{number}"),
            };
            let mut command = json!({ "topic": topic, "payload": { "a": answer, "n": number } });
            if named {
                command["itemIdentifier"] = json!(id);
            }
            publish.push(command);
            said.push(answer);
        }
        if replies && let Some(asks) = asks {
            let answer = self.record.answered(*number, false);
            reply.push(json!({ "itemIdentifier": id, "payload": { "a": answer, "n": number } }));
            // A device that asks for a reply on another topic gets none, and delays nobody.
            said.extend((*asks == Asks::Rightly).then_some(answer));
        }
        said
    }
}

fn is_every(number: u64, every: u64) -> bool {
    every > 0 && number.is_multiple_of(every)
}
