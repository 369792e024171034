//! Mosquitto with a configuration that the repository ships, as it is shipped: only paths, addresses and the account
//! differ.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use bridge::config::BrokerUrl;
use sandbox::certs::{IdentityFiles, Leaf, Pki, PkiFiles, Validity};
use sandbox::tools;
use sandbox::world::BrokerKind;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::common::PATIENCE;
use crate::shipped::Shipped;

/// Both versions of the protocol, as the clients of Mosquitto call them.
pub const VERSIONS: [&str; 2] = ["mqttv5", "mqttv311"];

/// The key of the device `tiny-01`, which has no certificate.
pub const PSK: &str = "5f2c9a1be07d4438a6c3d1905b7e62f48c0d9e3ba17465f2d8b0c4917e3a6d25";

/// The ports that shipped files give to devices, to the bridge, and to devices with a key.
const PORTS: [&str; 3] = ["8883", "8884", "8885"];

/// The broker, its authority, and the tools to talk to it.
pub struct Hardened {
    pub pki: Pki,
    pub files: PkiFiles,
    directory: TempDir,
    listeners: [Listener; 3],
    open: Vec<usize>,
    broker: Child,
    publish: PathBuf,
    subscribe: PathBuf,
}

/// An address that stays reserved while the broker is down.
struct Listener {
    port: u16,
    _reserved: TcpSocket,
}

impl Hardened {
    /// Starts it; `None` when this machine has no Mosquitto, and the test is skipped.
    pub async fn start() -> Option<Self> {
        Self::start_with(|_, text| text).await
    }

    /// Starts another of the shipped configurations.
    pub async fn start_as(shipped: Shipped) -> Option<Self> {
        Self::start_from(shipped, |_, text| text).await
    }

    /// Starts it with files that a test has changed: the name in `docker/mosquitto`, and its text.
    pub async fn start_with(adapt: impl Fn(&str, String) -> String) -> Option<Self> {
        Self::start_from(Shipped::Docker, adapt).await
    }

    /// Starts one of them with files that a test has changed.
    pub async fn start_from(shipped: Shipped, adapt: impl Fn(&str, String) -> String) -> Option<Self> {
        tools::require("mosquitto")?;
        let (publish, subscribe) = (tools::require("mosquitto_pub")?, tools::require("mosquitto_sub")?);
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::generate().unwrap();
        let files = pki.write_to(&directory.path().join("tls")).unwrap();
        fs::write(directory.path().join("tls/psk"), format!("tiny-01:{PSK}\n")).unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        let listeners = [(); 3].map(|()| Listener::reserve());
        let open = write_configuration(directory.path(), shipped, &listeners, adapt);
        let broker = run(directory.path(), &listeners, &open).await;
        Some(Self { pki, files, directory, listeners, open, broker, publish, subscribe })
    }

    /// The broker for a world: the bridge's listener, and the certificates.
    pub fn for_the_bridge(&self) -> BrokerKind {
        let url = BrokerUrl::mqtts("localhost", self.listeners[usize::from(self.open.contains(&1))].port);
        let files = self.files.clone();
        BrokerKind::External { url, ca: files.ca, bridge: files.bridge, device: files.device }
    }

    /// A certificate for one more client.
    pub fn certificate(&self, name: &str) -> IdentityFiles {
        let identity = self.pki.issue(&Leaf::client(name)).unwrap();
        identity.write_to(&self.directory.path().join("tls"), name).unwrap()
    }

    /// Publishes with QoS 1 on the listener of devices, and waits for the PUBACK, if any comes.
    pub async fn publish(&self, who: &IdentityFiles, topic: &str, payload: &[u8], more: &[&str]) -> Output {
        let mut command = self.client(&self.publish, 0, &["-q", "1", "-s", "-t", topic]);
        command.arg("--cafile").arg(&self.files.ca).args(certificate(who)).args(more);
        ended(command, payload).await
    }

