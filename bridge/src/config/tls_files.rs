//! Reads the certificate, key, password and token files that a configuration names once, so that an invalid file is
//! refused with the place that names it. Verifies no certificate and keeps nothing of a key.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::in_words;
use super::private_key::PrivateKey;
use super::reader::Reader;
use super::token_uri::TokenUri;
use super::{Admin, Mqtt};
use crate::secret::{read_credentials, read_password, read_token};

/// Checks that each file exists and has the content that its key requires.
pub(super) fn check(mqtt: &Mqtt, reader: &mut Reader<'_>) {
    let files = [
        ("mqtt.tls.ca_file", &mqtt.tls.ca_file, "CERTIFICATE"),
        ("mqtt.tls.cert_file", &mqtt.tls.cert_file, "CERTIFICATE"),
        ("mqtt.tls.crl_file", &mqtt.tls.crl_file, "X509 CRL"),
        ("mqtt.password_file", &mqtt.password_file, ""),
    ];
    for (key, path, label) in files {
        let Some(path) = path else { continue };
        let looked = if label.is_empty() { read_password(path).map(drop) } else { look_into(path, label) };
        if let Err(reason) = looked {
            reader.mistake(key, &format!("{}: {reason}", path.display()));
        }
    }
    let looked = match &mqtt.tls.key_file {
        Some(PrivateKey::File(path)) => look_into(path, "PRIVATE KEY").map_err(|reason| (path, reason)),
        // Without the feature a mistake has already been reported.
        Some(PrivateKey::Token(uri)) if cfg!(feature = "pkcs11") => look_at(uri),
        _ => Ok(()),
    };
    if let Err((path, reason)) = looked {
        reader.mistake("mqtt.tls.key_file", &format!("{}: {reason}", path.display()));
    }
}

/// Checks that the module exists and that only the bridge may read the PIN. The token itself is checked later.
fn look_at(uri: &TokenUri) -> Result<(), (&PathBuf, String)> {
    let module = fs::metadata(&uri.module).map_err(|cause| in_words(&cause));
    match module {
        Ok(found) if !found.is_file() => return Err((&uri.module, "not a PKCS #11 module".to_owned())),
        Ok(_) => {}
        Err(reason) => return Err((&uri.module, reason)),
    }
    match &uri.pin_file {
        Some(path) => read_password(path).map(drop).map_err(|reason| (path, reason)),
        None => Ok(()),
    }
}

/// Checks that the program for the password can be run, and that nobody else can put another in its place.
pub(super) fn check_program(mqtt: &Mqtt, reader: &mut Reader<'_>) {
    if let Some(program) = mqtt.password_command.first()
        && let Err(reason) = is_program(Path::new(program))
    {
        reader.mistake("mqtt.password_command", &format!("{program}: {reason}"));
    }
}

fn is_program(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|cause| in_words(&cause))?;
    if !metadata.is_file() {
        return Err("not a program".to_owned());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode();
        if mode & 0o111 == 0 {
            return Err("nobody may run it; run `chmod +x`".to_owned());
        }
        if mode & 0o002 != 0 {
            return Err(format!("every user may change it (mode {:04o}); run `chmod o-w`", mode & 0o7777));
        }
    }
    Ok(())
}

/// Checks that the login file for a proxy exists and that only the bridge may read it.
pub(super) fn check_proxy(mqtt: &Mqtt, reader: &mut Reader<'_>) {
    if let Some(path) = &mqtt.proxy_credentials_file
        && let Err(reason) = read_credentials(path)
    {
        reader.mistake("mqtt.proxy_credentials_file", &format!("{}: {reason}", path.display()));
    }
}

/// Checks that the token file for orders exists and that only the bridge may read it.
pub(super) fn check_token(admin: &Admin, reader: &mut Reader<'_>) {
    if let Some(path) = &admin.token_file
        && let Err(reason) = read_token(path)
    {
        reader.mistake("admin.token_file", &format!("{}: {reason}", path.display()));
    }
}

/// Looks for a PEM block (RFC 7468) whose label ends in `label`, as `EC PRIVATE KEY` does in `PRIVATE KEY`.
fn look_into(path: &Path, label: &str) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|cause| in_words(&cause))?;
    // A byte order mark, as editors on Windows write it, is no part of the text.
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    let mut labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("the key is encrypted; write it without a passphrase, readable by the bridge alone".to_owned());
    }
    match labels.any(|found| found.ends_with(label)) {
        true => Ok(()),
        false if text.trim().is_empty() => Err("the file is empty".to_owned()),
        false => Err(format!("holds no `-----BEGIN {label}-----`; the file must be PEM")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(content: &str, label: &str) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.pem");
        fs::write(&path, content).unwrap();
        look_into(&path, label)
    }

    #[test]
    fn the_label_decides() {
        assert_eq!(look("-----BEGIN CERTIFICATE-----\r\n", "CERTIFICATE"), Ok(()));
        assert_eq!(look("text before\n-----BEGIN EC PRIVATE KEY-----\n", "PRIVATE KEY"), Ok(()));
        assert!(look("-----BEGIN CERTIFICATE-----\n", "PRIVATE KEY").unwrap_err().starts_with("holds no"));
    }

    #[test]
    fn empty_binary_encrypted_and_absent_files_are_refused() {
        assert_eq!(look(" \n", "CERTIFICATE").unwrap_err(), "the file is empty");
        assert!(look("\u{1}\u{2}", "CERTIFICATE").unwrap_err().ends_with("must be PEM"));
        for encrypted in
            ["-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"]
        {
            assert!(look(encrypted, "PRIVATE KEY").unwrap_err().starts_with("the key is encrypted"));
        }
        assert_eq!(look_into(Path::new("absent.pem"), "CERTIFICATE").unwrap_err(), "no such file");
    }
}
