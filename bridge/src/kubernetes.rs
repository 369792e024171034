//! Decides whether a pod of a StatefulSet will come back: asks the Kubernetes API for that one object, as the service
//! account of the pod. Changes nothing there, and treats an unreadable answer as an error, not as a scale-down.

mod api;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::foreign::Foreign;
use api::Api;

/// Where Kubernetes mounts the account of a pod.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The annotation of a StatefulSet whose zero replicas are no pause.
const LEAVES: &str = "mqtt-lambda-bridge/leaves";

/// A pod of a StatefulSet.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name, which ends with its ordinal.
    pub name: String,
    /// The directory with `ca.crt`, `namespace` and `token`.
    pub service_account: PathBuf,
}

/// Whether a pod with this name will be started again, once it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It will, or nobody can know; the reason.
    Returns(String),
    /// The StatefulSet wants fewer pods than would reach its ordinal.
    ScaledDown,
}

impl Pod {
    /// Asks the API server that the environment of a pod names.
    ///
    /// # Errors
    /// When it cannot be asked, or does not answer with the StatefulSet; in words.
    pub fn fate(&self) -> Result<Fate, String> {
        let (set, ordinal) = split(&self.name)?;
        let namespace = self.read("namespace")?;
        let path = format!("/apis/apps/v1/namespaces/{}/statefulsets/{}", part(&namespace)?, part(set)?);
        let api = Api::of_this_cluster(&self.service_account)?;
        match api.get(&path)? {
            (200, body) => Ok(decide(ordinal, &read(&body)?)),
            (404, _) => {
                Ok(Fate::Returns(format!("StatefulSet `{set}`: not found; it was removed and may be made again")))
            }
            (status @ (401 | 403), _) => Err(format!(
                "StatefulSet `{set}`: the Kubernetes API answers {status}; the pod's service account must be allowed to `get` it"
            )),
            (status, body) => Err(format!(
                "StatefulSet `{set}`: the Kubernetes API answers {status}: {}",
                Foreign::of(body.trim_end())
            )),
        }
    }

    fn read(&self, file: &str) -> Result<String, String> {
        read_text(&self.service_account.join(file))
    }
}

/// A small file of a service account, without its line end.
fn read_text(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("{}: {}; the pod needs `automountServiceAccountToken: true`", path.display(), error.kind())
    })?;
    Ok(text.trim_end().to_owned())
}

/// The part of a StatefulSet that says how many pods it wants.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatefulSet {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<String>,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    replicas: Option<u64>,
    #[serde(default)]
    ordinals: Ordinals,
}

#[derive(Debug, Default, Deserialize)]
struct Ordinals {
    #[serde(default)]
    start: u64,
}

fn read(body: &str) -> Result<StatefulSet, String> {
    serde_json::from_str(body)
        .map_err(|_| "the Kubernetes API answers with something that is no StatefulSet".to_owned())
}

/// The first ordinal returns, unless the StatefulSet has the annotation for it: with none left nobody would take what
/// devices publish, so zero replicas are a pause. An ordinal below the first may have moved to another cluster, with
/// its sessions.
fn decide(ordinal: u64, set: &StatefulSet) -> Fate {
    if set.metadata.deletion_timestamp.is_some() {
        return Fate::Returns("the StatefulSet is being removed, and may be made again".to_owned());
    }
    let (first, replicas) = (set.spec.ordinals.start, set.spec.replicas.unwrap_or(1));
    let for_good = set.metadata.annotations.get(LEAVES).is_some_and(|value| value == "true");
    if ordinal >= first.saturating_add(if for_good { replicas } else { replicas.max(1) }) {
        return Fate::ScaledDown;
    }
    if replicas == 0 {
        return Fate::Returns(format!(
            "zero replicas are a pause, for which the first keeps its sessions; the annotation {LEAVES}=true makes it leave"
        ));
    }
    Fate::Returns(format!("the StatefulSet wants {replicas} replicas, and this is ordinal {ordinal}"))
}

