//! What stands below the flags in `--help`: examples, and exit codes. Lines of at most 80 columns, so that a terminal of that
//! width does not wrap them once more.

pub(super) const RUN: &str = "\
Examples:
  Invoke `sensor-handler` for each message on sensor/data:
    mqtt-lambda-bridge run --url mqtts://broker.example --ca-file ca.crt \\
        --topic-filter sensor/data --function sensor-handler

  The same with a client certificate, and a file for dead letters:
    mqtt-lambda-bridge run --url mqtts://broker.example --ca-file ca.crt \\
        --cert-file bridge.crt --key-file bridge.key \\
        --topic-filter sensor/data --function sensor-handler \\
        --on-failure-file dead-letters.jsonl

  Several mappings, from a file that you edit first:
    mqtt-lambda-bridge config > bridge.toml
    mqtt-lambda-bridge run --config bridge.toml

Every key of the file is also an environment variable: mqtt.url is
BRIDGE_MQTT_URL. A flag wins over a variable, a variable over the file. A flag
without a default is unset until you give it. No flag takes a password: write
it to the file that --password-file names, or set BRIDGE_MQTT_PASSWORD. The AWS
region, credentials and AWS_ENDPOINT_URL come from the standard chain of the
AWS SDK. RUST_LOG sets the log level, `info` by default.
Exit codes: 0 done, 1 failed while running, 2 wrong usage or configuration,
3 retired, but the broker may have dropped messages.";

pub(super) const CHECK: &str = "\
Examples:
  Test files, broker, function and failure destinations:
    mqtt-lambda-bridge check --config bridge.toml

  Also publish a message, and wait until it comes back:
    mqtt-lambda-bridge check --config bridge.toml --probe \\
        --probe-topic devices/device-7/data

`check` takes no message and leaves a running bridge alone: it connects as
`{client_id}-check`.
Exit codes: 0 all steps work, 1 a step fails, 2 wrong usage or configuration.";

pub(super) const CONFIG: &str = "\
Examples:
  A file to edit, with every key and its explanation:
    mqtt-lambda-bridge config > bridge.toml

  The shortest file that works, once its values are yours:
    mqtt-lambda-bridge config --minimal > bridge.toml";

pub(super) const REDRIVE: &str = "\
Examples:
  Count what a redrive would send:
    mqtt-lambda-bridge redrive --config bridge.toml --dry-run \\
        --from file:dead-letters.jsonl

  Send the letters of one device, no faster than 50 a second:
    mqtt-lambda-bridge redrive --config bridge.toml --rate 50/s \\
        --filter '{\"topicLevels\":[\"device-7\"]}' \\
        --from sqs:https://sqs.eu-west-1.amazonaws.com/123456789012/dead-letters

  Those of one day, from a bucket:
    mqtt-lambda-bridge redrive --config bridge.toml \\
        --from s3://my-bucket/dead-letters/20261120

Letters that fail again stay. A redrive that is interrupted loses nothing; run
it again.
Exit codes: 0 done, 1 some failed or it ended early, 2 wrong usage or
configuration.";

pub(super) const ORDER_EXIT: &str = "Exit codes: 0 done, 1 the bridge was not reached or refused, 2 wrong usage.";

pub(super) const RETIRE: &str = "\
Examples:
  Retire the bridge on this machine, and wait until it has exited:
    mqtt-lambda-bridge retire --wait

  The `preStop` hook of a StatefulSet, which must not retire at a restart:
    mqtt-lambda-bridge retire --if-scaled-down --wait

Exit codes: 0 done, 1 the bridge was not reached or refused, 2 wrong usage.";

pub(super) const WRITE_FILES: &str = "\
Examples:
  Two files, from a variable each:
    mqtt-lambda-bridge write-files --into /run/tls \\
        bridge.crt=BRIDGE_CERTIFICATE bridge.key=BRIDGE_KEY

  All files of a JSON object such as {\"ca.crt\": \"...\"}, for another user:
    mqtt-lambda-bridge write-files --into /run/tls --json TLS_FILES \\
        --owner 65532:65532";

pub(super) const COMPLETIONS: &str = "\
Example:
  source <(mqtt-lambda-bridge completions bash)";

pub(super) const MAN: &str = "\
Example:
  mqtt-lambda-bridge man run > run.1 && man -l run.1";
