//! The table: the fault, the expected reports, and how it ends. Runs nothing.

use super::scene::{self, Step};
use crate::common::publish;
use sandbox::lambda::{Action, Fault, Kind, Refusal, When};
use sandbox::world::FUNCTION;

/// How a case ends, and what says so.
#[derive(Clone, Copy)]
pub enum Over {
    /// Nothing to repair, or nothing that the bridge would notice.
    Never,
    /// This event of the running process, once the faults are cleared and the case is repaired.
    Said(&'static str),
    /// The same, as another test shows: this one has no disk to make room on.
    Elsewhere(&'static str),
    /// The process is started again without the mistake, and says that it is ready.
    Restart,
}
use Over::{Elsewhere, Never, Restart, Said};

/// A fault and the expected reports. By default there is none, and the bridge reports that it is ready.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    /// Keys of the configuration.
    pub keys: &'static [(&'static str, &'static str)],
    /// Variables of the environment.
    pub variables: &'static [&'static str],
    pub fault: Option<Fault>,
    /// What else is to be done beforehand.
    pub prepare: Step,
    /// What happens once the bridge runs.
    pub then: Step,
    /// Published once the bridge listens.
    pub messages: u64,
    /// An order to the admin endpoint.
    pub order: &'static str,
    /// The order that takes it back.
    pub counter_order: &'static str,
    /// Parts of one line of the log, `event` first.
    pub line: &'static [&'static str],
    pub status: u16,
    /// Parts of the body of `/readyz`.
    pub readiness: &'static [&'static str],
    /// A number of the mapping, and its value.
    pub metric: (&'static str, f64),
    /// What is done about it, besides clearing the faults.
    pub repair: Step,
    pub over: Over,
}

const CASE: Case = Case {
    name: "",
    keys: &[],
    variables: &[],
    fault: None,
    prepare: scene::nothing,
    then: scene::nothing,
    messages: 0,
    order: "",
    counter_order: "",
    line: &[],
    status: 200,
    readiness: &["ready\n"],
    metric: ("ready", 1.0),
    repair: scene::nothing,
    over: Never,
};

const NO_KEYS: &[&str] = &["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true"];
/// Settings with which minutes become seconds.
const SOON: &[(&str, &str)] = &[("admin.degraded_after", "1s"), ("mapping.retry.max_attempts", "1000000")];

/// Long enough that a recovery has a line of its own, which a short trouble has not.
const LATER: &[(&str, &str)] = &[("admin.degraded_after", "11s"), ("mapping.retry.max_attempts", "1000000")];

fn dry_run(refusal: Refusal) -> Fault {
    Fault::new(When::Always, Action::Refuse(refusal)).kind(Kind::DryRun)
}

fn always(action: Action) -> Fault {
    Fault::new(When::Always, action)
}

fn code(status: u16, code: &'static str) -> Refusal {
    Refusal::Raw { status, code: Some(code), body: "{}" }
}

/// Known at the start, before any message.
pub fn at_the_start() -> Vec<Case> {
    let refused = Case { status: 503, metric: ("ready", 0.0), over: Restart, ..CASE };
    vec![
        Case { name: "all is well", line: &["lambda.ready", FUNCTION], ..CASE },
        Case {
            name: "no credentials",
            variables: NO_KEYS,
            line: &["lambda.refused", "credentials"],
            readiness: &["mapping `sensor-data`: configuration: credentials"],
            ..refused.clone()
        },
        Case {
            name: "a profile that does not exist",
            variables: &[
                "AWS_PROFILE=nowhere",
                "AWS_ACCESS_KEY_ID=",
                "AWS_SECRET_ACCESS_KEY=",
                "AWS_EC2_METADATA_DISABLED=true",
            ],
            line: &["lambda.refused", "AWS_PROFILE is `nowhere`"],
            readiness: &["AWS_PROFILE is `nowhere`"],
            ..refused.clone()
        },
        Case {
            name: "a function that does not exist",
            prepare: scene::lambda_without_functions,
            line: &["lambda.refused", "ResourceNotFoundException (no such function, version or alias)"],
            readiness: &["404 ResourceNotFoundException (no such function, version or alias)"],
            repair: scene::function_is_made,
            over: Said("lambda.restored"),
            ..refused.clone()
        },
        Case {
            name: "an alias that does not exist",
            keys: &[("mapping.function", "sensor-handler:live")],
            prepare: scene::lambda_without_functions,
            line: &["lambda.refused", "no such function, version or alias"],
            readiness: &["no such function, version or alias"],
            repair: scene::alias_is_made,
            over: Said("lambda.restored"),
            ..refused.clone()
        },
        Case {
            name: "a region where the function is not",
            variables: &["AWS_REGION=eu-south-2"],
            keys: &[("mapping.function", "nobody")],
            line: &["lambda.refused", "(eu-south-2)"],
            readiness: &["no such function, version or alias", "(eu-south-2)"],
            ..refused.clone()
        },
    ]
}

