//! The rows about AWS, right and wrong. Runs nothing.

use std::time::Duration;

use sandbox::lambda::Refusal;

use super::table::{CASE, Case};

fn code(status: u16, code: &'static str) -> Refusal {
    Refusal::Raw { status, code: Some(code), body: "{}" }
}

/// Rows without a failure.
pub fn right_accounts() -> Vec<Case> {
    let right = Case { code: 0, ..CASE };
    vec![
        Case {
            name: "a timeout below the function's",
            keys: &[("mapping.timeout", "1s")],
            function: |function| function.timeout = Duration::from_mins(1),
            is_other_function: true,
            says: &["warn function", "mapping.timeout is 1s", "set it above 60s"],
            ..right.clone()
        },
        Case {
            name: "less reserved concurrency than ours",
            function: |function| function.concurrency = 2,
            is_other_function: true,
            says: &["warn function", "mapping.concurrency is 10, and Lambda runs 2 at once"],
            ..right.clone()
        },
        Case {
            name: "settings that may not be read",
            function: |function| function.configuration_readable = false,
            is_other_function: true,
            says: &["ok   function", "not all of its settings are known (HTTP 403)"],
            ..right.clone()
        },
        Case {
            name: "an emulator that would run the function for a dry run",
            keys: &[("lambda.dry_run", "false")],
            fault: Some(Refusal::AccessDenied),
            says: &[
                "warn function",
                "not asked whether it may be invoked, as `lambda.dry_run` is false, version $LATEST",
                "hint: the first message will show it",
            ],
            ..right.clone()
        },
        Case {
            name: "no way to STS",
            variables: &[("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")],
            says: &["ok   identity", "not known, which the bridge does not need", "Connection refused"],
            ..right.clone()
        },
        Case {
            name: "a private endpoint of STS whose policy does not allow the question",
            variables: &[("AWS_ACCESS_KEY_ID", "fenced")],
            says: &["ok   identity", "not known, which the bridge does not need", "AccessDenied", "ok   function"],
            ..right
        },
    ]
}

/// Credentials, region, endpoint.
pub fn wrong_accounts() -> Vec<Case> {
    vec![
        Case {
            name: "no credentials",
            variables: &[
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            // A file as failure destination needs no credentials.
            says: &["ok   connect", "FAIL credentials", "hint: set AWS_ACCESS_KEY_ID", "ok   failure destination"],
            ..CASE
        },
        Case {
            name: "no region",
            variables: &[("AWS_REGION", ""), ("AWS_EC2_METADATA_DISABLED", "true")],
            says: &["FAIL aws", "set AWS_REGION"],
            ..CASE
        },
        Case {
            name: "an endpoint that is no URL",
            variables: &[("AWS_ENDPOINT_URL", "127.0.0.1:4566")],
            says: &["FAIL aws", "AWS_ENDPOINT_URL: "],
            ..CASE
        },
        Case {
            name: "a profile that does not exist",
            variables: &[
                ("AWS_PROFILE", "nowhere"),
                ("AWS_ACCESS_KEY_ID", ""),
                ("AWS_SECRET_ACCESS_KEY", ""),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            says: &["FAIL credentials", "AWS_PROFILE is `nowhere`"],
            ..CASE
        },
        Case {
            name: "an access key that was deleted",
            variables: &[("AWS_ACCESS_KEY_ID", "deleted")],
            says: &["ok   credentials", "FAIL identity", "InvalidClientTokenId", "hint: the credentials are wrong"],
            ..CASE
        },
        Case {
            name: "a session that has expired",
            variables: &[("AWS_ACCESS_KEY_ID", "expired")],
            says: &["ok   credentials", "FAIL identity", "ExpiredToken"],
            ..CASE
        },
    ]
}

/// Missing functions, keys, destinations and permissions.
pub fn wrong_functions() -> Vec<Case> {
    vec![
        Case {
            name: "no such function",
            keys: &[("mapping.function", "nobody")],
            says: &["FAIL function", "no such function, version or alias", "hint: check mapping.function, AWS_REGION"],
            ..CASE
        },
        Case {
            name: "no such alias",
            keys: &[("mapping.function", "sensor-handler:live")],
            says: &["FAIL function", "no such function, version or alias"],
            ..CASE
        },
        Case {
            name: "a denied invocation",
            fault: Some(Refusal::AccessDenied),
            says: &["FAIL function", "the permission lambda:InvokeFunction is missing"],
            ..CASE
        },
        Case {
            name: "expired credentials",
            fault: Some(Refusal::ExpiredToken),
            says: &["FAIL function", "the credentials have expired"],
            ..CASE
        },
        Case {
            name: "a wrong secret key, or clock",
            fault: Some(code(403, "InvalidSignatureException")),
            says: &["FAIL function", "the secret key is wrong, or the clock"],
            ..CASE
        },
        Case {
            name: "a key that the function may not use",
            fault: Some(code(502, "KMSAccessDeniedException")),
            says: &["FAIL function", "the function may not use its key"],
            ..CASE
        },
        Case {
            name: "a proxy's page in place of Lambda",
            fault: Some(Refusal::Raw { status: 503, code: None, body: "<html>busy</html>" }),
            says: &["FAIL function", "a proxy or a gateway may have sent it"],
            ..CASE
        },
        Case {
            name: "no concurrency",
            function: |function| function.concurrency = 0,
            is_other_function: true,
            says: &["FAIL function", "its reserved concurrency is 0"],
            ..CASE
        },
        Case {
            name: "a queue that is not there",
            keys: &[("mapping.on_failure.sqs", "http://127.0.0.1:1/000000000000/letters")],
            says: &["ok   function", "FAIL failure destination", "127.0.0.1:1"],
            ..CASE
        },
        Case {
            name: "a full disk",
            keys: &[("mapping.on_failure.file", "/dev/full")],
            says: &["ok   function", "FAIL failure destination", "/dev/full: No space left on device"],
            ..CASE
        },
        Case {
            name: "an endpoint where nobody listens",
            variables: &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")],
            says: &["ok   identity", "not known", "FAIL function", "Connection refused"],
            ..CASE
        },
    ]
}