/// The StatefulSet and the ordinal in the name of a pod.
fn split(pod: &str) -> Result<(&str, u64), String> {
    let found = pod.rsplit_once('-').and_then(|(set, ordinal)| Some((set, ordinal.parse().ok()?)));
    let no_pod = || format!("pod `{}`: no pod of a StatefulSet; its name ends with `-` and a number", Foreign::of(pod));
    found.filter(|(set, _)| !set.is_empty()).ok_or_else(no_pod)
}

/// A name that may stand in a path: a DNS subdomain, as Kubernetes has them.
fn part(name: &str) -> Result<&str, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !name.is_empty() && name.bytes().all(fits) && !name.contains("..") {
        Ok(name)
    } else {
        Err(format!("`{}`: not a name that Kubernetes gives", Foreign::of(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pod: &str, set: &str) -> Fate {
        decide(split(pod).unwrap().1, &read(set).unwrap())
    }

    #[test]
    fn who_is_above_the_replicas_has_been_scaled_down() {
        let three = r#"{"metadata": {"name": "bridge"}, "spec": {"replicas": 3, "serviceName": "x"}}"#;
        for (pod, leaves) in [("bridge-0", false), ("bridge-2", false), ("bridge-3", true), ("bridge-10", true)] {
            assert_eq!(of(pod, three) == Fate::ScaledDown, leaves, "{pod}");
        }
        let from_five = r#"{"metadata": {}, "spec": {"replicas": 2, "ordinals": {"start": 5}}}"#;
        for (pod, leaves) in [("bridge-5", false), ("bridge-6", false), ("bridge-7", true)] {
            assert_eq!(of(pod, from_five) == Fate::ScaledDown, leaves, "{pod}");
        }
        assert_eq!(of("bridge-1", r#"{"metadata": {}, "spec": {}}"#), Fate::ScaledDown, "one is the default");
    }

    #[test]
    fn the_last_replica_is_paused_and_keeps_its_sessions() {
        let none = r#"{"metadata": {}, "spec": {"replicas": 0}}"#;
        assert!(matches!(of("bridge-0", none), Fate::Returns(why) if why.contains("pause")));
        assert_eq!(of("bridge-1", none), Fate::ScaledDown);
    }

    #[test]
    fn it_leaves_too_when_the_stateful_set_says_so() {
        let leaves = |value: &str, replicas: &str| {
            let set = format!(
                r#"{{"metadata": {{"annotations": {{"mqtt-lambda-bridge/leaves": "{value}"}}}}, "spec": {{{replicas}}}}}"#
            );
            of("bridge-0", &set) == Fate::ScaledDown
        };
        let (none, one) = (r#""replicas": 0"#, r#""replicas": 1"#);
        assert!(leaves("true", none));
        assert!(!leaves("false", none) && !leaves("true", one));
        assert!(!leaves("true", ""), "one is the default");
    }

    #[test]
    fn what_is_removed_whole_may_be_made_again() {
        let going = r#"{"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"replicas": 0}}"#;
        assert!(matches!(of("bridge-7", going), Fate::Returns(_)));
    }

    #[test]
    fn what_is_no_stateful_set_is_an_error() {
        for body in ["", "{}", "[]", "<html>", r#"{"metadata": {}}"#, r#"{"metadata": {}, "spec": {"replicas": -1}}"#] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn names_are_taken_apart_and_checked() {
        assert_eq!(split("my-bridge-12"), Ok(("my-bridge", 12)));
        for pod in ["", "bridge", "bridge-", "bridge-x", "-1", "bridge--1x"] {
            assert!(split(pod).is_err(), "{pod}");
        }
        assert_eq!(part("a-b.c1"), Ok("a-b.c1"));
        for name in ["", "a/b", "a b", "a\r\nb", "A", "..", "a?x"] {
            assert!(part(name).is_err(), "{name}");
        }
    }
}
