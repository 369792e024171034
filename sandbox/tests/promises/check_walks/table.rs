//! The rows: a configuration and the expected report, for correct ones and for wrong files. Runs nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sandbox::certs::{Leaf, Role, Validity};
use sandbox::lambda::{Function, Refusal};
use sandbox::world::World;

/// A configuration and the expected report. By default all is well.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    /// Keys of the configuration; an empty value removes one.
    pub keys: &'static [(&'static str, &'static str)],
    /// Further keys, whose values depend on the world.
    pub with: fn(&World) -> Vec<(&'static str, String)>,
    pub variables: &'static [(&'static str, &'static str)],
    pub arguments: &'static [&'static str],
    /// Changes the function of the world.
    pub function: fn(&mut Function),
    pub is_other_function: bool,
    /// What Lambda answers to a dry run.
    pub fault: Option<Refusal>,
    pub code: i32,
    /// Parts of the output, or of the errors.
    pub says: &'static [&'static str],
}

pub const CASE: Case = Case {
    name: "",
    keys: &[],
    with: |_| Vec::new(),
    variables: &[],
    arguments: &[],
    function: |_| {},
    is_other_function: false,
    fault: None,
    code: 1,
    says: &[],
};

impl Case {
    /// Whether it affects other rows, and so needs a world of its own.
    pub fn has_own_world(&self) -> bool {
        self.is_other_function || self.fault.is_some()
    }
}

