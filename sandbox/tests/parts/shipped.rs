//! The configurations of Mosquitto that the repository ships, and the subscription of the bridge that goes with each.

use std::fs;
use std::path::Path;

/// Where a configuration is shipped.
#[derive(Clone, Copy, Debug)]
pub enum Shipped {
    /// `docker/mosquitto`.
    Docker,
    /// The broker that `terraform/` makes.
    Terraform,
    /// The walk of README.md.
    Walk,
}

impl Shipped {
    /// Its files: name, place below the directory of the configuration, text.
    pub fn files(self) -> Vec<(String, String, String)> {
        let file = |directory: &str, from: &str, to: &str| {
            (from.to_owned(), to.to_owned(), read(&format!("{directory}/{from}")))
        };
        match self {
            Self::Docker => [
                ("mosquitto.conf", "mosquitto.conf"),
                ("devices.acl", "devices.acl"),
                ("bridge.acl", "bridge.acl"),
                ("psk/psk.conf", "conf.d/psk.conf"),
                ("psk/psk.acl", "conf.d/psk.acl"),
            ]
            .map(|(from, to)| file("docker/mosquitto", from, to))
            .to_vec(),
            Self::Terraform => written(&read("terraform/templates/broker.sh.tftpl"), "/etc/mosquitto/")
                .into_iter()
                .map(|(name, text)| {
                    // As `templatefile` does: the text is the name of what broker.tf gives it, a file of the same name.
                    assert!(text.starts_with("${chomp("), "{text}");
                    let text = read(&format!("terraform/templates/{name}"));
                    (name.clone(), name, text)
                })
                .collect(),
            Self::Walk => written(&read("README.md"), "target/walk/")
                .into_iter()
                .map(|(name, text)| (name.clone(), name, text))
                .collect(),
        }
    }

    /// Paths in its files, and what they are below the directory of a test.
    pub fn places(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Docker => &[("/mosquitto/", "")],
            Self::Terraform => {
                &[("/etc/mosquitto/tls/", "tls/"), ("/etc/mosquitto/", "config/"), ("/var/lib/mosquitto/", "data/")]
            }
            Self::Walk => &[("certs/out/", "tls/"), ("target/walk/", "config/")],
        }
    }

    /// What its bridge subscribes to, to get `sensor/data`.
    pub fn topic_filter(self) -> String {
        let (file, before, after) = match self {
            Self::Docker => ("docker/bridge/bridge.toml", "\ntopic_filter = \"", '"'),
            Self::Terraform => ("terraform/mappings.toml.tftpl", "\ntopic_filter = \"", '"'),
            Self::Walk => ("README.md", "--topic-filter ", ' '),
        };
        let text = read(file);
        let filter = text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap().0.to_owned();
        assert!(filter.ends_with("sensor/data"), "{file}: {filter}");
        filter
    }
}

/// What a text writes into files below a directory by `cat >… <<'CONF'`: names and texts.
fn written(text: &str, directory: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((before, rest)) = line.strip_suffix(" <<'CONF'").and_then(|line| line.rsplit_once(directory)) else {
            continue;
        };
        assert!(before.trim_end().ends_with("cat >"), "{line}");
        let name = rest.to_owned();
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "CONF").collect();
        files.push((name, body.join("\n") + "\n"));
    }
    assert!(!files.is_empty(), "nothing is written to {directory}");
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}
