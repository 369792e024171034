//! Certificates with every flaw that a TLS client must find, made for each run: by rcgen where it can, else by the
//! openssl program.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, RevokedCertParams,
    SerialNumber,
};

pub const HOUR: Duration = Duration::from_hours(1);
pub const DAY: Duration = Duration::from_hours(24);

/// A certificate with what is sent behind it, and its key, in PEM.
#[derive(Clone)]
pub struct Made {
    pub chain: String,
    pub key: String,
}

/// The signing authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The intermediate certificates.
    above: String,
}

pub fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

pub fn dates(params: &mut CertificateParams, from: SystemTime, until: SystemTime) {
    (params.not_before, params.not_after) = (from.into(), until.into());
}

fn params_of_authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    current(&mut params);
    params
}

fn current(params: &mut CertificateParams) {
    let now = SystemTime::now();
    dates(params, now - HOUR, now + DAY * 90);
}

/// What a broker's certificate says unless a test says otherwise.
pub fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "broker");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    current(&mut params);
    params
}

/// The same for a client.
pub fn client() -> CertificateParams {
    let mut params = server(&[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Authority {
    pub fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    pub fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params_of_authority(name);
        change(&mut params);
        Self { issuer: CertifiedIssuer::self_signed(params, key()).unwrap(), above: String::new() }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params_of_authority(name);
        change(&mut params);
        let issuer = CertifiedIssuer::signed_by(params, key(), &self.issuer).unwrap();
        let above = format!("{}{}", issuer.pem(), self.above);
        Self { issuer, above }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Signs what `params` say, with a new key.
    pub fn sign(&self, params: CertificateParams) -> Made {
        self.sign_for(params, &key())
    }

    pub fn sign_for(&self, params: CertificateParams, key: &KeyPair) -> Made {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Made { chain: format!("{}{}", certificate.pem(), self.above), key: key.serialize_pem() }
    }

    /// A list that names these serial numbers, valid until then.
    pub fn revocation_list(&self, revoked: &[u64], until: SystemTime) -> String {
        self.revocation_list_of(revoked, SystemTime::now() - DAY, until, 1)
    }

    /// The same, issued at `from` under this number.
    pub fn revocation_list_of(&self, revoked: &[u64], from: SystemTime, until: SystemTime, number: u64) -> String {
        let entry = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: from.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: from.into(),
            next_update: until.into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// An authority of the openssl program, which also signs invalid certificates.
pub struct Careless<'a> {
    pub openssl: &'a Path,
    pub directory: &'a Path,
}

impl Careless<'_> {
    /// A root; its key stays in the directory.
    pub fn root(&self) -> String {
        self.run("req -x509 -newkey rsa:2048 -nodes -sha256 -days 2 -subj /CN=careless -keyout ca.key -out ca.crt");
        self.read("ca.crt")
    }

    /// A certificate of that root: `new_key` and `sign` as the program's options.
    pub fn leaf(&self, name: &str, new_key: &str, sign: &str, extensions: &str) -> Made {
        self.run(&format!("req -newkey {new_key} -nodes -subj /CN=localhost -keyout {name}.key -out {name}.csr"));
        std::fs::write(self.directory.join("extensions"), extensions).unwrap();
        let extensions = if extensions.is_empty() { "" } else { "-extfile extensions" };
        self.run(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -days 1 {sign} {extensions} -out {name}.crt"
        ));
        Made { chain: self.read(&format!("{name}.crt")), key: self.read(&format!("{name}.key")) }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.directory.join(file)).unwrap()
    }

    fn run(&self, arguments: &str) {
        let output = Command::new(self.openssl)
            .args(arguments.split_whitespace())
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
