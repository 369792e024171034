//! The answers of AWS, and what the bridge knows after it has received one.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use serde_json::json;

use crate::sim::letter::Letter;
use crate::sim::record::{Failed, Record};

/// What is going to be answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// The messages that it says have succeeded, each with what is to be published about it.
    pub(super) succeeded: Vec<(u64, Vec<u64>)>,
    /// Those that it says have not.
    pub(super) failed: Vec<(u64, Failed)>,
    /// The function has run.
    pub(super) passes: bool,
    /// Lambda says that it takes invocations.
    pub(super) takes: bool,
    /// Those for which it explains nothing.
    pub(super) unexplained: Vec<u64>,
    /// It is not Lambda's.
    pub(super) is_foreign: bool,
    /// Those that are not to be asked for again so soon.
    pub(super) put_off: Option<(Vec<u64>, Duration)>,
    /// What is safe now, and where.
    pub(super) letter: Option<(Letter, &'static str)>,
}

/// How a request ends.
#[derive(Debug)]
pub(super) enum Fate {
    Answered(Answer),
    /// The connection breaks.
    Broken,
    /// Nothing comes, ever.
    Silent,
}

impl Fate {
    /// The function has run, whatever it answers.
    pub(super) fn passing(self) -> Self {
        match self {
            Self::Answered(answer) => Self::Answered(Answer { passes: true, ..answer }),
            other => other,
        }
    }
}

impl Answer {
    pub(super) fn of(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        let answer = Self::of(status, json!({ "Message": "simulated", "Type": "User" }).to_string());
        answer.with("x-amzn-errortype", code)
    }

    /// The same, about messages that have all failed, for now.
    pub(super) fn failing(self, numbers: &[u64]) -> Self {
        Self { failed: numbers.iter().map(|number| (*number, Failed::WithItsEvent)).collect(), ..self }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The caller has it: from here on an acknowledgement is due.
    pub(super) fn heard(self, record: &Record) -> io::Result<Response<Bytes>> {
        self.succeeded.into_iter().for_each(|(number, answers)| record.succeeded(number, answers));
        self.failed.iter().for_each(|(number, how)| record.failed(*number, *how));
        record.refused_without_reason(&self.unexplained);
        if self.passes {
            record.let_pass();
        }
        if self.takes {
            record.takes_invocations();
        }
        if let Some((numbers, wait)) = &self.put_off {
            record.put_off(numbers, *wait);
        }
        if let Some((letter, place)) = self.letter {
            letter.is_safe(record, place);
        }
        let response = Response::builder().status(self.status);
        let response = if self.is_foreign {
            response.header("content-type", "text/html")
        } else {
            response.header("content-type", "application/x-amz-json-1.0").header("x-amzn-requestid", "simulated")
        };
        let response = self.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
        response.body(self.body.into()).map_err(io::Error::other)
    }
}