/// The same: what the account refuses, and what cannot be known yet.
pub fn at_the_account() -> Vec<Case> {
    let denied = Case { status: 503, metric: ("ready", 0.0), over: Said("lambda.restored"), ..CASE };
    vec![
        Case {
            name: "a denied invocation",
            fault: Some(dry_run(Refusal::AccessDenied)),
            line: &["lambda.refused", "the permission lambda:InvokeFunction is missing"],
            readiness: &["403 AccessDeniedException (the permission lambda:InvokeFunction is missing)"],
            ..denied.clone()
        },
        Case {
            name: "a wrong secret key",
            fault: Some(dry_run(code(403, "InvalidSignatureException"))),
            line: &["lambda.refused", "the secret key is wrong, or the clock"],
            readiness: &["the secret key is wrong, or the clock"],
            ..denied.clone()
        },
        Case {
            name: "an access key that does not exist",
            fault: Some(dry_run(code(403, "UnrecognizedClientException"))),
            line: &["lambda.refused", "the access key does not exist"],
            readiness: &["the access key does not exist"],
            ..denied.clone()
        },
        Case {
            name: "expired credentials",
            fault: Some(dry_run(Refusal::ExpiredToken)),
            line: &["lambda.refused", "the credentials have expired"],
            readiness: &["the credentials have expired"],
            ..denied.clone()
        },
        Case {
            name: "a function without a published version",
            fault: Some(dry_run(code(400, "NoPublishedVersionException"))),
            line: &["lambda.refused", "the function has no published version"],
            readiness: &["the function has no published version"],
            ..denied.clone()
        },
        Case {
            name: "an endpoint that knows no dry run",
            fault: Some(dry_run(Refusal::Raw { status: 400, code: None, body: "" })),
            line: &["lambda.dry_run_refused", "the first invocation decides"],
            ..CASE
        },
        Case {
            name: "a function that was left undone by an update",
            fault: Some(dry_run(code(409, "ResourceConflictException"))),
            line: &["lambda.unanswered", "ResourceConflictException"],
            over: Said("lambda.ready"),
            ..CASE
        },
        Case {
            name: "nobody listens at the endpoint of AWS",
            keys: SOON,
            prepare: scene::lambda_behind_a_shut_door,
            messages: 3,
            line: &["bridge.degraded", "Connection refused"],
            readiness: &["degraded\n", "every invocation has failed for", "Connection refused", "127.0.0.1:"],
            metric: ("degraded", 1.0),
            repair: scene::door_leads_to_lambda,
            over: Said("bridge.degraded_over"),
            ..CASE
        },
    ]
}

/// The same: what belongs to the function, and what stands between.
pub fn at_the_function() -> Vec<Case> {
    let denied = Case { status: 503, metric: ("ready", 0.0), over: Said("lambda.restored"), ..CASE };
    vec![
        Case {
            name: "a function whose runtime was retired",
            fault: Some(dry_run(code(502, "InvalidRuntimeException"))),
            line: &["lambda.refused", "the function needs another runtime"],
            readiness: &["the function needs another runtime"],
            ..denied.clone()
        },
        Case {
            name: "a key that the function may not use",
            fault: Some(dry_run(code(502, "KMSAccessDeniedException"))),
            line: &["lambda.refused", "the function may not use its key"],
            readiness: &["the function may not use its key"],
            ..denied.clone()
        },
        Case {
            name: "a clock that is wrong",
            fault: Some(dry_run(code(400, "RequestExpired"))),
            line: &["lambda.refused", "the clock is wrong"],
            readiness: &["the clock is wrong"],
            ..denied.clone()
        },
        Case {
            name: "subnets without addresses",
            fault: Some(dry_run(code(502, "SubnetIPAddressLimitReachedException"))),
            line: &["lambda.refused", "the function's subnets have no addresses left"],
            readiness: &["the function's subnets have no addresses left"],
            ..denied.clone()
        },
        Case {
            name: "a recursive loop that Lambda has stopped",
            fault: Some(dry_run(code(400, "RecursiveInvocationException"))),
            line: &["lambda.refused", "Lambda has stopped a recursive loop"],
            readiness: &["Lambda has stopped a recursive loop"],
            ..denied.clone()
        },
        Case {
            name: "a proxy's page in place of Lambda",
            fault: Some(dry_run(Refusal::Raw { status: 503, code: None, body: "<html>busy</html>" })),
            line: &["lambda.unanswered", "its body is HTML or XML", "a proxy or a gateway may have sent it"],
            over: Said("lambda.ready"),
            ..CASE
        },
    ]
}

