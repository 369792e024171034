//! The table: what goes wrong, and what must be said of it. Plays nothing.

use std::any::Any;
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;

use sandbox::bucket::{Bucket, Trouble};
use sandbox::certs::Pki;
use sandbox::lambda::{Action, Fault, Kind, Refusal, When};
use sandbox::world::{FUNCTION, World};

/// What lives as long as the case.
pub type Kept = Vec<Box<dyn Any>>;

/// Makes it.
pub type Prepare = for<'a> fn(&'a mut World) -> Pin<Box<dyn Future<Output = Kept> + 'a>>;

/// What goes wrong, and what must be said of it. By default nothing does, and the bridge says that it is ready.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    /// Keys of the configuration.
    pub keys: &'static [(&'static str, &'static str)],
    /// Variables of the environment.
    pub variables: &'static [&'static str],
    pub fault: Option<Fault>,
    /// What else is to be done beforehand; what it returns is kept until the end.
    pub prepare: Prepare,
    /// What happens once the bridge runs.
    pub then: fn(&World) -> Kept,
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
    /// The event that says that it is over, once the faults are cleared.
    pub over: Option<&'static str>,
}

const CASE: Case = Case {
    name: "",
    keys: &[],
    variables: &[],
    fault: None,
    prepare: |_| Box::pin(async { Vec::new() }),
    then: |_| Vec::new(),
    messages: 0,
    order: "",
    counter_order: "",
    line: &[],
    status: 200,
    readiness: &["ready\n"],
    metric: ("ready", 1.0),
    over: None,
};

const NO_KEYS: &[&str] = &["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true"];
/// So that what takes minutes takes seconds.
const SOON: &[(&str, &str)] = &[("admin.degraded_after", "1s"), ("mapping.retry.max_attempts", "1000000")];

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
    let refused = Case { status: 503, metric: ("ready", 0.0), ..CASE };
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
            keys: &[("mapping.function", "nobody")],
            line: &["lambda.refused", "ResourceNotFoundException (no such function, version or alias)"],
            readiness: &["404 ResourceNotFoundException (no such function, version or alias)"],
            ..refused.clone()
        },
        Case {
            name: "an alias that does not exist",
            keys: &[("mapping.function", "sensor-handler:live")],
            line: &["lambda.refused", "no such function, version or alias"],
            readiness: &["no such function, version or alias"],
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
    let refused = Case { status: 503, metric: ("ready", 0.0), ..CASE };
    let denied = Case { over: Some("lambda.restored"), ..refused };
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
            over: Some("lambda.ready"),
            ..CASE
        },
        Case {
            name: "nobody listens at the endpoint of AWS",
            keys: SOON,
            variables: &["AWS_ENDPOINT_URL=http://127.0.0.1:1"],
            line: &["bridge.degraded", "Connection refused"],
            readiness: &["degraded\n", "every invocation has failed for", "Connection refused", "127.0.0.1:1"],
            metric: ("degraded", 1.0),
            ..CASE
        },
    ]
}

/// The same: what belongs to the function, and what stands between.
pub fn at_the_function() -> Vec<Case> {
    let denied = Case { status: 503, metric: ("ready", 0.0), over: Some("lambda.restored"), ..CASE };
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
            over: Some("lambda.ready"),
            ..CASE
        },
    ]
}

