//! A token of SoftHSM for one test, the bridge that can use it, and p11-kit's server that keeps it in a process of its own.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandbox::certs::Identity;
use tempfile::TempDir;

use crate::common::eventually;

/// The PIN of every token here.
pub const PIN: &str = "4711-token";

/// Names a bridge that is built with the feature `pkcs11`; `.ci/pkcs11` builds one.
const BRIDGE: &str = "BRIDGE_WITH_PKCS11";

/// Where Debian has SoftHSM.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The bridge with the feature `pkcs11`. `None` where there is none, and the test is skipped.
pub fn bridge() -> Option<PathBuf> {
    let found = std::env::var_os(BRIDGE).map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: {BRIDGE} names no bridge; `.ci/pkcs11` builds one");
    }
    found
}

/// A directory with tokens.
pub struct Tokens {
    directory: TempDir,
}

impl Tokens {
    /// With one token of that label, whose PIN is [`PIN`].
    pub fn with(label: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tokens = directory.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let config = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        std::fs::write(directory.path().join("softhsm2.conf"), config).unwrap();
        write_secret(&directory.path().join("pin"), &format!("{PIN}\n"));
        let tokens = Self { directory };
        tokens.add_token(label);
        tokens
    }

    pub fn add_token(&self, label: &str) {
        self.run(["--init-token", "--free", "--label", label, "--so-pin", "so-pin-4711", "--pin", PIN]);
    }

    /// Puts a private key in.
    pub fn import(&self, token: &str, label: &str, id: &str, identity: &Identity) {
        let file = self.directory.path().join("import.key");
        write_secret(&file, identity.private_pem());
        let path = file.display().to_string();
        self.run(["--import", &path, "--token", token, "--label", label, "--id", id, "--pin", PIN]);
        std::fs::remove_file(file).unwrap();
    }

    fn run<const N: usize>(&self, arguments: [&str; N]) {
        let mut command = Command::new("softhsm2-util");
        let output = command.args(arguments).env(self.variable().0, self.variable().1).output().unwrap();
        assert!(output.status.success(), "softhsm2-util: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The environment that tells SoftHSM where its tokens are.
    pub fn variable(&self) -> (&'static str, String) {
        ("SOFTHSM2_CONF", self.directory.path().join("softhsm2.conf").display().to_string())
    }

    pub fn pin_file(&self) -> PathBuf {
        self.directory.path().join("pin")
    }

    /// A URI with this path, by SoftHSM in the bridge's own process.
    pub fn uri(&self, path: &str) -> String {
        self.uri_by(path, Path::new(SOFTHSM))
    }

    pub fn uri_by(&self, path: &str, module: &Path) -> String {
        format!("pkcs11:{path}?module-path={}&pin-source=file:{}", module.display(), self.pin_file().display())
    }
}

pub fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// p11-kit's server, which has SoftHSM in its process. Ends when dropped.
pub struct Server {
    child: std::process::Child,
    socket: PathBuf,
}

impl Server {
    pub async fn start(tokens: &Tokens, token: &str) -> Self {
        let socket = tokens.directory.path().join("p11-kit.socket");
        let _ = std::fs::remove_file(&socket);
        let (name, value) = tokens.variable();
        let child = Command::new("p11-kit")
            .args([OsStr::new("server"), "--foreground".as_ref(), "--name".as_ref(), socket.as_ref()])
            .args(["--provider", SOFTHSM, &format!("pkcs11:token={token}")])
            .env(name, value)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("p11-kit serves the token", || std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
        Self { child, socket }
    }

    /// What tells the client module where the server is.
    pub fn variable(&self) -> (&'static str, String) {
        ("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", self.socket.display()))
    }

    /// Where Debian has the client module.
    pub fn module() -> PathBuf {
        Path::new("/usr/lib").join(format!("{}-linux-gnu/pkcs11/p11-kit-client.so", std::env::consts::ARCH))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Each client has a process of its own.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
