//! The configurations of Mosquitto that the repository ships, and the client ids and topic filters of the bridge that
//! goes with each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a configuration is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// `docker/mosquitto`.
    Docker,
    /// The broker that `terraform/` makes.
    Terraform,
    /// The walk of docs/tutorial.md.
    Walk,
    /// The broker on a machine of one's own, of certs/README.md.
    Certs,
}

/// All of them.
pub const EVERYWHERE: [Shipped; 4] = [Shipped::Docker, Shipped::Terraform, Shipped::Walk, Shipped::Certs];

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
            Self::Terraform => written(&read("terraform/modules/broker/templates/broker.sh.tftpl"), "/etc/mosquitto/")
                .into_iter()
                .map(|(name, text)| {
                    // As `templatefile` does: broker.tf puts a file of the same name in the place of this expression.
                    assert!(text.starts_with("${chomp("), "{text}");
                    let text = read(&format!("terraform/modules/broker/templates/{name}"));
                    (name.clone(), name, text)
                })
                .collect(),
            Self::Walk => made_by("docs/tutorial.md", "mkdir -p target/walk"),
            Self::Certs => made_by("certs/README.md", "sed -e 's|/mosquitto/tls|"),
        }
    }

    /// Paths in its files, and what they are below the directory of a test.
    pub fn places(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Docker => &[("/mosquitto/", "")],
            Self::Terraform | Self::Certs => {
                &[("/etc/mosquitto/tls/", "tls/"), ("/etc/mosquitto/", "config/"), ("/var/lib/mosquitto/", "data/")]
            }
            Self::Walk => &[("certs/out/", "tls/"), ("target/walk/", "config/")],
        }
    }

    /// What its bridge subscribes to, to get `sensor/data`.
    pub fn topic_filter(self) -> String {
        let (file, before, after) = match self {
            Self::Docker | Self::Certs => ("docker/bridge/bridge.toml", "\ntopic_filter = \"", '"'),
            Self::Terraform => ("terraform/mappings.toml.tftpl", "\ntopic_filter = \"", '"'),
            Self::Walk => ("docs/tutorial.md", "\ntopic_filter = \"", '"'),
        };
        let text = read(file);
        let filter = text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap().0.to_owned();
        assert!(filter.ends_with("sensor/data"), "{file}: {filter}");
        filter
    }

    /// What the client ids of its bridge begin with.
    pub fn client_id(self) -> String {
        let (text, before) = match self {
            Self::Docker => (read("docker/bridge/bridge.toml"), "\nclient_id = \""),
            Self::Terraform => (
                read("terraform/modules/bridge/main.tf"),
                "client_ids   = [for index in range(var.replicas.count) : \"",
            ),
            // docs/tutorial.md sets no client id, so the default holds.
            Self::Walk => (bridge::config::commented_default(), "#client_id = \""),
            Self::Certs => (read("certs/README.md"), "\nclient_id = \""),
        };
        let id = text.split_once(before).and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
        id.replace("${var.name}", "mqtt-lambda").replace("${index}", "0")
    }
}

/// What the commands of a page write, from the first of these words to the end of their block, run as they stand on the
/// page. Left out are starting the broker, and who owns the files; where they are written is `target/walk` here.
fn made_by(page: &str, first: &str) -> Vec<(String, String, String)> {
    let text = read(page);
    let at = text.find(first).unwrap_or_else(|| panic!("{page} has no `{first}`"));
    let block = text[at..].split("\n```").next().unwrap();
    let kept = block.lines().filter(|line| !line.contains("mosquitto -c") && !line.contains("user root"));
    let script = kept.collect::<Vec<_>>().join("\n");
    let script = script.replace(" -o mosquitto", "").replace(">/etc/mosquitto/", ">target/walk/");
    let script = script.replace(".acl /etc/mosquitto", ".acl target/walk");
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("docker"), directory.path().join("docker")).unwrap();
    let made = directory.path().join("target/walk");
    fs::create_dir_all(&made).unwrap();
    let status = Command::new("sh").args(["-euc", &script]).current_dir(directory.path()).status().unwrap();
    assert!(status.success(), "{page}: {script}");
    let files = fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let file = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name.clone(), name, fs::read_to_string(path).unwrap())
    };
    files.map(file).collect()
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
    fs::read_to_string(root().join(path)).unwrap()
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