    /// Publishes each line as a message, and waits for the PUBACK of each.
    pub async fn publish_lines(&self, who: &IdentityFiles, topic: &str, lines: &[String]) -> Output {
        let mut command = self.client(&self.publish, 0, &["-q", "1", "-l", "-t", topic]);
        command.arg("--cafile").arg(&self.files.ca).args(certificate(who));
        ended(command, (lines.join("\n") + "\n").as_bytes()).await
    }

    /// The same on the listener for pre-shared keys.
    pub async fn publish_by_key(&self, who: &str, key: &str, topic: &str, payload: &[u8]) -> Output {
        let arguments = ["-q", "1", "-s", "-t", topic, "--psk-identity", who, "--psk", key];
        ended(self.client(&self.publish, 2, &arguments), payload).await
    }

    /// The cipher suite of TLS 1.2 that the listener of devices agrees on with a client that offers this one; `(NONE)`
    /// when it refuses.
    pub async fn agrees_on(&self, openssl: &Path, who: &IdentityFiles, suite: &str) -> String {
        let mut command = Command::new(openssl);
        let address = format!("localhost:{}", self.listeners[0].port);
        command
            .args(["s_client", "-tls1_2", "-cipher", suite, "-connect", &address])
            .arg("-CAfile")
            .arg(&self.files.ca);
        command.arg("-cert").arg(&who.cert).arg("-key").arg(&who.key).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await.expect("an end in time").unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let agreed = said.lines().find_map(|line| line.split_once("Cipher is ")).map(|(_, suite)| suite.to_owned());
        agreed.unwrap_or_else(|| panic!("{output:?}"))
    }

    /// Connects without a certificate.
    pub async fn publish_as_nobody(&self, topic: &str, payload: &[u8]) -> Output {
        let mut command = self.client(&self.publish, 0, &["-q", "1", "-s", "-t", topic]);
        command.arg("--cafile").arg(&self.files.ca);
        ended(command, payload).await
    }