/// Known once messages come, or do not come.
pub fn at_work() -> Vec<Case> {
    let failing =
        Case { keys: SOON, messages: 3, metric: ("degraded", 1.0), over: Said("bridge.degraded_over"), ..CASE };
    vec![
        Case {
            name: "429 without end",
            fault: Some(always(Action::throttle(None))),
            line: &["bridge.degraded", "throttled: HTTP 429"],
            readiness: &["degraded\n", "every invocation has failed for", "throttled: HTTP 429"],
            ..failing.clone()
        },
        Case {
            name: "5xx without end",
            keys: LATER,
            fault: Some(always(Action::status(503))),
            line: &["bridge.degraded", "service: HTTP 503"],
            readiness: &["degraded\n", "service: HTTP 503 ServiceUnavailableException"],
            over: Said("invocation.restored"),
            ..failing.clone()
        },
        Case {
            name: "a function that always throws",
            keys: LATER,
            fault: Some(always(Action::function_error("ValueError", "no"))),
            line: &["bridge.degraded", "function failed: ValueError"],
            readiness: &["degraded\n", "function failed: ValueError"],
            over: Said("function.restored"),
            ..failing.clone()
        },
        Case {
            name: "a function whose process ends",
            fault: Some(always(Action::function_error("Runtime.ExitError", "no"))),
            line: &["bridge.degraded", "function failed: Runtime.ExitError"],
            readiness: &["degraded\n", "function failed: Runtime.ExitError"],
            ..failing.clone()
        },
        Case {
            name: "a function whose answer cannot be read",
            prepare: scene::lambda_of_unreadable_answers,
            line: &["bridge.degraded", "function failed: Function.MalformedResponse"],
            readiness: &["degraded\n", "function failed: Function.MalformedResponse"],
            repair: scene::door_leads_to_lambda,
            ..failing.clone()
        },
        Case {
            name: "a function that never answers in time",
            keys: &[("admin.degraded_after", "1s"), ("mapping.timeout", "1s"), ("mapping.retry.max_attempts", "1000")],
            fault: Some(always(Action::Hang)),
            line: &["bridge.degraded", "timeout: no answer within 1s"],
            readiness: &["degraded\n", "timeout: no answer within 1s"],
            ..failing.clone()
        },
        Case {
            name: "connections to Lambda that always break",
            fault: Some(always(Action::Cut)),
            line: &["bridge.degraded", "connection: "],
            readiness: &["degraded\n", "invocation failed: connection: "],
            ..failing.clone()
        },
        Case {
            name: "a degraded bridge that shall count as not ready",
            keys: &[
                ("admin.degraded", "unready"),
                ("admin.degraded_after", "1s"),
                ("mapping.retry.max_attempts", "1000000"),
            ],
            fault: Some(always(Action::throttle(None))),
            line: &["bridge.degraded", "throttled"],
            status: 503,
            readiness: &["degraded\n", "throttled"],
            metric: ("ready", 0.0),
            ..failing.clone()
        },
    ]
}

/// What an operator has caused, or has to repair.
pub fn at_the_desk() -> Vec<Case> {
    let held = Case {
        keys: &[("mapping.retry.max_attempts", "1")],
        messages: 3,
        fault: Some(always(Action::function_error("ValueError", "no"))),
        metric: ("failing_destinations", 1.0),
        over: Said("dead_letter.destination_restored"),
        ..CASE
    };
    vec![
        Case {
            name: "a permission that goes away",
            messages: 3,
            fault: Some(always(Action::status(403))),
            line: &["lambda.refused", "the permission lambda:InvokeFunction is missing"],
            status: 503,
            readiness: &["mapping `sensor-data`: configuration: HTTP 403 AccessDeniedException"],
            metric: ("ready", 0.0),
            over: Said("lambda.restored"),
            ..CASE
        },
        Case {
            name: "a failure destination that refuses",
            prepare: scene::queue_that_denies,
            line: &["dead_letter.destination_failing", "AccessDenied"],
            readiness: &["degraded\n", "messages are held as no failure destination takes them"],
            repair: scene::queue_allows,
            ..held.clone()
        },
        Case {
            name: "a full disk below the failure destination",
            keys: &[("mapping.on_failure.file", "/dev/full"), ("mapping.retry.max_attempts", "1")],
            line: &["dead_letter.destination_failing", "/dev/full: No space left on device"],
            readiness: &["degraded\n", "/dev/full: No space left on device"],
            over: Elsewhere("dead_letter.destination_restored"),
            ..held.clone()
        },
        Case {
            name: "a failure destination in a bucket of another region",
            prepare: scene::bucket_elsewhere,
            line: &["dead_letter.destination_failing", "PermanentRedirect", "the bucket is in eu-west-1"],
            readiness: &["degraded\n", "PermanentRedirect", "https://s3.eu-west-1.amazonaws.com/"],
            repair: scene::bucket_here,
            ..held.clone()
        },
        Case {
            name: "a mistyped topic, or an access list that denies silently",
            keys: &[("mapping.topic_filter", "sensr/data"), ("admin.silent_after", "1s")],
            messages: 3,
            line: &["mapping.silent", "no message has ever come"],
            readiness: &["ready\nnote: mapping `sensor-data`: subscribed to `sensr/data` for", "access list"],
            metric: ("silent", 1.0),
            repair: |world, _| Box::pin(async { drop(publish(world, 1, |to| to.topic = "sensr/data".into()).await) }),
            over: Said("mapping.heard"),
            ..CASE
        },
        Case {
            name: "a mapping that an operator has paused",
            order: "/mappings/sensor-data/pause",
            counter_order: "/mappings/sensor-data/resume",
            line: &["mapping.paused", "sensor-data"],
            readiness: &[
                "ready\nnote: mapping `sensor-data`: paused since 2",
                "`mqtt-lambda-bridge resume sensor-data`",
            ],
            metric: ("paused", 1.0),
            over: Said("mapping.resumed"),
            ..CASE
        },
    ]
}

