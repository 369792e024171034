//! Certificates as PEM files, for programs that read nothing else. Only the owner can read private keys.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bridge::config::{Tls, TlsVersion};

use super::{Identity, Pki, Role};

/// Where a [`Pki`] lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkiFiles {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The authority's revocation list.
    pub crl: PathBuf,
    /// The broker's certificate and key.
    pub broker: IdentityFiles,
    /// The bridge's certificate and key.
    pub bridge: IdentityFiles,
    /// The devices' certificate and key.
    pub device: IdentityFiles,
}

/// Where an [`Identity`] lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate.
    pub cert: PathBuf,
    /// The private key, readable by its owner alone.
    pub key: PathBuf,
}

impl PkiFiles {
    /// What a bridge of this world is told of TLS, as whoever `identity` is.
    #[must_use]
    pub fn bridge_tls(&self, identity: &IdentityFiles) -> Tls {
        Tls {
            ca_file: Some(self.ca.clone()),
            cert_file: Some(identity.cert.clone()),
            key_file: Some(identity.key.clone().into()),
            server_name: None,
            crl_file: None,
            min_version: TlsVersion::V1_2,
            cipher_suites: Vec::new(),
            key_exchange_groups: Vec::new(),
        }
    }
}

impl Pki {
    /// Writes PEM files into `directory`, which is made (for its owner alone) when it is not there; a
    /// [`tempfile::TempDir`] keeps them from outliving the run.
    ///
    /// # Errors
    /// When the directory or a file cannot be written.
    pub fn write_to(&self, directory: &Path) -> io::Result<PkiFiles> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let files = PkiFiles {
            ca: directory.join("ca.crt"),
            crl: directory.join("ca.crl"),
            broker: self.identity(Role::Broker).write_to(directory, "broker")?,
            bridge: self.identity(Role::Bridge).write_to(directory, "bridge")?,
            device: self.identity(Role::Device).write_to(directory, "device")?,
        };
        write(&files.ca, &self.ca_pem(), 0o644)?;
        write(&files.crl, self.crl_pem(), 0o644)?;
        Ok(files)
    }
}

impl Identity {
    /// Writes `name.crt` and `name.key` into `directory`, which must exist; takes the place of older ones.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, directory: &Path, name: &str) -> io::Result<IdentityFiles> {
        let files =
            IdentityFiles { cert: directory.join(format!("{name}.crt")), key: directory.join(format!("{name}.key")) };
        write(&files.cert, self.certificate_pem(), 0o644)?;
        write(&files.key, self.private_pem(), 0o600)?;
        Ok(files)
    }
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // An older file keeps its mode when it is opened again; a key must not inherit a wide one.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("pki");
        let files = Pki::generate().unwrap().write_to(&directory).unwrap();
        assert_eq!(mode(&directory), 0o700);
        for identity in [&files.broker, &files.bridge, &files.device] {
            assert_eq!(mode(&identity.key), 0o600);
            assert_eq!(mode(&identity.cert), 0o644);
        }
    }

    #[test]
    fn a_new_key_does_not_inherit_the_mode_of_the_old_one() {
        let temp = tempfile::tempdir().unwrap();
        let key = temp.path().join("broker.key");
        std::fs::write(&key, "old").unwrap();
        std::fs::set_permissions(&key, Permissions::from_mode(0o666)).unwrap();
        Pki::generate().unwrap().write_to(temp.path()).unwrap();
        assert_eq!(mode(&key), 0o600);
        assert!(std::fs::read_to_string(&key).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