    /// Subscribes with a persistent session, and disconnects.
    pub async fn subscribe(&self, who: &IdentityFiles, filter: &str) {
        let output = ended(self.subscriber(who, filter, &["-E"]), b"").await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Publishes on the listener of the bridge, with its certificate, a message that is retained.
    pub async fn publish_as_the_bridge(&self, topic: &str, payload: &[u8]) -> Output {
        let mut command = self.client(&self.publish, 1, &["-q", "1", "-s", "-r", "-t", topic]);
        command.arg("--cafile").arg(&self.files.ca).args(certificate(&self.files.bridge));
        ended(command, payload).await
    }

    /// The first message that comes to the bridge's certificate on its listener: its payload.
    pub async fn first_for_the_bridge(&self, filter: &str) -> String {
        let mut command = self.client(&self.subscribe, 1, &["-q", "1", "-t", filter, "-C", "1"]);
        command.arg("--cafile").arg(&self.files.ca).args(certificate(&self.files.bridge));
        let output = ended(command, b"").await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The first message that comes to a device for these filters, in their order: its topic and its payload.
    pub async fn first(&self, who: &IdentityFiles, filters: [&str; 2]) -> String {
        let output = ended(self.subscriber(who, filters[0], &["-t", filters[1], "-C", "1", "-v"]), b"").await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Resumes that session, and waits for one message: its topic and its payload.
    pub async fn next(&self, who: &IdentityFiles, filter: &str) -> String {
        let output = ended(self.subscriber(who, filter, &["-C", "1", "-v"]), b"").await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// SIGHUP: the broker reads its certificates, lists and access lists again.
    pub async fn reload(&self) {
        let id = self.broker.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().await.unwrap().success());
    }

    /// Puts these certificates on the revocation list, and lets the broker read it.
    pub async fn revoke(&self, names: &[&sandbox::certs::Identity]) {
        fs::write(&self.files.crl, self.pki.revoke(names, Validity::Current).unwrap()).unwrap();
        self.reload().await;
    }

    /// Waits until all that is confirmed is on disk: the first save may have begun before.
    pub async fn saved(&self) {
        let database = self.directory.path().join("data/mosquitto.db");
        let when = || fs::metadata(&database).and_then(|file| file.modified()).ok();
        for _ in 0..2 {
            let before = when();
            crate::common::eventually("the broker saves", || when() != before).await;
        }
    }

    /// SIGKILL, and another start on the same ports.
    pub async fn crash_and_restart(&mut self) {
        self.broker.kill().await.unwrap();
        self.broker = run(self.directory.path(), &self.listeners, &self.open).await;
    }

    /// Takes over another client's id, which destroys the session of that id, and disconnects.
    pub async fn take_session(&self, who: &IdentityFiles, id: &str, version: &str) {
        let arguments = ["-i", id, "-V", version, "-q", "1", "-t", "sensor/data", "-E"];
        let mut command = self.client(&self.subscribe, 0, &arguments);
        command.arg("--cafile").arg(&self.files.ca).args(certificate(who));
        // Refused or accepted: only the attempt counts.
        ended(command, b"").await;
    }

    fn subscriber(&self, who: &IdentityFiles, filter: &str, more: &[&str]) -> Command {
        // The broker puts the certificate's name in the place of the client id.
        let arguments = ["-i", "any", "-c", "-V", "mqttv311", "-q", "1", "-t", filter];
        let mut command = self.client(&self.subscribe, 0, &arguments);
        command.arg("--cafile").arg(&self.files.ca).args(certificate(who)).args(more);
        command
    }

    fn client(&self, program: &Path, listener: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &self.listeners[listener].port.to_string()]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Listener {
    fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { port: socket.local_addr().unwrap().port(), _reserved: socket }
    }
}

fn certificate(who: &IdentityFiles) -> [&std::ffi::OsStr; 4] {
    ["--cert".as_ref(), who.cert.as_os_str(), "--key".as_ref(), who.key.as_os_str()]
}

async fn ended(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    // An error means that it did not read its input; its exit status says why.
    let _ = child.stdin.take().unwrap().write_all(input).await;
    timeout(PATIENCE, child.wait_with_output()).await.expect("an end in time").unwrap()
}

/// Writes what is shipped, with the paths and addresses of this test; says on which listener the bridge comes.
fn write_configuration(
    directory: &Path,
    shipped: Shipped,
    listeners: &[Listener; 3],
    adapt: impl Fn(&str, String) -> String,
) -> Vec<usize> {
    let mut open = Vec::new();
    fs::create_dir_all(directory.join("config/conf.d")).unwrap();
    for (name, to, text) in shipped.files() {
        let mut text = adapt(&name, text);
        for (place, here) in shipped.places() {
            text = text.replace(place, &format!("{}/{here}", directory.display()));
        }
        let line = |line: &str| {
            let Some(address) = line.strip_prefix("listener ") else { return line.to_owned() };
            let port = address.split(' ').next().unwrap();
            let which = PORTS.iter().position(|known| *known == port).expect("a listener that this test knows");
            open.push(which);
            format!("listener {} 127.0.0.1", listeners[which].port)
        };
        text = text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n";
        // Started by root, Mosquitto gives its rights away and could no longer read what is root's alone.
        if to == "mosquitto.conf" && directory.metadata().unwrap().uid() == 0 {
            text.insert_str(0, "user root\n");
        }
        fs::write(directory.join("config").join(to), text).unwrap();
    }
    open
}

async fn run(directory: &Path, listeners: &[Listener; 3], open: &[usize]) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut broker = Command::new(tools::find_tool("mosquitto").unwrap())
        .arg("-c")
        .arg(directory.join("config/mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(directory.join("log")).unwrap_or_default();
    for listener in open.iter().map(|which| &listeners[*which]) {
        let begun = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", listener.port)).await.is_err() {
            assert!(broker.try_wait().unwrap().is_none(), "the broker ended:\n{}", said());
            assert!(begun.elapsed() < PATIENCE, "the broker does not listen:\n{}", said());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    broker
}