/// The way to the broker.
pub fn on_the_way() -> Vec<Case> {
    let lost = Case { status: 503, metric: ("ready", 0.0), over: Restart, ..CASE };
    let closed = Case { repair: scene::door_leads_to_broker, over: Said("broker.connected"), ..lost.clone() };
    vec![
        Case {
            name: "nobody listens at the broker's port",
            prepare: scene::broker_behind_a_shut_door,
            line: &["broker.lost", "Connection refused"],
            readiness: &["mapping `sensor-data`: ", "Connection refused"],
            ..closed.clone()
        },
        Case {
            name: "a certificate of the broker for another name",
            keys: &[("mqtt.tls.server_name", "other.example")],
            line: &["broker.refused", "other.example"],
            readiness: &["mapping `sensor-data`: ", "other.example"],
            ..lost.clone()
        },
        Case {
            name: "no client certificate where the broker wants one",
            keys: &[("mqtt.tls.cert_file", ""), ("mqtt.tls.key_file", "")],
            line: &["broker.refused", "certificate"],
            readiness: &["mapping `sensor-data`: ", "certificate"],
            ..lost.clone()
        },
        Case {
            name: "an authority that has not signed the broker's certificate",
            prepare: scene::other_authority,
            line: &["broker.refused", "`ca_file`"],
            readiness: &["mapping `sensor-data`: ", "`ca_file`"],
            repair: scene::right_authority,
            over: Said("broker.connected"),
            ..lost.clone()
        },
        Case {
            name: "a port that does not speak MQTT over TLS",
            prepare: scene::broker_url_of_lambda,
            line: &["broker.refused", "not TLS: the port speaks HTTP"],
            readiness: &["mapping `sensor-data`: ", "not TLS: the port speaks HTTP"],
            ..lost.clone()
        },
        Case {
            name: "a proxy where nobody listens",
            prepare: scene::proxy_behind_a_shut_door,
            line: &["broker.lost", "proxy 127.0.0.1:", "no TCP connection", "Connection refused"],
            readiness: &["mapping `sensor-data`: ", "proxy 127.0.0.1:", "no TCP connection"],
            repair: scene::door_leads_to_proxy,
            ..closed.clone()
        },
        Case {
            name: "a password file that is gone after a rotation",
            keys: &[("mqtt.username", "bridge"), ("mqtt.backoff", "100ms..1s")],
            prepare: scene::password_and_a_shut_door,
            then: scene::password_is_gone,
            line: &["broker.refused", "no password for the broker: ", "/password"],
            readiness: &["mapping `sensor-data`: ", "no password for the broker: ", "/password"],
            repair: scene::password_is_back,
            ..closed.clone()
        },
        Case {
            name: "another client with the same client id",
            then: scene::another_bridge,
            line: &["session.taken_over", "is another process running"],
            readiness: &["mapping `sensor-data`: ", "is another process running"],
            repair: scene::no_other_bridge,
            ..closed.clone()
        },
        Case {
            name: "a broker whose name does not exist",
            keys: &[("mqtt.url", "mqtts://broker.invalid:8883")],
            line: &["broker.lost", "broker.invalid"],
            readiness: &["mapping `sensor-data`: ", "broker.invalid"],
            ..lost.clone()
        },
    ]
}
