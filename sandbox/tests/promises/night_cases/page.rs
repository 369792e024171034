//! docs/troubleshooting.md shows the table of cases, each with what to do about it. `UPDATE_DOCS=1` writes it there.

use std::path::Path;

use super::table::{self, Case, Over};

const BEGIN: &str = "<!-- UPDATE_DOCS=1 cargo test -p sandbox --test promises night_cases::page -->\n";
const END: &str = "<!-- end -->\n";

/// What to do, by the name of the case.
const REMEDIES: &[(&str, &str)] = &[
    (
        "no credentials",
        "Give the process credentials that the SDK's chain finds: variables, a profile, or the role of its task or instance. `check` names the source that it found",
    ),
    ("a profile that does not exist", "Correct `AWS_PROFILE`, or mount the files of `~/.aws` that have it"),
    ("a function that does not exist", "Correct `function`; the line names the endpoint and the region"),
    ("an alias that does not exist", "Create the alias, or correct what stands behind the colon in `function`"),
    (
        "a region where the function is not",
        "Set `AWS_REGION` to the region of the function, or write the function's ARN",
    ),
    (
        "a denied invocation",
        "Allow `lambda:InvokeFunction` on the function, and on `function:*` where an alias is invoked",
    ),
    ("a wrong secret key", "Replace the secret key, or set the clock of the machine"),
    (
        "an access key that does not exist",
        "Replace the access key; it was deleted, or belongs to another partition of AWS",
    ),
    (
        "expired credentials",
        "Renew the session, or use a source that renews by itself: a role, `credential_process`, SSO",
    ),
    ("a function without a published version", "Publish a version, or invoke `$LATEST`"),
    ("an endpoint that knows no dry run", "Nothing; or `lambda.dry_run = false`, where the endpoint is an emulator"),
    ("a function that was left undone by an update", "Wait; if it lasts, look at the function's last update status"),
    (
        "nobody listens at the endpoint of AWS",
        "Correct `AWS_ENDPOINT_URL`, or open the way to Lambda: route, NAT gateway, VPC endpoint, proxy",
    ),
    ("a function whose runtime was retired", "Update the function's runtime"),
    (
        "a key that the function may not use",
        "Allow the function's role `kms:Decrypt` on the key of its environment variables",
    ),
    ("a clock that is wrong", "Set the clock of the machine; run an NTP client"),
    ("subnets without addresses", "Give the function larger or more subnets"),
    (
        "a recursive loop that Lambda has stopped",
        "Find what publishes the function's own output to its input; then lift the stop in Lambda",
    ),
    (
        "a proxy's page in place of Lambda",
        "Correct `HTTPS_PROXY` and `NO_PROXY`, or have the proxy let Lambda's host through",
    ),
    ("429 without end", "Raise the function's reserved concurrency or the account's limit, or lower `concurrency`"),
    (
        "5xx without end",
        "Wait, and look at AWS's health page; messages older than `retry.max_age` go to the failure destination",
    ),
    (
        "a function that always throws",
        "Read the function's own log. Pause the mapping while you repair it, if its messages must not be dead-lettered",
    ),
    ("a function whose process ends", "Read the function's own log: the process has ended without an answer"),
    (
        "a function whose answer cannot be read",
        "Return a JSON object, or nothing; the log names line and column of what could not be read",
    ),
    (
        "a function that never answers in time",
        "Make the function faster, or raise `timeout` above the function's own timeout",
    ),
    ("connections to Lambda that always break", "Look for a firewall, proxy or NAT gateway that ends connections"),
    (
        "a degraded bridge that shall count as not ready",
        "As above: `admin.degraded = \"unready\"` only changes the status that `/readyz` has",
    ),
    (
        "a permission that goes away",
        "Restore `lambda:InvokeFunction`; messages are held meanwhile, and none is dead-lettered",
    ),
    (
        "a failure destination that refuses",
        "Repair the destination, or add one that takes every message (`file`, `s3`) at the end of the chain",
    ),
    (
        "a mistyped topic, or an access list that denies silently",
        "Run `check --probe`: it publishes to the topic and waits for the message",
    ),
    ("a mapping that an operator has paused", "`mqtt-lambda-bridge resume MAPPING`"),
    ("nobody listens at the broker's port", "Correct host and port of `mqtt.url`, start the broker, or open the way"),
    (
        "a certificate of the broker for another name",
        "Use a name in `mqtt.url` that the certificate has, or name it in `mqtt.tls.server_name`",
    ),
    ("no client certificate where the broker wants one", "Set `mqtt.tls.cert_file` and `mqtt.tls.key_file`"),
    (
        "an authority that has not signed the broker's certificate",
        "Name the authority of the broker's certificate in `mqtt.tls.ca_file`; after a rotation, both the old one and the new one",
    ),
    ("a port that does not speak MQTT over TLS", "Write the broker's port for MQTT over TLS, usually 8883"),
    ("a proxy where nobody listens", "Correct `mqtt.proxy`, start the proxy, or remove the key where none is needed"),
    (
        "a password file that is gone after a rotation",
        "Write the file again, with mode 0600; the bridge reads it for each attempt and needs no restart",
    ),
    (
        "another client with the same client id",
        "Stop the other client, or give each its own `mqtt.client_id`; replicas share a topic with `$share/group/`",
    ),
    (
        "a full disk below the failure destination",
        "Make room, or add a destination elsewhere to the end of the chain; messages are held meanwhile",
    ),
    (
        "a failure destination in a bucket of another region",
        "Write the bucket with the endpoint of its region: `https://s3.REGION.amazonaws.com/BUCKET/PREFIX/`",
    ),
    ("a broker whose name does not exist", "Correct the host of `mqtt.url`, or the resolver of the machine"),
];

