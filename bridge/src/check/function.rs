//! Checks whether the function of a mapping may be invoked, and whether its settings fit the mapping's. Runs nothing.

use super::report::{Found, Refused};
use crate::aws::Aws;
use crate::config::Mapping;
use crate::foreign::Foreign;
use crate::lambda::Description;

/// `asks` says whether the endpoint knows a dry run: an emulator may run the function for it.
pub(super) async fn look(aws: &Aws, mapping: &Mapping, asks: bool) -> Result<Found, Refused> {
    let client = aws.client(&mapping.function, mapping.timeout);
    if asks && let Err(error) = client.dry_run().await {
        let hint = "check mapping.function, AWS_REGION, and the permission lambda:InvokeFunction of the bridge's role";
        return Err((error.to_string(), Some(hint)));
    }
    let known = aws.describe(&mapping.function).await;
    if known.reserved == Some(0) {
        let hint = "raise or remove the function's reserved concurrency";
        return Err(("its reserved concurrency is 0: Lambda refuses every invocation".to_owned(), Some(hint)));
    }
    let unasked = || (!asks).then(|| "the first message will show it".to_owned());
    Ok(Found::but(in_words(&known, asks), warning(&known, mapping).or_else(unasked)))
}

fn in_words(known: &Description, asked: bool) -> String {
    let may =
        if asked { "may be invoked" } else { "not asked whether it may be invoked, as `lambda.dry_run` is false" };
    let version =
        known.version.as_ref().map(|version| format!(", version {}", Foreign::of(version))).unwrap_or_default();
    let timeout = known.timeout.map(|timeout| format!(", its timeout is {timeout:?}")).unwrap_or_default();
    let reserved = known.reserved.map(|most| format!(", its reserved concurrency {most}")).unwrap_or_default();
    let unknown =
        known.unknown.as_ref().map(|why| format!("; not all of its settings are known ({why})")).unwrap_or_default();
    format!("{may}{version}{timeout}{reserved}{unknown}")
}

/// Problems that show only under load, or only with a slow invocation.
fn warning(known: &Description, mapping: &Mapping) -> Option<String> {
    if let Some(timeout) = known.timeout.filter(|timeout| *timeout > mapping.timeout) {
        let ours = mapping.timeout;
        return Some(format!(
            "mapping.timeout is {ours:?}: an invocation that takes longer is retried while the function still runs; set it above \
             {timeout:?}"
        ));
    }
    if let Some(state) = known.state.as_ref().filter(|state| *state != "Active") {
        return Some(format!("the function is in the state {state}"));
    }
    let most = known.reserved.filter(|most| (*most as usize) < mapping.concurrency)?;
    let ours = mapping.concurrency;
    Some(format!("mapping.concurrency is {ours}, and Lambda runs {most} at once: the rest is throttled; lower it"))
}