/// A file in the world's directory. Rows share it, so each has names of its own.
pub fn write(world: &World, name: &str, text: &str, mode: u32) -> String {
    let path: PathBuf = world.directory().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

pub fn right() -> Vec<Case> {
    let right = Case { code: 0, ..CASE };
    vec![
        Case {
            name: "all is well",
            says: &[
                "ok   tls files",
                "certificate until 2",
                "ok   dns",
                "ok   tcp",
                "connected to localhost:",
                "ok   tls",
                "TLSv1.3 TLS_AES_",
                "X25519MLKEM768; the broker's certificate `CN=localhost` of `CN=sandbox CA` is valid until 2",
                "ok   connect",
                "accepted; sessions are kept for",
                "ok   subscribe of `sensor-data`",
                "granted with QoS 1",
                "ok   region",
                "Lambda is called at 127.0.0.1:",
                "(us-east-1)",
                "ok   credentials",
                "from the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                "ok   identity",
                "account 000000000000, arn:aws:sts::000000000000:assumed-role/sandbox/bridge",
                "ok   function of `sensor-data`",
                "may be invoked, version $LATEST, its timeout is 3s, its reserved concurrency 1000",
                "ok   failure destination",
                "can be written",
                "all steps work",
            ],
            ..right.clone()
        },
        Case { name: "a probe", arguments: &["--probe"], says: &["ok   probe", "and it came back"], ..right.clone() },
        Case {
            name: "wildcards and a probe without a topic",
            keys: &[("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe"],
            says: &["warn probe", "--probe-topic"],
            ..right.clone()
        },
        Case {
            name: "wildcards and a topic",
            keys: &[("mapping.topic_filter", "sensor/+")],
            arguments: &["--probe", "--probe-topic", "sensor/data"],
            says: &["ok   probe", "and it came back"],
            ..right.clone()
        },
        Case {
            name: "a shared subscription is not joined",
            keys: &[("mapping.topic_filter", "$share/group/sensor/data")],
            says: &["ok   subscribe of `sensor-data`", "`sensor/data` granted"],
            ..right.clone()
        },
        Case {
            name: "a client certificate that ends soon",
            with: |world| {
                let leaf = Leaf { validity: Validity::EndsSoon, ..Leaf::client("bridge") };
                let identity = world.pki.issue(&leaf).unwrap();
                vec![
                    ("mqtt.tls.cert_file", write(world, "soon.crt", identity.certificate_pem(), 0o644)),
                    ("mqtt.tls.key_file", write(world, "soon.key", identity.private_pem(), 0o600)),
                ]
            },
            says: &[
                "warn tls files",
                "hint: renew it in time: certificate: `CN=bridge` is valid until 2",
                "ok   connect",
            ],
            ..right
        },
    ]
}

pub fn wrong_files() -> Vec<Case> {
    let mistake = Case { code: 2, ..CASE };
    vec![
        Case {
            name: "a missing file of authorities",
            keys: &[("mqtt.tls.ca_file", "/nowhere/ca.crt")],
            says: &["error: ", "/nowhere/ca.crt: no such file"],
            ..mistake.clone()
        },
        Case {
            name: "an empty file of authorities",
            with: |world| vec![("mqtt.tls.ca_file", write(world, "empty.crt", "", 0o644))],
            says: &["error: BRIDGE_MQTT_TLS_CA_FILE: ", "empty.crt"],
            ..mistake.clone()
        },
        Case {
            name: "a password file that others may read",
            keys: &[("mqtt.username", "bridge")],
            with: |world| vec![("mqtt.password_file", write(world, "open.password", "password", 0o644))],
            says: &["error: BRIDGE_MQTT_PASSWORD_FILE: ", "open.password", "0644"],
            ..mistake.clone()
        },
        Case {
            name: "a variable that does not exist",
            variables: &[("BRIDGE_MQTT_URLL", "mqtts://broker.example")],
            says: &["error: BRIDGE_MQTT_URLL: ", "did you mean `BRIDGE_MQTT_URL`?"],
            ..mistake.clone()
        },
        Case {
            name: "several mistakes at once",
            keys: &[("mapping.qos", "3"), ("mapping.timeout", "soon"), ("mqtt.url", "mqtt://broker.example")],
            says: &[
                "error: BRIDGE_MAPPING_QOS: ",
                "error: BRIDGE_MAPPING_TIMEOUT: ",
                "error: BRIDGE_MQTT_URL: `mqtt://` is not",
            ],
            ..mistake.clone()
        },
        Case {
            name: "mistakes in a file have their lines",
            arguments: &["--config", "wrong.toml"],
            with: |world| {
                write(world, "wrong.toml", "[mqtt]\nkeep_alive = \"x\"\n[admin]\nsilent_after = \"y\"\n", 0o644);
                Vec::new()
            },
            says: &["error: wrong.toml:2: mqtt.keep_alive: ", "error: wrong.toml:4: admin.silent_after: "],
            ..mistake
        },
        Case {
            name: "a key that others may read",
            with: |world| {
                let key = world.pki.identity(Role::Bridge).private_pem();
                vec![("mqtt.tls.key_file", write(world, "open.key", key, 0o644))]
            },
            says: &["FAIL tls files", "open.key", "ok   function"],
            ..CASE
        },
        Case {
            name: "a key of another certificate",
            with: |world| vec![("mqtt.tls.key_file", world.files.device.key.display().to_string())],
            says: &["FAIL tls files", "does not belong to the certificate in"],
            ..CASE
        },
        Case {
            name: "a client certificate that has expired",
            with: |world| {
                let leaf = Leaf { validity: Validity::Expired, ..Leaf::client("bridge") };
                let identity = world.pki.issue(&leaf).unwrap();
                vec![
                    ("mqtt.tls.cert_file", write(world, "old.crt", identity.certificate_pem(), 0o644)),
                    ("mqtt.tls.key_file", write(world, "old.key", identity.private_pem(), 0o600)),
                ]
            },
            says: &["FAIL tls files", "certificate: `CN=bridge` has expired on 2", "hint: renew it"],
            ..CASE
        },
        Case {
            name: "a revocation list that has expired",
            with: |world| {
                let list = world.pki.revoke(&[], Validity::Expired).unwrap();
                vec![("mqtt.tls.crl_file", write(world, "old.crl", &list, 0o644))]
            },
            says: &["FAIL tls files", "revocation list: `CN=sandbox CA` has expired on 2", "hint: renew it"],
            ..CASE
        },
        Case {
            name: "a directory for dead letters that is not there",
            keys: &[("mapping.on_failure.file", "/nowhere/letters.jsonl")],
            says: &["FAIL failure destination", "/nowhere/letters.jsonl", "No such file"],
            ..CASE
        },
    ]
}
