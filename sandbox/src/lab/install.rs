//! Whether a broker is installed on this machine, and what a missing one means: a visible skip for a user, an error if
//! [`REQUIRE_BROKERS`] names it. Never installs anything.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Product;
use crate::tools::find_tool;

/// Names the brokers that must be there: a list separated by commas, or `all`.
pub const REQUIRE_BROKERS: &str = "REQUIRE_BROKERS";

/// Where `.ci/brokers` puts what comes from no package of this system; `target/brokers` unless said otherwise.
const LAB_BROKERS: &str = "LAB_BROKERS";

const RABBITMQ: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const ACTIVEMQ: &str = "/usr/share/activemq/bin/activemq.jar";
const MQTT_OF_ACTIVEMQ: &str = "/usr/share/java/mqtt-client.jar";
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// A broker that is not on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broker `{}`: not installed: {}", .0.name(), .0.how_to_get())]
pub struct NotInstalled(pub Product);

/// The program that starts a broker, and the directory that is its root, when it is not ours.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) root: Option<PathBuf>,
}

/// The broker, or `None` when a test shall return, having been skipped. The skip is written past the capture of the
/// test harness.
///
/// # Panics
/// When it is missing and [`REQUIRE_BROKERS`] names it.
#[must_use]
pub fn require(product: Product) -> Option<Product> {
    if find(product).is_ok() {
        return Some(product);
    }
    let remark = skip(product, &env::var(REQUIRE_BROKERS).unwrap_or_default());
    let _ = writeln!(io::stderr(), "{remark}");
    None
}

fn skip(product: Product, wanted: &str) -> String {
    let missing = NotInstalled(product);
    assert!(!is_named(wanted, product), "{missing}, or leave it out of {REQUIRE_BROKERS}");
    format!("skipped: {missing}")
}

fn is_named(list: &str, product: Product) -> bool {
    list.split(',').map(str::trim).any(|entry| entry == "all" || entry == product.name())
}

/// The directory for what comes from PyPI, npm and another Debian.
pub(super) fn directory() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/brokers");
    env::var_os(LAB_BROKERS).map_or_else(default, PathBuf::from)
}

/// Finds what starts a broker.
///
/// # Errors
/// [`NotInstalled`] when a part of it is not there.
pub(super) fn find(product: Product) -> Result<Program, NotInstalled> {
    let missing = NotInstalled(product);
    let tool = |name| find_tool(name).ok();
    let file = |path: PathBuf| path.is_file().then_some(path);
    let path = match product {
        Product::Mosquitto => tool("mosquitto"),
        Product::RabbitMq3 => file(RABBITMQ.into()),
        Product::RabbitMq4 => return rabbitmq_4().ok_or(missing),
        Product::Ejabberd => tool("ejabberdctl").and_then(|_| tool("erl")).filter(|_| ejabberd_libraries().is_some()),
        Product::Nats29 => tool("nats-server"),
        Product::Nats215 => file(directory().join("venv/bin/nats-server")),
        Product::ActiveMq => {
            file(ACTIVEMQ.into()).and_then(|_| file(MQTT_OF_ACTIVEMQ.into())).and_then(|_| tool("java"))
        }
        Product::Aedes => file(directory().join("npm/node_modules/aedes/package.json")).and_then(|_| tool("node")),
        Product::Rumqttd => rumqttd(),
    };
    path.map(|path| Program { path, root: None }).ok_or(missing)
}

/// Where ejabberd's libraries are, for Erlang.
pub(super) fn ejabberd_libraries() -> Option<PathBuf> {
    let libraries = PathBuf::from(LIBRARIES);
    let mut entries = libraries.read_dir().ok()?.flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with("ejabberd-")).then_some(libraries)
}

/// A Debian of its own, which only root can enter.
fn rabbitmq_4() -> Option<Program> {
    let root = directory().join("trixie").canonicalize().ok()?;
    let installed = root.join(RABBITMQ.trim_start_matches('/')).is_file();
    let path = find_tool("chroot").ok()?;
    installed.then_some(Program { path, root: Some(root) })
}

fn rumqttd() -> Option<PathBuf> {
    let python = directory().join("venv/bin/python");
    let mut versions = directory().join("venv/lib").read_dir().ok()?.flatten();
    versions.any(|version| version.path().join("site-packages/iotcore").is_dir()).then_some(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_broker_that_nobody_requires_is_a_skip_that_says_how_to_get_it() {
        let remark = skip(Product::Ejabberd, "mosquitto");
        assert_eq!(remark, "skipped: broker `ejabberd`: not installed: apt-get install ejabberd (Debian 12)");
    }

    #[test]
    #[should_panic(expected = "broker `nats-2.9`: not installed")]
    fn a_missing_broker_that_is_required_is_a_failure() {
        skip(Product::Nats29, "aedes, nats-2.9");
    }

    #[test]
    fn the_list_names_single_brokers_or_all() {
        assert!(is_named("all", Product::Aedes) && is_named("mosquitto,aedes", Product::Aedes));
        assert!(!is_named("nats-2.15", Product::Nats29) && !is_named("", Product::Aedes));
    }
}