/// A heading, and the cases below it.
type Part = (&'static str, fn() -> Vec<Case>);

const PARTS: &[Part] = &[
    ("The way to the broker", table::on_the_way),
    ("Credentials, region and name of the function", table::at_the_start),
    ("The account and the endpoint", table::at_the_account),
    ("The function's own set-up", table::at_the_function),
    ("Invocations that fail", table::at_work),
    ("Operators, topics and failure destinations", table::at_the_desk),
];

#[test]
fn troubleshooting_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/troubleshooting.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let made = made();
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, made, "docs/troubleshooting.md is out of date; its comment has the command that writes it");
}

#[test]
fn each_remedy_is_for_a_case_and_each_case_has_one() {
    let mut cases: Vec<_> = cases().map(|case| case.name).collect();
    let mut remedies: Vec<_> = REMEDIES.iter().map(|(name, _)| *name).collect();
    cases.sort_unstable();
    remedies.sort_unstable();
    assert_eq!(cases, remedies);
}

/// All in which something is wrong.
fn cases() -> impl Iterator<Item = Case> {
    PARTS.iter().flat_map(|(_, cases)| cases()).filter(|case| case.name != "all is well")
}

fn made() -> String {
    let mut text = String::new();
    for (title, cases) in PARTS {
        let head =
            "| what is wrong | the log says | `/readyz` | when it is over | what to do |\n|---|---|---|---|---|\n";
        text.extend(["\n### ", *title, "\n\n", head]);
        text.extend(cases().iter().filter(|case| case.name != "all is well").map(row));
    }
    text + "\n"
}

fn row(case: &Case) -> String {
    let (event, words) = case.line.split_first().unwrap();
    let words: Vec<_> = words.iter().map(|word| format!("“{}”", word.trim().trim_end_matches(':'))).collect();
    let readiness = match (case.status, case.readiness[0]) {
        (503, _) => "503",
        (_, body) if body.starts_with("degraded") => "200 `degraded`",
        (_, body) if body.starts_with("ready\nnote") => "200, with a note",
        _ => "200",
    };
    let over = match case.over {
        Over::Never => String::new(),
        Over::Said(event) | Over::Elsewhere(event) => format!("`{event}`"),
        Over::Restart => "`bridge.ready`, after a restart".to_owned(),
    };
    let (_, remedy) = REMEDIES.iter().find(|(name, _)| *name == case.name).unwrap();
    format!("| {} | `{event}` {} | {readiness} | {over} | {remedy} |\n", case.name, words.join(" … "))
}
