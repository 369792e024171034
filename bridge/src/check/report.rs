//! Prints what `check` has found, one line for each step, as text or JSON. Checks nothing itself.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::foreign::one_line;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would work.
    Ok,
    /// It would work, and not as wanted.
    Warning,
    /// It would not work.
    Failed,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its name.
    pub step: &'static str,
    /// The mapping that it is about.
    pub mapping: Option<String>,
    /// How it went.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The whole way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether no step failed.
    pub ok: bool,
    /// In their order. What lies behind a step that failed may be missing.
    pub steps: Vec<Step>,
}

/// The finding of a step that works, and a warning if it does not work as configured.
pub(super) struct Found {
    said: String,
    warning: Option<String>,
}

/// Why a step would not work, and what to do.
pub(super) type Refused = (String, Option<&'static str>);

/// The way, while it is walked.
#[derive(Default)]
pub(super) struct Walk(Vec<Step>);

impl Found {
    pub(super) fn good(said: String) -> Self {
        Self { said, warning: None }
    }

    pub(super) fn but(said: String, warning: Option<String>) -> Self {
        Self { said, warning }
    }
}

impl Walk {
    /// Takes a step, and says whether it went well.
    pub(super) async fn step(
        &mut self,
        name: &'static str,
        mapping: Option<&str>,
        look: impl Future<Output = Result<Found, Refused>>,
    ) -> bool {
        let begun = Instant::now();
        let found = look.await;
        let is_good = found.is_ok();
        self.took(name, mapping, begun.elapsed(), found);
        is_good
    }

    /// What was found in this time.
    pub(super) fn took(
        &mut self,
        name: &'static str,
        mapping: Option<&str>,
        time: Duration,
        found: Result<Found, Refused>,
    ) {
        self.found(name, mapping, found);
        if let Some(step) = self.0.last_mut() {
            // Whole milliseconds.
            step.seconds = (time.as_secs_f64() * 1000.0).round() / 1000.0;
        }
    }

    /// What was found without a wait.
    pub(super) fn found(&mut self, step: &'static str, mapping: Option<&str>, found: Result<Found, Refused>) {
        let (verdict, said, hint) = match found {
            Ok(Found { said, warning: None }) => (Verdict::Ok, said, None),
            Ok(Found { said, warning }) => (Verdict::Warning, said, warning),
            Err((why, hint)) => (Verdict::Failed, why, hint.map(str::to_owned)),
        };
        let (mapping, found) = (mapping.map(str::to_owned), one_line(&said));
        self.0.push(Step { step, mapping, verdict, found, hint, seconds: 0.0 });
    }

    pub(super) fn into_report(self) -> Report {
        Report { ok: self.0.iter().all(|step| step.verdict != Verdict::Failed), steps: self.0 }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { step, mapping, verdict, found, hint, seconds } in &self.steps {
            let verdict = match verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warning => "warn",
                Verdict::Failed => "FAIL",
            };
            let of = mapping.as_ref().map(|mapping| format!(" of `{mapping}`")).unwrap_or_default();
            writeln!(f, "{verdict} {step}{of} ({seconds:.3} s): {found}")?;
            if let Some(hint) = hint {
                writeln!(f, "     hint: {hint}")?;
            }
        }
        f.write_str(if self.ok { "all steps work\n" } else { "not all steps work\n" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_line_a_step_with_a_hint_below_what_fails() {
        let mut walk = Walk::default();
        assert!(walk.step("dns", None, async { Ok(Found::good("a\nb".into())) }).await);
        walk.found("function", Some("m"), Ok(Found::but("there".into(), Some("its timeout".into()))));
        walk.found("connect", None, Err(("refused".into(), Some("repair it"))));
        let mut report = walk.into_report();
        report.steps[0].seconds = 0.25;
        let expected = "ok   dns (0.250 s): a\\nb\nwarn function of `m` (0.000 s): there\n     hint: its timeout\n\
                        FAIL connect (0.000 s): refused\n     hint: repair it\nnot all steps work\n";
        assert_eq!(report.to_string(), expected);
        assert!(!report.ok);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["ok"], &json["steps"][2]["verdict"]), (&false.into(), &"failed".into()));
    }
}