/// Known once messages come, or do not come.
pub fn at_work() -> Vec<Case> {
    let failing =
        Case { keys: SOON, messages: 3, metric: ("degraded", 1.0), over: Some("bridge.degraded_over"), ..CASE };
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
            fault: Some(always(Action::status(503))),
            line: &["bridge.degraded", "service: HTTP 503"],
            readiness: &["degraded\n", "service: HTTP 503 ServiceUnavailableException"],
            ..failing.clone()
        },
        Case {
            name: "a function that always throws",
            fault: Some(always(Action::function_error("ValueError", "no"))),
            line: &["bridge.degraded", "function failed: ValueError"],
            readiness: &["degraded\n", "function failed: ValueError"],
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
    vec![
        Case {
            name: "a permission that goes away",
            messages: 3,
            fault: Some(always(Action::status(403))),
            line: &["lambda.refused", "the permission lambda:InvokeFunction is missing"],
            status: 503,
            readiness: &["mapping `sensor-data`: configuration: HTTP 403 AccessDeniedException"],
            metric: ("ready", 0.0),
            over: Some("lambda.restored"),
            ..CASE
        },
        Case {
            name: "a failure destination that refuses",
            keys: &[
                ("mapping.on_failure.sqs", "http://127.0.0.1:1/000000000000/letters"),
                ("mapping.retry.max_attempts", "1"),
            ],
            messages: 3,
            fault: Some(always(Action::function_error("ValueError", "no"))),
            line: &["dead_letter.destination_failing", "127.0.0.1:1"],
            readiness: &["degraded\n", "messages are held as no failure destination takes them"],
            metric: ("failing_destinations", 1.0),
            ..CASE
        },
        Case {
            name: "a full disk below the failure destination",
            keys: &[("mapping.on_failure.file", "/dev/full"), ("mapping.retry.max_attempts", "1")],
            messages: 3,
            fault: Some(always(Action::function_error("ValueError", "no"))),
            line: &["dead_letter.destination_failing", "/dev/full: No space left on device"],
            readiness: &["degraded\n", "/dev/full: No space left on device"],
            metric: ("failing_destinations", 1.0),
            ..CASE
        },
        Case {
            name: "a failure destination in a bucket of another region",
            keys: &[("mapping.retry.max_attempts", "1")],
            prepare: |world| {
                Box::pin(async {
                    let bucket = Bucket::start().await.unwrap();
                    bucket.trouble(Some(Trouble::OtherRegion));
                    world.unset("mapping.on_failure.file");
                    world.set("mapping.on_failure.s3", &bucket.url());
                    vec![Box::new(bucket) as Box<dyn Any>]
                })
            },
            messages: 3,
            fault: Some(always(Action::function_error("ValueError", "no"))),
            line: &["dead_letter.destination_failing", "PermanentRedirect", "the bucket is in eu-west-1"],
            readiness: &["degraded\n", "PermanentRedirect", "https://s3.eu-west-1.amazonaws.com/"],
            metric: ("failing_destinations", 1.0),
            ..CASE
        },
        Case {
            name: "a mistyped topic, or an access list that denies silently",
            keys: &[("mapping.topic_filter", "sensr/data"), ("admin.silent_after", "1s")],
            messages: 3,
            line: &["mapping.silent", "no message has ever come"],
            readiness: &["ready\nnote: mapping `sensor-data`: subscribed to `sensr/data` for", "access list"],
            metric: ("silent", 1.0),
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
            over: Some("mapping.resumed"),
            ..CASE
        },
    ]
}

/// The way to the broker.
pub fn on_the_way() -> Vec<Case> {
    let lost = Case { status: 503, metric: ("ready", 0.0), ..CASE };
    vec![
        Case {
            name: "nobody listens at the broker's port",
            keys: &[("mqtt.url", "mqtts://127.0.0.1:1")],
            line: &["broker.lost", "Connection refused"],
            readiness: &["mapping `sensor-data`: ", "Connection refused"],
            ..lost.clone()
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
            prepare: |world| {
                Box::pin(async {
                    let other = world.directory().join("other-ca.crt");
                    std::fs::write(&other, Pki::generate().unwrap().ca_pem()).unwrap();
                    world.set("mqtt.tls.ca_file", other.to_str().unwrap());
                    Vec::new()
                })
            },
            line: &["broker.refused", "`ca_file`"],
            readiness: &["mapping `sensor-data`: ", "`ca_file`"],
            ..lost.clone()
        },
        Case {
            name: "a port that does not speak MQTT over TLS",
            prepare: |world| {
                Box::pin(async {
                    let url = world.lambda.endpoint().replace("http:", "mqtts:");
                    world.set("mqtt.url", &url);
                    Vec::new()
                })
            },
            line: &["broker.refused", "not TLS: the port speaks HTTP"],
            readiness: &["mapping `sensor-data`: ", "not TLS: the port speaks HTTP"],
            ..lost.clone()
        },
        Case {
            name: "a proxy where nobody listens",
            keys: &[("mqtt.proxy", "http://127.0.0.1:1")],
            line: &["broker.lost", "proxy 127.0.0.1:1: no TCP connection", "Connection refused"],
            readiness: &["mapping `sensor-data`: ", "proxy 127.0.0.1:1: no TCP connection"],
            ..lost.clone()
        },
        Case {
            name: "a password file that is gone after a rotation",
            keys: &[("mqtt.url", "mqtts://127.0.0.1:1"), ("mqtt.username", "bridge"), ("mqtt.backoff", "100ms..1s")],
            prepare: |world| {
                Box::pin(async {
                    let file = password_file(world);
                    std::fs::write(&file, "password").unwrap();
                    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
                    world.set("mqtt.password_file", file.to_str().unwrap());
                    Vec::new()
                })
            },
            then: |world| {
                std::fs::remove_file(password_file(world)).unwrap();
                Vec::new()
            },
            line: &["broker.refused", "no password for the broker: ", "/password"],
            readiness: &["mapping `sensor-data`: ", "no password for the broker: ", "/password"],
            ..lost.clone()
        },
        Case {
            name: "another client with the same client id",
            then: |world| vec![Box::new(world.spawn_bridge().unwrap())],
            line: &["session.taken_over", "is another process running"],
            readiness: &["mapping `sensor-data`: ", "is another process running"],
            ..lost.clone()
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

fn password_file(world: &World) -> std::path::PathBuf {
    world.directory().join("password")
}
